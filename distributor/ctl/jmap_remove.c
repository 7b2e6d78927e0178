/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire jmap remove`: the server first, while somebody can still log in there; then the
 * configuration, the password, the daemon. */
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/config_section.h"
#include "distributor/ctl/daemon.h"
#include "distributor/ctl/daemon_service.h"
#include "distributor/ctl/jmap_commands.h"
#include "distributor/ctl/jmap_place.h"
#include "distributor/ctl/jmap_probe.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct jmap_remove {
	struct jmap_words words;
	bool runs;
	enum jmap_destroyed destroyed;
	char *reason; /* why it is not ended at the server */
	struct jmap_place place;
};

/* What cannot be ended there ends by itself; a failure stops nothing. */
static void remove_at_server(struct jmap_remove *remove, const struct jmap_config *config) {
	bool is_good = false;
	remove->runs = daemon_runs();
	if (!remove->runs) {
		remove->destroyed = jmap_probe_destroy(&remove->place, config, &remove->reason);
	} else {
		int result =
			daemon_ask_verdict("JmapRemove", remove->words.name, &is_good, &remove->reason);
		/* a failure of the call has been explained */
		remove->destroyed = result == COMMAND_OK && is_good ? JMAP_DESTROYED : JMAP_NOT_DESTROYED;
	}
	if (remove->destroyed == JMAP_NOT_DESTROYED) {
		(void)command_fail("the subscription at the server is not removed%s%s; it ends by itself, "
						   "mostly within a week",
			remove->reason ? ": " : "", remove->reason ? remove->reason : "");
	}
}

static void remove_state(const struct jmap_remove *remove) {
	static const char *const ends[] = {"", ".bak"};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		CLEANUP_FREE char *path = mem_printf(
			"%s/jmap-%s.json%s", remove->place.config.state_dir, remove->words.name, ends[i]);
		(void)unlink(path); /* mostly there is none */
	}
}

static int remove_section(struct jmap_remove *remove) {
	int result = jmap_place_reopen(&remove->place);
	if (result != COMMAND_OK) {
		return result;
	}
	CLEANUP_FREE char *text =
		config_section_remove_dup(remove->place.text, JMAP_SECTION, remove->words.name);
	return jmap_place_write(&remove->place, text);
}

static int remove_here(struct jmap_remove *remove) {
	CLEANUP_FREE char *words = NULL;
	int result = remove_section(remove);
	if (result != COMMAND_OK) {
		return result;
	}
	if (credentials_forget(
			remove->place.bus, remove->place.config.state_dir, remove->words.name, &words) < 0) {
		result = command_fail("%s", words);
	}
	if (remove->runs) {
		int told = daemon_tell("JmapReload", NULL);
		return result != COMMAND_OK ? result : told;
	}
	remove_state(remove);
	return result;
}

static int remove_go(struct jmap_remove *remove) {
	int result = jmap_place_open(&remove->place, remove->words.path, remove->words.state_dir);
	const struct jmap_config *config =
		result == COMMAND_OK ? jmap_place_find(&remove->place, remove->words.name) : NULL;
	if (!config) {
		return COMMAND_FAILED;
	}
	remove_at_server(remove, config);
	result = remove_here(remove);
	if (result != COMMAND_OK) {
		return result;
	}
	if (remove->words.json) {
		return command_print_json(json_pack("{s:b,s:b}", "removed", 1, "ended_at_server",
				   (int)(remove->destroyed != JMAP_NOT_DESTROYED)))
				   ? COMMAND_OK
				   : COMMAND_FAILED;
	}
	(void)puts(remove->destroyed == JMAP_DESTROYED ? "removed, also at the server" : "removed");
	return COMMAND_OK;
}

int jmap_remove_command(int argc, char **argv) {
	struct jmap_remove remove = {0};
	int result = jmap_words_parse(argc, argv, &remove.words);
	result = result != COMMAND_OK ? result : remove_go(&remove);
	jmap_place_close(&remove.place);
	free(remove.reason);
	return result;
}
