/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our PushSubscription at one server (RFC 8620 7.2), from nothing to verified and kept alive:
 * register here (with the server's VAPID key, RFC 9749) -> clean up old ones of ours -> create ->
 * wait for the PushVerification -> write the code back -> renew before it expires. What is lost,
 * expired, never verified, or bound to another endpoint or key is made anew; a server that has no
 * room (Stalwart: 15) is told to drop ours first. Keys are the registration's. One that is replaced
 * goes on serving until the new one is verified, where the server lets both live.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/jmap/jmap_client.h"
#include "distributor/registrations.h"

enum push_subscription_state {
	PUSH_SUBSCRIPTION_IDLE, /* not started, or ended */
	PUSH_SUBSCRIPTION_REGISTERING, /* waits for an endpoint of the relay */
	PUSH_SUBSCRIPTION_CREATING,
	PUSH_SUBSCRIPTION_UNVERIFIED, /* created; the server's code has not come yet */
	PUSH_SUBSCRIPTION_VERIFIED,
	PUSH_SUBSCRIPTION_WAITING, /* failed; tries again by itself, `reason` says why */
	PUSH_SUBSCRIPTION_UNSUPPORTED, /* the server has no PushSubscription */
	PUSH_SUBSCRIPTION_STATE_COUNT
};
const char *push_subscription_state_name(enum push_subscription_state state);

enum {
	PUSH_SUBSCRIPTION_TOUCH_MS = 65000, /* unverified so long: Stalwart sends its code once more */
	PUSH_SUBSCRIPTION_GIVE_UP_MS = 150000, /* unverified so long: another one is made */
	PUSH_SUBSCRIPTION_DAYS = 30, /* what is asked for; servers cut it (mostly to 7) */
};

struct push_subscription_status {
	enum push_subscription_state state;
	const char *reason; /* a sentence, "" when all is well */
	int64_t verified_ms, expires_ms; /* wall clock; 0: never, not known */
	int64_t round_trip_ms; /* from the creation to the arrival of its verification; -1: unknown */
	int64_t again_ms; /* WAITING: until the next attempt; -1: when something changes */
	uint32_t made; /* how many were verified since the start */
	bool is_refused; /* WAITING: the server will not have it, so it may last */
	bool is_replacing; /* VERIFIED: another one is in the making */
};

struct push_subscription_options {
	struct alarms *alarms;
	struct jmap_client *client;
	struct registrations *registrations;
	const struct jmap_config *config;
	const char *state_dir; /* part of what tells this device from others; copied */
	/* The state, or something that push_subscription_print() would say differently. From the loop,
	 * and from within the functions below. Not to call them from here. */
	void (*changed)(enum push_subscription_state state, void *ctx);
	void *ctx;
};
struct push_subscription;
/* `saved`: what push_subscription_print() made, NULL: nothing. */
struct push_subscription *push_subscription_create(
	const struct push_subscription_options *options, const json_t *saved);
void push_subscription_destroy(struct push_subscription *push); /* the server keeps it */
json_t *push_subscription_print(const struct push_subscription *push);
void push_subscription_status(
	const struct push_subscription *push, struct push_subscription_status *out_status);

/* Begins, or looks with PushSubscription/get whether all is as it should be; also after
 * `missed`, resume and a long silence. Calls while one is under way join it. */
void push_subscription_check(struct push_subscription *push);
/* Without leave (no network, a refused password) nothing is asked; without the relay no
 * verification can come, so none is missed. */
void push_subscription_set_circumstances(
	struct push_subscription *push, bool may_ask, bool is_relay_up);
/* The session changed: another VAPID key means another endpoint and subscription. */
void push_subscription_on_session(
	struct push_subscription *push, const struct jmap_session *session);
/* The registration's endpoint is another one (a move). */
void push_subscription_on_endpoint(
	struct push_subscription *push, const struct registration *registration);
/* The registration goes: the relay refused it. */
void push_subscription_on_dismissed(struct push_subscription *push);
/* A PushVerification came; it may be early (before the creation is answered), late, or twice. One
 * that was not encrypted is not trusted, unless the server would have no keys. */
void push_subscription_on_verification(struct push_subscription *push, const char *subscription_id,
	const char *code, bool was_encrypted);
/* The server takes none of ours, so all it pushes is unencrypted. */
bool push_subscription_has_no_keys(const struct push_subscription *push);
/* A push came that we could read, or not: several in a row that we cannot, and it is made anew. */
void push_subscription_on_push(struct push_subscription *push, bool is_readable);
/* Makes the server verify anew (another subscription, then the old one goes): `bellwire jmap
 * test`. */
void push_subscription_renew(struct push_subscription *push);
/* Destroys it at the server (is_online: there is a way to it) and unregisters here. done: once,
 * later; `reason` "" when the server said yes. */
typedef void push_subscription_ended_fn(const char *reason, void *ctx);
void push_subscription_end(
	struct push_subscription *push, bool is_online, push_subscription_ended_fn *done, void *ctx);
