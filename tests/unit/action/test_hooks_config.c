/* SPDX-License-Identifier: Apache-2.0 */
/* [hook NAME] sections: what they mean, and how mistakes are worded. */
#include "distributor/action/hooks_config.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define KEY                                                                                        \
	"BCbvzr0O6eNKZpGH4Ys6kSKy9zOUW2Scyfn5Ien52tgSkCOL3pzHuzMNFQxncE3SWucFUgV0S28xv0BwdFhy0OY"

static char said[4096];

/* Everything said of the file begins with "FILE" in place of its path. */
static int load(const char *text, struct hooks_config *config) {
	char path[] = "/tmp/bellwire-hooks-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	char raw[4096] = "";
	FILE *err = fmemopen(raw, sizeof raw - 1, "w");
	int result = hooks_config_load(path, config, err);
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

static void hooks_are_read(void **state) {
	(void)state;
	struct hooks_config config;
	setenv("HOME", "/home/u", 1);
	assert_int_equal(load("relay = wss://push.example/\n"
						  "[hook mail]\n"
						  "command = ~/bin/sync 'a b' ; c\\ d\n"
						  "[link]\nnonsense = 1\n"
						  "[hook door-bell_2]\n"
						  "notify-title = {title}\n"
						  "notify_text = at the {json.door}\n"
						  "vapid_key = " KEY "\n"
						  "[hook slow]\n"
						  "command = x\ninput = lines\ncatch_up = off\nquiet = 1m\n"
						  "timeout = 2h\nas_unit = no\n",
						 &config),
		-EINVAL); /* the ; is not quoted */
	assert_string_equal(said, "FILE:3: command = ~/bin/sync 'a b' ; c\\ d: is run without a shell: "
							  "quote | & ; < > ` $, or use sh -c '…'\n");
	assert_int_equal(config.count, 0);
	assert_int_equal(load("relay = wss://push.example/\n"
						  "[hook mail]\n"
						  "command = ~/bin/sync 'a b' c\\ d\n"
						  "[link]\nnonsense = 1\n"
						  "[hook door-bell_2]\n"
						  "notify-title = {title}\n"
						  "notify_text = at the {json.door}\n"
						  "vapid_key = " KEY "\n"
						  "[hook slow]\n"
						  "command = x\ninput = lines\ncatch_up = off\nquiet = 1m\n"
						  "timeout = 2h\nas_unit = no\n",
						 &config),
		0);
	assert_string_equal(said, "");
	assert_int_equal(config.count, 3);
	const struct hook_config *mail = &config.hooks[0], *bell = &config.hooks[1],
							 *slow = &config.hooks[2];
	assert_string_equal(mail->name, "mail");
	assert_string_equal(mail->command[0], "/home/u/bin/sync");
	assert_string_equal(mail->command[1], "a b");
	assert_string_equal(mail->command[2], "c d");
	assert_null(mail->command[3]);
	assert_int_equal(mail->input, HOOK_INPUT_LAST);
	assert_true(mail->catch_up && mail->as_unit);
	assert_int_equal(mail->quiet_ms, 1000);
	assert_int_equal(mail->max_delay_ms, 10000);
	assert_int_equal(mail->timeout_ms, 600000);
	assert_null(mail->notify_title);
	assert_string_equal(bell->name, "door-bell_2");
	assert_null(bell->command);
	assert_string_equal(bell->notify_text, "at the {json.door}");
	assert_string_equal(bell->vapid_key, KEY);
	assert_false(bell->catch_up);
	assert_int_equal(bell->quiet_ms, 0);
	assert_int_equal(slow->input, HOOK_INPUT_LINES);
	assert_false(slow->catch_up || slow->as_unit);
	assert_int_equal(slow->quiet_ms, 60000);
	assert_int_equal(slow->max_delay_ms, 60000); /* not less than quiet */
	assert_int_equal(slow->timeout_ms, 7200000);
	hooks_config_free(&config);
	assert_int_equal(config.count, 0);
}

static void mistakes_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"[hook a b]\ncommand = x\n", "FILE:2: [hook a b]: a hook's name may hold letters, digits, "
									  "- and _ only: [hook my-mail]\n"},
		{"[hook ]\ncommand = x\n", NULL},
		{"[hook aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\ncommand = x\n",
			"FILE:2: [hook aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]: a hook's name must not be "
			"longer than 40 characters: [hook my-mail]\n"},
		{"[hook "
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\ncommand "
		 "= x\n",
			NULL},
		{"[hook a]\ncomand = x\n",
			"FILE:2: comand: hooks have no such key; did you mean command?\n"
			"FILE:2: [hook a] does nothing: give it a command or a notify_title\n"},
		{"[hook a]\nfrobnicate = x\ncommand = y\n", "FILE:2: frobnicate: hooks have no such key\n"},
		{"[hook a]\ncommand = x\n[hook b]\ncommand = x\n[hook a]\ncommand = y\n", NULL},
		{"[hook a]\ncommand = x\ninput = first\n",
			"FILE:3: input = first: must be one of last, lines, none\n"},
		{"[hook a]\ncommand = x\ntimeout = 0\n", NULL},
		{"[hook a]\ncommand = x\nquiet = 1m\nmax_delay = 5s\n",
			"FILE:4: max_delay must not be less than quiet, which is 60 s\n"},
		{"[hook a]\nnotify_title = {x}\n", "FILE:2: notify_title = {x}: may hold {title} {text} "
										   "{json.PATH} {hook} {count} {urgency} {topic} only\n"},
		{"[hook a]\nnotify_title = x\nnotify_text = {\n",
			"FILE:3: notify_text = {: has a brace without its other half; a brace itself is {{ or "
			"}}\n"},
		{"[hook a]\nnotify_title = x\ncatch_up = on\n",
			"FILE:3: catch_up = on: needs a command, for there is no message to show\n"},
		{"[hook a]\ncommand = x\nvapid_key = BAAA\n",
			"FILE:3: vapid_key = BAAA: must be the 87 characters that \"bellwire vapid show\" "
			"prints\n"},
		{"[hook a]\nquiet = 3s\n",
			"FILE:2: [hook a] does nothing: give it a command or a notify_title\n"},
		{"[hook a]\ncommand = 'x\n", "FILE:2: command = 'x: has a ' without its end\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct hooks_config config;
		assert_int_equal(load(cases[i].text, &config), -EINVAL);
		if (cases[i].said) {
			assert_string_equal(said, cases[i].said);
		}
		assert_true(said[0] != '\0');
		assert_int_equal(config.count, 0);
	}
}

static void so_many_hooks_may_be(void **state) {
	(void)state;
	char text[HOOKS_MAX * 40 + 100] = "";
	size_t at = 0;
	for (int i = 0; i <= HOOKS_MAX; i++) {
		at += (size_t)snprintf(text + at, sizeof text - at, "[hook h%d]\ncommand = x\n", i);
	}
	struct hooks_config config;
	assert_int_equal(load(text, &config), -EINVAL);
	assert_string_equal(said, "FILE:130: [hook h64]: there may be 64 hooks\n");
}

static void no_file_is_no_hook(void **state) {
	(void)state;
	struct hooks_config config;
	assert_int_equal(hooks_config_load(NULL, &config, stderr), 0);
	assert_int_equal(config.count, 0);
	assert_int_equal(hooks_config_load("/nonexistent/file", &config, stderr), 0);
	assert_int_equal(config.count, 0);
}

static void the_sample_is_good(void **state) {
	(void)state;
	char sample[8192] = "", *at = sample;
	FILE *out = fmemopen(sample, sizeof sample - 1, "w");
	hooks_config_print_sample(out);
	fclose(out);
	struct hooks_config config;
	assert_int_equal(load(sample, &config), 0);
	assert_int_equal(config.count, 0);
	/* And so are its lines without their marks, but for what only names a value. */
	char lines[8192] = "";
	size_t len = 0;
	for (; *at; at += strcspn(at, "\n") + 1) {
		bool is_good = at[0] == ';' && at[1] != ' ' && strncmp(at, ";vapid", 6) != 0 &&
					   strncmp(at, ";notify", 7) != 0;
		if (is_good) {
			len += (size_t)snprintf(
				lines + len, sizeof lines - len, "%.*s\n", (int)strcspn(at + 1, "\n"), at + 1);
		}
	}
	assert_int_equal(load(lines, &config), 0);
	assert_int_equal(config.count, 1);
	assert_string_equal(config.hooks[0].name, "mail");
	hooks_config_free(&config);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hooks_are_read),
		cmocka_unit_test(mistakes_by_table),
		cmocka_unit_test(so_many_hooks_may_be),
		cmocka_unit_test(no_file_is_no_hook),
		cmocka_unit_test(the_sample_is_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
