/* SPDX-License-Identifier: Apache-2.0 */
/* The next step of a subscription, what it waits for, and what others tell it. */
#include "distributor/jmap/push_subscription.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include "distributor/jmap/jmap_types.h"
#include "distributor/jmap/push_internal.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	PUSH_LOGIN_AGAIN_MS = 6 * 3600 * 1000, /* a password that was refused */
	PUSH_UNREADABLE_MAX = 3, /* in a row, and for so long: a moment's garbage is no reason */
	PUSH_UNREADABLE_MS = 2 * 60 * 1000,
};

static void push_proceed(struct push_subscription *push);
static void push_finish(struct push_subscription *push);
static void push_on_destroyed(const struct jmap_call_result *result, void *ctx);

const char *push_subscription_state_name(enum push_subscription_state state) {
	static const char *const names[] = {
		[PUSH_SUBSCRIPTION_IDLE] = "idle",
		[PUSH_SUBSCRIPTION_REGISTERING] = "registering",
		[PUSH_SUBSCRIPTION_CREATING] = "creating",
		[PUSH_SUBSCRIPTION_UNVERIFIED] = "unverified",
		[PUSH_SUBSCRIPTION_VERIFIED] = "verified",
		[PUSH_SUBSCRIPTION_WAITING] = "waiting",
		[PUSH_SUBSCRIPTION_UNSUPPORTED] = "unsupported",
	};
	_Static_assert(
		sizeof names / sizeof *names == PUSH_SUBSCRIPTION_STATE_COUNT, "a name is missing");
	return names[state];
}

const char *push_name(const struct push_subscription *push) {
	return push->options.config->name;
}

const struct registration *push_registration(const struct push_subscription *push) {
	return registrations_find(
		push->options.registrations, REGISTRATION_MAIL, slice_of(push_name(push)));
}

/* ---- the state, as others see it ---- */

static enum push_subscription_state push_look_at_itself(const struct push_subscription *push) {
	if (!push->is_begun || push->ended) {
		return PUSH_SUBSCRIPTION_IDLE;
	}
	if (push->is_unsupported) {
		return PUSH_SUBSCRIPTION_UNSUPPORTED;
	}
	if (push->current.id && !push_has_expired(&push->current)) {
		return PUSH_SUBSCRIPTION_VERIFIED;
	}
	if (alarm_is_set(&push->again) || !push->may_ask) {
		return PUSH_SUBSCRIPTION_WAITING;
	}
	if (push->registering) {
		return PUSH_SUBSCRIPTION_REGISTERING;
	}
	if (push->next.id) {
		return PUSH_SUBSCRIPTION_UNVERIFIED;
	}
	return push->is_calling ? PUSH_SUBSCRIPTION_CREATING : PUSH_SUBSCRIPTION_WAITING;
}

void push_changed(struct push_subscription *push) {
	enum push_subscription_state state = push_look_at_itself(push);
	if (state != push->state) {
		log_debug("jmap", "push subscription login=%s %s -> %s", push_name(push),
			push_subscription_state_name(push->state), push_subscription_state_name(state));
		push->state = state;
	}
	push->options.changed(state, push->options.ctx);
}

void push_set_reason(struct push_subscription *push, const char *reason) {
	if (push->reason != reason) {
		free(push->reason);
		push->reason = mem_strdup(reason);
	}
}

void push_wait(struct push_subscription *push, int64_t delay_ms, const char *reason) {
	if (strcmp(push->reason, reason) != 0) {
		log_warn("push subscription waits login=%s reason=\"%s\" next_s=%lld", push_name(push),
			reason, (long long)(delay_ms / 1000));
	}
	push_set_reason(push, reason);
	alarm_set(&push->again, delay_ms, ALARM_SLACK_DEADLINE_MS);
	push_changed(push);
}

void push_fail(
	struct push_subscription *push, enum retry_class class, int64_t told_sec, const char *reason) {
	push->is_refused = class == RETRY_REFUSED;
	push_wait(push, retry_next_ms(&push->retry, class, told_sec), reason);
}

void push_go_on(struct push_subscription *push) {
	retry_reset(&push->retry);
	push->is_refused = false;
	push_set_reason(push, "");
	push_proceed(push);
	push_changed(push);
}

/* ---- calls ---- */

void push_send(struct push_subscription *push, struct jmap_call *take_call, jmap_called_fn *done) {
	assert(!push->is_calling);
	push->is_calling = true;
	jmap_client_send(push->options.client, take_call, done, push);
	push_changed(push);
}

void push_send_one(struct push_subscription *push, const char *method, json_t *take_arguments,
	jmap_called_fn *done) {
	struct jmap_call *call = jmap_call_create();
	(void)jmap_call_add(call, method, take_arguments);
	push_send(push, call, done);
}

bool push_has_failed(struct push_subscription *push, const struct jmap_call_result *result) {
	push->is_calling = false;
	if (push->ended) {
		push_finish(push);
		return true;
	}
	switch (result->outcome) {
	case JMAP_CALL_OK:
		return false;
	case JMAP_CALL_TRY_LATER:
		push_fail(push, result->retry_after_sec >= 0 ? RETRY_TOLD : RETRY_UNREACHABLE,
			result->retry_after_sec, result->reason);
		return true;
	case JMAP_CALL_UNAUTHORIZED:
	case JMAP_CALL_LOCKED:
		push_wait(push, PUSH_LOGIN_AGAIN_MS, result->reason);
		return true;
	case JMAP_CALL_REFUSED:
		push_fail(push, RETRY_REFUSED, 0, result->reason);
		return true;
	}
	return true;
}

void push_fail_method(struct push_subscription *push, const char *method, const char *type) {
	CLEANUP_FREE char *safe = sanitize_dup(slice_of(type), 100, SANITIZE_ONE_LINE);
	CLEANUP_FREE char *reason =
		mem_printf("the mail server answers %s with %s", method, safe[0] ? safe : "something else");
	push_fail(push, push_error_outcome(type) == PUSH_SET_LATER ? RETRY_UNREACHABLE : RETRY_REFUSED,
		0, reason);
}

/* Then what is to go cannot go with the request that creates another. */
static bool push_takes_one_call(const struct push_subscription *push) {
	const struct jmap_session *session = jmap_client_session(push->options.client);
	return session && session->max_calls < 2;
}

static void push_proceed(struct push_subscription *push) {
	if (!push->is_begun || push->is_calling || push->registering || !push->may_ask ||
		alarm_is_set(&push->again) || push->ended || (push->is_unsupported && !push->wants_look)) {
		return;
	}
	if (push_has_expired(&push->current)) {
		push_retire(push, &push->current);
	}
	const struct registration *registration = push_registration(push);
	const char *ids[PUSH_OLD_MAX];
	if (push->wants_look) {
		push_look(push);
	} else if (!registration || !registration->endpoint[0] || !push_key_fits(push, registration)) {
		push_register(push);
	} else if (push->next.code && push_fits(&push->next, registration)) {
		push_confirm(push);
	} else if (push->next.id && (push->next.is_given_up || !push_fits(&push->next, registration))) {
		push_retire(push, &push->next);
		push_proceed(push);
	} else if (push_fits(&push->current, registration) && push_keep(push)) {
		return;
	} else if (!push->next.id && push_old_list(push, ids) > 0 && push_takes_one_call(push)) {
		push_sweep(push);
	} else if (!push->next.id && (push->wants_other || !push_fits(&push->current, registration))) {
		push_create(push, registration);
	} else {
		push_plan_renewal(push);
	}
}

static void push_on_again(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct push_subscription *push = ctx;
	push_proceed(push);
	push_changed(push);
}

static void push_on_renew(struct alarm *alarm, void *ctx) {
	push_on_again(alarm, ctx);
}

/* ---- its end ---- */

static void push_finish(struct push_subscription *push) {
	const char *ids[PUSH_OLD_MAX];
	push_retire(push, &push->current);
	push_retire(push, &push->next);
	size_t count = push_old_list(push, ids);
	if (count == 0 || !push->may_ask) {
		const struct jmap_call_result none = {.outcome = JMAP_CALL_OK, .reason = ""};
		const struct jmap_call_result offline = {
			.outcome = JMAP_CALL_TRY_LATER, .reason = "there is no network"};
		push_on_destroyed(count == 0 ? &none : &offline, push);
		return;
	}
	push_send_one(
		push, "PushSubscription/set", push_destroy_arguments(ids, count), push_on_destroyed);
}

static void push_on_destroyed(const struct jmap_call_result *result, void *ctx) {
	struct push_subscription *push = ctx;
	push_subscription_ended_fn *ended = push->ended;
	push->is_calling = false;
	push->is_begun = false;
	push_old_clear(push);
	(void)registrations_unregister(
		push->options.registrations, REGISTRATION_MAIL, slice_of(push_name(push)), true);
	push->ended = NULL;
	ended(result->outcome == JMAP_CALL_OK ? "" : result->reason, push->ended_ctx);
}

static void push_on_ending(struct alarm *alarm, void *ctx) {
	(void)alarm;
	push_finish(ctx);
}

void push_subscription_end(
	struct push_subscription *push, bool is_online, push_subscription_ended_fn *done, void *ctx) {
	assert(!push->ended);
	push->may_ask = is_online;
	push->ended = done;
	push->ended_ctx = ctx;
	alarm_stop(&push->watch);
	alarm_stop(&push->renew);
	alarm_stop(&push->again);
	push_stop_registering(push);
	if (!push->is_calling) { /* else its end leads to push_finish: it may be a creation */
		alarm_init(&push->again, push->options.alarms, push_on_ending, push);
		alarm_set(&push->again, 0, 0);
	}
}

/* ---- news ---- */

void push_subscription_check(struct push_subscription *push) {
	push->is_begun = true;
	push->wants_look = true;
	if (!push->ended) {
		alarm_stop(&push->again);
		retry_reset(&push->retry);
		push_proceed(push);
		push_changed(push);
	}
}

void push_subscription_set_circumstances(
	struct push_subscription *push, bool may_ask, bool is_relay_up) {
	bool is_better = (may_ask && !push->may_ask) || (is_relay_up && !push->is_relay_up);
	bool is_same = may_ask == push->may_ask && is_relay_up == push->is_relay_up;
	push->may_ask = may_ask;
	push->is_relay_up = is_relay_up;
	if (is_same || push->ended || !push->is_begun) {
		return;
	}
	if (is_better) {
		if (push->next.id && !push->next.code && !push->next.is_given_up) {
			push_watch(push); /* what waits at the relay comes now */
		}
		if (!push->is_refused) {
			alarm_stop(&push->again);
			retry_reset(&push->retry);
		}
		push_proceed(push);
	}
	push_changed(push);
}

void push_subscription_on_session(
	struct push_subscription *push, const struct jmap_session *session) {
	const struct registration *registration = push_registration(push);
	(void)session;
	if (push->ended || !push->is_begun) {
		return;
	}
	push->wants_look = true; /* another server may have taken over, with push or without */
	push->has_mail_only = false;
	if (registration && !push_key_fits(push, registration)) {
		alarm_stop(&push->again);
	}
	push_proceed(push);
	push_changed(push);
}

void push_subscription_on_endpoint(
	struct push_subscription *push, const struct registration *registration) {
	(void)registration;
	if (push->ended || !push->is_begun) {
		return;
	}
	if (!push->is_refused) {
		alarm_stop(&push->again);
	}
	push_proceed(push);
	push_changed(push);
}

void push_subscription_on_dismissed(struct push_subscription *push) {
	if (push->ended || !push->is_begun) {
		return;
	}
	push_retire(push, &push->current);
	push_retire(push, &push->next);
	push_fail(push, RETRY_UNREACHABLE, 0, "the push URL is gone; asking for another");
}

static void push_keep_early(
	struct push_subscription *push, const char *subscription_id, const char *code) {
	if (push->early_count < PUSH_EARLY_MAX) {
		push->early[push->early_count++] =
			(struct push_early){mem_strdup(subscription_id), mem_strdup(code)};
		push->round_trip_ms = clock_mono_ms() - push->created_mono_ms;
	}
}

/* Of a server that ignores the keys, or of anybody: it is not heeded, but an encrypted one is not
 * waited for long. */
static void push_on_plain_code(struct push_subscription *push, const char *subscription_id) {
	bool is_for_next = push->next.id && strcmp(push->next.id, subscription_id) == 0;
	if (!push->has_plain_code) {
		log_warn("a verification that is not encrypted is ignored login=%s", push_name(push));
	}
	if (push->is_creating || (is_for_next && !push->has_plain_code)) {
		push->has_plain_code = true;
		push_watch(push);
	}
}

void push_subscription_on_verification(struct push_subscription *push, const char *subscription_id,
	const char *code, bool was_encrypted) {
	if (!was_encrypted && push->form != PUSH_KEYS_NONE) {
		push_on_plain_code(push, subscription_id);
		return;
	}
	if (push->is_creating) {
		push_keep_early(push, subscription_id, code);
		return;
	}
	bool is_for_next = push->next.id && strcmp(push->next.id, subscription_id) == 0;
	if (!is_for_next || push->next.code) {
		log_debug("jmap", "a verification is of no use login=%s", push_name(push));
		return;
	}
	push->next.code = mem_strdup(code);
	push->next.is_given_up = false;
	push->round_trip_ms = clock_mono_ms() - push->created_mono_ms;
	alarm_stop(&push->again);
	push_proceed(push);
	push_changed(push);
}

bool push_subscription_has_no_keys(const struct push_subscription *push) {
	return push->form == PUSH_KEYS_NONE;
}

void push_subscription_on_push(struct push_subscription *push, bool is_readable) {
	int64_t now_ms = clock_mono_ms();
	if (is_readable) {
		push->unreadable = 0;
		return;
	}
	push->unreadable_mono_ms = push->unreadable++ == 0 ? now_ms : push->unreadable_mono_ms;
	if (push->unreadable < PUSH_UNREADABLE_MAX || !push->current.id ||
		now_ms - push->unreadable_mono_ms < PUSH_UNREADABLE_MS) {
		return;
	}
	log_warn("pushes of the mail server cannot be read, subscribing anew login=%s count=%u",
		push_name(push), push->unreadable);
	push->unreadable = 0;
	push_subscription_renew(push);
}

void push_subscription_renew(struct push_subscription *push) {
	if (push->ended) {
		return;
	}
	push->wants_other = true;
	push->next.is_given_up = push->next.id && !push->next.code;
	push_subscription_check(push);
}

/* ---- as a whole ---- */

static void push_load(struct push_subscription *push, const json_t *saved) {
	struct slice form;
	size_t i;
	const json_t *each;
	push_sub_load(&push->current, json_object_get(saved, "current"));
	push_sub_load(&push->next, json_object_get(saved, "next"));
	json_array_foreach(json_object_get(saved, "old"), i, each) {
		if (json_is_string(each)) {
			push_note_old(push, json_string_value(each));
		}
	}
	if (json_get_string(saved, "keys", &form) == JSON_PRESENT) {
		for (int at = 0; at < PUSH_KEYS_FORM_COUNT; at++) {
			if (slice_equals(form, push_keys_form_name((enum push_keys_form)at))) {
				push->form = (enum push_keys_form)at;
			}
		}
	}
}

static char **push_mail_types(const struct jmap_config *config) {
	size_t count = 0, of_mail = 0;
	while (config->types[count]) {
		count++;
	}
	char **types = mem_zalloc((count + 1) * sizeof *types);
	for (size_t i = 0; i < count; i++) {
		if (jmap_type_kind(config->types[i]) == JMAP_KIND_MAIL) {
			types[of_mail++] = config->types[i];
		}
	}
	return types;
}

struct push_subscription *push_subscription_create(
	const struct push_subscription_options *options, const json_t *saved) {
	struct push_subscription *push = mem_zalloc(sizeof *push);
	push->options = *options;
	push->options.state_dir = NULL;
	push->reason = mem_strdup("");
	push->round_trip_ms = -1;
	push->may_ask = push->is_relay_up = true;
	alarm_init(&push->again, options->alarms, push_on_again, push);
	alarm_init(&push->watch, options->alarms, push_on_watch, push);
	alarm_init(&push->renew, options->alarms, push_on_renew, push);
	push_device_init(&push->device, options->config, options->state_dir,
		json_string_value(json_object_get(saved, "device")));
	push->mail_types = push_mail_types(options->config);
	push_load(push, saved);
	if (push->next.id) {
		push_watch(push);
	}
	return push;
}

void push_subscription_destroy(struct push_subscription *push) {
	if (!push) {
		return;
	}
	jmap_client_cancel(push->options.client, push);
	push_stop_registering(push);
	alarm_stop(&push->again);
	alarm_stop(&push->watch);
	alarm_stop(&push->renew);
	push_sub_clear(&push->current);
	push_sub_clear(&push->next);
	push_early_clear(push);
	push_old_clear(push);
	free(push->mail_types);
	free(push->reason);
	free(push);
}

json_t *push_subscription_print(const struct push_subscription *push) {
	json_t *old = json_array();
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		if (push->old[i]) {
			(void)json_array_append_new(old, json_string(push->old[i]));
		}
	}
	/* the installation, when it had to be invented */
	return json_pack("{s:s*,s:s,s:o*,s:o*,s:o}", "device", push->device.invented, "keys",
		push_keys_form_name(push->form), "current", push_sub_print(&push->current), "next",
		push_sub_print(&push->next), "old", old);
}

void push_subscription_status(
	const struct push_subscription *push, struct push_subscription_status *out_status) {
	enum push_subscription_state state = push_look_at_itself(push);
	*out_status = (struct push_subscription_status){
		.state = state,
		.reason = push->reason,
		.verified_ms = push->current.verified_ms,
		.expires_ms = push->current.expires_ms,
		.round_trip_ms = push->round_trip_ms,
		.again_ms = alarm_left_ms(&push->again),
		.made = push->made,
		.is_refused = push->is_refused,
		.is_replacing = push->wants_other || push->next.id,
	};
	if (!out_status->reason[0] && state == PUSH_SUBSCRIPTION_UNVERIFIED) {
		out_status->reason = "waits for the mail server's verification";
	} else if (!out_status->reason[0] && state == PUSH_SUBSCRIPTION_REGISTERING) {
		out_status->reason = "waits for a push URL of the relay";
	} else if (!out_status->reason[0] && state == PUSH_SUBSCRIPTION_CREATING) {
		out_status->reason = "asks the mail server";
	}
}
