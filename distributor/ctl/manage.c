/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire register`, `unregister`, `block`, `unblock`, `pause`, `resume`, `reconnect`, `move`. */
#include "common/cleanup.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include <stdio.h>
#include <string.h>

static const char manage_usage[] =
	"usage: bellwire register NAME [--vapid-key KEY]   a push URL of your own, with the keys to\n"
	"                                                  encrypt for it; take its pushes with\n"
	"                                                  `bellwire listen NAME`\n"
	"       bellwire unregister NAME|NUMBER            the number is that of `bellwire apps`\n"
	"       bellwire block NAME|NUMBER                 keep it, but drop its pushes\n"
	"       bellwire unblock NAME|NUMBER\n"
	"       bellwire pause                             disconnect until resumed, also after a "
	"restart\n"
	"       bellwire resume\n"
	"       bellwire reconnect                         try now, whatever is being waited for\n"
	"       bellwire move URL                          another relay; the former one is drained "
	"for a\n"
	"                                                  week\n"
	"\n"
	"  --json   print the result as JSON\n";

struct manage_options {
	const char *word, *vapid_key; /* word: the one argument */
	bool json;
};

/* 0 to go on; else the exit status plus one. */
static int manage_parse(int argc, char **argv, bool wants_word, struct manage_options *options) {
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			(void)fputs(manage_usage, stdout);
			return 1 + COMMAND_OK;
		}
		if (strcmp(argv[i], "--json") == 0) {
			options->json = true;
		} else if (strcmp(argv[i], "--vapid-key") == 0 && i + 1 < argc &&
				   strcmp(argv[0], "register") == 0) {
			options->vapid_key = argv[++i];
		} else if (argv[i][0] != '-' && wants_word && !options->word) {
			options->word = argv[i];
		} else {
			(void)fputs(manage_usage, stderr);
			return 1 + COMMAND_USAGE;
		}
	}
	if (wants_word && !options->word) {
		(void)fputs(manage_usage, stderr);
		return 1 + COMMAND_USAGE;
	}
	return 0;
}

static int manage_say(const struct manage_options *options, const char *key, const char *sentence) {
	if (options->json) {
		return command_print_json(json_pack("{s:b}", key, 1)) ? COMMAND_OK : COMMAND_FAILED;
	}
	(void)puts(sentence);
	return COMMAND_OK;
}

static int manage_tell(
	int argc, char **argv, const char *method, const char *key, const char *sentence) {
	struct manage_options options = {0};
	int result = manage_parse(argc, argv, false, &options);
	if (result > 0) {
		return result - 1;
	}
	result = daemon_tell(method, NULL);
	return result != COMMAND_OK ? result : manage_say(&options, key, sentence);
}

int pause_command(int argc, char **argv) {
	return manage_tell(argc, argv, "Pause", "paused", "paused; messages wait at the relay");
}

int resume_command(int argc, char **argv) {
	return manage_tell(argc, argv, "Resume", "resumed", "resumed");
}

int reconnect_command(int argc, char **argv) {
	return manage_tell(
		argc, argv, "Reconnect", "asked", "asked to connect now; see: bellwire status");
}

int move_command(int argc, char **argv) {
	struct manage_options options = {0};
	int result = manage_parse(argc, argv, true, &options);
	if (result > 0) {
		return result - 1;
	}
	result = daemon_tell("Move", "s", options.word);
	return result != COMMAND_OK ? result
								: manage_say(&options, "moving",
									  "moving; every app is told its new push URL, and the former "
									  "relay is drained for "
									  "a week");
}

int register_command(int argc, char **argv) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct manage_options options = {0};
	int result = manage_parse(argc, argv, true, &options);
	if (result > 0) {
		return result - 1;
	}
	result = daemon_open(&bus);
	if (result != COMMAND_OK) {
		return result;
	}
	result = options.vapid_key ? daemon_call(bus, "Register", &reply, "sa{sv}", options.word, 1,
									 "vapid", "s", options.vapid_key)
							   : daemon_call(bus, "Register", &reply, "sa{sv}", options.word, 0);
	if (result != COMMAND_OK) {
		return result;
	}
	json_t *answer = daemon_read_dict(reply);
	return answer && command_print_json(answer)
			   ? COMMAND_OK
			   : command_fail("the distributor's answer makes no sense");
}

/* The number of a registration by its number or its name; negative when there is none or several.
 */
static int64_t manage_find(const char *word) {
	json_t *apps = NULL;
	int64_t found = -1, number = command_number(word, UINT32_MAX);
	size_t count = 0;
	if (number >= 0) {
		return number;
	}
	if (daemon_ask("List", &apps) != COMMAND_OK) {
		return -1;
	}
	for (size_t i = 0; i < json_array_size(apps); i++) {
		const json_t *app = json_array_get(apps, i);
		if (strcmp(daemon_text(app, "name"), word) == 0 ||
			strcmp(daemon_text(app, "service"), word) == 0) {
			found = daemon_number(app, "number");
			count++;
		}
	}
	json_decref(apps);
	if (count != 1) {
		(void)command_fail(count == 0 ? "nothing is registered as %s"
									  : "%s has several registrations; give the number of one",
			word);
		return -1;
	}
	return found;
}

int unregister_command(int argc, char **argv) {
	struct manage_options options = {0};
	int result = manage_parse(argc, argv, true, &options);
	if (result > 0) {
		return result - 1;
	}
	int64_t number = manage_find(options.word);
	if (number < 0) {
		return COMMAND_FAILED;
	}
	result = daemon_tell("Unregister", "u", (uint32_t)number);
	return result != COMMAND_OK ? result : manage_say(&options, "unregistered", "unregistered");
}

static int manage_block(int argc, char **argv, int is_blocked) {
	struct manage_options options = {0};
	int result = manage_parse(argc, argv, true, &options);
	if (result > 0) {
		return result - 1;
	}
	int64_t number = manage_find(options.word);
	if (number < 0) {
		return COMMAND_FAILED;
	}
	result = daemon_tell("Block", "ub", (uint32_t)number, is_blocked);
	return result != COMMAND_OK ? result
								: manage_say(&options, is_blocked ? "blocked" : "unblocked",
									  is_blocked ? "blocked: its pushes are dropped" : "unblocked");
}

int block_command(int argc, char **argv) {
	return manage_block(argc, argv, 1);
}

int unblock_command(int argc, char **argv) {
	return manage_block(argc, argv, 0);
}
