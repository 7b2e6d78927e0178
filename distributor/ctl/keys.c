/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire keys NAME`: the push URL of a hook or of a registration of one's own, from the state.
 */
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/webpush.h"
#include "distributor/config.h"
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include "distributor/state.h"
#include <stdio.h>
#include <string.h>

static const char keys_usage[] = "usage: bellwire keys NAME [--state-dir DIR] [--json]\n"
								 "\n"
								 "Prints the push URL of the hook NAME, or of what `bellwire "
								 "register NAME` made, with the keys to\n"
								 "encrypt for it, as one JSON line. Reads the distributor's state, "
								 "so it works without a bus, too.\n";

/* The registration that we decrypt for, by name; borrowed, NULL when there is none. */
static const json_t *keys_find(const json_t *state, const char *name) {
	const json_t *list = json_object_get(json_object_get(state, "registrations"), "list");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		if (strcmp(daemon_text(one, "kind"), "app") != 0 &&
			strcmp(daemon_text(one, "token"), name) == 0) {
			return one;
		}
	}
	return NULL;
}

static const char *keys_endpoint(const json_t *state, const char *channel) {
	const json_t *accounts = json_object_get(state, "accounts");
	for (size_t i = 0; i < json_array_size(accounts); i++) {
		const json_t *channels = json_object_get(json_array_get(accounts, i), "channels");
		for (size_t k = 0; k < json_array_size(channels); k++) {
			const json_t *one = json_array_get(channels, k);
			if (strcmp(daemon_text(one, "name"), channel) == 0) {
				return daemon_text(one, "endpoint");
			}
		}
	}
	return "";
}

static int keys_print(const json_t *state, const json_t *registration) {
	uint8_t secret[P256_SECRET_BYTES], point[P256_POINT_BYTES];
	size_t bytes = 0;
	const char *endpoint = keys_endpoint(state, daemon_text(registration, "channel"));
	if (!endpoint[0]) {
		return command_fail(
			"it has no push URL yet; is the distributor connected? See: bellwire status");
	}
	EVP_PKEY *key = base64url_decode(slice_of(daemon_text(registration, "key")), secret,
						sizeof secret, &bytes) &&
							bytes == sizeof secret
						? p256_from_secret(secret)
						: NULL;
	mem_wipe(secret, sizeof secret);
	bool good = key && p256_point_of(key, point);
	EVP_PKEY_free(key);
	if (!good) {
		return command_fail("its key in the state file is damaged");
	}
	CLEANUP_FREE char *p256dh = base64url_print(point, sizeof point);
	return command_print_json(json_pack("{s:s,s:s,s:s}", "endpoint", endpoint, "p256dh", p256dh,
			   "auth", daemon_text(registration, "auth")))
			   ? COMMAND_OK
			   : COMMAND_FAILED;
}

static int keys_run(const char *name, const char *dir) {
	json_t *state = state_peek(dir);
	if (!state) {
		return command_fail(
			"there is no readable state of a distributor in %s; start it, or give its "
			"directory with --state-dir",
			dir);
	}
	const json_t *registration = keys_find(state, name);
	int result =
		registration
			? keys_print(state, registration)
			: command_fail(
				  "there is no hook or registration of yours named %s; see: bellwire apps", name);
	json_decref(state);
	return result;
}

/* Where the distributor keeps it: as its settings say. Fresh; NULL when that was explained. */
static char *keys_state_dir_dup(char **argv) {
	char **rest;
	size_t rest_count;
	struct config config = {0};
	enum settings_action action;
	char *dir = NULL;
	if (settings_load(config_program(), 1, argv, &config, &action, &rest, &rest_count, stderr) ==
		0) {
		config_complete(&config);
		dir = config.state_dir ? mem_strdup(config.state_dir) : NULL;
		if (!dir) {
			(void)command_fail("HOME is not set; give the directory with --state-dir");
		}
	}
	settings_free(config_program(), &config);
	return dir;
}

int keys_command(int argc, char **argv) {
	const char *name, *dir = NULL;
	const struct arguments_flag flags[] = {
		{"state-dir", .text = &dir}, {.name = "json"}, {.name = NULL}}; /* it is JSON anyway */
	const struct arguments arguments = {
		.usage = keys_usage, .flags = flags, .words = "NAME", .least = 1, .most = 1};
	int result;
	if (!arguments_read(&arguments, argc, argv, &name, &result)) {
		return result;
	}
	CLEANUP_FREE char *usual = dir ? NULL : keys_state_dir_dup(argv);
	return dir || usual ? keys_run(name, dir ? dir : usual) : COMMAND_FAILED;
}
