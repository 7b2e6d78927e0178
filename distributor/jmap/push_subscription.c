/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push_proceed looks at what is there and takes the next step; each step makes one call, whose end
 * leads back to push_proceed, or to push_fail, which waits first:
 *   push_look -> push_register -> push_create -> (the code comes) -> push_confirm -> push_sweep,
 *   and later push_extend.
 */
#include "distributor/jmap/push_subscription.h"
#include "common/backoff.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/jmap_date.h"
#include "distributor/jmap/push_device.h"
#include "distributor/jmap/push_set.h"
#include "distributor/link/retry.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	PUSH_OLD_MAX = 16,
	PUSH_EARLY_MAX = 4,
	PUSH_UNVERIFIED_BASE_MS = 60 * 1000,
	PUSH_UNVERIFIED_CAP_MS = 6 * 3600 * 1000,
	PUSH_REPLACE_MIN_MS = 60 * 1000, /* between two whose life the server would not extend */
	PUSH_RENEW_MIN_MS = 1000,
	PUSH_LOGIN_AGAIN_MS = 6 * 3600 * 1000, /* a password that was refused */
	PUSH_CLOCK_RENEW_MS = 12 * 3600 * 1000,
	PUSH_UNREADABLE_MAX = 3,
	PUSH_UNREADABLE_AGAIN_MS = 3600 * 1000,
};

/* One subscription at the server. */
struct push_sub {
	char *id; /* NULL: there is none */
	char *bound; /* to which endpoint and keys: push_bound_dup() */
	char *code; /* came, and is to be written back; NULL: none */
	int64_t created_ms, verified_ms, expires_ms, renew_ms; /* wall clock; 0: never */
	bool is_touched;
	bool is_given_up; /* its code is late: another one is made, unless it comes before that */
};

struct push_early {
	char *id, *code;
};

/* Survives the rest when that is destroyed before the answer. */
struct push_registering {
	struct push_subscription *push; /* NULL: nobody waits */
};

struct push_subscription {
	struct push_subscription_options options;
	struct push_device device;
	enum push_subscription_state state; /* as last told */
	char *reason;
	struct push_sub current; /* verified */
	struct push_sub next; /* in the making */
	char *old[PUSH_OLD_MAX]; /* to be destroyed, NULL: free place */
	struct push_early early[PUSH_EARLY_MAX]; /* came while the creation was on its way */
	size_t early_count;
	size_t creation; /* its position in the request */
	enum push_keys_form form;
	bool is_adapting; /* the next creation is the last one in another form */
	bool has_no_expires; /* the server refuses to be asked for a time */
	int64_t round_trip_ms, created_mono_ms; /* created: when the last creation was sent */
	uint32_t made;

	bool is_begun, is_online, is_relay_up;
	bool is_calling, is_creating, is_unsupported, is_refused;
	bool wants_look, wants_other, wants_types;
	bool has_made_room; /* and was refused all the same */
	bool has_plain_code; /* a verification came that was not encrypted */
	struct alarm again; /* set: nothing is asked before */
	struct alarm watch; /* the unverified one is touched, then given up */
	struct alarm renew;
	struct retry retry;
	struct backoff unverified;
	uint32_t unreadable;
	int64_t unreadable_mono_ms;
	struct push_registering *registering;
	push_subscription_ended_fn *ended;
	void *ended_ctx;
};

static void push_proceed(struct push_subscription *push);
static void push_look(struct push_subscription *push);
static void push_on_looked(const struct jmap_call_result *result, void *ctx);
static void push_register(struct push_subscription *push);
static void push_on_registered(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx);
static void push_create(struct push_subscription *push, const struct registration *registration);
static void push_on_created(const struct jmap_call_result *result, void *ctx);
static void push_touch(struct push_subscription *push);
static void push_on_touched(const struct jmap_call_result *result, void *ctx);
static void push_confirm(struct push_subscription *push);
static void push_on_confirmed(const struct jmap_call_result *result, void *ctx);
static void push_sweep(struct push_subscription *push);
static void push_on_swept(const struct jmap_call_result *result, void *ctx);
static void push_extend(struct push_subscription *push);
static void push_on_extended(const struct jmap_call_result *result, void *ctx);
static void push_set_types(struct push_subscription *push);
static void push_on_types_set(const struct jmap_call_result *result, void *ctx);
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

static const char *push_name(const struct push_subscription *push) {
	return push->options.config->name;
}

static const struct registration *push_registration(const struct push_subscription *push) {
	return registrations_find(
		push->options.registrations, REGISTRATION_MAIL, slice_of(push_name(push)));
}

/* ---- its parts ---- */

static void push_sub_clear(struct push_sub *sub) {
	free(sub->id);
	free(sub->bound);
	free(sub->code);
	*sub = (struct push_sub){.id = NULL};
}

static void push_early_clear(struct push_subscription *push) {
	while (push->early_count > 0) {
		struct push_early *early = &push->early[--push->early_count];
		free(early->id);
		free(early->code);
	}
}

static void push_note_old(struct push_subscription *push, const char *id) {
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		if (push->old[i] && strcmp(push->old[i], id) == 0) {
			return;
		}
	}
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		if (!push->old[i]) { /* what does not fit is found again by its deviceClientId */
			push->old[i] = mem_strdup(id);
			return;
		}
	}
}

static void push_retire(struct push_subscription *push, struct push_sub *sub) {
	if (sub->id) {
		push_note_old(push, sub->id);
	}
	push_sub_clear(sub);
}

static size_t push_old_list(
	const struct push_subscription *push, const char *out_ids[PUSH_OLD_MAX]) {
	size_t count = 0;
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		if (push->old[i]) {
			out_ids[count++] = push->old[i];
		}
	}
	return count;
}

static void push_old_clear(struct push_subscription *push) {
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		free(steal(&push->old[i]));
	}
}

static int64_t push_random(int64_t low, int64_t high) {
	uint64_t random = 0;
	ssize_t got = getrandom(&random, sizeof random, 0);
	assert(got == (ssize_t)sizeof random && high >= low);
	return low + (int64_t)(random % (uint64_t)(high - low + 1));
}

/* Takes over what the server just made of `expires`; it is renewed at 60 to 75 % of the time. One
 * that is over already is another clock's. */
static void push_sub_set_life(struct push_sub *sub, int64_t expires_ms) {
	int64_t now_ms = clock_wall_ms(), life_ms = expires_ms - now_ms;
	bool is_clock_wrong = expires_ms > 0 && life_ms <= 0;
	sub->expires_ms = is_clock_wrong ? 0 : expires_ms;
	if (is_clock_wrong) {
		log_warn("the mail server's clock and ours differ by more than a push subscription lasts");
		sub->renew_ms = now_ms + PUSH_CLOCK_RENEW_MS;
	} else if (expires_ms > 0) {
		int64_t after_ms = push_random(life_ms * 60 / 100, life_ms * 75 / 100);
		sub->renew_ms = now_ms + (after_ms > PUSH_RENEW_MIN_MS ? after_ms : PUSH_RENEW_MIN_MS);
	} else {
		sub->renew_ms = 0;
	}
}

/* ---- the state, as others see it ---- */

static bool push_has_expired(const struct push_sub *sub) {
	return sub->expires_ms > 0 && sub->expires_ms <= clock_wall_ms();
}

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
	if (alarm_is_set(&push->again) || !push->is_online) {
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

static void push_changed(struct push_subscription *push) {
	enum push_subscription_state state = push_look_at_itself(push);
	if (state != push->state) {
		log_debug("jmap", "push subscription login=%s %s -> %s", push_name(push),
			push_subscription_state_name(push->state), push_subscription_state_name(state));
		push->state = state;
	}
	push->options.changed(state, push->options.ctx);
}

static void push_set_reason(struct push_subscription *push, const char *reason) {
	if (push->reason != reason) {
		free(push->reason);
		push->reason = mem_strdup(reason);
	}
}

/* Waits, then goes on; the user reads why. */
static void push_wait(struct push_subscription *push, int64_t delay_ms, const char *reason) {
	if (strcmp(push->reason, reason) != 0) {
		log_warn("push subscription waits login=%s reason=\"%s\" next_s=%lld", push_name(push),
			reason, (long long)(delay_ms / 1000));
	}
	push_set_reason(push, reason);
	alarm_set(&push->again, delay_ms, ALARM_SLACK_DEADLINE_MS);
	push_changed(push);
}

static void push_fail(
	struct push_subscription *push, enum retry_class class, int64_t told_sec, const char *reason) {
	push->is_refused = class == RETRY_REFUSED;
	push_wait(push, retry_next_ms(&push->retry, class, told_sec), reason);
}

/* A step that is done; what went wrong before is forgotten. */
static void push_go_on(struct push_subscription *push) {
	retry_reset(&push->retry);
	push->is_refused = false;
	push_set_reason(push, "");
	push_proceed(push);
	push_changed(push);
}

/* ---- calls ---- */

static void push_send(
	struct push_subscription *push, struct jmap_call *take_call, jmap_called_fn *done) {
	assert(!push->is_calling);
	push->is_calling = true;
	jmap_client_send(push->options.client, take_call, done, push);
	push_changed(push);
}

static void push_send_one(struct push_subscription *push, const char *method,
	json_t *take_arguments, jmap_called_fn *done) {
	struct jmap_call *call = jmap_call_create();
	(void)jmap_call_add(call, method, take_arguments);
	push_send(push, call, done);
}

/* The request as a whole failed: true when the failure has been dealt with. */
static bool push_has_failed(struct push_subscription *push, const struct jmap_call_result *result) {
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

/* The one method of a request failed. */
static void push_fail_method(struct push_subscription *push, const char *method, const char *type) {
	CLEANUP_FREE char *reason =
		mem_printf("the mail server answers %s with %s", method, type[0] ? type : "something else");
	push_fail(push, push_error_outcome(type) == PUSH_SET_LATER ? RETRY_UNREACHABLE : RETRY_REFUSED,
		0, reason);
}

/* ---- what is there ---- */

static void push_look(struct push_subscription *push) {
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
	if (listed->types && !push_types_are(listed->types, push->options.config->types)) {
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
	push_go_on(push);
}

/* ---- the endpoint ---- */

static bool push_key_fits(
	const struct push_subscription *push, const struct registration *registration) {
	const struct jmap_session *session = jmap_client_session(push->options.client);
	const char *wanted = session ? session->vapid_key : registration->vapid_key;
	const char *has = registration->vapid_key;
	return wanted && has ? strcmp(wanted, has) == 0 : !wanted && !has;
}

/* Forgets whom it waits for; the answer frees it. */
static void push_stop_registering(struct push_subscription *push) {
	if (push->registering) {
		push->registering->push = NULL;
		push->registering = NULL;
	}
}

/* A key that is gone or another one makes the old endpoint useless: the server may not use it. */
static void push_drop_endpoint(struct push_subscription *push) {
	log_info("the mail server signs with another key now, so it gets another push URL login=%s",
		push_name(push));
	push_retire(push, &push->current);
	push_retire(push, &push->next);
	alarm_stop(&push->watch);
	alarm_stop(&push->renew);
	/* we are not told of it: see push_subscription_on_dismissed() */
	(void)registrations_unregister(
		push->options.registrations, REGISTRATION_MAIL, slice_of(push_name(push)), true);
}

static void push_register(struct push_subscription *push) {
	const struct registration *registration = push_registration(push);
	const struct jmap_session *session = jmap_client_session(push->options.client);
	if (registration && !push_key_fits(push, registration)) {
		push_drop_endpoint(push);
	}
	push->registering = mem_zalloc(sizeof *push->registering);
	push->registering->push = push;
	const struct register_request request = {
		.kind = REGISTRATION_MAIL,
		.token = slice_of(push_name(push)),
		.service = slice_of(push_name(push)),
		.vapid_key = slice_of(session ? session->vapid_key : NULL),
	};
	registrations_register(
		push->options.registrations, &request, push_on_registered, push->registering);
	push_changed(push);
}

static void push_on_registered(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx) {
	struct push_registering *registering = ctx;
	struct push_subscription *push = registering->push;
	(void)registration;
	free(registering);
	if (!push) {
		return;
	}
	push->registering = NULL;
	if (outcome == REGISTER_OK) {
		push_go_on(push);
		return;
	}
	CLEANUP_FREE char *reason = mem_printf("there is no push URL for it: %s", detail);
	push_fail(push, RETRY_UNREACHABLE, 0, reason);
}

/* ---- a new one ---- */

static int64_t push_wanted_expires_ms(void) {
	/* whole seconds, as it is printed */
	return (clock_wall_ms() / 1000 + (int64_t)PUSH_SUBSCRIPTION_DAYS * 24 * 3600) * 1000;
}

static void push_create(struct push_subscription *push, const struct registration *registration) {
	const char *ids[PUSH_OLD_MAX];
	size_t count = push_old_list(push, ids);
	struct jmap_call *call = jmap_call_create();
	if (push->form == PUSH_KEYS_NONE && !push->is_adapting) { /* it may have learned to encrypt */
		push->form = PUSH_KEYS_PADDED;
	}
	push->is_adapting = false;
	const struct push_wish wish = {
		.device = push->device.client_id,
		.registration = registration,
		.form = push->form,
		.expires_ms = push->has_no_expires ? 0 : push_wanted_expires_ms(),
		.types = push->options.config->types,
	};
	push_sub_clear(&push->next);
	if (count > 0) { /* first, for the server may have no room beside them */
		(void)jmap_call_add(call, "PushSubscription/set", push_destroy_arguments(ids, count));
	}
	push->creation = jmap_call_add(call, "PushSubscription/set", push_create_arguments(&wish));
	push_early_clear(push);
	push->next.bound = push_bound_dup(registration);
	push->next.expires_ms = wish.expires_ms;
	push->created_mono_ms = clock_mono_ms();
	push->is_creating = true;
	push->has_plain_code = false;
	push_send(push, call, push_on_created);
}

/* The server will have it in another way that we know. */
static bool push_adapt(struct push_subscription *push, const struct push_set_result *result) {
	if (result->names_keys && push->form + 1 < PUSH_KEYS_FORM_COUNT) {
		push->form++;
		push->is_adapting = true;
		log_info("the mail server refuses the keys of the push subscription login=%s next=%s",
			push_name(push), push_keys_form_name(push->form));
		return true;
	}
	if (result->names_expires && !push->has_no_expires) {
		push->has_no_expires = true;
		return true;
	}
	return false;
}

/* Something of ours that may go so that a new one has a place. */
static bool push_make_room(struct push_subscription *push) {
	if (push->has_made_room || !push->current.id) {
		return false;
	}
	push->has_made_room = true;
	push_retire(push, &push->current);
	return true;
}

static void push_refuse_creation(
	struct push_subscription *push, const struct push_set_result *result) {
	static const char *const advices[] = {
		[PUSH_SET_NO_ROOM] = "; remove one of another device, or wait until one expires",
		[PUSH_SET_REFUSED] = "",
		[PUSH_SET_LATER] = "",
		[PUSH_SET_NOT_FOUND] = "",
		[PUSH_SET_DONE] = "",
	};
	const char *what = result->names_url ? "the relay's push URL" : "another push subscription";
	CLEANUP_FREE char *reason = mem_printf("the mail server refuses %s (%.60s%s%.200s)%s", what,
		result->type[0] ? result->type : "no answer", result->description[0] ? ": " : "",
		result->description, result->names_url ? "" : advices[result->outcome]);
	push_fail(
		push, result->outcome == PUSH_SET_LATER ? RETRY_UNREACHABLE : RETRY_REFUSED, 0, reason);
}

static void push_take_early(struct push_subscription *push) {
	for (size_t i = 0; i < push->early_count; i++) {
		if (strcmp(push->early[i].id, push->next.id) == 0) {
			free(push->next.code);
			push->next.code = mem_strdup(push->early[i].code);
		}
	}
	push_early_clear(push);
}

static void push_watch(struct push_subscription *push) {
	alarm_set(&push->watch, PUSH_SUBSCRIPTION_TOUCH_MS, ALARM_SLACK_DEADLINE_MS);
}

static void push_on_created(const struct jmap_call_result *result, void *ctx) {
	struct push_subscription *push = ctx;
	struct push_set_result made;
	const char *error = "", *destroy_error;
	push->is_creating = false;
	const json_t *answer = jmap_call_answer(result, push->creation, &error);
	push_create_read(answer, &made);
	if (made.outcome == PUSH_SET_DONE) { /* even when we end: then it is to be destroyed */
		push->next.id = mem_strdup(made.id);
		push->next.created_ms = clock_wall_ms();
		push_sub_set_life(&push->next, made.has_expires ? made.expires_ms : push->next.expires_ms);
		if (push->creation > 0 && jmap_call_answer(result, 0, &destroy_error)) {
			push_old_clear(push);
		}
	} else {
		push_sub_clear(&push->next);
	}
	if (push_has_failed(push, result)) {
		return;
	}
	if (made.outcome == PUSH_SET_DONE) {
		push->wants_other = false;
		push_take_early(push);
		push_watch(push);
		push_go_on(push);
	} else if (!answer && strcmp(error, "unknownMethod") != 0) {
		push_fail_method(push, "PushSubscription/set", error);
	} else if (push_adapt(push, &made) || ((made.outcome == PUSH_SET_NO_ROOM ||
											   made.names_device) && /* it takes one of each */
											  push_make_room(push))) {
		push_go_on(push);
	} else {
		push_refuse_creation(push, &made);
	}
}

/* ---- its verification ---- */

static void push_touch(struct push_subscription *push) {
	CLEANUP_FREE char *date = jmap_date_print(push_wanted_expires_ms());
	push->next.is_touched = true;
	push_send_one(push, "PushSubscription/set",
		push_update_arguments(push->next.id, "expires", json_string(date)), push_on_touched);
}

static void push_on_touched(const struct jmap_call_result *result, void *ctx) {
	struct push_subscription *push = ctx;
	struct push_set_result touched;
	const char *error;
	if (push_has_failed(push, result)) {
		return;
	}
	push_update_read(jmap_call_answer(result, 0, &error), push->next.id, &touched);
	if (touched.outcome == PUSH_SET_DONE && touched.has_expires) {
		push_sub_set_life(&push->next, touched.expires_ms);
	} else if (touched.outcome == PUSH_SET_NOT_FOUND) {
		push_sub_clear(&push->next);
	} /* else there was no use in it; the watch goes on */
	push_go_on(push);
}

static void push_give_up(struct push_subscription *push) {
	const char *reason =
		push->has_plain_code
			? "the mail server sends its verification unencrypted although it has our keys, so it "
			  "is not trusted"
			: "the mail server's verification never came; can it reach the relay's push URL?";
	push->next.is_given_up = true;
	push_wait(push, backoff_next_ms(&push->unverified), reason);
}

static void push_on_watch(struct alarm *alarm, void *ctx) {
	struct push_subscription *push = ctx;
	if (!push->next.id || push->next.code || push->next.is_given_up) {
		return;
	}
	if (!push->is_relay_up || !push->is_online) { /* it may lie at the relay */
		push_watch(push);
	} else if (!push->next.is_touched) {
		alarm_set(alarm, PUSH_SUBSCRIPTION_GIVE_UP_MS - PUSH_SUBSCRIPTION_TOUCH_MS,
			ALARM_SLACK_DEADLINE_MS);
		if (!push->is_calling && !push->ended) {
			push_touch(push);
		}
	} else if (!push->is_calling && !push->ended) {
		push_give_up(push);
	} else {
		push_watch(push);
	}
}

static void push_confirm(struct push_subscription *push) {
	push_send_one(push, "PushSubscription/set",
		push_update_arguments(push->next.id, "verificationCode", json_string(push->next.code)),
		push_on_confirmed);
}

static void push_become_current(struct push_subscription *push) {
	push_retire(push, &push->current);
	push->current = push->next;
	push->next = (struct push_sub){.id = NULL};
	free(steal(&push->current.code));
	push->current.verified_ms = clock_wall_ms();
	push->made++;
	push->has_made_room = false;
	push->unreadable = 0;
	alarm_stop(&push->watch);
	backoff_reset(&push->unverified);
	log_info("push subscription verified login=%s ms=%lld days=%lld", push_name(push),
		(long long)push->round_trip_ms,
		(long long)(push->current.expires_ms > 0
						? (push->current.expires_ms - clock_wall_ms()) / (24 * 3600 * 1000)
						: -1));
}

static void push_on_confirmed(const struct jmap_call_result *result, void *ctx) {
	struct push_subscription *push = ctx;
	struct push_set_result confirmed;
	const char *error;
	if (push_has_failed(push, result)) {
		return;
	}
	push_update_read(jmap_call_answer(result, 0, &error), push->next.id, &confirmed);
	switch (confirmed.outcome) {
	case PUSH_SET_DONE:
		if (confirmed.has_expires) {
			push_sub_set_life(&push->next, confirmed.expires_ms);
		}
		push_become_current(push);
		push_go_on(push);
		break;
	case PUSH_SET_LATER:
		push_fail_method(push, "PushSubscription/set", confirmed.type[0] ? confirmed.type : error);
		break;
	case PUSH_SET_NOT_FOUND:
		push_sub_clear(&push->next);
		push_wait(push, backoff_next_ms(&push->unverified),
			"the mail server had forgotten the push subscription when it was to be verified");
		break;
	case PUSH_SET_NO_ROOM:
	case PUSH_SET_REFUSED:
		log_warn("the mail server refuses the code that was pushed login=%s error=%.60s",
			push_name(push), confirmed.type);
		free(steal(&push->next.code)); /* the right one may still come */
		if (!alarm_is_set(&push->watch)) {
			push_watch(push);
		}
		push_go_on(push);
		break;
	}
}

/* ---- keeping it ---- */

static void push_sweep(struct push_subscription *push) {
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

/* The server keeps to its time: another one, which has all of it. */
static void push_replace_soon(struct push_subscription *push) {
	push->wants_other = true;
	int64_t left_ms = push->current.expires_ms - clock_wall_ms();
	push->current.renew_ms =
		clock_wall_ms() + (left_ms > PUSH_REPLACE_MIN_MS ? left_ms / 2 : PUSH_REPLACE_MIN_MS);
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
		if (push->current.expires_ms > 0 && push->current.expires_ms <= before_ms) {
			push_replace_soon(push);
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
		push_update_arguments(
			push->current.id, "types", push_types_json(push->options.config->types)),
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
	push->wants_other = push->wants_other || set.outcome != PUSH_SET_DONE;
	push_go_on(push);
}

static void push_plan_renewal(struct push_subscription *push) {
	int64_t left_ms = push->current.renew_ms - clock_wall_ms();
	if (push->current.renew_ms == 0) {
		alarm_stop(&push->renew);
		return;
	}
	left_ms = left_ms > PUSH_RENEW_MIN_MS ? left_ms : PUSH_RENEW_MIN_MS;
	alarm_set(&push->renew, left_ms,
		left_ms > ALARM_SLACK_CARE_MS * 10 ? ALARM_SLACK_CARE_MS : ALARM_SLACK_DEADLINE_MS);
}

static bool push_fits(const struct push_sub *sub, const struct registration *registration) {
	CLEANUP_FREE char *bound = push_bound_dup(registration);
	return sub->id && sub->bound && strcmp(sub->bound, bound) == 0;
}

/* What a verified one needs; false: nothing now. */
static bool push_keep(struct push_subscription *push) {
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

static void push_proceed(struct push_subscription *push) {
	if (!push->is_begun || push->is_calling || push->registering || !push->is_online ||
		alarm_is_set(&push->again) || push->ended || (push->is_unsupported && !push->wants_look)) {
		return;
	}
	if (push_has_expired(&push->current)) {
		push_retire(push, &push->current);
	}
	const struct registration *registration = push_registration(push);
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
	if (count == 0 || !push->is_online) {
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
	struct push_subscription *push, push_subscription_ended_fn *done, void *ctx) {
	assert(!push->ended);
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
	struct push_subscription *push, bool is_online, bool is_relay_up) {
	bool is_better = (is_online && !push->is_online) || (is_relay_up && !push->is_relay_up);
	bool is_same = is_online == push->is_online && is_relay_up == push->is_relay_up;
	push->is_online = is_online;
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

void push_subscription_on_verification(struct push_subscription *push, const char *subscription_id,
	const char *code, bool was_encrypted) {
	if (!was_encrypted && push->form != PUSH_KEYS_NONE) {
		if (!push->has_plain_code) {
			log_warn("a verification that is not encrypted is ignored login=%s", push_name(push));
		}
		push->has_plain_code = true;
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

void push_subscription_on_push(struct push_subscription *push, bool is_readable) {
	int64_t now_ms = clock_mono_ms();
	push->unreadable = is_readable ? 0 : push->unreadable + 1;
	if (push->unreadable < PUSH_UNREADABLE_MAX || !push->current.id ||
		(push->unreadable_mono_ms > 0 &&
			now_ms - push->unreadable_mono_ms < PUSH_UNREADABLE_AGAIN_MS)) {
		return;
	}
	log_warn("pushes of the mail server cannot be read, subscribing anew login=%s count=%u",
		push_name(push), push->unreadable);
	push->unreadable_mono_ms = now_ms;
	push_subscription_renew(push);
}

void push_subscription_renew(struct push_subscription *push) {
	if (push->ended) {
		return;
	}
	push->wants_other = true;
	push_subscription_check(push);
}

/* ---- as a whole ---- */

static void push_sub_load(struct push_sub *sub, const json_t *json) {
	struct slice id, bound, code;
	if (json_get_string(json, "id", &id) != JSON_PRESENT || id.len == 0 ||
		json_get_string(json, "bound", &bound) != JSON_PRESENT) {
		return;
	}
	sub->id = mem_strndup(id.data, id.len);
	sub->bound = mem_strndup(bound.data, bound.len);
	if (json_get_string(json, "code", &code) == JSON_PRESENT) {
		sub->code = mem_strndup(code.data, code.len);
	}
	/* absent ones stay 0 */
	(void)json_get_integer(json, "created_ms", &sub->created_ms);
	(void)json_get_integer(json, "verified_ms", &sub->verified_ms);
	(void)json_get_integer(json, "expires_ms", &sub->expires_ms);
	(void)json_get_integer(json, "renew_ms", &sub->renew_ms);
	(void)json_get_bool(json, "touched", &sub->is_touched);
}

static json_t *push_sub_print(const struct push_sub *sub) {
	return sub->id
			   ? json_pack("{s:s,s:s,s:s*,s:I,s:I,s:I,s:I,s:b}", "id", sub->id, "bound", sub->bound,
					 "code", sub->code, "created_ms", (json_int_t)sub->created_ms, "verified_ms",
					 (json_int_t)sub->verified_ms, "expires_ms", (json_int_t)sub->expires_ms,
					 "renew_ms", (json_int_t)sub->renew_ms, "touched", (int)sub->is_touched)
			   : NULL;
}

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

struct push_subscription *push_subscription_create(
	const struct push_subscription_options *options, const json_t *saved) {
	struct push_subscription *push = mem_zalloc(sizeof *push);
	push->options = *options;
	push->options.state_dir = NULL;
	push->reason = mem_strdup("");
	push->round_trip_ms = -1;
	push->is_online = push->is_relay_up = true;
	backoff_init(&push->unverified, PUSH_UNVERIFIED_BASE_MS, PUSH_UNVERIFIED_CAP_MS);
	alarm_init(&push->again, options->alarms, push_on_again, push);
	alarm_init(&push->watch, options->alarms, push_on_watch, push);
	alarm_init(&push->renew, options->alarms, push_on_renew, push);
	push_device_init(&push->device, options->config, options->state_dir,
		json_string_value(json_object_get(saved, "device")));
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
	if (!push->is_online && state == PUSH_SUBSCRIPTION_WAITING) {
		out_status->reason = "there is no network";
	} else if (!out_status->reason[0] && state == PUSH_SUBSCRIPTION_UNVERIFIED) {
		out_status->reason = "waits for the mail server's verification";
	} else if (!out_status->reason[0] && state == PUSH_SUBSCRIPTION_REGISTERING) {
		out_status->reason = "waits for a push URL of the relay";
	} else if (!out_status->reason[0] && state == PUSH_SUBSCRIPTION_CREATING) {
		out_status->reason = "asks the mail server";
	}
}
