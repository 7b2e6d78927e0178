/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message's way: hooks_deliver -> hook_plan -> hook_start (all that waits) -> the command ->
 * hook_on_ended -> hook_settle (dispatch hears how it went) -> hook_plan.
 */
#include "distributor/action/hooks.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/log_limit.h"
#include "common/mem.h"
#include "distributor/action/hook_command.h"
#include "distributor/action/hook_message.h"
#include "distributor/action/hooks_register.h"
#include "distributor/action/notify.h"
#include "distributor/action/template.h"
#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum {
	HOOK_GATHERS = 64, /* messages of a run */
	HOOK_SLACK_MS = 50,
	HOOK_JITTER_MS = 2000, /* catch-ups of many devices do not come together */
	HOOK_REASON_MAX = 64,
};

struct hook {
	struct hooks *hooks;
	const struct hook_config *config;
	struct list waiting, running; /* struct hook_message::link, oldest first */
	uint32_t waiting_count, running_count;
	int64_t first_mono_ms, last_mono_ms; /* arrival of the oldest and newest that waits */
	struct alarm gather; /* … and then it runs */
	struct alarm jitter; /* … and then a catch-up is due */
	char why[HOOK_REASON_MAX]; /* a catch-up that is wanted, "" for none */
	char run_why[HOOK_REASON_MAX]; /* the one that runs */
	bool catch_up_is_due, run_is_catch_up;
	uint32_t catch_up_failures;
	bool is_running;
	int64_t began_ms;
	struct hook_command *command; /* that runs, or NULL */
	struct log_limit unreadable; /* messages that could not be decrypted */
};

/* An answer that must come later than the call that led to it. */
struct hooks_answer {
	struct list link; /* struct hooks::answers */
	enum dispatch_outcome outcome;
	dispatch_done_fn *done;
	void *done_ctx;
};

struct hooks {
	struct hooks_options options;
	struct notify *notify;
	struct hook_units *units; /* NULL without a bus */
	struct hook *hooks;
	size_t count;
	int64_t patience_ms;
	struct list answers; /* struct hooks_answer::link */
	struct alarm answer;
	struct hooks_register *registering;
};

static void hook_plan(struct hook *hook);
static void hook_on_gathered(struct alarm *alarm, void *ctx);
static void hook_start(struct hook *hook);
static void hook_on_ended(const struct hook_result *result, void *ctx);
static void hook_settle(struct hook *hook, enum dispatch_outcome outcome);

/* ---- small steps ---- */

static struct hook *hooks_find(struct hooks *hooks, const char *name) {
	for (size_t i = 0; i < hooks->count; i++) {
		if (strcmp(hooks->hooks[i].config->name, name) == 0) {
			return &hooks->hooks[i];
		}
	}
	return NULL;
}

static void hooks_on_answer(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct hooks *hooks = ctx;
	struct list due;
	list_init(&due);
	list_splice(&due, &hooks->answers);
	struct hooks_answer *answer;
	while ((answer = list_first(&due, struct hooks_answer, link))) {
		list_remove(&answer->link);
		answer->done(answer->outcome, answer->done_ctx);
		free(answer);
	}
}

static void hooks_answer_later(
	struct hooks *hooks, enum dispatch_outcome outcome, dispatch_done_fn *done, void *done_ctx) {
	struct hooks_answer *answer = mem_alloc(sizeof *answer);
	*answer = (struct hooks_answer){.outcome = outcome, .done = done, .done_ctx = done_ctx};
	list_init(&answer->link);
	list_append(&hooks->answers, &answer->link);
	if (!alarm_is_set(&hooks->answer)) {
		alarm_set(&hooks->answer, 0, 0);
	}
}

static void hook_take_all(struct hook *hook, struct list *out_messages) {
	list_init(out_messages);
	list_splice(out_messages, &hook->waiting);
	hook->waiting_count = 0;
}

/* ---- when to run ---- */

/* An urgent one takes the others along. */
static int64_t hook_patience_ms(const struct hook *hook) {
	const struct hook_message *message;
	LIST_FOREACH (message, &hook->waiting, link) {
		if (message->urgency == URGENCY_HIGH) {
			return 0;
		}
	}
	return hook->hooks->patience_ms;
}

static int64_t hook_delay_ms(const struct hook *hook) {
	if (hook->catch_up_is_due || hook->config->quiet_ms == 0) {
		return 0;
	}
	int64_t patience_ms = hook_patience_ms(hook);
	int64_t quiet_ms = hook->config->quiet_ms, most_ms = hook->config->max_delay_ms;
	quiet_ms = quiet_ms > patience_ms ? quiet_ms : patience_ms;
	most_ms = most_ms > quiet_ms ? most_ms : quiet_ms;
	int64_t quiet_at = hook->last_mono_ms + quiet_ms, most_at = hook->first_mono_ms + most_ms;
	int64_t left_ms = (quiet_at < most_at ? quiet_at : most_at) - clock_mono_ms();
	return left_ms > 0 ? left_ms : 0;
}

static void hook_plan(struct hook *hook) {
	if (hook->is_running) {
		return; /* its end plans the next */
	}
	if (list_is_empty(&hook->waiting) && !hook->catch_up_is_due) {
		alarm_stop(&hook->gather);
		return;
	}
	int64_t delay_ms = hook_delay_ms(hook);
	alarm_set(&hook->gather, delay_ms, delay_ms > 0 ? HOOK_SLACK_MS : 0);
}

static void hook_on_gathered(struct alarm *alarm, void *ctx) {
	(void)alarm;
	hook_start(ctx);
}

static void hook_on_catch_up(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct hook *hook = ctx;
	hook->catch_up_is_due = true;
	hook_plan(hook);
}

static void hook_want_catch_up(struct hook *hook, const char *why) {
	if (!hook->config->catch_up) {
		return;
	}
	hook->catch_up_failures = 0;
	if (!hook->why[0] || strcmp(hook->why, "start") == 0) { /* any other one says more */
		(void)snprintf(hook->why, sizeof hook->why, "%s", why); /* a longer one is cut */
	}
	if (hook->catch_up_is_due) {
		return;
	}
	uint16_t random = 0;
	(void)RAND_bytes((unsigned char *)&random, sizeof random); /* without it: at once */
	alarm_set(&hook->jitter, random % HOOK_JITTER_MS, HOOK_SLACK_MS);
}

/* ---- a run ---- */

static void hook_show(struct hook *hook) {
	const struct hook_config *config = hook->config;
	if (!config->notify_title || list_is_empty(&hook->running)) {
		return;
	}
	const struct hook_message *newest = container_of(hook->running.prev, struct hook_message, link);
	const struct template_facts facts = {
		.hook = config->name,
		.topic = newest->topic,
		.urgency = newest->urgency,
		.count = hook->running_count,
		.message = {(const char *)newest->body, newest->bytes},
		.is_readable = hook_message_is_readable(newest),
	};
	CLEANUP_FREE char *title = template_fill_dup(config->notify_title, &facts);
	CLEANUP_FREE char *text =
		template_fill_dup(config->notify_text ? config->notify_text : "{text}", &facts);
	/* Another topic is another thing: it does not replace what is shown. */
	CLEANUP_FREE char *key = mem_printf("hook %s %s", config->name, newest->topic);
	notify_show(hook->hooks->notify, &(struct notification){.key = key,
										 .title = title,
										 .text = text,
										 .icon = config->notify_icon,
										 .is_urgent = newest->urgency == URGENCY_HIGH});
}

static int hook_start_command(struct hook *hook) {
	const struct hooks *hooks = hook->hooks;
	const struct hook_place place = {hooks->options.loop, hooks->options.alarms, hooks->units};
	const struct hook_facts facts = {
		.config = hook->config,
		.reason = hook->run_is_catch_up ? hook->run_why : "push",
		.messages = &hook->running,
		.count = hook->running_count,
	};
	CLEANUP_CLOSE int input = hook_input_open(&facts);
	if (input < 0) {
		return input;
	}
	char **variables = hook_environment_make(&facts);
	const struct hook_job job = {
		.what = "hook",
		.name = hook->config->name,
		.command = hook->config->command,
		.variables = variables,
		.input = input,
		.timeout_ms = hook->config->timeout_ms,
	};
	int result = hook_command_start(
		&place, &job, hook->config->as_unit, hook_on_ended, hook, &hook->command);
	hook_environment_free(variables);
	return result;
}

/* What a run carries: all that waits, or one without a quiet time. */
static void hook_load(struct hook *hook) {
	assert(list_is_empty(&hook->running));
	hook->running_count = 0;
	struct hook_message *message;
	while ((message = list_first(&hook->waiting, struct hook_message, link))) {
		list_remove(&message->link);
		list_append(&hook->running, &message->link);
		hook->running_count++;
		hook->waiting_count--;
		if (hook->config->quiet_ms == 0) {
			break;
		}
	}
	hook->run_is_catch_up = hook->catch_up_is_due;
	hook->catch_up_is_due = false;
	if (hook->run_is_catch_up) {
		memcpy(hook->run_why, hook->why, sizeof hook->run_why);
		hook->why[0] = '\0';
	}
}

static void hook_start(struct hook *hook) {
	hook_load(hook);
	hook->is_running = true;
	hook->began_ms = clock_mono_ms();
	hook_show(hook);
	if (!hook->config->command) {
		hook->is_running = false;
		hook_settle(hook, DISPATCH_TAKEN);
		hook_plan(hook);
		return;
	}
	int result = hook_start_command(hook);
	if (result < 0) {
		hook_on_ended(
			&(struct hook_result){.end = HOOK_NOT_STARTED, .detail = strerror(-result)}, hook);
	}
}

/* How dispatch is to go on with what the run carried. */
static enum dispatch_outcome hook_outcome_of(enum hook_end end) {
	switch (end) {
	case HOOK_WELL:
		return DISPATCH_TAKEN;
	case HOOK_FAILED:
		return DISPATCH_REFUSED;
	case HOOK_NOT_NOW:
	case HOOK_TIMED_OUT:
	case HOOK_NOT_STARTED:
	case HOOK_LOST:
	case HOOK_NO_UNIT:
	case HOOK_END_COUNT:
		break;
	}
	return DISPATCH_NO_ANSWER;
}

static void hook_log_end(const struct hook *hook, const struct hook_result *result) {
	bool is_good = result->end == HOOK_WELL;
	log_write(is_good ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
		"hook %s hook=%s messages=%u reason=\"%s\" ms=%lld status=%d%s%s%s",
		hook_end_words(result->end), hook->config->name, hook->running_count,
		hook->run_is_catch_up ? hook->run_why : "push",
		(long long)(clock_mono_ms() - hook->began_ms), result->status,
		result->detail ? " error=\"" : "", result->detail ? result->detail : "",
		result->detail ? "\"" : "");
}

static void hook_end_catch_up(struct hook *hook, bool is_good) {
	if (!hook->run_is_catch_up) {
		return;
	}
	hook->run_is_catch_up = false;
	if (is_good || hook->why[0] || hook->catch_up_failures >= HOOK_AGAIN_COUNT) {
		return; /* or another one was asked for meanwhile */
	}
	memcpy(hook->why, hook->run_why, sizeof hook->why);
	alarm_set(&hook->jitter, hook_again_ms[hook->catch_up_failures++], ALARM_SLACK_DEADLINE_MS);
}

static void hook_on_ended(const struct hook_result *result, void *ctx) {
	struct hook *hook = ctx;
	hook->command = NULL;
	hook_log_end(hook, result);
	hook->is_running = false;
	hook_end_catch_up(hook, result->end == HOOK_WELL);
	hook_settle(hook, hook_outcome_of(result->end));
	hook_plan(hook);
}

/* Dispatch may deliver again from within. */
static void hook_settle(struct hook *hook, enum dispatch_outcome outcome) {
	struct list ended;
	list_init(&ended);
	list_splice(&ended, &hook->running);
	hook->running_count = 0;
	struct hook_message *message;
	while ((message = list_first(&ended, struct hook_message, link))) {
		dispatch_done_fn *done = message->done;
		void *done_ctx = message->done_ctx;
		hook_message_free(message);
		done(outcome, done_ctx);
	}
}

/* ---- the dispatch target ---- */

static void hooks_announce(
	const struct registration *registration, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	log_info("hook has a push URL hook=%s see=\"bellwire keys %s\"", registration->token,
		registration->token);
	hooks_answer_later(ctx, DISPATCH_TAKEN, done, done_ctx);
}

static void hooks_deliver(
	const struct message *message, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	struct hooks *hooks = ctx;
	struct hook *hook = hooks_find(hooks, message->registration->token);
	if (!hook) {
		hooks_answer_later(hooks, DISPATCH_REFUSED, done, done_ctx);
		return;
	}
	struct hook_message *taken = hook_message_create(message, done, done_ctx);
	if (!taken->is_decrypted && log_limit_pass(&hook->unreadable, (double)clock_mono_ms() / 1000)) {
		log_warn("push is not decrypted hook=%s reason=\"%s\"", hook->config->name, taken->reason);
	}
	hook->last_mono_ms = clock_mono_ms();
	if (list_is_empty(&hook->waiting)) {
		hook->first_mono_ms = hook->last_mono_ms;
	}
	list_append(&hook->waiting, &taken->link);
	hook->waiting_count++;
	hook_plan(hook);
}

/* What a run carries stays with it. */
static void hooks_dismiss(const struct registration *registration, bool by_app, void *ctx) {
	(void)by_app;
	struct hooks *hooks = ctx;
	struct hook *hook = hooks_find(hooks, registration->token);
	if (!hook) {
		return;
	}
	struct list dropped;
	hook_take_all(hook, &dropped);
	struct hook_message *message;
	while ((message = list_first(&dropped, struct hook_message, link))) {
		hooks_answer_later(hooks, DISPATCH_REFUSED, message->done, message->done_ctx);
		hook_message_free(message);
	}
	hook_plan(hook);
}

static void hooks_resync(const char *why, void *ctx) {
	hooks_catch_up(ctx, why);
}

static const struct dispatch_target hooks_target = {
	.gathers = HOOK_GATHERS,
	.announce = hooks_announce,
	.deliver = hooks_deliver,
	.dismiss = hooks_dismiss,
	.resync = hooks_resync,
};

/* ---- the whole ---- */

static void hook_init(struct hook *hook, struct hooks *hooks, const struct hook_config *config) {
	hook->hooks = hooks;
	hook->config = config;
	list_init(&hook->waiting);
	list_init(&hook->running);
	alarm_init(&hook->gather, hooks->options.alarms, hook_on_gathered, hook);
	alarm_init(&hook->jitter, hooks->options.alarms, hook_on_catch_up, hook);
	hook->unreadable =
		(struct log_limit){.event = "push is not decrypted", .period_sec = 60, .lines = 3};
	if (config->notify_title && !hooks->options.session_bus) {
		log_warn("hook cannot show notifications without a session bus hook=%s", config->name);
	}
}

struct hooks *hooks_open(const struct hooks_options *options) {
	struct hooks *hooks = mem_zalloc(sizeof *hooks);
	hooks->options = *options;
	hooks->notify = notify_open(options->session_bus);
	if (options->session_bus) {
		hooks->units = hook_units_open(bus_get(options->session_bus));
	}
	list_init(&hooks->answers);
	alarm_init(&hooks->answer, options->alarms, hooks_on_answer, hooks);
	hooks->count = options->config->count;
	hooks->hooks = mem_zalloc((hooks->count + 1) * sizeof *hooks->hooks);
	for (size_t i = 0; i < hooks->count; i++) {
		hook_init(&hooks->hooks[i], hooks, &options->config->hooks[i]);
	}
	dispatch_set_target(options->dispatch, REGISTRATION_HOOK, &hooks_target, hooks);
	hooks->registering =
		hooks_register_open(options->registrations, options->alarms, options->config);
	return hooks;
}

static void hook_close(struct hook *hook) {
	alarm_stop(&hook->gather);
	alarm_stop(&hook->jitter);
	hook_command_stop(hook->command);
	list_splice(&hook->running, &hook->waiting);
	hook_settle(hook, DISPATCH_SHUTDOWN);
}

void hooks_close(struct hooks *hooks) {
	if (!hooks) {
		return;
	}
	dispatch_set_target(hooks->options.dispatch, REGISTRATION_HOOK, NULL, NULL);
	for (size_t i = 0; i < hooks->count; i++) {
		hook_close(&hooks->hooks[i]);
	}
	hooks_on_answer(&hooks->answer, hooks);
	alarm_stop(&hooks->answer);
	hooks_register_close(hooks->registering);
	hook_units_close(hooks->units);
	notify_close(hooks->notify);
	free(hooks->hooks);
	free(hooks);
}

void hooks_catch_up(struct hooks *hooks, const char *why) {
	for (size_t i = 0; hooks && i < hooks->count; i++) {
		hook_want_catch_up(&hooks->hooks[i], why);
	}
}

void hooks_set_patience_ms(struct hooks *hooks, int64_t patience_ms) {
	if (!hooks || hooks->patience_ms == patience_ms) {
		return;
	}
	hooks->patience_ms = patience_ms;
	for (size_t i = 0; i < hooks->count; i++) {
		hook_plan(&hooks->hooks[i]);
	}
}
