/* SPDX-License-Identifier: Apache-2.0 */
/* Read as the daemon reads it. */
#include "distributor/ctl/jmap_place.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/settings_parse.h"
#include "distributor/ctl/commands.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_FILE_MAX = 1 << 20 };

static int jmap_place_read(struct jmap_place *place) {
	size_t bytes = 0;
	free(steal(&place->text));
	int result = file_read(place->path, PLACE_FILE_MAX, &place->text, &bytes);
	if (result < 0 && result != -ENOENT && result != -ENOTDIR) {
		return command_fail("%s cannot be read: %s", place->path, strerror(-result));
	}
	if (!place->text) {
		place->text = mem_strdup("");
	}
	return COMMAND_OK;
}

static bool jmap_place_load(struct jmap_place *place, const char *state_dir) {
	bool is_good = settings_load_text(config_program(), slice_of(place->text), place->path,
					   &place->config, stderr) == 0;
	if (state_dir) {
		free(place->config.state_dir);
		place->config.state_dir = mem_strdup(state_dir);
	}
	return is_good && config_check(&place->config, stderr) == 0;
}

int jmap_place_open(struct jmap_place *place, const char *path, const char *state_dir) {
	*place = (struct jmap_place){0};
	place->path = path ? mem_strdup(path) : config_default_path();
	if (!place->path) {
		return command_fail("HOME is not set; give the configuration with --config");
	}
	int result = jmap_place_read(place);
	if (result != COMMAND_OK) {
		return result;
	}
	bool is_good = jmap_place_load(place, state_dir);
	if (jmap_configs_load(place->path, &place->logins, stderr) < 0 || !is_good) {
		return command_fail("the configuration is not good; nothing is changed");
	}
	(void)sd_bus_open_user(&place->bus); /* without one: no keyring */
	return COMMAND_OK;
}

void jmap_place_close(struct jmap_place *place) {
	jmap_configs_free(&place->logins);
	settings_free(config_program(), &place->config);
	(void)sd_bus_flush_close_unref(place->bus);
	free(place->path);
	free(place->text);
}

int jmap_place_reopen(struct jmap_place *place) {
	jmap_configs_free(&place->logins);
	int result = jmap_place_read(place);
	if (result == COMMAND_OK && jmap_configs_load(place->path, &place->logins, stderr) < 0) {
		return command_fail("the configuration is not good any more");
	}
	return result;
}

const struct jmap_config *jmap_place_find(const struct jmap_place *place, const char *name) {
	const struct jmap_config *found = jmap_configs_find(&place->logins, name);
	if (!found) {
		(void)command_fail("%s has no mail login \"%s\"", place->path, name);
	}
	for (size_t i = 0; !found && i < place->logins.count; i++) {
		(void)fprintf(stderr, "%s%s%s", i == 0 ? "There are: " : ", ", place->logins.logins[i].name,
			i + 1 == place->logins.count ? "\n" : "");
	}
	return found;
}

int jmap_place_write(const struct jmap_place *place, const char *text) {
	CLEANUP_FREE char *real = realpath(place->path, NULL); /* a link stays one */
	int result = file_make_folders(place->path);
	/* with a relay's invite it is a secret */
	result =
		result < 0 ? result : file_replace(real ? real : place->path, text, strlen(text), 0600);
	if (result < 0) {
		return command_fail("%s cannot be written: %s", place->path, strerror(-result));
	}
	return COMMAND_OK;
}
