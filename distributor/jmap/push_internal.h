/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files behind push_subscription.h share. push_proceed looks at what is there and takes
 * the next step; each step makes one call, whose end leads back to push_proceed (push_go_on), or to
 * push_fail, which waits first:
 *   push_look -> push_register -> push_create -> (the code comes) -> push_confirm -> push_sweep,
 *   and later push_extend.
 */
#pragma once
#include "distributor/jmap/push_device.h"
#include "distributor/jmap/push_set.h"
#include "distributor/jmap/push_subscription.h"
#include "distributor/link/retry.h"

enum { PUSH_OLD_MAX = 16, PUSH_EARLY_MAX = 4, PUSH_RENEW_MIN_MS = 1000 };

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
	bool has_mail_only; /* the server of this session refuses types that are no mail */
	char **mail_types; /* NULL-terminated, borrowed from the config; see push_types() */
	int64_t round_trip_ms, created_mono_ms; /* created: when the last creation was sent */
	uint32_t made;

	bool is_begun, may_ask, is_relay_up;
	bool is_calling, is_creating, is_unsupported, is_refused;
	bool wants_look, wants_other, wants_types;
	int64_t unextended_ms; /* `expires` before a renewal whose answer does not name it; 0: none */
	bool has_made_room; /* and was refused all the same */
	bool has_plain_code; /* a verification came that was not encrypted */
	struct alarm again; /* set: nothing is asked before */
	struct alarm watch; /* the unverified one is touched, then given up */
	struct alarm renew;
	struct retry retry;
	uint32_t unverified; /* given up in a row */
	uint32_t unreadable;
	int64_t unreadable_mono_ms; /* since when */
	struct push_registering *registering; /* push_create.c; NULL: no endpoint is asked for */
	push_subscription_ended_fn *ended;
	void *ended_ctx;
};

/* ---- push_sub.c ---- */

int64_t push_random(int64_t low, int64_t high); /* both included */
void push_sub_clear(struct push_sub *sub);
/* Takes over what the server just made of `expires`; it is renewed at 60 to 75 % of the time. One
 * that is over already is another clock's. */
void push_sub_set_life(struct push_sub *sub, int64_t expires_ms);
bool push_has_expired(const struct push_sub *sub);
/* Is it bound to this endpoint and these keys? */
bool push_fits(const struct push_sub *sub, const struct registration *registration);
void push_sub_load(struct push_sub *sub, const json_t *json);
json_t *push_sub_print(const struct push_sub *sub); /* NULL when there is none */
void push_note_old(struct push_subscription *push, const char *id);
/* It is to be destroyed at the server. */
void push_retire(struct push_subscription *push, struct push_sub *sub);
size_t push_old_list(const struct push_subscription *push, const char *out_ids[PUSH_OLD_MAX]);
void push_old_clear(struct push_subscription *push);
void push_early_clear(struct push_subscription *push);

/* ---- push_subscription.c ---- */

const char *push_name(const struct push_subscription *push);
const struct registration *push_registration(const struct push_subscription *push);
/* Tells the owner. */
void push_changed(struct push_subscription *push);
/* Waits, then goes on; the user reads why. */
void push_wait(struct push_subscription *push, int64_t delay_ms, const char *reason);
void push_fail(
	struct push_subscription *push, enum retry_class class, int64_t told_sec, const char *reason);
/* The one method of a request failed. */
void push_fail_method(struct push_subscription *push, const char *method, const char *type);
void push_set_reason(struct push_subscription *push, const char *reason);
/* A step is done; what went wrong before is forgotten. */
void push_go_on(struct push_subscription *push);
void push_send(struct push_subscription *push, struct jmap_call *take_call, jmap_called_fn *done);
void push_send_one(struct push_subscription *push, const char *method, json_t *take_arguments,
	jmap_called_fn *done);
/* The request as a whole failed: true when the failure has been dealt with. */
bool push_has_failed(struct push_subscription *push, const struct jmap_call_result *result);

/* ---- push_create.c ---- */

/* Is the endpoint bound to the key that the server signs with? */
bool push_key_fits(const struct push_subscription *push, const struct registration *registration);
void push_register(struct push_subscription *push);
void push_stop_registering(struct push_subscription *push);
void push_create(struct push_subscription *push, const struct registration *registration);
/* What is asked for: the types of the config, or those of mail. */
char *const *push_types(const struct push_subscription *push);
/* From now on those of mail only; false when that leaves nothing out, or nothing at all. */
bool push_leave_types(struct push_subscription *push);
/* Writes the code back. */
void push_confirm(struct push_subscription *push);
/* The verification is waited for from now on. */
void push_watch(struct push_subscription *push);
void push_on_watch(struct alarm *alarm, void *ctx);
int64_t push_wanted_expires_ms(void);

/* ---- push_keep.c ---- */

void push_look(struct push_subscription *push);
/* Destroys the old ones. */
void push_sweep(struct push_subscription *push);
/* What a verified one needs; false: nothing now. */
bool push_keep(struct push_subscription *push);
void push_plan_renewal(struct push_subscription *push);
