/* SPDX-License-Identifier: Apache-2.0 */
/* A table of keys, filled section by section; then each hook is checked as a whole. */
#include "distributor/action/hooks_config.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/jwt.h"
#include "common/mem.h"
#include "common/sections.h"
#include "distributor/action/program.h"
#include "distributor/action/template.h"
#include "distributor/action/words.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
static const struct sections_kind hook_kind = {
	.prefix = HOOKS_SECTION,
	.one = "a hook",
	.many = "hooks",
	.example = "[hook my-mail]",
	.program = {.table = hook_table, .count = HOOK_KEYS},
	.item_bytes = sizeof(struct hook_config),
	.max = HOOKS_MAX,
};

static void hook_config_finish(struct hook_config *hook) {
	words_free(hook->command);
	sections_item_finish(&hook_kind, hook);
}

/* ---- whole hooks ---- */

static void hook_check_command(struct sections *sections, size_t at) {
	struct hook_config *hook = sections_item(sections, at);
	const char *why;
	if (hook->command_line &&
		!words_split(hook->command_line, getenv("HOME"), &hook->command, &why)) {
		sections_complain(sections, at, "command", "command = %s: %s", hook->command_line, why);
	}
}

static void hook_check_templates(struct sections *sections, size_t at) {
	struct hook_config *hook = sections_item(sections, at);
	const char *why;
	if (hook->notify_title && !template_check(hook->notify_title, &why)) {
		sections_complain(
			sections, at, "notify_title", "notify_title = %s: %s", hook->notify_title, why);
	}
	if (hook->notify_text && !template_check(hook->notify_text, &why)) {
		sections_complain(
			sections, at, "notify_text", "notify_text = %s: %s", hook->notify_text, why);
	}
	if (!hook->notify_title && (hook->notify_text || hook->notify_icon)) {
		hook->notify_title = mem_strdup("{title}");
	}
}

static void hook_check_key(struct sections *sections, size_t at) {
	const struct hook_config *hook = sections_item(sections, at);
	const char *key = hook->vapid_key;
	uint8_t point[P256_POINT_BYTES];
	size_t bytes;
	if (key && !(base64url_decode(slice_of(key), point, sizeof point, &bytes) &&
				   bytes == sizeof point && point[0] == 4 && p256_point_is_valid(point))) {
		sections_complain(sections, at, "vapid_key",
			"vapid_key = %s: must be the 87 characters that \"bellwire vapid show\" prints", key);
	}
}

static void hook_check(struct sections *sections, size_t at) {
	struct hook_config *hook = sections_item(sections, at);
	hook_check_command(sections, at);
	hook_check_templates(sections, at);
	hook_check_key(sections, at);
	if (!hook->command_line && !hook->notify_title) {
		sections_complain(sections, at, NULL,
			"[hook %s] does nothing: give it a command or a notify_title", hook->name);
	}
	if (!hook->command_line && hook->catch_up && sections_has(sections, at, "catch_up")) {
		sections_complain(sections, at, "catch_up",
			"catch_up = on: needs a command, for there is no message to show");
	}
	hook->catch_up = hook->catch_up && hook->command_line;
	if (!hook->command_line && !sections_has(sections, at, "quiet")) {
		hook->quiet_ms = 0; /* to show something costs little */
	}
	if (hook->max_delay_ms < hook->quiet_ms && !sections_has(sections, at, "max_delay")) {
		hook->max_delay_ms = hook->quiet_ms;
	}
	if (hook->max_delay_ms < hook->quiet_ms) {
		sections_complain(sections, at, "max_delay",
			"max_delay must not be less than quiet, which is %lld s", (long long)hook->quiet_ms);
	}
	hook->quiet_ms *= 1000;
	hook->max_delay_ms *= 1000;
	hook->timeout_ms *= 1000;
}

int hooks_config_load(const char *path, struct hooks_config *out_config, FILE *err) {
	struct sections *sections = sections_read(&hook_kind, path, err);
	void *hooks;
	for (size_t i = 0; i < sections_count(sections); i++) {
		hook_check(sections, i);
	}
	bool is_good = sections_finish(sections, &hooks, &out_config->count);
	out_config->hooks = hooks;
	if (!is_good) {
		hooks_config_free(out_config);
	}
	return is_good ? 0 : -EINVAL;
}

void hooks_config_doubt(const struct hooks_config *config, FILE *err) {
	for (size_t i = 0; i < config->count; i++) {
		char *const *command = config->hooks[i].command;
		CLEANUP_FREE char *program = command ? program_find_dup(command[0]) : NULL;
		bool begins_nowhere = command && strchr(command[0], '/') && command[0][0] != '/';
		if (command && !begins_nowhere && (!program || access(program, X_OK) < 0)) {
			(void)fprintf(err, "[hook %s]: there is no program %s here%s\n", config->hooks[i].name,
				command[0], program ? "" : "; is its folder in PATH?");
		}
	}
}

void hooks_config_free(struct hooks_config *config) {
	for (size_t i = 0; i < config->count; i++) {
		hook_config_finish(&config->hooks[i]);
	}
	free(config->hooks);
	*config = (struct hooks_config){NULL, 0};
}

void hooks_config_print_sample(FILE *out) {
	(void)fputs(
		"; A hook has a push URL of its own (bellwire keys NAME shows it) and needs no app.\n"
		";[hook mail]\n\n",
		out);
	sections_print_sample(&hook_kind, out);
}
