/* SPDX-License-Identifier: Apache-2.0 */
/* Settings from a table: values, sources and their order, refusals and how they are worded, and
 * what is printed. */
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/settings.h"
#include "common/settings_parse.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

struct sample {
	struct settings_origin *origin;
	bool insecure;
	int64_t queue_messages, body_limit, max_ttl;
	char *store, *password, *command;
	int registration;
	struct settings_list listen, proxies;
};

static const char *const sample_registrations[] = {"open", "invite", NULL};

#define AT(member) .offset = offsetof(struct sample, member)
static const struct setting sample_table[] = {
	{.name = "insecure",
		.kind = SETTING_BOOL,
		AT(insecure),
		.initial = "off",
		.section = "relay",
		.help = "Off."},
	{.name = "queue_messages",
		.kind = SETTING_INTEGER,
		AT(queue_messages),
		.initial = "1000",
		.min = 1,
		.max = 1000000,
		.section = "relay",
		.value_name = "N",
		.help = "How many.\nNot more."},
	{.name = "body_limit",
		.kind = SETTING_SIZE,
		AT(body_limit),
		.initial = "16k",
		.min = 4096,
		.max = INT64_MAX,
		.section = "relay",
		.value_name = "BYTES",
		.help = "Bytes."},
	{.name = "max_ttl",
		.kind = SETTING_DURATION,
		AT(max_ttl),
		.initial = "30d",
		.min = -60,
		.max = 90 * 86400,
		.section = "relay",
		.value_name = "TIME",
		.help = "Time."},
	{.name = "store",
		.kind = SETTING_TEXT,
		AT(store),
		.initial = "memory:",
		.section = "store",
		.value_name = "URL",
		.help = "Where."},
	{.name = "password",
		.kind = SETTING_TEXT,
		AT(password),
		.section = "store",
		.value_name = "TEXT",
		.help = "Secret.",
		.is_secret = true},
	{.name = "command",
		.kind = SETTING_TEXT,
		AT(command),
		.section = "store",
		.help = "What to run."},
	{.name = "registration",
		.kind = SETTING_CHOICE,
		AT(registration),
		.initial = "invite",
		.choices = sample_registrations,
		.section = "access",
		.help = "Who."},
	{.name = "listen",
		.kind = SETTING_LIST,
		AT(listen),
		.initial = "127.0.0.1:8080",
		.section = "access",
		.value_name = "ADDRESS",
		.help = "Where."},
	{.name = "proxies",
		.kind = SETTING_LIST,
		AT(proxies),
		.section = "access",
		.value_name = "CIDR",
		.help = "Whom."},
};

static const char *const sample_others[] = {"hook ", "bell ", NULL};
static const struct settings_program sample_program = {"bellwire-sample", "BWTEST_", NULL,
	sample_table, sizeof sample_table / sizeof sample_table[0], sample_others};

/* One load, with what it said. */
struct loaded {
	struct sample sample;
	int result;
	enum settings_action action;
	char **rest;
	size_t rest_count;
	char said[4096];
};

static void load(
	struct loaded *loaded, const struct settings_program *program, const char **words) {
	int argc = 0;
	while (words[argc]) {
		argc++;
	}
	memset(loaded, 0, sizeof *loaded);
	FILE *err = fmemopen(loaded->said, sizeof loaded->said - 1, "w");
	loaded->result = settings_load(program, argc, (char **)(uintptr_t)words, &loaded->sample,
		&loaded->action, &loaded->rest, &loaded->rest_count, err);
	fclose(err);
}

#define LOAD(loaded, ...)                                                                          \
	load(loaded, &sample_program, (const char *[]){"bellwire-sample", ##__VA_ARGS__, NULL})

static int load_text(struct loaded *loaded, const char *text, size_t len) {
	memset(loaded, 0, sizeof *loaded);
	FILE *err = fmemopen(loaded->said, sizeof loaded->said - 1, "w");
	loaded->result = settings_load_text(
		&sample_program, (struct slice){text, len}, "relay.conf", &loaded->sample, err);
	fclose(err);
	return loaded->result;
}

static void finish(struct loaded *loaded) {
	settings_free(&sample_program, &loaded->sample);
}

static void sections_of_others_are_left_alone(void **state) {
	(void)state;
	struct loaded l;
	const char *text = "queue_messages = 5\n[hook a]\nno_such = 1\nqueue_messages = 6\n"
					   "[relay]\nbody_limit = 8k\n[bell b]\nqueue_messages = 7\n";
	assert_int_equal(load_text(&l, text, strlen(text)), 0);
	assert_string_equal(l.said, "");
	assert_int_equal(l.sample.queue_messages, 5);
	assert_int_equal(l.sample.body_limit, 8192);
	finish(&l);
	text = "[hooks]\nno_such = 1\n";
	assert_int_equal(load_text(&l, text, strlen(text)), -EINVAL);
	assert_string_equal(l.said,
		"relay.conf:2: [hooks] no_such: there is no such section; there are [hook NAME] and [bell "
		"NAME]\n");
	finish(&l);
}

static void defaults_hold(void **state) {
	(void)state;
	struct loaded l;
	LOAD(&l);
	assert_int_equal(l.result, 0);
	assert_string_equal(l.said, "");
	assert_int_equal(l.action, SETTINGS_RUN);
	assert_false(l.sample.insecure);
	assert_int_equal(l.sample.queue_messages, 1000);
	assert_int_equal(l.sample.body_limit, 16384);
	assert_int_equal(l.sample.max_ttl, 30 * 86400);
	assert_string_equal(l.sample.store, "memory:");
	assert_null(l.sample.password);
	assert_int_equal(l.sample.registration, 1);
	assert_int_equal(l.sample.listen.count, 1);
	assert_int_equal(l.sample.proxies.count, 0);
	assert_int_equal(l.rest_count, 0);
	assert_string_equal(settings_source(&l.sample, "listen"), "default");
	assert_string_equal(settings_source(&l.sample, "no such"), "default");
	finish(&l);
	assert_null(l.sample.store);
	assert_string_equal(settings_source(&l.sample, "listen"), "default");
}

static const struct {
	const char *name, *text;
	int64_t value; /* when good */
	const char *why; /* NULL when good */
} values[] = {
	{"insecure", "on", 1, NULL},
	{"insecure", "Yes", 1, NULL},
	{"insecure", "true", 1, NULL},
	{"insecure", "1", 1, NULL},
	{"insecure", "off", 0, NULL},
	{"insecure", "no", 0, NULL},
	{"insecure", "false", 0, NULL},
	{"insecure", " 0 ", 0, NULL},
	{"insecure", "", 0, "must be on or off"},
	{"insecure", "2", 0, "must be on or off"},
	{"insecure", "onn", 0, "must be on or off"},
	{"queue_messages", "1", 1, NULL},
	{"queue_messages", "1000000", 1000000, NULL},
	{"queue_messages", "007", 7, NULL},
	{"queue_messages", "\t 5 ", 5, NULL},
	{"queue_messages", "0", 0, "must be 1 to 1000000"},
	{"queue_messages", "1000001", 0, "must be 1 to 1000000"},
	{"queue_messages", "-1", 0, "must be 1 to 1000000"},
	{"queue_messages", "+1", 0, "must be 1 to 1000000"},
	{"queue_messages", "", 0, "must be 1 to 1000000"},
	{"queue_messages", "k", 0, "must be 1 to 1000000"},
	{"queue_messages", "1k", 0, "must be 1 to 1000000"},
	{"queue_messages", "1.5", 0, "must be 1 to 1000000"},
	{"queue_messages", "0x10", 0, "must be 1 to 1000000"},
	{"queue_messages", "1 0", 0, "must be 1 to 1000000"},
	{"queue_messages", "99999999999999999999999", 0, "must be 1 to 1000000"},
	{"body_limit", "4096", 4096, NULL},
	{"body_limit", "4k", 4096, NULL},
	{"body_limit", "4K", 4096, NULL},
	{"body_limit", "1m", 1048576, NULL},
	{"body_limit", "2g", 2147483648, NULL},
	{"body_limit", "9223372036854775807", INT64_MAX, NULL},
	{"body_limit", "9007199254740993k", 0, "must be 4096 to"},
	{"body_limit", "4kk", 0, "must be 4096 to"},
	{"body_limit", "4h", 0, "must be 4096 to"},
	{"body_limit", "3k", 0, "must be 4096 to"},
	{"max_ttl", "90", 90, NULL},
	{"max_ttl", "90s", 90, NULL},
	{"max_ttl", "2m", 120, NULL},
	{"max_ttl", "1h", 3600, NULL},
	{"max_ttl", "90d", 7776000, NULL},
	{"max_ttl", "-1m", -60, NULL},
	{"max_ttl", "91d", 0, "must be -60 to 7776000 seconds"},
	{"max_ttl", "1w", 0, "must be -60 to"},
	{"max_ttl", "-9223372036854775808d", 0, "must be -60 to"},
	{"registration", "open", 0, NULL},
	{"registration", "invite", 1, NULL},
	{"registration", "Open", 0, "must be one of open, invite"},
	{"registration", "", 0, "must be one of open, invite"},
	{"store", "a\nb", 0, "must be without control characters"},
	{"listen", "a\x1b[2Jb", 0, "must be without control characters"},
};

static int64_t sample_number(const struct sample *sample, const char *name) {
	return strcmp(name, "insecure") == 0		 ? sample->insecure
		   : strcmp(name, "queue_messages") == 0 ? sample->queue_messages
		   : strcmp(name, "body_limit") == 0	 ? sample->body_limit
		   : strcmp(name, "max_ttl") == 0		 ? sample->max_ttl
												 : sample->registration;
}

static void values_are_checked(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct sample sample = {.queue_messages = 77, .body_limit = 77, .max_ttl = 77};
		char why[SETTINGS_WHY_MAX] = "";
		const struct setting *setting =
			settings_find(&sample_program, values[i].name, strlen(values[i].name));
		bool is_good = settings_parse(setting, values[i].text, &sample, why);
		if (is_good != !values[i].why) {
			fail_msg("%s = %s: %s", values[i].name, values[i].text, why);
		}
		if (is_good) {
			assert_true(sample_number(&sample, values[i].name) == values[i].value);
		} else {
			assert_int_equal(strncmp(why, values[i].why, strlen(values[i].why)), 0);
			assert_true(
				sample.queue_messages == 77 && sample.body_limit == 77 && sample.max_ttl == 77);
		}
		settings_clear(setting, &sample);
	}
}

static void value_length_is_limited(void **state) {
	(void)state;
	struct sample sample = {0};
	char why[SETTINGS_WHY_MAX];
	CLEANUP_FREE char *text = mem_zalloc(SETTINGS_VALUE_MAX + 2);
	memset(text, 'x', SETTINGS_VALUE_MAX);
	const struct setting *store = settings_find(&sample_program, "store", 5);
	assert_true(settings_parse(store, text, &sample, why));
	text[SETTINGS_VALUE_MAX] = 'x';
	assert_false(settings_parse(store, text, &sample, why));
	assert_int_equal(strlen(sample.store), SETTINGS_VALUE_MAX);
	settings_clear(store, &sample);
}

static void flags_in_all_spellings(void **state) {
	(void)state;
	struct loaded l;
	LOAD(&l, "one", "--queue-messages", "5", "--body_limit=8k", "--insecure", "two",
		"--store=", "--listen", "a b", "--listen=c", "--max-ttl", "-5", "--command", "x ; y", "-",
		"--", "--insecure", "--");
	assert_string_equal(l.said, "");
	assert_int_equal(l.result, 0);
	assert_int_equal(l.sample.queue_messages, 5);
	assert_int_equal(l.sample.body_limit, 8192);
	assert_true(l.sample.insecure);
	assert_null(l.sample.store);
	assert_int_equal(l.sample.max_ttl, -5);
	assert_string_equal(l.sample.command, "x ; y");
	assert_int_equal(l.sample.listen.count, 3);
	assert_string_equal(l.sample.listen.items[1], "b");
	assert_string_equal(l.sample.listen.items[2], "c");
	static const char *const rest[] = {"one", "two", "-", "--insecure", "--"};
	assert_int_equal(l.rest_count, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_string_equal(l.rest[i], rest[i]);
	}
	assert_null(l.rest[5]);
	assert_string_equal(settings_source(&l.sample, "queue_messages"), "--queue-messages");
	assert_string_equal(settings_source(&l.sample, "listen"), "--listen");
	finish(&l);
	LOAD(&l, "--insecure", "off", "--listen", "");
	assert_int_equal(l.result, 0);
	assert_false(l.sample.insecure);
	assert_int_equal(l.sample.listen.count, 0);
	finish(&l);
}

static const struct {
	const char *words[4];
	const char *said;
} bad_flags[] = {
	{{"--queue-mesages=5"},
		"bellwire-sample: --queue-mesages: unknown flag; did you mean --queue-messages?\n"},
	{{"--verison"}, "bellwire-sample: --verison: unknown flag; did you mean --version?\n"},
	{{"--frobnicate"}, "bellwire-sample: --frobnicate: unknown flag; see --help for all\n"},
	{{"-insecure"}, "bellwire-sample: -insecure: unknown flag; did you mean --insecure?\n"},
	{{"-x"}, "bellwire-sample: -x: unknown flag; see --help for all\n"},
	{{"--=5"}, "bellwire-sample: --: unknown flag; see --help for all\n"},
	{{"--x\n\x1b=5"}, "bellwire-sample: --x\\x0a\\x1b: unknown flag; see --help for all\n"},
	{{"--queue-messages"}, "--queue-messages: needs a value: --queue-messages N\n"},
	{{"--command", "--insecure"}, "--command: needs a value: --command VALUE\n"},
	{{"--queue-messages=0"}, "--queue-messages: queue_messages = 0: must be 1 to 1000000\n"},
	{{"--insecure=perhaps"}, "--insecure: insecure = perhaps: must be on or off\n"},
	{{"--password=a\nb"}, "--password: password = (hidden): must be without control characters\n"},
	{{"--config"}, "--config: needs a value: --config FILE\n"},
	{{"--config", "--insecure"}, "--config: needs a value: --config FILE\n"},
	{{"--config=/nonexistent.conf"},
		"/nonexistent.conf: cannot be read: No such file or directory\n"},
	{{"--config", "/"}, "/: cannot be read: Is a directory\n"},
	{{"--max-ttl=x", "--queue-messages=y", "--z"},
		"--max-ttl: max_ttl = x: must be -60 to 7776000 seconds (m, h, d may follow)\n"
		"--queue-messages: queue_messages = y: must be 1 to 1000000\n"
		"bellwire-sample: --z: unknown flag; see --help for all\n"},
};

static void bad_flags_are_explained(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof bad_flags / sizeof bad_flags[0]; i++) {
		struct loaded l;
		const char *words[6] = {"bellwire-sample"};
		memcpy(words + 1, bad_flags[i].words, sizeof bad_flags[i].words);
		load(&l, &sample_program, words);
		assert_string_equal(l.said, bad_flags[i].said);
		assert_int_equal(l.result, -EINVAL);
		finish(&l);
	}
}

static void actions_are_flags(void **state) {
	(void)state;
	static const struct {
		const char *word;
		enum settings_action action;
	} actions[] = {{"--help", SETTINGS_HELP}, {"-h", SETTINGS_HELP},
		{"--version", SETTINGS_VERSION}, {"--check-config", SETTINGS_CHECK},
		{"--print-config", SETTINGS_PRINT}};
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		struct loaded l;
		LOAD(&l, actions[i].word, "--insecure");
		assert_int_equal(l.result, 0);
		assert_int_equal(l.action, actions[i].action);
		finish(&l);
	}
	struct loaded l;
	LOAD(&l, "--config=/nonexistent.conf", "--nonsense", "--help");
	assert_int_equal(l.result, 0); /* help helps whoever has it wrong */
	assert_string_equal(l.said, "");
	assert_null(settings_file(&l.sample));
	finish(&l);
	LOAD(&l, "--config=/dev/null");
	assert_string_equal(settings_file(&l.sample), "/dev/null");
	finish(&l);
}

static const struct {
	const char *text;
	const char *said;
} bad_files[] = {
	{"queue_messages = 0\n", "relay.conf:1: queue_messages = 0: must be 1 to 1000000\n"},
	{"# c\n; c\n\n[relay]\n  queue_messages = 0",
		"relay.conf:5: queue_messages = 0: must be 1 to 1000000\n"},
	{"[limits]\r\nqueue_mesage = 5\r\n",
		"relay.conf:2: queue_mesage: unknown setting; did you mean queue_messages?\n"},
	{"queue messages = 5\n",
		"relay.conf:1: queue messages: unknown setting; did you mean queue_messages?\n"},
	{"queue_messages 5 = x\n",
		"relay.conf:1: queue_messages 5: unknown setting; did you mean queue_messages?\n"},
	{"inse = on\n", "relay.conf:1: inse: unknown setting; did you mean insecure?\n"},
	{"frobnicate = 5\n", "relay.conf:1: frobnicate: unknown setting; see --help for all\n"},
	{"help = 5\n", "relay.conf:1: help: unknown setting; see --help for all\n"},
	{"= 5\n", "relay.conf:1: : unknown setting; see --help for all\n"},
	{"max_ttl = 1\nmax_ttl = 2\n", "relay.conf:2: max_ttl was set before at relay.conf:1\n"},
	{"insecure\n", "relay.conf:1: must be \"name = value\", \"[section]\" or a comment\n"},
	{"[relay\ninsecure = on\n",
		"relay.conf:1: must be \"name = value\", \"[section]\" or a comment\n"},
	{"store = a\x1b[2J\n", "relay.conf:1: has a control character, as no line of text has\n"},
	{"insecure = on ; really\n", "relay.conf:1: insecure = on ; really: must be on or off\n"},
	{"password = x\npassword = y\n", "relay.conf:2: password was set before at relay.conf:1\n"},
};

static void bad_files_are_explained(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
		struct loaded l;
		assert_int_equal(load_text(&l, bad_files[i].text, strlen(bad_files[i].text)), -EINVAL);
		assert_string_equal(l.said, bad_files[i].said);
		finish(&l);
	}
	struct loaded l;
	assert_int_equal(load_text(&l, "store = a\0b\n", 12), -EINVAL);
	assert_non_null(strstr(l.said, "relay.conf:1: has a control character"));
	finish(&l);
}

static void good_files_are_read(void **state) {
	(void)state;
	static const char text[] =
		"\xef\xbb\xbf[relay]\nstore = redis://a/0?x=#y\n[anything]\nbody-limit = 8k\n"
		"command = sh -c \"a ; b\"\nlisten = a b\n\tlisten = c\nproxies =\n";
	struct loaded l;
	assert_int_equal(load_text(&l, text, sizeof text - 1), 0);
	assert_string_equal(l.said, "");
	assert_string_equal(l.sample.store, "redis://a/0?x=#y");
	assert_string_equal(l.sample.command, "sh -c \"a ; b\"");
	assert_int_equal(l.sample.body_limit, 8192);
	assert_int_equal(l.sample.listen.count, 3); /* the default is gone */
	assert_string_equal(settings_source(&l.sample, "body_limit"), "relay.conf:4");
	assert_string_equal(settings_source(&l.sample, "listen"), "relay.conf:7");
	finish(&l);
	assert_int_equal(load_text(&l, "", 0), 0);
	finish(&l);
}

/* inih itself takes lines of 200. */
static void long_lines_are_one_line(void **state) {
	(void)state;
	for (int length = 150; length < 10000; length += length < 260 ? 1 : 997) {
		struct loaded l;
		CLEANUP_FREE char *fill = mem_zalloc((size_t)length + 1);
		memset(fill, 'x', (size_t)length);
		CLEANUP_FREE char *text = mem_printf("store = %s\nqueue_messages = 5\n", fill);
		int result = load_text(&l, text, strlen(text));
		assert_int_equal(l.sample.queue_messages, 5);
		if (result == 0) {
			assert_string_equal(l.sample.store, fill);
		} else {
			assert_true(length > SETTINGS_VALUE_MAX);
			assert_int_equal(strncmp(l.said, "relay.conf:1: ", 14), 0);
			assert_true(strlen(l.said) < 400);
		}
		finish(&l);
	}
}

static char *written_file(const char *text) {
	char *path = mem_strdup("/tmp/bellwire-settings-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static void later_sources_win(void **state) {
	(void)state;
	CLEANUP_FREE char *path =
		written_file("queue_messages = 1\nbody_limit = 5k\nmax_ttl = 1\nlisten = f1 f2\n");
	CLEANUP_FREE char *flag = mem_printf("--config=%s", path);
	assert_int_equal(setenv("BWTEST_BODY_LIMIT", "6k", 1), 0);
	assert_int_equal(setenv("BWTEST_MAX_TTL", "2", 1), 0);
	assert_int_equal(setenv("BWTEST_LISTEN", "e1", 1), 0);
	assert_int_equal(setenv("BWTEST_UNKNOWN", "x", 1), 0);
	struct loaded l;
	LOAD(&l, "--max-ttl=3", flag);
	assert_string_equal(l.said, "");
	assert_int_equal(l.sample.queue_messages, 1);
	assert_int_equal(l.sample.body_limit, 6144);
	assert_int_equal(l.sample.max_ttl, 3);
	assert_int_equal(l.sample.listen.count, 1);
	assert_string_equal(l.sample.listen.items[0], "e1");
	assert_string_equal(settings_source(&l.sample, "body_limit"), "BWTEST_BODY_LIMIT");
	CLEANUP_FREE char *line = mem_printf("%s:1", path);
	assert_string_equal(settings_source(&l.sample, "queue_messages"), line);
	finish(&l);
	assert_int_equal(setenv("BWTEST_MAX_TTL", "soon", 1), 0);
	LOAD(&l);
	assert_int_equal(l.result, -EINVAL);
	assert_int_equal(strncmp(l.said, "BWTEST_MAX_TTL: max_ttl = soon: must be", 39), 0);
	finish(&l);
	(void)unsetenv("BWTEST_BODY_LIMIT");
	(void)unsetenv("BWTEST_MAX_TTL");
	(void)unsetenv("BWTEST_LISTEN");
	(void)unlink(path);
}

static void usual_file_may_be_missing(void **state) {
	(void)state;
	struct settings_program program = sample_program;
	struct loaded l;
	program.config_path = "/nonexistent/relay.conf";
	load(&l, &program, (const char *[]){"x", NULL});
	assert_int_equal(l.result, 0);
	settings_free(&program, &l.sample);
	CLEANUP_FREE char *path = written_file("queue_messages = 9\n");
	program.config_path = path;
	load(&l, &program, (const char *[]){"x", NULL});
	assert_int_equal(l.sample.queue_messages, 9);
	settings_free(&program, &l.sample);
	(void)unlink(path);
}

static char *printed(const struct sample *sample) {
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	if (sample) {
		settings_print(&sample_program, sample, out);
	} else {
		settings_print_sample(&sample_program, out);
	}
	fclose(out);
	return text;
}

static void printed_file_reads_back(void **state) {
	(void)state;
	static const char *const files[] = {"",
		"insecure = on\nqueue_messages = 5\nbody_limit = 1m\nmax_ttl = -1m\nstore =\ncommand = a ; "
		"b = c # d\n"
		"registration = open\nlisten = a b c\n",
		"store = :weird=;\nlisten =\n"};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct loaded l, again;
		assert_int_equal(load_text(&l, files[i], strlen(files[i])), 0);
		CLEANUP_FREE char *first = printed(&l.sample);
		assert_int_equal(load_text(&again, first, strlen(first)), 0);
		CLEANUP_FREE char *second = printed(&again.sample);
		assert_string_equal(first, second);
		if (l.sample.command) {
			assert_string_equal(l.sample.command, again.sample.command);
		}
		finish(&l);
		finish(&again);
	}
}

static void secrets_are_not_printed(void **state) {
	(void)state;
	static const char *const stores[] = {"redis://u:hush@h/0", "redis://:hush@h",
		"redis://u:hu@sh:hush@h/x", "redis://u:hush@h:6379/0?a=b@c"};
	for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
		struct loaded l;
		LOAD(&l, "--password=hush", "--store", stores[i]);
		CLEANUP_FREE char *text = printed(&l.sample);
		assert_null(strstr(text, "hush"));
		assert_null(strstr(text, "sh:"));
		assert_non_null(strstr(text, "; password = (set)\n"));
		assert_non_null(strstr(text, "(hidden)@h"));
		finish(&l);
	}
	static const char *const open_ones[] = {
		"redis://h:6379/0", "redis://u@h/", "unix:///a:b@c", "sqlite:/a:b@c", "redis://h/a:b@c"};
	for (size_t i = 0; i < sizeof open_ones / sizeof open_ones[0]; i++) {
		struct loaded l;
		LOAD(&l, "--store", open_ones[i]);
		CLEANUP_FREE char *text = printed(&l.sample);
		CLEANUP_FREE char *line = mem_printf("\nstore = %s\n", open_ones[i]);
		assert_non_null(strstr(text, line));
		finish(&l);
	}
}

/* Each default that the sample shows as a comment is the default. */
static void sample_file_is_the_defaults(void **state) {
	(void)state;
	CLEANUP_FREE char *text = printed(NULL);
	struct loaded plain, l;
	assert_int_equal(load_text(&plain, text, strlen(text)), 0);
	for (char *at = text; (at = strstr(at, "\n;"));) {
		at++;
		if (at[1] != ' ') {
			*at = ' ';
		}
	}
	assert_int_equal(load_text(&l, text, strlen(text)), 0);
	CLEANUP_FREE char *a = printed(&plain.sample);
	CLEANUP_FREE char *b = printed(&l.sample);
	assert_string_equal(a, b);
	finish(&plain);
	finish(&l);
}

static void help_names_every_flag(void **state) {
	(void)state;
	char text[8192] = "";
	FILE *out = fmemopen(text, sizeof text - 1, "w");
	settings_print_help(&sample_program, "bellwire-sample [command]", out);
	fclose(out);
	static const char *const parts[] = {"usage: bellwire-sample [command]\n",
		"--queue-messages N  (1000)\n      How many.\n      Not more.\n",
		"--registration open|invite", "--insecure", "--command VALUE", "--check-config", "BWTEST_"};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		assert_non_null(strstr(text, parts[i]));
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold),
		cmocka_unit_test(sections_of_others_are_left_alone),
		cmocka_unit_test(values_are_checked),
		cmocka_unit_test(value_length_is_limited),
		cmocka_unit_test(flags_in_all_spellings),
		cmocka_unit_test(bad_flags_are_explained),
		cmocka_unit_test(actions_are_flags),
		cmocka_unit_test(bad_files_are_explained),
		cmocka_unit_test(good_files_are_read),
		cmocka_unit_test(long_lines_are_one_line),
		cmocka_unit_test(later_sources_win),
		cmocka_unit_test(usual_file_may_be_missing),
		cmocka_unit_test(printed_file_reads_back),
		cmocka_unit_test(secrets_are_not_printed),
		cmocka_unit_test(sample_file_is_the_defaults),
		cmocka_unit_test(help_names_every_flag),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
