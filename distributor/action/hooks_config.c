/* SPDX-License-Identifier: Apache-2.0 */
/* A table of keys, filled section by section; then each hook is checked as a whole. */
#include "distributor/action/hooks_config.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/ini_file.h"
#include "common/jwt.h"
#include "common/mem.h"
#include "common/settings.h"
#include "common/settings_parse.h"
#include "distributor/action/template.h"
#include "distributor/action/words.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const hook_inputs[] = {
	[HOOK_INPUT_LAST] = "last",
	[HOOK_INPUT_LINES] = "lines",
	[HOOK_INPUT_NONE] = "none",
	[HOOK_INPUT_COUNT] = NULL,
};

const char *hook_input_name(enum hook_input input) {
	return hook_inputs[input];
}

/* Durations are read as seconds and become milliseconds when their hook is whole. */
#define AT(member) .offset = offsetof(struct hook_config, member)
static const struct setting hook_table[] = {
	{.name = "command",
		.kind = SETTING_TEXT,
		AT(command_line),
		.value_name = "PROGRAM ARGUMENT...",
		.help =
			"Run for each message, without a shell; '...', \"...\" and \\ quote as in one, ~/ is\n"
			"the home directory. The message is on its standard input, what is known of it in\n"
			"BELLWIRE_*: see bellwire-distributor(8)."},
	{.name = "input",
		.kind = SETTING_CHOICE,
		AT(input),
		.initial = "last",
		.choices = hook_inputs,
		.value_name = "last|lines|none",
		.help =
			"What standard input holds: the newest message as it came, every message of the run\n"
			"as a line of JSON, or nothing."},
	{.name = "notify_title",
		.kind = SETTING_TEXT,
		AT(notify_title),
		.value_name = "TEMPLATE",
		.help =
			"Shows a desktop notification. {title} {text} {json.PATH} {hook} {count} {urgency}\n"
			"{topic} are filled from the newest message; {{ and }} are braces."},
	{.name = "notify_text",
		.kind = SETTING_TEXT,
		AT(notify_text),
		.value_name = "TEMPLATE",
		.help = "The text below the title."},
	{.name = "notify_icon",
		.kind = SETTING_TEXT,
		AT(notify_icon),
		.value_name = "NAME",
		.help = "A name of the icon theme, or the path of a file."},
	{.name = "vapid_key",
		.kind = SETTING_TEXT,
		AT(vapid_key),
		.value_name = "KEY",
		.help =
			"Only who signs with this VAPID key (87 characters, as bellwire vapid show prints it)\n"
			"may send."},
	{.name = "catch_up",
		.kind = SETTING_BOOL,
		AT(catch_up),
		.initial = "on",
		.help =
			"Run the command once, without a message, at start and when messages may have been\n"
			"missed: after sleep, a long time without the relay, or when it had to drop some."},
	{.name = "quiet",
		.kind = SETTING_DURATION,
		AT(quiet_ms),
		.initial = "1s",
		.max = 86400,
		.value_name = "TIME",
		.help = "Messages that follow one another sooner are one run. 0: a run for each message."},
	{.name = "max_delay",
		.kind = SETTING_DURATION,
		AT(max_delay_ms),
		.initial = "10s",
		.max = 86400,
		.value_name = "TIME",
		.help = "No message waits longer than this for others, unless the command still runs."},
	{.name = "timeout",
		.kind = SETTING_DURATION,
		AT(timeout_ms),
		.initial = "10m",
		.min = 1,
		.max = 7 * 86400,
		.value_name = "TIME",
		.help = "A command that runs longer is ended, and its messages are tried again."},
	{.name = "as_unit",
		.kind = SETTING_BOOL,
		AT(as_unit),
		.initial = "on",
		.help =
			"Run the command as a unit of systemd's user manager where there is one, so that it\n"
			"has nothing of this daemon's sandbox."},
};
enum { HOOK_KEYS = sizeof hook_table / sizeof *hook_table };
static const struct settings_program hook_program = {.table = hook_table, .count = HOOK_KEYS};

/* A hook while its section is read: the line of each key. */
struct hook_reading {
	int line; /* of its first key */
	int lines[HOOK_KEYS]; /* 0: not given */
};

struct hooks_loader {
	const char *path;
	FILE *err;
	struct hooks_config config;
	struct hook_reading *readings; /* one a hook */
	bool failed;
};

static void __attribute__((format(printf, 3, 4)))
hooks_complain(struct hooks_loader *loader, int line, const char *format, ...) {
	loader->failed = true;
	fprintf(loader->err, line > 0 ? "%s:%d: " : "%s: ", loader->path, line);
	va_list args;
	va_start(args, format);
	vfprintf(loader->err, format, args);
	va_end(args);
	fputc('\n', loader->err);
}

/* ---- sections ---- */

static const char *hook_name_trouble(const char *section, const char *name) {
	size_t len = strlen(name);
	if (len == 0 ||
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != len) {
		return "a hook's name may hold letters, digits, - and _ only: [hook my-mail]";
	}
	if (len > HOOK_NAME_MAX || strlen(section) > INI_SECTION_MAX) {
		return "a hook's name must not be longer than 40 characters";
	}
	return NULL;
}

static void hook_config_init(struct hook_config *hook, const char *name) {
	char why[SETTINGS_WHY_MAX];
	hook->name = mem_strdup(name);
	for (size_t i = 0; i < HOOK_KEYS; i++) {
		if (hook_table[i].initial) {
			(void)settings_parse(&hook_table[i], hook_table[i].initial, hook, why); /* is valid */
		}
	}
}

static void hook_config_finish(struct hook_config *hook) {
	for (size_t i = 0; i < HOOK_KEYS; i++) {
		settings_clear(&hook_table[i], hook);
	}
	words_free(hook->command);
	free(hook->name);
}

/* The index of the hook with this name, made if need be; -1 when there are too many. */
static long hooks_find_or_add(struct hooks_loader *loader, const char *name, int line) {
	struct hooks_config *config = &loader->config;
	for (size_t i = 0; i < config->count; i++) {
		if (strcmp(config->hooks[i].name, name) == 0) {
			return (long)i;
		}
	}
	if (config->count == HOOKS_MAX) {
		return -1;
	}
	size_t count = config->count + 1;
	config->hooks = mem_realloc(config->hooks, count * sizeof *config->hooks);
	loader->readings = mem_realloc(loader->readings, count * sizeof *loader->readings);
	memset(&config->hooks[count - 1], 0, sizeof *config->hooks);
	memset(&loader->readings[count - 1], 0, sizeof *loader->readings);
	loader->readings[count - 1].line = line;
	hook_config_init(&config->hooks[count - 1], name);
	config->count = count;
	return (long)count - 1;
}

static void hooks_set(struct hooks_loader *loader, size_t at, const struct ini_pair *pair) {
	const struct setting *setting = settings_find(&hook_program, pair->name, strlen(pair->name));
	if (!setting) {
		const char *nearest =
			settings_nearest(&hook_program, pair->name, strlen(pair->name), false);
		hooks_complain(loader, pair->line, "%s: hooks have no such key%s%s%s", pair->name,
			nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
		return;
	}
	int *line = &loader->readings[at].lines[setting - hook_table];
	if (*line > 0) {
		hooks_complain(
			loader, pair->line, "%s was set before at %s:%d", setting->name, loader->path, *line);
		return;
	}
	*line = pair->line;
	char why[SETTINGS_WHY_MAX];
	if (!settings_parse(setting, pair->value, &loader->config.hooks[at], why)) {
		hooks_complain(loader, pair->line, "%s = %s: %s", setting->name, pair->value, why);
	}
}

static void hooks_on_pair(const struct ini_pair *pair, void *ctx) {
	struct hooks_loader *loader = ctx;
	if (strncmp(pair->section, HOOKS_SECTION, sizeof HOOKS_SECTION - 1) != 0) {
		return;
	}
	const char *name = pair->section + sizeof HOOKS_SECTION - 1;
	name += strspn(name, " \t");
	const char *trouble = hook_name_trouble(pair->section, name);
	if (trouble) {
		hooks_complain(loader, pair->line, "[%s]: %s", pair->section, trouble);
		return;
	}
	bool had_failed = loader->failed;
	long at = hooks_find_or_add(loader, name, pair->line);
	if (at >= 0) {
		hooks_set(loader, (size_t)at, pair);
	} else if (!had_failed) {
		hooks_complain(loader, pair->line, "[%s]: there may be %d hooks", pair->section, HOOKS_MAX);
	}
}

/* The settings are read from the same file, and complain of it. */
static void hooks_on_trouble(int line, const char *what, void *ctx) {
	(void)line;
	(void)what;
	(void)ctx;
}

/* ---- whole hooks ---- */

static int hook_line(const struct hooks_loader *loader, size_t at, const char *key) {
	const struct setting *setting = settings_find(&hook_program, key, strlen(key));
	int line = loader->readings[at].lines[setting - hook_table];
	return line > 0 ? line : loader->readings[at].line;
}

static bool hook_has(const struct hooks_loader *loader, size_t at, const char *key) {
	const struct setting *setting = settings_find(&hook_program, key, strlen(key));
	return loader->readings[at].lines[setting - hook_table] > 0;
}

static void hook_check_command(struct hooks_loader *loader, size_t at) {
	struct hook_config *hook = &loader->config.hooks[at];
	const char *why;
	if (hook->command_line &&
		!words_split(hook->command_line, getenv("HOME"), &hook->command, &why)) {
		hooks_complain(
			loader, hook_line(loader, at, "command"), "command = %s: %s", hook->command_line, why);
	}
}

static void hook_check_templates(struct hooks_loader *loader, size_t at) {
	struct hook_config *hook = &loader->config.hooks[at];
	const char *why;
	if (hook->notify_title && !template_check(hook->notify_title, &why)) {
		hooks_complain(loader, hook_line(loader, at, "notify_title"), "notify_title = %s: %s",
			hook->notify_title, why);
	}
	if (hook->notify_text && !template_check(hook->notify_text, &why)) {
		hooks_complain(loader, hook_line(loader, at, "notify_text"), "notify_text = %s: %s",
			hook->notify_text, why);
	}
	if (!hook->notify_title && (hook->notify_text || hook->notify_icon)) {
		hook->notify_title = mem_strdup("{title}");
	}
}

static void hook_check_key(struct hooks_loader *loader, size_t at) {
	const char *key = loader->config.hooks[at].vapid_key;
	uint8_t point[P256_POINT_BYTES];
	size_t bytes;
	if (key && !(base64url_decode(slice_of(key), point, sizeof point, &bytes) &&
				   bytes == sizeof point && point[0] == 4 && p256_point_is_valid(point))) {
		hooks_complain(loader, hook_line(loader, at, "vapid_key"),
			"vapid_key = %s: must be the 87 characters that \"bellwire vapid show\" prints", key);
	}
}

static void hook_check(struct hooks_loader *loader, size_t at) {
	struct hook_config *hook = &loader->config.hooks[at];
	hook_check_command(loader, at);
	hook_check_templates(loader, at);
	hook_check_key(loader, at);
	if (!hook->command_line && !hook->notify_title) {
		hooks_complain(loader, loader->readings[at].line,
			"[hook %s] does nothing: give it a command or a notify_title", hook->name);
	}
	if (!hook->command_line && hook->catch_up && hook_has(loader, at, "catch_up")) {
		hooks_complain(loader, hook_line(loader, at, "catch_up"),
			"catch_up = on: needs a command, for there is no message to show");
	}
	hook->catch_up = hook->catch_up && hook->command_line;
	if (!hook->command_line && !hook_has(loader, at, "quiet")) {
		hook->quiet_ms = 0; /* to show something costs little */
	}
	if (hook->max_delay_ms < hook->quiet_ms && !hook_has(loader, at, "max_delay")) {
		hook->max_delay_ms = hook->quiet_ms;
	}
	if (hook->max_delay_ms < hook->quiet_ms) {
		hooks_complain(loader, hook_line(loader, at, "max_delay"),
			"max_delay must not be less than quiet, which is %lld s", (long long)hook->quiet_ms);
	}
	hook->quiet_ms *= 1000;
	hook->max_delay_ms *= 1000;
	hook->timeout_ms *= 1000;
}

int hooks_config_load(const char *path, struct hooks_config *out_config, FILE *err) {
	struct hooks_loader loader = {.path = path, .err = err};
	FILE *file = path ? fopen(path, "re") : NULL;
	if (path && !file && errno != ENOENT && errno != ENOTDIR) { /* nothing there: no hooks */
		hooks_complain(&loader, 0, "cannot be read: %s", strerror(errno));
	}
	if (file) {
		ini_file_read(file, hooks_on_pair, hooks_on_trouble, &loader);
		(void)fclose(file); /* only read */
	}
	for (size_t i = 0; i < loader.config.count; i++) {
		hook_check(&loader, i);
	}
	free(loader.readings);
	if (loader.failed) {
		hooks_config_free(&loader.config);
	}
	*out_config = loader.config;
	return loader.failed ? -EINVAL : 0;
}

void hooks_config_free(struct hooks_config *config) {
	for (size_t i = 0; i < config->count; i++) {
		hook_config_finish(&config->hooks[i]);
	}
	free(config->hooks);
	*config = (struct hooks_config){NULL, 0};
}

void hooks_config_print_sample(FILE *out) {
	fputs("; A hook has a push URL of its own (bellwire keys NAME shows it) and needs no app.\n"
		  ";[hook mail]\n\n",
		out);
	for (size_t i = 0; i < HOOK_KEYS; i++) {
		const struct setting *setting = &hook_table[i];
		for (const char *line = setting->help; *line;) {
			size_t len = strcspn(line, "\n");
			fprintf(out, "; %.*s\n", (int)len, line);
			line += len + (line[len] == '\n');
		}
		fprintf(out, ";%s = %s\n\n", setting->name,
			setting->initial ? setting->initial : setting->value_name);
	}
}
