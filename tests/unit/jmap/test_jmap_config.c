/* SPDX-License-Identifier: Apache-2.0 */
/* [jmap NAME] sections: what they mean, and how mistakes are worded. */
#include "common/cleanup.h"
#include "distributor/jmap/jmap_config.h"
#include "distributor/jmap/jmap_types.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static char said[4096];

/* Everything said of the file begins with "FILE" in place of its path. */
static int load(const char *text, struct jmap_configs *configs) {
	char path[] = "/tmp/bellwire-jmap-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	char raw[4096] = "";
	FILE *err = fmemopen(raw, sizeof raw - 1, "w");
	int result = jmap_configs_load(path, configs, err);
	fclose(err);
	unlink(path);
	said[0] = '\0';
	size_t at = 0;
	for (char *line = raw; *line;) {
		size_t len = strcspn(line, "\n");
		assert_memory_equal(line, path, strlen(path));
		at += (size_t)snprintf(said + at, sizeof said - at, "FILE%.*s\n", (int)(len - strlen(path)),
			line + strlen(path));
		line += len + (line[len] == '\n');
	}
	return result;
}

static void assert_words(char *const *words, const char *joined) {
	char text[512] = "";
	size_t at = 0;
	for (; words && *words; words++) {
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at > 0 ? "|" : "", *words);
	}
	assert_string_equal(text, joined);
}

static void logins_are_read(void **state) {
	(void)state;
	struct jmap_configs configs;
	setenv("HOME", "/home/u", 1);
	assert_int_equal(
		load("relay = wss://push.example/\n"
			 "[hook mail]\ncommand = x\n"
			 "[jmap work]\n"
			 "user = ann@example.org\n"
			 "on_change = ~/bin/sync 'a b'\n"
			 "mailboxes = inbox \"Sent Items\"\n"
			 "[jmap other_2]\n"
			 "session-url = https://mail.example.org/jmap/session\n"
			 "auth = bearer\npassword_command = pass show token\n"
			 "on_calendar = vdirsyncer sync\non_contacts = vdirsyncer sync\n"
			 "accounts = ann 'Team of Bob'\nnotify = no\ntimeout = 2h\nas_unit = no\n"
			 "on_click = aerc {id} '{\"a\"}'\nopen_url = https://w.example/{threadId}\n"
			 "stream = never\ninsecure = yes\n"
			 "[jmap quiet]\nuser = b@example.org\ntypes = Email Quota\non_other = q\n",
			&configs),
		0);
	assert_string_equal(said, "");
	assert_int_equal(configs.count, 3);
	const struct jmap_config *work = jmap_configs_find(&configs, "work"),
							 *other = jmap_configs_find(&configs, "other_2"),
							 *quiet = jmap_configs_find(&configs, "quiet");
	assert_null(jmap_configs_find(&configs, "wor"));
	assert_ptr_equal(work, &configs.logins[0]);
	assert_string_equal(work->user, "ann@example.org");
	assert_null(work->session_url);
	assert_int_equal(work->auth, JMAP_AUTH_BASIC);
	assert_null(work->password_command);
	assert_words(work->on_change, "/home/u/bin/sync|a b");
	assert_words(work->mailboxes, "inbox|Sent Items");
	assert_words(work->types, "EmailDelivery|Mailbox");
	assert_null(work->accounts);
	assert_true(work->notify && work->as_unit && !work->insecure);
	assert_int_equal(work->timeout_ms, 600000);
	assert_int_equal(work->stream, JMAP_STREAM_MAINS);
	assert_null(other->user);
	assert_int_equal(other->auth, JMAP_AUTH_BEARER);
	assert_words(other->password_command, "pass|show|token");
	assert_words(
		other->types, "EmailDelivery|Mailbox|Calendar|CalendarEvent|AddressBook|ContactCard");
	assert_words(other->accounts, "ann|Team of Bob");
	assert_words(other->mailboxes, "inbox");
	assert_words(other->on_click, "aerc|{id}|{\"a\"}");
	assert_string_equal(other->open_url, "https://w.example/{threadId}");
	assert_true(!other->notify && !other->as_unit && other->insecure);
	assert_int_equal(other->timeout_ms, 7200000);
	assert_int_equal(other->stream, JMAP_STREAM_NEVER);
	assert_words(quiet->types, "Email|Quota");
	assert_words(quiet->on_other, "q");
	jmap_configs_free(&configs);
	assert_int_equal(configs.count, 0);
}

static void mistakes_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"[jmap a b]\nuser = a@b.c\n", "FILE:2: [jmap a b]: a mail login's name may hold letters, "
									   "digits, - and _ only: [jmap work]\n"},
		{"[jmap a]\nusr = a@b.c\n",
			"FILE:2: usr: mail logins have no such key; did you mean user?\n"
			"FILE:2: [jmap a] needs a user: user = ann@example.org\n"},
		{"[jmap a]\npassword = x\nuser = a@b.c\n",
			"FILE:2: password: mail logins have no such key; did you mean password_command?\n"},
		{"[jmap a]\nuser = ann\n", "FILE:2: user: is no mail address, so session_url must say "
								   "where the server is\n"},
		{"[jmap a]\nuser = ann@exa/mple\n", NULL},
		{"[jmap a]\nuser = ann@\n", NULL},
		{"[jmap a]\nuser = @example.org\n", NULL},
		{"[jmap a]\nuser = a:b@c.d\n", "FILE:2: user: must be without a colon (RFC 7617)\n"},
		{"[jmap a]\nauth = bearer\n", "FILE:2: [jmap a] needs a user: user = ann@example.org\n"},
		{"[jmap a]\nsession_url = https://h/\n",
			"FILE:2: [jmap a] needs a user: user = ann@example.org\n"},
		{"[jmap a]\nuser = u\nsession_url = http://mail.example/\n",
			"FILE:3: session_url: is not encrypted; use https://, or set insecure for a test\n"},
		{"[jmap a]\nuser = u\nsession_url = https://u:secret@mail.example/\n",
			"FILE:3: session_url: must be a URL like https://mail.example.org/.well-known/jmap, "
			"without a password\n"},
		{"[jmap a]\nuser = u\nsession_url = wss://mail.example/\n", NULL},
		{"[jmap a]\nuser = a@b.c\ntypes = email Mailbox\n",
			"FILE:3: types: email is written Email\n"},
		{"[jmap a]\nuser = a@b.c\ntypes = Email,Mailbox\n",
			"FILE:3: types: \"Email,Mailbox\" is no name of a type\n"},
		{"[jmap a]\nuser = a@b.c\ntypes = Mailbox\non_calendar = x\n",
			"FILE:4: on_calendar: would never run; let types name CalendarEvent, too\n"},
		{"[jmap a]\nuser = a@b.c\non_other = x\n",
			"FILE:3: on_other: would never run; let types name the type that it is for, too\n"},
		{"[jmap a]\nuser = a@b.c\nnotify = off\n",
			"FILE:2: [jmap a] does nothing: give it on_change, or notify = on\n"},
		{"[jmap a]\nuser = a@b.c\non_change = x | y\n",
			"FILE:3: on_change: is run without a shell: quote | & ; < > ` $, or use sh -c '…'\n"},
		{"[jmap a]\nuser = a@b.c\npassword_command = 'x\n",
			"FILE:3: password_command: has a ' without its end\n"},
		{"[jmap a]\nuser = a@b.c\non_click = x {uid}\n",
			"FILE:3: on_click: there is no {uid}; there are {id} {blobId} {threadId} "
			"{accountId}\n"},
		{"[jmap a]\nuser = a@b.c\nopen_url = webmail\n",
			"FILE:3: open_url: must be a URL like https://webmail.example.org/mail/{id}\n"},
		{"[jmap a]\nuser = a@b.c\nca_file = /nonexistent/file\n",
			"FILE:3: ca_file: cannot be read\n"},
		{"[jmap a]\nuser = a@b.c\nstream = on\n",
			"FILE:3: stream = on: must be one of mains, always, never\n"},
		{"[jmap a]\nuser = a@b.c\ntimeout = 0\n", NULL},
		{"[jmap a]\nuser = a@b.c\nuser = b@b.c\n", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct jmap_configs configs;
		assert_int_equal(load(cases[i].text, &configs), -EINVAL);
		if (cases[i].said) {
			assert_string_equal(said, cases[i].said);
		}
		assert_true(said[0] != '\0');
		assert_int_equal(configs.count, 0);
	}
}

static void lists_have_a_limit(void **state) {
	(void)state;
	char text[JMAP_LIST_MAX * 20 + 100] = "[jmap a]\nuser = a@b.c\nmailboxes =";
	for (int i = 0; i <= JMAP_LIST_MAX; i++) {
		(void)snprintf(text + strlen(text), sizeof text - strlen(text), " box%d", i);
	}
	struct jmap_configs configs;
	assert_int_equal(load(text, &configs), -EINVAL);
	assert_string_equal(said, "FILE:3: mailboxes: may name 32 at most\n");
}

static void no_file_is_no_login(void **state) {
	(void)state;
	struct jmap_configs configs;
	assert_int_equal(jmap_configs_load(NULL, &configs, stderr), 0);
	assert_int_equal(configs.count, 0);
	assert_int_equal(jmap_configs_load("/nonexistent/file", &configs, stderr), 0);
	assert_int_equal(configs.count, 0);
}

static void an_emptied_list_is_the_default(void **state) {
	(void)state;
	struct jmap_configs configs;
	assert_int_equal(load("[jmap a]\nuser = a@b.c\nmailboxes =\ntypes =\n", &configs), 0);
	assert_words(configs.logins[0].mailboxes, "inbox");
	assert_words(configs.logins[0].types, "EmailDelivery|Mailbox");
	jmap_configs_free(&configs);
}

static void on_trouble(const char *key, const char *what, void *ctx) {
	(void)snprintf(ctx, 512, "%s: %s", key ? key : "-", what);
}

/* Set by hand, printed, and read again. */
static void a_login_is_made_by_hand(void **state) {
	(void)state;
	struct jmap_config config;
	struct jmap_configs configs;
	CLEANUP_FREE char *error = NULL;
	char trouble[512] = "";
	bool is_bool;
	assert_true(jmap_config_has_key("session-url", &is_bool) && !is_bool);
	assert_true(jmap_config_has_key("insecure", &is_bool) && is_bool);
	assert_false(jmap_config_has_key("password", &is_bool));
	jmap_config_init(&config, "work");
	assert_true(jmap_config_set(&config, "user", "ann@example.org", &error));
	assert_true(jmap_config_set(&config, "on-change", "mbsync 'a b'", &error));
	assert_true(jmap_config_set(&config, "timeout", "20m", &error));
	assert_true(jmap_config_set(&config, "mailboxes", "inbox \"Sent Items\"", &error));
	assert_false(jmap_config_set(&config, "colour", "red", &error));
	assert_null(error);
	assert_false(jmap_config_set(&config, "stream", "x", &error));
	assert_string_equal(error, "must be one of mains, always, never");
	free(steal(&error));
	assert_true(jmap_config_check(&config, on_trouble, trouble));
	assert_words(config.on_change, "mbsync|a b");
	CLEANUP_FREE char *text = jmap_config_print(&config);
	assert_string_equal(text, "[jmap work]\nuser = ann@example.org\nmailboxes = inbox \"Sent "
							  "Items\"\non_change = mbsync 'a b'\ntimeout = 1200\n");
	jmap_config_finish(&config);
	assert_int_equal(load(text, &configs), 0);
	assert_int_equal(configs.logins[0].timeout_ms, 1200000);
	assert_words(configs.logins[0].mailboxes, "inbox|Sent Items");
	jmap_configs_free(&configs);
	jmap_config_init(&config, "work");
	assert_true(jmap_config_set(&config, "user", "ann", &error));
	assert_false(jmap_config_check(&config, on_trouble, trouble));
	assert_string_equal(
		trouble, "user: is no mail address, so session_url must say where the server is");
	jmap_config_finish(&config);
}

static void the_sample_is_good(void **state) {
	(void)state;
	char sample[8192] = "", *at = sample;
	FILE *out = fmemopen(sample, sizeof sample - 1, "w");
	jmap_configs_print_sample(out);
	fclose(out);
	struct jmap_configs configs;
	assert_int_equal(load(sample, &configs), 0);
	assert_int_equal(configs.count, 0);
	/* And so are its lines without their marks, but for what only names a value. */
	char lines[8192] = "";
	size_t len = 0;
	for (; *at; at += strcspn(at, "\n") + 1) {
		if (at[0] == ';' && at[1] != ' ' && strncmp(at, ";on_other", 9) != 0 &&
			strncmp(at, ";ca_file", 8) != 0 && strncmp(at, ";types", 6) != 0) {
			len += (size_t)snprintf(
				lines + len, sizeof lines - len, "%.*s\n", (int)strcspn(at + 1, "\n"), at + 1);
		}
	}
	assert_int_equal(load(lines, &configs), 0);
	assert_int_equal(configs.count, 1);
	assert_string_equal(configs.logins[0].name, "work");
	jmap_configs_free(&configs);
}

static void types_have_kinds(void **state) {
	(void)state;
	assert_int_equal(jmap_type_kind("EmailDelivery"), JMAP_KIND_MAIL);
	assert_int_equal(jmap_type_kind("CalendarEvent"), JMAP_KIND_CALENDAR);
	assert_int_equal(jmap_type_kind("ContactCard"), JMAP_KIND_CONTACTS);
	assert_int_equal(jmap_type_kind("Quota"), JMAP_KIND_OTHER);
	assert_int_equal(jmap_type_kind("Anything"), JMAP_KIND_OTHER);
	assert_string_equal(jmap_kind_name(JMAP_KIND_CONTACTS), "contacts");
	assert_string_equal(jmap_type_nearest("emaildelivery"), "EmailDelivery");
	assert_null(jmap_type_nearest("Anything"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logins_are_read),
		cmocka_unit_test(mistakes_by_table),
		cmocka_unit_test(lists_have_a_limit),
		cmocka_unit_test(no_file_is_no_login),
		cmocka_unit_test(an_emptied_list_is_the_default),
		cmocka_unit_test(a_login_is_made_by_hand),
		cmocka_unit_test(the_sample_is_good),
		cmocka_unit_test(types_have_kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
