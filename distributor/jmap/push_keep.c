/* SPDX-License-Identifier: Apache-2.0 */
/* A subscription that is there: looked at, renewed, cleaned up after. */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/jmap_date.h"
#include "distributor/jmap/push_internal.h"
#include <stdlib.h>
#include <string.h>

enum { PUSH_REPLACE_MIN_MS = 60 * 1000 }; /* between two whose life the server would not extend */

static void push_on_looked(const struct jmap_call_result *result, void *ctx);
static void push_on_swept(const struct jmap_call_result *result, void *ctx);
static void push_on_extended(const struct jmap_call_result *result, void *ctx);
static void push_on_types_set(const struct jmap_call_result *result, void *ctx);

/* ---- what is there ---- */

void push_look(struct push_subscription *push) {
	push_send_one(push, "PushSubscription/get", push_get_arguments(), push_on_looked);
}

/* One of ours, or one that was. */
static void push_take_listed(struct push_subscription *push, const struct push_listed *listed) {
	struct push_sub *sub = NULL;
	if (push->current.id && strcmp(push->current.id, listed->id) == 0) {
		sub = &push->current;
	} else if (push->next.id && strcmp(push->next.id, listed->id) == 0) {
		sub = &push->next;
	} else if (strcmp(listed->device, push->device.client_id) == 0) {
		push_note_old(push, listed->id);
		return;
	} else {
		return;
	}
	if (listed->has_expires && listed->expires_ms != sub->expires_ms) {
		push_sub_set_life(sub, listed->expires_ms);
	}
	if (listed->types && !push_types_are(listed->types, push_types(push))) {
		push->wants_types = true;
	}
}

static bool push_is_listed(const struct push_listed *listed, size_t count, const char *id) {
	for (size_t i = 0; i < count; i++) {
		if (strcmp(listed[i].id, id) == 0) {
			return true;
		}
	}
	return false;
}

static void push_drop_missing(
	struct push_subscription *push, const struct push_listed *listed, size_t count) {
	if (push->current.id && !push_is_listed(listed, count, push->current.id)) {
		log_warn("the mail server has forgotten our push subscription, making another login=%s",
			push_name(push));
		push_sub_clear(&push->current);
	}
	if (push->next.id && !push_is_listed(listed, count, push->next.id)) {
		push_sub_clear(&push->next);
		alarm_stop(&push->watch);
	}
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		if (push->old[i] && !push_is_listed(listed, count, push->old[i])) {
			free(steal(&push->old[i]));
		}
	}
}

/* The server keeps to its time: another one, which has all of it. */
static void push_replace_soon(struct push_subscription *push) {
	push->wants_other = true;
	int64_t left_ms = push->current.expires_ms - clock_wall_ms();
	push->current.renew_ms =
		clock_wall_ms() + (left_ms > PUSH_REPLACE_MIN_MS ? left_ms / 2 : PUSH_REPLACE_MIN_MS);
}

static void push_judge_renewal(struct push_subscription *push, int64_t before_ms) {
	if (push->current.expires_ms > 0 && push->current.expires_ms <= before_ms) {
		push_replace_soon(push);
	}
}

static void push_on_looked(const struct jmap_call_result *result, void *ctx) {
	struct push_subscription *push = ctx;
	struct push_listed listed[PUSH_SET_LISTED_MAX];
	const char *error;
	if (push_has_failed(push, result)) {
		return;
	}
	const json_t *answer = jmap_call_answer(result, 0, &error);
	if (!answer && strcmp(error, "unknownMethod") == 0) {
		push->is_unsupported = true;
		push->wants_look = false;
		push_set_reason(push, "the mail server has no PushSubscription");
		push_changed(push);
		return;
	}
	if (!json_is_array(json_object_get(answer, "list"))) {
		push_fail_method(push, "PushSubscription/get", error);
		return;
	}
	push->is_unsupported = push->wants_look = push->wants_types = false;
	size_t count = push_get_read(answer, listed);
	for (size_t i = 0; i < count; i++) {
		push_take_listed(push, &listed[i]);
	}
	if (count < PUSH_SET_LISTED_MAX) { /* else ours may be behind the end */
		push_drop_missing(push, listed, count);
	}
	push_judge_renewal(push, push->unextended_ms);
	push->unextended_ms = 0;
	push_go_on(push);
}

/* ---- keeping it ---- */

void push_sweep(struct push_subscription *push) {
	const char *ids[PUSH_OLD_MAX];
	size_t count = push_old_list(push, ids);
	push_send_one(push, "PushSubscription/set", push_destroy_arguments(ids, count), push_on_swept);
}

static void push_on_swept(const struct jmap_call_result *result, void *ctx) {
	struct push_subscription *push = ctx;
	if (push_has_failed(push, result)) {
		return;
	}
	push_old_clear(push); /* what it refuses to destroy expires */
	push_go_on(push);
}

static void push_extend(struct push_subscription *push) {
	CLEANUP_FREE char *date = jmap_date_print(push_wanted_expires_ms());
	push_send_one(push, "PushSubscription/set",
		push_update_arguments(push->current.id, "expires", json_string(date)), push_on_extended);
}

static void push_on_extended(const struct jmap_call_result *result, void *ctx) {
	struct push_subscription *push = ctx;
	struct push_set_result extended;
	const char *error;
	int64_t before_ms = push->current.expires_ms;
	if (push_has_failed(push, result)) {
		return;
	}
	push_update_read(jmap_call_answer(result, 0, &error), push->current.id, &extended);
	if (extended.outcome == PUSH_SET_DONE) {
		int64_t wanted_ms = push_wanted_expires_ms();
		push_sub_set_life(&push->current, extended.has_expires ? extended.expires_ms : wanted_ms);
		push_judge_renewal(push, before_ms);
		if (!extended.has_expires) { /* "as you wished"; Stalwart says so of a time that it cuts */
			push->wants_look = true;
			push->unextended_ms = before_ms;
		}
	} else if (extended.outcome == PUSH_SET_NOT_FOUND) {
		log_warn("the mail server has forgotten our push subscription, making another login=%s",
			push_name(push));
		push_sub_clear(&push->current);
	} else if (extended.outcome == PUSH_SET_LATER) {
		push_fail_method(push, "PushSubscription/set", extended.type[0] ? extended.type : error);
		return;
	} else {
		push_replace_soon(push);
	}
	push_go_on(push);
}

static void push_set_types(struct push_subscription *push) {
	push_send_one(push, "PushSubscription/set",
		push_update_arguments(push->current.id, "types", push_types_json(push_types(push))),
		push_on_types_set);
}

static void push_on_types_set(const struct jmap_call_result *result, void *ctx) {
	struct push_subscription *push = ctx;
	struct push_set_result set;
	const char *error;
	if (push_has_failed(push, result)) {
		return;
	}
	push_update_read(jmap_call_answer(result, 0, &error), push->current.id, &set);
	push->wants_types = false;
	if (set.outcome != PUSH_SET_DONE && set.names_types && push_leave_types(push)) {
		push->wants_look = true; /* it may have those that are left already */
	} else {
		push->wants_other = push->wants_other || set.outcome != PUSH_SET_DONE;
	}
	push_go_on(push);
}

void push_plan_renewal(struct push_subscription *push) {
	int64_t left_ms = push->current.renew_ms - clock_wall_ms();
	if (push->current.renew_ms == 0) {
		alarm_stop(&push->renew);
		return;
	}
	left_ms = left_ms > PUSH_RENEW_MIN_MS ? left_ms : PUSH_RENEW_MIN_MS;
	alarm_set(&push->renew, left_ms,
		left_ms > ALARM_SLACK_CARE_MS * 10 ? ALARM_SLACK_CARE_MS : ALARM_SLACK_DEADLINE_MS);
}

bool push_keep(struct push_subscription *push) {
	const char *ids[PUSH_OLD_MAX];
	if (push->wants_types) {
		push_set_types(push);
	} else if (push->current.renew_ms > 0 && push->current.renew_ms <= clock_wall_ms()) {
		push_extend(push);
	} else if (!push->next.id && push_old_list(push, ids) > 0) {
		push_sweep(push);
	} else {
		return false;
	}
	return true;
}
