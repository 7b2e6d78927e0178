/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the relay keeps: devices, their subscriptions, and the messages queued for them. Opened by
 * URL (memory:, sqlite:PATH, redis://…, unix://PATH); the caller never learns which backend it has.
 *
 * Every operation with a `done` is asynchronous: it returns at once, and done runs exactly once,
 * later, from the event loop, on success, on failure and at shutdown alike, never before the call
 * has returned. Arguments are borrowed for the call, except where a field says otherwise. Results
 * are valid during the callback only. Callbacks of operations on one device come in the order of
 * the calls; only that of an acknowledgement may come behind those of puts, fetches, lookups,
 * attach and detach that were called later. Each operation ends within STORE_DEADLINE_MS, if need
 * be as STORE_UNAVAILABLE; one that did may still have taken effect.
 *
 * STORE_OK of a put means durable: a kill -9 right behind it loses nothing (SQLite: committed and
 * synced; Redis: as its persistence and redis_wait say).
 */
#pragma once
#include "common/slice.h"
#include "storage/ids.h"
#include <ev.h>

enum {
	STORE_DEADLINE_MS = 5000,
	STORE_KEY_HASH_BYTES = 32, /* SHA-256 of a VAPID public key (65-byte point) */
	STORE_TOPIC_MAX = 32,
	STORE_FETCH_MAX = 64, /* messages in one fetch */
	STORE_TOMBSTONES_MAX = 4096, /* removed subscriptions remembered of a device, the latest */
};

enum store_outcome {
	STORE_OK,
	STORE_MISSING, /* no such device, subscription, message */
	STORE_GONE, /* the subscription was removed by the device; remembered for tombstone_sec */
	STORE_KEY_MISMATCH, /* the subscription is restricted to another VAPID key, or to one and none
						   was given */
	STORE_TOO_LARGE, /* body above the subscription's max_body */
	STORE_FULL, /* a quota of devices or subscriptions is used up */
	STORE_OVER_QUOTA, /* the device's messages for this day are used up */
	STORE_UNAVAILABLE, /* transient: disk full, connection lost, loading, deadline */
	STORE_OUTCOME_COUNT
};
const char *store_outcome_name(enum store_outcome outcome);

/* The hash of a key that is not known yet: all zero, which no key has. */
bool store_key_is_later(const uint8_t key_hash[STORE_KEY_HASH_BYTES]);

struct store;

/* ---- opening ---- */

struct store_limits {
	uint32_t queue_messages; /* a device: 1000 */
	uint64_t queue_bytes; /* a device, bodies and headers: 4 MiB */
	uint32_t subscriptions; /* a device: 2000 */
	uint32_t device_sec; /* a device without contact is removed after: 90 days */
	uint32_t tombstone_sec; /* 30 days */
};

enum store_wake_kind {
	STORE_WAKE_MESSAGES, /* another node stored something for a device that is attached here */
	STORE_WAKE_TRANSIENT, /* a TTL 0 message for it: `message` is set, deliver now or never */
	STORE_WAKE_TOLD, /* another node said something: store_tell; `text` is set */
	STORE_WAKE_LOST, /* the store was away and is back: attach every device again */
};

struct store_message {
	struct message_id id;
	struct channel_id channel;
	enum urgency urgency;
	int64_t expires_ms; /* Unix time; 0 for TTL 0 */
	struct slice topic; /* empty for none */
	struct slice encoding; /* Content-Encoding, may be empty */
	struct slice encryption; /* aesgcm only */
	struct slice crypto_key; /* aesgcm only, the VAPID key already removed */
	struct slice body; /* may be empty */
};

struct store_wake {
	enum store_wake_kind kind;
	struct device_id device;
	struct node_id from; /* TOLD */
	const struct store_message *message; /* TRANSIENT */
	struct slice text; /* TOLD */
};
typedef void store_woken_fn(const struct store_wake *wake, void *ctx);
/* The store became usable or unusable; reason is for people. */
typedef void store_state_fn(bool available, const char *reason, void *ctx);

struct store_options {
	const char *url;
	struct ev_loop *loop;
	struct node_id node;
	struct store_limits limits;
	uint32_t redis_wait; /* replicas that must have a put before it is STORE_OK (WAIT) */
	const char *redis_user, *redis_password; /* override those of the URL; NULL */
	const char *redis_ca_file; /* for rediss: */
	bool is_quiet; /* another process warns of settings of Redis that lose messages */
	store_woken_fn *on_woken;
	store_state_fn *on_state; /* may be NULL */
	void *ctx;
};

/* NULL with a sentence that says which store and why in *out_error (free it). A Redis that is
 * merely away is no error: the store opens unavailable and connects by itself. */
struct store *store_open(const struct store_options *options, char **out_error);
/* Ends every operation under way (as STORE_UNAVAILABLE, or as it came out), then frees. The
 * callbacks run inside. It waits no longer than STORE_DEADLINE_MS for a disk that hangs; should
 * that answer later, what was under way is written and the file closed then. */
void store_close(struct store *store);

bool store_is_available(const struct store *store);
/* Is there a backend for this URL? */
bool store_url_is_known(const char *url);
/* Can several relay processes share it? Only then may workers be more than one. */
bool store_url_is_shared(const char *url);

/* ---- devices ---- */

struct store_device {
	enum store_outcome outcome; /* OK, MISSING, UNAVAILABLE */
	enum urgency min_urgency;
	uint64_t missed; /* messages that expired or were evicted and were not settled yet */
	uint32_t subscriptions;
	bool was_elsewhere; /* it was attached to another node until now: `previous` */
	struct node_id previous;
};
typedef void store_device_fn(const struct store_device *device, void *ctx);
typedef void store_done_fn(enum store_outcome outcome, void *ctx);

/* A hello: finds the device, notes the contact and that this node holds its socket; wake-ups come
 * here from now on. MISSING creates nothing. Calling it again for an attached device renews its
 * lease; once a day is enough. */
void store_attach(struct store *store, struct device_id device, store_device_fn *done, void *ctx);
/* The last socket of the device here is gone. Does nothing when another node holds it meanwhile.
 * done may be NULL. */
void store_detach(struct store *store, struct device_id device, store_done_fn *done, void *ctx);
/* MISSING when the device was never stored. */
void store_set_urgency(
	struct store *store, struct device_id device, enum urgency min, store_done_fn *done, void *ctx);
/* The device was told that it missed `count`: takes them off. done may be NULL. */
void store_settle_missed(
	struct store *store, struct device_id device, uint64_t count, store_done_fn *done, void *ctx);

/* ---- subscriptions ---- */

struct store_subscribe {
	struct device_id device;
	struct channel_id channel;
	struct subscription_id fresh; /* used when the channel is new or its key changes */
	bool has_key;
	uint8_t key_hash[STORE_KEY_HASH_BYTES]; /* or all zero: the key follows later */
	uint32_t max_body; /* 0: no limit of its own */
	struct invite_id invite; /* kept with a new device */
	uint32_t
		invite_devices; /* STORE_FULL for a new device when the invite has as many; 0: no limit */
	uint32_t messages_per_day; /* a new device's quota, which all devices of its invite use up
								  together; 0: none. Days are those of UTC. */
};
struct store_subscribed {
	enum store_outcome outcome; /* OK, FULL, UNAVAILABLE */
	struct subscription_id subscription; /* the existing one, or fresh */
};
typedef void store_subscribed_fn(const struct store_subscribed *result, void *ctx);

/* Creates the device, attached to this node, if need be. An existing channel with the same key
 * keeps its subscription; with another key it gets the fresh one, the old one is GONE from then on,
 * and messages already accepted stay.
 * A subscription whose key follows later takes no message (KEY_MISMATCH) until a subscribe with a
 * key gives it that key; it stays the same by that, and by one without a key. One that has a key
 * keeps it when told that it follows later. */
void store_subscribe(
	struct store *store, const struct store_subscribe *what, store_subscribed_fn *done, void *ctx);
/* Removes the channel and its messages, leaves a tombstone. A device without any subscription may
 * be forgotten. OK also when there was none. */
void store_unsubscribe(struct store *store, struct device_id device, struct channel_id channel,
	store_done_fn *done, void *ctx);

struct store_subscription {
	enum store_outcome outcome; /* OK, MISSING, GONE, UNAVAILABLE */
	bool has_key;
	uint8_t key_hash[STORE_KEY_HASH_BYTES];
	uint32_t max_body;
};
typedef void store_subscription_fn(const struct store_subscription *subscription, void *ctx);
/* For requests that fail anyway: which refusal comes first? A put checks all this itself. */
void store_lookup(struct store *store, struct device_id device, struct subscription_id subscription,
	store_subscription_fn *done, void *ctx);
/* Removes every device that came by the invite, with all it has. */
void store_remove_invited(
	struct store *store, struct invite_id invite, store_done_fn *done, void *ctx);

/* ---- messages ---- */

struct store_put {
	struct device_id device;
	struct subscription_id subscription;
	bool has_key; /* the sender proved to hold the key with this hash */
	uint8_t key_hash[STORE_KEY_HASH_BYTES];
	uint32_t ttl_sec; /* 0: only replaces the topic and finds the device; nothing is stored */
	enum urgency urgency;
	struct slice topic; /* empty for none */
	struct slice encoding, encryption, crypto_key;
	struct slice body;
	/* All slices above must stay valid until done: they are not copied. */
};
struct store_put_result {
	enum store_outcome outcome; /* all but FULL */
	struct message_id id; /* also for TTL 0: unique, never stored */
	struct channel_id channel;
	int64_t expires_ms;
	bool is_stored; /* false for TTL 0, and when the message itself was evicted as the least
					   important */
	bool is_here; /* attached to this node: deliver it. Other nodes were told already. */
	bool is_below_minimum; /* its urgency is below the device's minimum: held back */
	bool was_replaced; /* it took the place of an older one of its topic */
	uint32_t evicted; /* messages that had to go for it */
	struct message_id previous; /* when other nodes store as well: who has looked at all up to an id
								   that is not below this one has seen all before this message;
								   zero when none came before */
};
typedef void store_put_fn(const struct store_put_result *result, void *ctx);

/* One atomic operation, one round trip: checks the subscription and its key, replaces the topic,
 * evicts by policy (expired, then lowest urgency, then oldest), stores, finds the device's node and
 * wakes it. */
void store_put(struct store *store, const struct store_put *put, store_put_fn *done, void *ctx);

struct store_fetched {
	enum store_outcome outcome; /* OK, MISSING, UNAVAILABLE */
	const struct store_message
		*messages; /* oldest first, all unexpired and of at least min urgency */
	size_t count;
	struct message_id next; /* go on after this; every stored message up to it was looked at */
	bool has_more;
};
typedef void store_fetched_fn(const struct store_fetched *fetched, void *ctx);
/* Messages of the device behind `after`. max is cut to STORE_FETCH_MAX. */
void store_fetch(struct store *store, struct device_id device, struct message_id after,
	enum urgency min, size_t max, store_fetched_fn *done, void *ctx);

struct store_ack {
	struct channel_id channel;
	struct message_id id;
};
typedef void store_acked_fn(enum store_outcome outcome, size_t removed, void *ctx);
/* Removes messages for good; those that do not match id and channel are ignored. done may be NULL.
 */
void store_ack(struct store *store, struct device_id device, const struct store_ack *acks,
	size_t count, store_acked_fn *done, void *ctx);
/* The sender takes its message back: OK when it was still queued and unexpired, else MISSING. */
void store_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx);

/* ---- nodes and upkeep ---- */

/* Says something to another node, best effort; it arrives as STORE_WAKE_TOLD. At most 64 KiB. */
void store_tell(struct store *store, struct node_id to, struct device_id device, struct slice text);

struct store_stats {
	/* What this process saw end, since it opened the store. For every accepted message exactly one
	 * counts up in the end. */
	uint64_t acked, expired, evicted, replaced, cancelled, unsubscribed;
	/* Now; -1 when the backend cannot say cheaply. */
	int64_t queued_messages, queued_bytes, devices, subscriptions;
};
void store_get_stats(const struct store *store, struct store_stats *out_stats);
/* Bounded upkeep: expires messages, tombstones and devices. Call it every second or so. */
void store_sweep(struct store *store);
