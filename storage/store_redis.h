/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the Redis store: what its two halves, devices and messages, share. */
#pragma once
#include "common/list.h"
#include "storage/redis_conn.h"
#include "storage/redis_message.h"
#include "storage/store_backend.h"

enum { REDIS_DEVICE_KEYS = 4 };

struct store_redis {
	struct store store;
	struct store_options options; /* url, user, password and CA file are not kept */
	struct redis_conn *conn;
	char node_hex[REDIS_NODE_HEX];
	struct store_stats stats;
	/* redis_wait: puts that no WAIT has been sent behind yet, struct redis_put::link */
	struct list unwaited;
	ev_prepare before_sleep; /* sends it at the end of the turn; runs while there are any */
	ev_tstamp wait_logged;
	bool is_closing; /* nothing will be sent any more */
};

/* The keys of a device, as its scripts want them. */
struct redis_keys {
	struct slice slices[REDIS_DEVICE_KEYS];
	char texts[REDIS_DEVICE_KEYS][REDIS_DEVICE_HEX + 8];
};

/* What a call needs until its reply. */
struct redis_call {
	struct store_redis *redis;
	struct device_id device;
	void *ctx;
	union {
		store_device_fn *device;
		store_done_fn *done;
		store_subscription_fn *subscription;
		store_fetched_fn *fetched;
		store_acked_fn *acked;
	} fn;
	struct message_id after; /* fetch */
	size_t max;
};

struct store_redis *store_redis_of(struct store *store);
struct redis_call *redis_call_make(struct store_redis *redis, struct device_id device, void *ctx);
/* Runs a device's script; everything goes through here but a put. */
void redis_run(struct store_redis *redis, enum redis_script_name script, struct device_id device,
	size_t count, const struct slice *arguments, redis_replied_fn *replied, void *ctx);
void redis_keys_print(struct device_id device, struct redis_keys *out_keys);

/* Is it an array of at least this many? NULL is none. */
bool redis_is_row(const struct redisReply *reply, size_t count);
/* An integer of the row, 0 when it is none. */
int64_t redis_row_number(const struct redisReply *row, size_t index);
/* A text of exactly these bytes; false when it is none. */
bool redis_row_bytes(const struct redisReply *row, size_t index, void *out, size_t bytes);
/* The outcome at the beginning of a row; UNAVAILABLE without one. */
enum store_outcome redis_row_outcome(const struct redisReply *reply);
double redis_ms(uint32_t sec);

void redis_put_init(struct store_redis *redis);
/* Puts that wait for replicas get their WAIT now: before anything else of theirs is sent. */
void redis_put_flush(struct store_redis *redis);

void redis_put(struct store *store, const struct store_put *put, store_put_fn *done, void *ctx);
void redis_fetch(struct store *store, struct device_id device, struct message_id after,
	enum urgency min, size_t max, store_fetched_fn *done, void *ctx);
void redis_ack(struct store *store, struct device_id device, const struct store_ack *acks,
	size_t count, store_acked_fn *done, void *ctx);
void redis_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx);
