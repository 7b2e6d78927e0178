/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants pushes on this device: apps (by UnifiedPush token), hooks of the config, and names that
 * the user registered with the tool. Each has a channel and an endpoint at a relay. Asking for one
 * answers at once from a pool of endpoints made ahead, also offline, else within 15 s. Everything
 * is on the disk before anyone is told; a full disk refuses new ones and keeps the rest in memory.
 */
#pragma once
#include "common/jwt.h"
#include "common/list.h"
#include "common/slice.h"
#include "common/webpush.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum registration_kind {
	REGISTRATION_APP, /* UnifiedPush on D-Bus: messages go out as they came, encrypted */
	REGISTRATION_HOOK, /* [hook NAME]: decrypted here, with keys of its own */
	REGISTRATION_NAMED, /* `bellwire register NAME`: decrypted here, taken by `bellwire listen` */
	REGISTRATION_MAIL, /* a login at a mail server: decrypted and read here */
	REGISTRATION_KIND_COUNT
};
const char *registration_kind_name(enum registration_kind kind); /* "app" */

/* unifiedpush-dbus.md section 4. */
enum {
	REGISTRATION_TOKEN_MAX = 100,
	REGISTRATION_SERVICE_MAX = 255,
	REGISTRATION_DESCRIPTION_MAX = 100,
	REGISTRATION_VAPID_LENGTH = 87,
	REGISTRATION_ENDPOINT_MAX = 1000,
	REGISTRATIONS_PER_SERVICE_MAX = 1000,
	REGISTRATIONS_MAX = 10000,
	REGISTRATION_REPLY_MS = 15000, /* D-Bus callers wait for 25 s */
};

/* Names a registration by its token, or a service by its name, among all of a kind: 16 bytes of a
 * digest. What lies beyond REGISTRATION_SERVICE_MAX does not count. */
void registration_digest(enum registration_kind kind, struct slice text, uint8_t out[16]);

struct channel; /* accounts.h: a subscription at a relay */

/* Read-only for everybody but registrations.c; text is NUL-terminated, times are wall clock. */
struct registration {
	struct list link; /* struct registrations::all */
	uint8_t id[16]; /* digest of kind and token; key of struct registrations::by_id */
	uint32_t number; /* names it for the user; never used twice while the state lasts */
	enum registration_kind kind;
	char *token; /* APP: the app's secret; else the name */
	char *service; /* APP: the bus name to call; else the name */
	char *description; /* "" when none; cut, without control characters */
	char *vapid_key; /* NULL: anybody may send */
	int version; /* APP: 1 or 2, the Connector interface to call */
	bool is_transient; /* the service is a unique name (":1.42"): never written to the disk */
	bool is_blocked; /* the user's wish: its pushes are dropped quietly */
	bool is_announced; /* the app has taken its present endpoint */
	/* The endpoint is on its way to the disk: it is not announced before, nor anything delivered,
	 * for a crash would take it back. */
	bool is_unsaved;
	uint32_t edition; /* of the endpoint: the next one whenever it changes */
	bool has_former; /* for registrations.c: an old channel goes when the new one is announced */
	bool is_changed; /* for registrations.c: announced when it is on the disk */
	struct channel *channel; /* accounts.h; its account is where the endpoint lies */
	char *endpoint;
	EVP_PKEY *key; /* HOOK, NAMED: to decrypt with */
	uint8_t auth[WEBPUSH_AUTH_BYTES];
	int64_t created_ms, pushed_ms, taken_ms, absent_ms; /* 0: never */
	uint64_t pushes;
};

enum register_outcome {
	REGISTER_OK,
	REGISTER_INTERNAL_ERROR,
	REGISTER_NETWORK,
	REGISTER_ACTION_REQUIRED,
	REGISTER_VAPID_REQUIRED,
	REGISTER_UNAUTHORIZED,
	REGISTER_OUTCOME_COUNT
};
/* "INTERNAL_ERROR", … as the UnifiedPush specification spells the reasons; "" for OK. */
const char *register_outcome_name(enum register_outcome outcome);

struct register_request {
	enum registration_kind kind;
	struct slice token, service, description, vapid_key; /* copied; empty: none */
	int version; /* APP */
	/* APP: may the token move here from a registration of another service? (The old service neither
	 * runs nor can be activated.) */
	bool may_take_over;
};

struct registrations;
/* Once, later, from the loop, within REGISTRATION_REPLY_MS. On OK the registration is on the disk;
 * its endpoint is announced through the target of its kind (dispatch.h) right after this callback.
 * `detail` is a sentence for people, "" when there is none. */
typedef void registered_fn(enum register_outcome outcome, const struct registration *registration,
	const char *detail, void *ctx);
/* All rows of unifiedpush-dbus.md section 10; a second request for a token that is pending joins
 * it. */
void registrations_register(struct registrations *registrations,
	const struct register_request *request, registered_fn *done, void *ctx);
/* Forgets it at once; when it is off the disk, too, tells the relay (or later) and dismisses it
 * through its target (so that a v2 app gets Unregistered). False when there is none. `by_app`: the
 * app itself asked. A pending request of the token ends with INTERNAL_ERROR. */
bool registrations_unregister(struct registrations *registrations, enum registration_kind kind,
	struct slice token, bool by_app);
const struct registration *registrations_find(
	const struct registrations *registrations, enum registration_kind kind, struct slice token);
const struct registration *registrations_find_number(
	const struct registrations *registrations, uint32_t number);
void registrations_set_blocked(
	struct registrations *registrations, uint32_t number, bool is_blocked);
/* The transient registrations of a unique bus name that left, and its pending requests. */
void registrations_service_left(struct registrations *registrations, const char *service);
/* The service is known to be there, or neither running nor activatable (30 days of it, and it
 * goes). */
void registrations_note_service(
	struct registrations *registrations, const char *service, bool is_present);

/* Visits all: for (at = NULL; (at = registrations_next(r, at));) */
const struct registration *registrations_next(
	const struct registrations *registrations, const struct registration *after);
uint32_t registrations_count(const struct registrations *registrations);

/* ---- for the daemon's start, dispatch.c and accounts' events ---- */

struct accounts;
struct state_file;
struct registrations_events {
	/* It has an endpoint that its target shall be told; `spread`: one of many, so take your time.
	 */
	void (*announce)(const struct registration *registration, bool spread, void *ctx);
	/* The disk refused another endpoint: what waited meanwhile goes out by the former one. */
	void (*resume)(const struct registration *registration, void *ctx);
	/* Does the app of this name run? NULL: taken for granted. */
	bool (*runs)(const char *service, void *ctx);
	/* It goes: nothing is delivered to it any more. */
	void (*leave)(const struct registration *registration, void *ctx);
	/* It is off the disk: its target may be told. It is freed after this call. */
	void (*dismiss)(const struct registration *registration, bool by_app, void *ctx);
};
struct registrations_options {
	struct alarms *alarms;
	struct accounts *accounts;
	struct state_file *file; /* prints registrations_print() among the rest */
	bool require_vapid; /* apps without a key are refused */
	const struct registrations_events *events;
	void *ctx;
};
struct registrations *registrations_create(const struct registrations_options *options);
void registrations_destroy(struct registrations *registrations);
/* Before the targets and the disk close: says the goodbyes that wait for the disk. */
void registrations_end(struct registrations *registrations);
/* What registrations_print() made; after accounts_load(). False when something is damaged; what can
 * be read is there. */
bool registrations_load(struct registrations *registrations, const json_t *json);
json_t *registrations_print(const struct registrations *registrations);
/* Announces what was not announced, goes on with a move that was under way. */
void registrations_start(struct registrations *registrations);
/* Every registration gets an endpoint at the present account; the former ones go on for a week. */
void registrations_move(struct registrations *registrations);
/* Changes that may wait: written within 5 s. */
void registrations_touch(struct registrations *registrations);

void registrations_on_endpoint(struct registrations *registrations, struct channel *channel);
void registrations_on_refused(
	struct registrations *registrations, struct channel *channel, int status);
void registrations_note_announced(
	struct registrations *registrations, const struct registration *registration);
void registrations_note_push(
	struct registrations *registrations, const struct registration *registration, bool was_taken);
