/* SPDX-License-Identifier: Apache-2.0 */
/* A new subscription: its endpoint, its creation in a form that the server takes, its verification.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include "distributor/jmap/jmap_date.h"
#include "distributor/jmap/push_internal.h"
#include <stdlib.h>
#include <string.h>

enum {
	PUSH_UNVERIFIED_BASE_MS = 3 * 60 * 1000,
	PUSH_UNVERIFIED_CAP_MS = 6 * 3600 * 1000,
	PUSH_PLAIN_PATIENCE_MS = 3000, /* for an encrypted one beside it */
};

/* Survives the rest when that is destroyed before the answer. */
struct push_registering {
	struct push_subscription *push; /* NULL: nobody waits */
};

static void push_on_registered(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx);
static void push_on_created(const struct jmap_call_result *result, void *ctx);
static void push_on_touched(const struct jmap_call_result *result, void *ctx);
static void push_on_confirmed(const struct jmap_call_result *result, void *ctx);

/* ---- the endpoint ---- */

bool push_key_fits(const struct push_subscription *push, const struct registration *registration) {
	const struct jmap_session *session = jmap_client_session(push->options.client);
	const char *wanted = session ? session->vapid_key : registration->vapid_key;
	const char *has = registration->vapid_key;
	return wanted && has ? strcmp(wanted, has) == 0 : !wanted && !has;
}

/* Forgets whom it waits for; the answer frees it. */
void push_stop_registering(struct push_subscription *push) {
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

void push_register(struct push_subscription *push) {
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

/* Of a clock that stands before this program was written, nothing can be asked. */
static bool push_has_clock(void) {
	static const int64_t written_ms = 1767225600000; /* 2026-01-01 */
	return clock_wall_ms() >= written_ms;
}

int64_t push_wanted_expires_ms(void) {
	/* whole seconds, as it is printed */
	return (clock_wall_ms() / 1000 + (int64_t)PUSH_SUBSCRIPTION_DAYS * 24 * 3600) * 1000;
}

char *const *push_types(const struct push_subscription *push) {
	return push->has_mail_only ? push->mail_types : push->options.config->types;
}

bool push_leave_types(struct push_subscription *push) {
	size_t all = 0, of_mail = 0;
	while (push->options.config->types[all]) {
		all++;
	}
	while (push->mail_types[of_mail]) {
		of_mail++;
	}
	if (push->has_mail_only || of_mail == 0 || of_mail == all) {
		return false;
	}
	push->has_mail_only = true;
	log_warn("the mail server refuses types of the push subscription, so it pushes for mail only "
			 "login=%s",
		push_name(push));
	return true;
}

void push_create(struct push_subscription *push, const struct registration *registration) {
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
		.expires_ms = push->has_no_expires || !push_has_clock() ? 0 : push_wanted_expires_ms(),
		.types = push_types(push),
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
	return result->names_types && push_leave_types(push);
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
	CLEANUP_FREE char *type = sanitize_dup(slice_of(result->type), 60, SANITIZE_ONE_LINE);
	CLEANUP_FREE char *words = sanitize_dup(slice_of(result->description), 200, SANITIZE_ONE_LINE);
	CLEANUP_FREE char *reason =
		mem_printf("the mail server refuses %s (%s%s%s)%s", what, type[0] ? type : "no answer",
			words[0] ? ": " : "", words, result->names_url ? "" : advices[result->outcome]);
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

void push_watch(struct push_subscription *push) {
	alarm_set(&push->watch,
		push->has_plain_code ? PUSH_PLAIN_PATIENCE_MS : PUSH_SUBSCRIPTION_TOUCH_MS,
		ALARM_SLACK_DEADLINE_MS);
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
	/* it may have been made all the same: then it is found by its deviceClientId */
	push->wants_look = push->wants_look || result->outcome == JMAP_CALL_TRY_LATER;
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

/* Twice as long each time: servers limit how many are made. */
static int64_t push_patience_ms(struct push_subscription *push) {
	int64_t delay_ms = PUSH_UNVERIFIED_BASE_MS << (push->unverified < 10 ? push->unverified : 10);
	push->unverified++;
	delay_ms = delay_ms < PUSH_UNVERIFIED_CAP_MS ? delay_ms : PUSH_UNVERIFIED_CAP_MS;
	return push_random(delay_ms - delay_ms / 10, delay_ms);
}

static void push_give_up(struct push_subscription *push) {
	push->next.is_given_up = true;
	if (push->has_plain_code) {
		push_fail(push, RETRY_REFUSED, 0,
			"the mail server sends its verification unencrypted although it has our keys, so it is "
			"not trusted");
	} else {
		push_wait(push, push_patience_ms(push),
			"the mail server's verification never came; can it reach the relay's push URL?");
	}
}

void push_on_watch(struct alarm *alarm, void *ctx) {
	struct push_subscription *push = ctx;
	if (!push->next.id || push->next.code || push->next.is_given_up) {
		return;
	}
	if (!push->is_relay_up || !push->may_ask) { /* it may lie at the relay */
		push_watch(push);
	} else if (!push->next.is_touched && !push->has_plain_code) {
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

void push_confirm(struct push_subscription *push) {
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
	push->unverified = 0;
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
		push_wait(push, push_patience_ms(push),
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
