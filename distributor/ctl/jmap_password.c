/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire jmap password`: another password or token for a login, checked at the server first. */
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include "distributor/ctl/daemon_service.h"
#include "distributor/ctl/jmap_commands.h"
#include "distributor/ctl/jmap_place.h"
#include "distributor/ctl/jmap_probe.h"
#include "distributor/ctl/password_prompt.h"
#include "distributor/jmap/secret_text.h"
#include <stdio.h>
#include <unistd.h>

static char *password_label_dup(const struct jmap_config *config) {
	return mem_printf("Bellwire: mail of %s", config->user ? config->user : config->name);
}

/* Where it was: a file stays one. */
static enum credentials_place password_place(
	const struct jmap_place *place, const struct jmap_config *config) {
	CLEANUP_FREE char *path = mem_printf("%s/secrets/%s", place->config.state_dir, config->name);
	return access(path, F_OK) == 0 ? CREDENTIALS_FILE : CREDENTIALS_ANYWHERE;
}

static int password_store(
	const struct jmap_place *place, const struct jmap_config *config, const char *secret) {
	CLEANUP_FREE char *label = password_label_dup(config), *words = NULL;
	if (credentials_store(place->bus, place->config.state_dir, config->name, label, secret,
			password_place(place, config), &words) < 0) {
		return command_fail("%s", words);
	}
	(void)fprintf(stderr, "bellwire: it is kept in %s\n", words);
	return COMMAND_OK;
}

/* The daemon may have been refused the old one. */
static int password_try(const char *name) {
	CLEANUP_FREE char *sentence = NULL;
	bool is_good;
	if (!daemon_runs()) {
		return COMMAND_OK;
	}
	int result = daemon_ask_verdict("JmapTest", name, &is_good, &sentence);
	if (result != COMMAND_OK || !is_good) {
		return result != COMMAND_OK ? result : command_fail("%s", sentence);
	}
	command_note("%s", sentence);
	return COMMAND_OK;
}

static int password_change(const struct jmap_place *place, const struct jmap_config *config) {
	struct jmap_probe probe = {0};
	CLEANUP_FREE char *what =
		mem_printf("%s of %s", config->auth == JMAP_AUTH_BEARER ? "Token" : "Password",
			config->user ? config->user : config->name);
	if (config->password_command) {
		return command_fail("the password of %s comes from its password_command", config->name);
	}
	char *secret = password_prompt(what);
	if (!secret) {
		return COMMAND_FAILED;
	}
	int result = jmap_probe_run(place, config, secret, true, &probe);
	result = result != COMMAND_OK ? result : password_store(place, config, secret);
	jmap_probe_finish(&probe);
	secret_free(secret);
	return result != COMMAND_OK ? result : password_try(config->name);
}

int jmap_password_command(int argc, char **argv) {
	struct jmap_words words = {0};
	struct jmap_place place = {0};
	int result = jmap_words_parse(argc, argv, &words);
	result = result != COMMAND_OK ? result : jmap_place_open(&place, words.path, words.state_dir);
	if (result == COMMAND_OK) {
		const struct jmap_config *config = jmap_place_find(&place, words.name);
		result = config ? password_change(&place, config) : COMMAND_FAILED;
	}
	jmap_place_close(&place);
	if (result == COMMAND_OK && words.json) {
		return command_print_json(json_pack("{s:b}", "stored", 1)) ? COMMAND_OK : COMMAND_FAILED;
	}
	return result;
}
