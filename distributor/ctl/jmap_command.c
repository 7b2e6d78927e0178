/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire jmap`: finds the subcommand; the small ones are here. */
#include "common/cleanup.h"
#include "distributor/alarm.h"
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include "distributor/ctl/jmap_commands.h"
#include "distributor/ctl/readable.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char jmap_usage[] =
	"usage: bellwire jmap add ADDRESS|SESSION-URL [OPTION...]\n"
	"                                          find the server, log in, and get push from it\n"
	"       bellwire jmap list                 mail logins, and how each hears of new mail\n"
	"       bellwire jmap test NAME            make the server push, and wait for it\n"
	"       bellwire jmap pause|resume NAME    also after a restart\n"
	"       bellwire jmap password NAME        give another password or token\n"
	"       bellwire jmap remove NAME          here and at the server\n"
	"\n"
	"The password is asked for on the terminal, or is the first line of standard input.\n"
	"\n"
	"  --name NAME              of the login; else it is made of the address\n"
	"  --user USER              who logs in, when that is not the address\n"
	"  --session-url URL        where the server is, when the address does not tell\n"
	"  --bearer                 the secret is a token, and no password\n"
	"  --password-command WORDS a command that prints the password or token, each time it is "
	"needed\n"
	"  --secret-store WHERE     keep it in the keyring (service) or in a file (file); else in the\n"
	"                           keyring when there is one\n"
	"  --on-change WORDS        run this after changes of mail, for instance \"mbsync work\"\n"
	"  --on-calendar WORDS, --on-contacts WORDS, --on-other WORDS\n"
	"                           the same after changes of other kinds\n"
	"  --mailbox NAME           whose new mail is shown (inbox); may be repeated\n"
	"  --accounts NAMES         which of several accounts are watched (all)\n"
	"  --types NAMES            what the server shall push changes of\n"
	"  --notify=off             show nothing\n"
	"  --on-click WORDS, --open-url URL\n"
	"                           what a click on a notification runs or opens\n"
	"  --stream WHEN            for a server that cannot push: keep a connection to it on mains, "
	"always\n"
	"                           or never\n"
	"  --ca FILE                trust the certificates in FILE instead of the system's\n"
	"  --insecure               accept any certificate, and http:// to other machines\n"
	"  --config FILE            the configuration (default: "
	"$XDG_CONFIG_HOME/bellwire/distributor.conf)\n"
	"  --state-dir DIR          of the distributor\n"
	"  --yes                    send the password to the host that DNS names, also when it lies\n"
	"                           outside the address's domain; else that is asked on the terminal\n"
	"  --no-start               do not start the distributor\n"
	"  --wait SECONDS           for the server's first push (90)\n"
	"  --json                   print the result as JSON\n"
	"\n"
	"Exit status of add: 0 when the server pushes, 3 when the login was kept but there is no push "
	"yet,\n"
	"1 when nothing was kept; why is said in each case.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} jmap_subcommands[] = {
	{"add", jmap_add_command},
	{"list", jmap_list_command},
	{"test", jmap_test_command},
	{"pause", jmap_pause_command},
	{"resume", jmap_resume_command},
	{"password", jmap_password_command},
	{"remove", jmap_remove_command},
};

int jmap_command(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			(void)fputs(jmap_usage, stdout);
			return COMMAND_OK;
		}
	}
	for (size_t i = 0; i < sizeof jmap_subcommands / sizeof *jmap_subcommands; i++) {
		if (argc > 1 && strcmp(argv[1], jmap_subcommands[i].name) == 0) {
			return jmap_subcommands[i].run(argc - 1, argv + 1);
		}
	}
	return argc > 1 ? command_misused("jmap", "there is no \"jmap %s\"", argv[1])
					: command_misused("jmap", "say what to do about mail logins");
}

/* out_name NULL: there is none to be named. */
static bool jmap_read(
	int argc, char **argv, const char **out_name, bool *out_json, int *out_status) {
	const struct arguments_flag flags[] = {{"json", .is_given = out_json}, {.name = NULL}};
	const struct arguments arguments = {.command = "jmap",
		.usage = jmap_usage,
		.flags = flags,
		.words = out_name ? "NAME" : NULL,
		.least = out_name ? 1 : 0,
		.most = out_name ? 1 : 0};
	return arguments_read(&arguments, argc, argv, out_name, out_status);
}

int jmap_words_parse(int argc, char **argv, struct jmap_words *out_words) {
	const struct arguments_flag flags[] = {{"config", .text = &out_words->path},
		{"state-dir", .text = &out_words->state_dir}, {"json", .is_given = &out_words->json},
		{.name = NULL}};
	const struct arguments arguments = {.command = "jmap",
		.usage = jmap_usage,
		.flags = flags,
		.words = "NAME",
		.least = 1,
		.most = 1};
	int status;
	return arguments_read(&arguments, argc, argv, &out_words->name, &status) ? COMMAND_OK : status;
}

/* ---- list ---- */

static void jmap_print_times(const json_t *login) {
	char text[READABLE_MAX];
	int64_t now_ms = clock_wall_ms(), pushed_ms = daemon_number(login, "pushed_ms"),
			expires_ms = daemon_number(login, "expires_ms");
	if (pushed_ms > 0) {
		readable_duration(now_ms - pushed_ms, text);
		printf(", last push %s ago", text);
	}
	if (expires_ms > now_ms) {
		readable_duration(expires_ms - now_ms, text);
		printf(", renewed within %s", text);
	}
}

static void jmap_print_login(const json_t *login) {
	const char *way = daemon_text(login, "way");
	CLEANUP_FREE char *reason = command_safe_dup(daemon_text(login, "reason"));
	CLEANUP_FREE char *user = command_safe_dup(daemon_text(login, "user"));
	printf("%-20s  %-28s  ", daemon_text(login, "name"), user);
	if (daemon_bool(login, "paused")) {
		(void)puts("paused");
		return;
	}
	printf("%s", strcmp(way, "none") == 0 ? "not connected" : way);
	if (reason[0]) {
		printf(": %s", reason);
	}
	if (strcmp(way, "push") == 0) {
		jmap_print_times(login);
	}
	if (daemon_number(login, "unread") > 0) {
		printf(", %" PRId64 " unread", daemon_number(login, "unread"));
	}
	(void)putchar('\n');
}

static int jmap_print_logins(const json_t *logins) {
	if (json_array_size(logins) == 0) {
		(void)puts("There are no mail logins. See: bellwire jmap add --help");
	}
	for (size_t i = 0; i < json_array_size(logins); i++) {
		jmap_print_login(json_array_get(logins, i));
	}
	return COMMAND_OK;
}

int jmap_list_command(int argc, char **argv) {
	json_t *logins = NULL;
	bool json = false;
	int result;
	if (!jmap_read(argc, argv, NULL, &json, &result)) {
		return result;
	}
	result = daemon_ask("JmapList", &logins);
	if (result != COMMAND_OK) {
		return result;
	}
	if (json) {
		return command_print_json(logins) ? COMMAND_OK : COMMAND_FAILED;
	}
	result = jmap_print_logins(logins);
	json_decref(logins);
	return result;
}

/* ---- test, pause, resume ---- */

int jmap_test_command(int argc, char **argv) {
	const char *name = NULL;
	CLEANUP_FREE char *sentence = NULL;
	bool json = false, is_good;
	int result;
	if (!jmap_read(argc, argv, &name, &json, &result)) {
		return result;
	}
	result = daemon_ask_verdict("JmapTest", name, &is_good, &sentence);
	if (result != COMMAND_OK) {
		return result;
	}
	if (json && !command_print_json(json_pack("{s:b,s:s}", "good", is_good, "text", sentence))) {
		return COMMAND_FAILED;
	}
	if (!json && is_good) {
		CLEANUP_FREE char *safe = command_safe_dup(sentence);
		(void)puts(safe);
	}
	return is_good ? COMMAND_OK : json ? COMMAND_FAILED : command_fail("%s", sentence);
}

static int jmap_pause(int argc, char **argv, int is_paused) {
	const char *name = NULL;
	bool json = false;
	int result;
	if (!jmap_read(argc, argv, &name, &json, &result)) {
		return result;
	}
	result = daemon_tell("JmapPause", "sb", name, is_paused);
	if (result != COMMAND_OK) {
		return result;
	}
	if (json) {
		return command_print_json(json_pack("{s:b}", "paused", is_paused)) ? COMMAND_OK
																		   : COMMAND_FAILED;
	}
	(void)puts(is_paused ? "paused; nothing is shown or run until it is resumed" : "resumed");
	return COMMAND_OK;
}

int jmap_pause_command(int argc, char **argv) {
	return jmap_pause(argc, argv, 1);
}

int jmap_resume_command(int argc, char **argv) {
	return jmap_pause(argc, argv, 0);
}
