/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the relay to whoever takes a message: one queue a service, so that a slow or dead app delays
 * nobody else. A message is acknowledged to the relay when it was taken, or when it lies in the
 * journal on the disk because the app is not there. What comes again (same channel and version) is
 * acknowledged and not delivered twice, across restarts too.
 * Retries of a service: 2 s, 10 s, 1 min, 5 min, 30 min, then every 6 h, or at once when it
 * appears.
 */
#pragma once
#include "common/list.h"
#include "common/slice.h"
#include "distributor/registrations.h"
#include "storage/ids.h"

/* One push on its way. Read-only for targets; lives until their `done` is called. */
struct message {
	struct list link; /* struct dispatch_queue::messages */
	const struct registration *registration;
	uint32_t number; /* of the registration */
	char channel[37]; /* the one it came by: to be acknowledged there */
	/* 16 hexadecimal digits, for D-Bus and hooks: no other message has it, and this one always */
	char id[17];
	char *version; /* the relay's name for it */
	char *body;
	size_t bytes; /* 0 is possible for hooks; an app gets 1..4096 */
	char *encoding, *encryption, *crypto_key, *topic; /* "" when absent */
	enum urgency urgency;
	int64_t received_ms; /* wall clock */
	int64_t expires_boot_ms; /* boot clock; INT64_MAX when the relay did not say */
	uint64_t sequence; /* order of arrival, also across restarts */
	uint32_t attempts;
	bool is_in_flight, is_journalled, is_being_journalled, is_acked;
	bool is_dead; /* replaced or unregistered while in flight: goes when that ends */
	struct dispatch_queue *queue; /* for dispatch: where it waits */
};
/* Fresh, empty; texts are "". */
struct message *message_create(const struct registration *registration);
void message_free(struct message *message);

enum dispatch_outcome {
	DISPATCH_TAKEN,
	DISPATCH_ABSENT, /* not running and cannot be started: the slow schedule, or when it appears */
	DISPATCH_DENIED, /* may not be called: the slow schedule */
	DISPATCH_NOT_READY, /* owns its name but exports nothing: 2 s, 10 s, then the slow schedule */
	DISPATCH_NO_ANSWER, /* time-out or died in the handler: the schedule; may come twice */
	DISPATCH_REFUSED, /* answered with another error: given up after three times */
	DISPATCH_SHUTDOWN, /* we end: stays where it is */
	DISPATCH_OUTCOME_COUNT
};
const char *dispatch_outcome_name(enum dispatch_outcome outcome);
typedef void dispatch_done_fn(enum dispatch_outcome outcome, void *done_ctx);

/* Who takes the messages of one kind of registration. `done` is called exactly once for each call,
 * later, from the loop. Dispatch has at most one call in flight a registration, and eight a
 * service, unless the target asks for more; an announce of a registration always precedes its
 * messages. */
struct dispatch_target {
	/* Messages of a registration, and of a service, that the target gathers: it may have so many of
	 * them at a time, in their order. 0: one. */
	uint32_t gathers;
	/* Would a call start it? When many are to be told their endpoints, those go one by one, and the
	 * others before them. NULL: never. */
	bool (*must_start)(const struct registration *registration, void *ctx);
	/* Tells the endpoint (NewEndpoint), starting the app if need be. */
	void (*announce)(
		const struct registration *registration, dispatch_done_fn *done, void *done_ctx, void *ctx);
	void (*deliver)(
		const struct message *message, dispatch_done_fn *done, void *done_ctx, void *ctx);
	/* The registration goes and is freed after this call; tell the app (Unregistered) as best you
	 * can. */
	void (*dismiss)(const struct registration *registration, bool by_app, void *ctx);
	/* After `missed`, a lost identity, or a gap longer than messages last: what the target's
	 * clients hold may be stale. NULL when it does not matter. */
	void (*resync)(const char *why, void *ctx);
};

struct dispatch;
void dispatch_set_target(struct dispatch *dispatch, enum registration_kind kind,
	const struct dispatch_target *target, void *ctx);
/* A service is there now (took its bus name, registered): what waits for it goes out. */
void dispatch_service_appeared(
	struct dispatch *dispatch, enum registration_kind kind, const char *service);
void dispatch_kind_appeared(struct dispatch *dispatch, enum registration_kind kind);

/* Decrypts what came for a HOOK or NAMED registration. False with a reason ("not encrypted", …);
 * fresh memory with a NUL behind. */
bool message_decrypt(
	const struct message *message, uint8_t **out_plain, size_t *out_bytes, const char **out_reason);

struct dispatch_status {
	uint64_t received, taken, duplicates, dropped, expired;
	uint32_t waiting, journalled;
};
void dispatch_status(const struct dispatch *dispatch, struct dispatch_status *out_status);
/* Of one registration: how many wait, and why the last attempt failed ("" when it did not). */
uint32_t dispatch_waiting(const struct dispatch *dispatch, const struct registration *registration,
	const char **out_reason);

/* ---- for the daemon's start and the accounts' events ---- */

struct accounts;
struct account;
struct disk;
struct link_notification;
/* One thing that happened to a push, in a word: "push" (came), "taken", "waiting" (`detail` says
 * why), "dropped", "duplicate", "expired". */
typedef void dispatch_noted_fn(const char *what, const struct registration *registration,
	size_t bytes, const char *detail, void *ctx);
struct dispatch_options {
	struct alarms *alarms;
	struct accounts *accounts; /* acknowledgements go to their links */
	struct registrations *registrations;
	struct disk *disk;
	const char *state_dir; /* queue/ and delivered.json lie there; copied */
	dispatch_noted_fn *noted; /* NULL: nobody listens */
	void *ctx;
};
struct dispatch *dispatch_create(const struct dispatch_options *options);
/* Reads the journal and what was delivered; after registrations_load(). */
void dispatch_load(struct dispatch *dispatch);
/* Nothing is delivered before this: targets are set, the bus has its names. */
void dispatch_start(struct dispatch *dispatch);
void dispatch_save(struct dispatch *dispatch); /* what may be lost otherwise, before disk_close() */
/* After the targets have given back what was in flight, after disk_close(). NULL is fine. */
void dispatch_destroy(struct dispatch *dispatch);

void dispatch_push(struct dispatch *dispatch, struct account *account,
	const struct link_notification *notification);
void dispatch_announce(
	struct dispatch *dispatch, const struct registration *registration, bool spread);
/* It was unsaved, and its endpoint is the former one again. */
void dispatch_resume(struct dispatch *dispatch, const struct registration *registration);
/* Nothing is delivered to it any more; what waits for it is dropped and acknowledged. */
void dispatch_leave(struct dispatch *dispatch, const struct registration *registration);
/* Tells its target. */
void dispatch_dismiss(
	struct dispatch *dispatch, const struct registration *registration, bool by_app);
void dispatch_resync(struct dispatch *dispatch, const char *why);
