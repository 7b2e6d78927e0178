/* SPDX-License-Identifier: Apache-2.0 */
/* note (as often as wanted) -> run -> the command -> on_ended -> perhaps the next run. */
#include "distributor/jmap/change_command.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/hook_command.h"
#include "distributor/action/sanitize.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGE_REASON_MAX = 64, CHANGE_VARIABLES = 6 };

struct change_names {
	char *name[CHANGE_NAMES_MAX];
	size_t count;
};

struct changes {
	bool are_noted;
	char reason[CHANGE_REASON_MAX]; /* of the last that came */
	struct change_names types, accounts, mailboxes;
	uint32_t new_mails;
};

struct change_command {
	struct change_command_options options;
	char *login, *name, *key; /* name: LOGIN-KIND; key: of its notification */
	struct changes noted, running;
	bool is_wanted; /* once more when the present run has ended */
	struct hook_command *command; /* that runs, or NULL */
	struct alarm again; /* … after a failure */
	unsigned failures; /* since the last reason to run */
	bool is_failure_shown;
	bool is_left; /* `noted` is of an earlier life */
	int64_t began_ms;
};

static void change_command_start(struct change_command *command);
static void change_command_on_ended(const struct hook_result *result, void *ctx);

/* ---- what changed ---- */

static void names_add_safe(struct change_names *names, const char *safe) {
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->name[i], safe) == 0) {
			return;
		}
	}
	if (safe[0] && names->count < CHANGE_NAMES_MAX) {
		names->name[names->count++] = mem_strdup(safe);
	}
}

static void names_add(struct change_names *names, const char *name) {
	if (name) {
		CLEANUP_FREE char *safe =
			sanitize_dup(slice_of(name), CHANGE_NAME_BYTES_MAX, SANITIZE_ONE_LINE);
		names_add_safe(names, safe);
	}
}

static void names_join(struct change_names *names, const struct change_names *others) {
	for (size_t i = 0; i < others->count; i++) {
		names_add_safe(names, others->name[i]);
	}
}

static void names_clear(struct change_names *names) {
	while (names->count > 0) {
		free(names->name[--names->count]);
	}
}

static void changes_clear(struct changes *changes) {
	names_clear(&changes->types);
	names_clear(&changes->accounts);
	names_clear(&changes->mailboxes);
	*changes = (struct changes){0};
}

/* What a run that failed carried joins what has come since. */
static void changes_join(struct changes *changes, const struct changes *older) {
	if (!changes->are_noted) {
		memcpy(changes->reason, older->reason, sizeof changes->reason);
	}
	changes->are_noted |= older->are_noted;
	names_join(&changes->types, &older->types);
	names_join(&changes->accounts, &older->accounts);
	names_join(&changes->mailboxes, &older->mailboxes);
	changes->new_mails += older->new_mails;
}

void change_command_note(struct change_command *command, const struct change *change) {
	struct changes *noted = &command->noted;
	noted->are_noted = true;
	if (change->reason) {
		(void)snprintf(noted->reason, sizeof noted->reason, "%s", change->reason); /* or cut */
	}
	names_add(&noted->accounts, change->account_id);
	names_add(&noted->types, change->type);
	names_add(&noted->mailboxes, change->mailbox);
	noted->new_mails += change->new_mails;
}

/* ---- over restarts ---- */

static json_t *names_print(const struct change_names *names) {
	json_t *json = json_array();
	for (size_t i = 0; i < names->count; i++) {
		(void)json_array_append_new(json, json_string(names->name[i]));
	}
	return json;
}

json_t *change_command_print(const struct change_command *command) {
	struct changes all = {0};
	changes_join(&all, &command->noted);
	changes_join(&all, &command->running);
	json_t *json = NULL;
	if (all.are_noted) {
		json = json_pack("{s:o,s:o,s:o,s:I}", "types", names_print(&all.types), "accounts",
			names_print(&all.accounts), "mailboxes", names_print(&all.mailboxes), "new",
			(json_int_t)all.new_mails);
	}
	changes_clear(&all);
	return json;
}

static void names_load(struct change_names *names, const json_t *json) {
	size_t i;
	const json_t *name;
	json_array_foreach(json, i, name) {
		names_add(names, json_string_value(name));
	}
}

static void change_command_load(struct change_command *command, const json_t *saved) {
	struct changes *noted = &command->noted;
	int64_t new_mails = 0;
	if (!json_is_object(saved)) {
		return;
	}
	(void)json_get_integer(saved, "new", &new_mails); /* absent: 0 */
	(void)snprintf(noted->reason, sizeof noted->reason, "start");
	noted->new_mails = new_mails > 0 && new_mails <= INT32_MAX ? (uint32_t)new_mails : 0;
	names_load(&noted->types, json_object_get(saved, "types"));
	names_load(&noted->accounts, json_object_get(saved, "accounts"));
	names_load(&noted->mailboxes, json_object_get(saved, "mailboxes"));
	noted->are_noted = command->is_left = true;
}

/* ---- a run ---- */

static char *names_variable(const char *variable, const struct change_names *names, char between) {
	struct buffer text;
	buffer_init(&text, sizeof "BELLWIRE_MAILBOXES=" +
						   (size_t)CHANGE_NAMES_MAX * (CHANGE_NAME_BYTES_MAX + sizeof "…"));
	bool fits = buffer_printf(&text, "%s=", variable);
	for (size_t i = 0; i < names->count; i++) {
		fits = fits && (i == 0 || buffer_append(&text, &between, 1)) &&
			   buffer_append(&text, names->name[i], strlen(names->name[i]));
	}
	char *made = mem_strndup(buffer_begin(&text), buffer_length(&text)); /* it fits */
	buffer_finish(&text);
	return made;
}

static int change_command_launch(struct change_command *command) {
	const struct change_command_options *options = &command->options;
	const struct changes *running = &command->running;
	const struct hook_place place = {options->loop, options->alarms, options->units};
	CLEANUP_FREE char *login = mem_printf("BELLWIRE_LOGIN=%s", command->login);
	CLEANUP_FREE char *reason = mem_printf("BELLWIRE_REASON=%s", running->reason);
	CLEANUP_FREE char *types = names_variable("BELLWIRE_TYPES", &running->types, ' ');
	CLEANUP_FREE char *accounts = names_variable("BELLWIRE_ACCOUNTS", &running->accounts, ' ');
	CLEANUP_FREE char *mailboxes = names_variable("BELLWIRE_MAILBOXES", &running->mailboxes, '\n');
	CLEANUP_FREE char *new_mails = mem_printf("BELLWIRE_NEW=%u", running->new_mails);
	char *variables[CHANGE_VARIABLES + 1] = {login, reason, types, accounts, mailboxes, new_mails};
	CLEANUP_CLOSE int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (input < 0) {
		return -errno;
	}
	const struct hook_job job = {
		.what = "command",
		.name = command->name,
		.command = options->command,
		.variables = variables,
		.input = input,
		.timeout_ms = options->timeout_ms,
	};
	return hook_command_start(
		&place, &job, true, change_command_on_ended, command, &command->command);
}

static void change_command_start(struct change_command *command) {
	alarm_stop(&command->again);
	command->is_wanted = command->is_left = false;
	command->running = command->noted;
	command->noted = (struct changes){0};
	command->began_ms = clock_mono_ms();
	int result = change_command_launch(command);
	if (result < 0) {
		change_command_on_ended(
			&(struct hook_result){.end = HOOK_NOT_STARTED, .detail = strerror(-result)}, command);
	}
}

static void change_command_log(
	const struct change_command *command, const struct hook_result *result) {
	log_write(result->end == HOOK_WELL ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
		"command %s command=%s reason=\"%s\" new=%u ms=%lld status=%d%s%s%s",
		hook_end_words(result->end), command->name, command->running.reason,
		command->running.new_mails, (long long)(clock_mono_ms() - command->began_ms),
		result->status, result->detail ? " error=\"" : "", result->detail ? result->detail : "",
		result->detail ? "\"" : "");
}

/* What a person should know of; NULL: nothing. Fresh. */
static char *change_command_words(const struct hook_result *result) {
	switch (result->end) {
	case HOOK_FAILED:
		return mem_printf(
			"It ended with status %d. Its output in the log may say why.", result->status);
	case HOOK_TIMED_OUT:
		return mem_strdup("It ran longer than it may, and was ended.");
	case HOOK_NOT_STARTED:
		return mem_printf("It could not be started: %s.", result->detail);
	case HOOK_WELL:
	case HOOK_NOT_NOW:
	case HOOK_LOST:
	case HOOK_NO_UNIT:
	case HOOK_END_COUNT:
		break;
	}
	return NULL;
}

/* The first failure; the others are in the log. */
static void change_command_show(struct change_command *command, const struct hook_result *result) {
	CLEANUP_FREE char *text = change_command_words(result);
	if (!text || command->is_failure_shown) {
		return;
	}
	command->is_failure_shown = true;
	const char *path = command->options.command[0], *slash = strrchr(path, '/');
	CLEANUP_FREE char *title =
		mem_printf("%s for %s failed", slash ? slash + 1 : path, command->login);
	notify_show(command->options.notify,
		&(struct notification){
			.key = command->key, .title = title, .text = text, .icon = "dialog-warning"});
}

static void change_command_on_again(struct alarm *alarm, void *ctx) {
	(void)alarm;
	change_command_start(ctx);
}

static void change_command_on_ended(const struct hook_result *result, void *ctx) {
	struct change_command *command = ctx;
	command->command = NULL;
	change_command_log(command, result);
	bool is_good = result->end == HOOK_WELL;
	if (is_good) {
		command->failures = 0;
		command->is_failure_shown = false;
		notify_withdraw(command->options.notify, command->key);
	} else {
		change_command_show(command, result);
		changes_join(&command->noted, &command->running);
	}
	changes_clear(&command->running);
	if (is_good && command->options.ran) {
		command->options.ran(command->options.ctx);
	}
	if (command->is_wanted && command->noted.are_noted) {
		change_command_start(command);
	} else if (!is_good && command->failures < HOOK_AGAIN_COUNT) {
		alarm_set(&command->again, hook_again_ms[command->failures++], ALARM_SLACK_DEADLINE_MS);
	}
}

void change_command_run(struct change_command *command) {
	command->failures = 0;
	if (command->command) {
		command->is_wanted = true;
	} else if (command->noted.are_noted) {
		change_command_start(command);
	}
}

void change_command_run_left(struct change_command *command) {
	if (command->is_left) {
		change_command_run(command);
	}
}

/* ---- the whole ---- */

struct change_command *change_command_create(
	const struct change_command_options *options, const json_t *saved) {
	struct change_command *command = mem_zalloc(sizeof *command);
	command->options = *options;
	command->login = mem_strdup(options->login);
	command->name = mem_printf("%s-%s", options->login, options->kind);
	command->key = mem_printf("command %s", command->name);
	alarm_init(&command->again, options->alarms, change_command_on_again, command);
	change_command_load(command, saved);
	return command;
}

void change_command_destroy(struct change_command *command) {
	if (!command) {
		return;
	}
	alarm_stop(&command->again);
	hook_command_stop(command->command);
	changes_clear(&command->noted);
	changes_clear(&command->running);
	free(command->login);
	free(command->name);
	free(command->key);
	free(command);
}
