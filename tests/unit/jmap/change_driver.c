/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A login's command, told of changes. usage: change_driver TIMEOUT_MS COMMAND...; then lines on
 * standard input: note REASON ACCOUNT TYPE MAILBOX NEW ("-" for none; MAILBOX percent-decoded),
 * run, say WORDS (said back: what stands before it is done). On a session bus when
 * DBUS_SESSION_BUS_ADDRESS names one, with units and notifications.
 */
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/change_command.h"
#include "tests/unit/script.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* %XX becomes a byte, so that a word can hold what ends one. */
static char *driver_decode(char *word) {
	char *out = word;
	for (const char *at = word; *at; at++) {
		unsigned byte;
		if (*at == '%' && sscanf(at + 1, "%2x", &byte) == 1) {
			*out++ = (char)byte;
			at += 2;
		} else {
			*out++ = *at;
		}
	}
	*out = '\0';
	return word;
}

static const char *driver_word(char **rest) {
	char *word = strsep(rest, " ");
	return word && strcmp(word, "-") != 0 ? driver_decode(word) : NULL;
}

static void driver_do(char *line, void *ctx) {
	struct change_command *command = ctx;
	char *rest = line;
	const char *word = driver_word(&rest);
	if (word && strcmp(word, "note") == 0) {
		struct change change = {0};
		change.reason = driver_word(&rest);
		change.account_id = driver_word(&rest);
		change.type = driver_word(&rest);
		change.mailbox = driver_word(&rest);
		change.new_mails = rest ? (uint32_t)strtoul(rest, NULL, 10) : 0;
		change_command_note(command, &change);
	} else if (word && strcmp(word, "say") == 0) {
		printf("%s\n", rest);
	} else {
		change_command_run(command);
	}
}

int main(int argc, char **argv) {
	if (argc < 3) {
		return 2;
	}
	log_set_level(LOG_LEVEL_DEBUG);
	(void)signal(SIGPIPE, SIG_IGN);
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
	struct alarms *alarms = alarms_create(loop);
	struct bus *bus = script_begin(loop);
	struct hook_units *units = bus ? hook_units_open(bus_get(bus)) : NULL;
	struct notify *notify = notify_open(bus);
	const struct change_command_options options = {
		.loop = loop,
		.alarms = alarms,
		.units = units,
		.notify = notify,
		.login = "work",
		.kind = "mail",
		.command = argv + 2,
		.timeout_ms = strtol(argv[1], NULL, 10),
	};
	struct change_command *command = change_command_create(&options, NULL);
	script_run(loop, driver_do, command);
	change_command_destroy(command);
	notify_close(notify);
	hook_units_close(units);
	bus_close(bus);
	alarms_destroy(alarms);
	ev_loop_destroy(loop);
	return 0;
}
