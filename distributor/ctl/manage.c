/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire register`, `unregister`, `block`, `unblock`, `pause`, `resume`, `reconnect`, `move`. */
#include "common/cleanup.h"
#include "distributor/ctl/arguments.h"
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

enum manage_word { MANAGE_NONE, MANAGE_URL, MANAGE_REGISTRATION };
static const char *const manage_word_names[] = {
	[MANAGE_NONE] = NULL, [MANAGE_URL] = "URL", [MANAGE_REGISTRATION] = "NAME|NUMBER"};
static const struct manage_command {
	const char *name, *method;
	enum manage_word word; /* the one argument, handed to the method */
	int flag; /* handed over behind it; -1: none */
	const char *key, *sentence; /* said when it is done: {"key":true}, or the sentence */
} manage_commands[] = {
	{"pause", "Pause", MANAGE_NONE, -1, "paused", "paused; messages wait at the relay"},
	{"resume", "Resume", MANAGE_NONE, -1, "resumed", "resumed"},
	{"reconnect", "Reconnect", MANAGE_NONE, -1, "asked",
		"asked to connect now; see: bellwire status"},
	{"move", "Move", MANAGE_URL, -1, "moving",
		"moving; every app is told its new push URL, and the former relay is drained for a week"},
	{"unregister", "Unregister", MANAGE_REGISTRATION, -1, "unregistered", "unregistered"},
	{"block", "Block", MANAGE_REGISTRATION, 1, "blocked", "blocked: its pushes are dropped"},
	{"unblock", "Block", MANAGE_REGISTRATION, 0, "unblocked", "unblocked"},
};

int register_command(int argc, char **argv) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *name, *vapid_key = NULL;
	const struct arguments_flag flags[] = {
		{"vapid-key", .text = &vapid_key}, {.name = "json"}, {.name = NULL}};
	const struct arguments arguments = {
		.usage = manage_usage, .flags = flags, .words = "NAME", .least = 1, .most = 1};
	int result;
	if (!arguments_read(&arguments, argc, argv, &name, &result)) {
		return result;
	}
	result = daemon_open(&bus);
	if (result != COMMAND_OK) {
		return result;
	}
	result = vapid_key
				 ? daemon_call(bus, "Register", &reply, "sa{sv}", name, 1, "vapid", "s", vapid_key)
				 : daemon_call(bus, "Register", &reply, "sa{sv}", name, 0);
	if (result != COMMAND_OK) {
		return result;
	}
	json_t *answer = daemon_read_dict(reply);
	if (!answer) {
		return command_fail("the distributor's answer makes no sense");
	}
	return command_print_json(answer) ? COMMAND_OK : COMMAND_FAILED;
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
		(void)command_fail(
			count == 0 ? "nothing is registered as %s; see: bellwire apps"
					   : "%s has several registrations; give the number of one, see: bellwire apps",
			word);
		return -1;
	}
	return found;
}

static int manage_tell(const struct manage_command *command, const char *word) {
	if (command->word == MANAGE_NONE) {
		return daemon_tell(command->method, NULL);
	}
	if (command->word == MANAGE_URL) {
		return daemon_tell(command->method, "s", word);
	}
	int64_t number = manage_find(word);
	if (number < 0) {
		return COMMAND_FAILED;
	}
	return command->flag < 0 ? daemon_tell(command->method, "u", (uint32_t)number)
							 : daemon_tell(command->method, "ub", (uint32_t)number, command->flag);
}

int manage_command(int argc, char **argv) {
	const struct manage_command *command = manage_commands;
	const char *word = NULL;
	bool json = false;
	const struct arguments_flag flags[] = {{"json", .is_given = &json}, {.name = NULL}};
	int result;
	while (strcmp(command->name, argv[0]) != 0) {
		command++; /* main.c names no other */
	}
	size_t count = command->word != MANAGE_NONE;
	const struct arguments arguments = {.usage = manage_usage,
		.flags = flags,
		.words = manage_word_names[command->word],
		.least = count,
		.most = count};
	if (!arguments_read(&arguments, argc, argv, &word, &result)) {
		return result;
	}
	result = manage_tell(command, word);
	if (result != COMMAND_OK) {
		return result;
	}
	if (json) {
		return command_print_json(json_pack("{s:b}", command->key, 1)) ? COMMAND_OK
																	   : COMMAND_FAILED;
	}
	(void)puts(command->sentence);
	return COMMAND_OK;
}
