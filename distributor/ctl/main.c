/* SPDX-License-Identifier: Apache-2.0 */
/* bellwire, the tool that a person types: finds the subcommand. */
#include "distributor/ctl/commands.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"login", login_command, "set the relay of this device, after checking it"},
	{"status", status_command, "how the distributor is connected, and if not, why"},
	{"test", test_command, "send a push through relay and distributor, as to an app"},
	{"jmap", jmap_command, "push for your mail: add, list, test, pause or remove a login"},
	{"apps", status_command, "who gets pushes on this device"},
	{"log", status_command, "the distributor's last events"},
	{"register", register_command, "get a push URL of your own"},
	{"keys", keys_command, "show the push URL of a hook or of a registration of your own"},
	{"unregister", manage_command, "give up a registration"},
	{"block", manage_command, "drop the pushes of a registration"},
	{"unblock", manage_command, "let them come again"},
	{"pause", manage_command, "disconnect until resumed"},
	{"resume", manage_command, "connect again"},
	{"reconnect", manage_command, "try to connect now"},
	{"move", manage_command, "move everything to another relay"},
	{"prefer", prefer_command, "make apps choose this distributor among several"},
	{"listen", listen_command, "print pushes as they come, of the distributor or of a relay"},
	{"send", send_command, "send a message to a push URL"},
	{"vapid", vapid_command, "make or show the key that signs what a sender sends"},
};

enum { COMMANDS_COUNT = sizeof commands / sizeof *commands };

static void main_usage(FILE *out) {
	(void)fputs("usage: bellwire COMMAND [OPTION...]\n\n", out);
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		(void)fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	}
	(void)fputs("\nbellwire COMMAND --help explains a command; bellwire --version prints the "
				"version.\n",
		out);
}

/* What was printed may still be lost: on a full disk it is a failure, and not when the reader has
 * enough. */
static int main_end(int status) {
	if (command_flush() || status == COMMAND_USAGE) {
		return status;
	}
	return command_reader_is_gone() ? COMMAND_OK : COMMAND_FAILED;
}

static int main_run(int argc, char **argv) {
	if (argc < 2) {
		main_usage(stderr);
		return COMMAND_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		main_usage(stdout);
		return COMMAND_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)puts("bellwire " BELLWIRE_VERSION);
		return COMMAND_OK;
	}
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (strcmp(argv[1], commands[i].name) == 0) {
			return commands[i].run(argc - 1, argv + 1);
		}
	}
	(void)fprintf(stderr, "bellwire: there is no command \"%s\"\nSee: bellwire --help\n", argv[1]);
	return COMMAND_USAGE;
}

int main(int argc, char **argv) {
	/* A closed pipe or socket is an error of write(), not our end. */
	(void)signal(SIGPIPE, SIG_IGN);
	return main_end(main_run(argc, argv));
}
