/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in the Redis store: put, fetch, acknowledge, cancel. */
#include "common/log.h"
#include "common/mem.h"
#include "storage/store_redis.h"
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	LEASE_MS = 2 * 24 * 3600 * 1000, /* attach is called again once a day */
	WAIT_MS = 1000,
	ACKS_A_CALL = 64,
	WAIT_LOG_PAUSE_SEC = 30,
};

/* ---- put --------------------------------------------------------------------------------------
 */

struct redis_put {
	struct store_redis *redis;
	struct list link; /* store_redis::unwaited or redis_wait::puts */
	struct store_put_result result;
	bool is_replied, needs_wait;
	store_put_fn *done;
	void *ctx;
};

/* One WAIT and the puts before it. */
struct redis_wait {
	struct store_redis *redis;
	struct list puts; /* struct redis_put::link */
};

static void put_on_replied(const struct redisReply *reply, void *ctx);
static void put_on_waited(const struct redisReply *reply, void *ctx);
static void put_finish(struct redis_put *put);

static void put_pack(
	const struct store_redis *redis, const struct store_put *put, struct redis_pack *pack) {
	size_t size = put->encoding.len + put->encryption.len + put->crypto_key.len + put->body.len;
	static const uint8_t no_key[sizeof put->key_hash];
	redis_pack_bytes(pack, put->subscription.bytes, sizeof put->subscription.bytes);
	redis_pack_bytes(pack, redis->node_hex, sizeof redis->node_hex);
	redis_pack_number(pack, put->ttl_sec, 4);
	redis_pack_number(pack, size, 4);
	redis_pack_number(pack, redis->options.limits.queue_messages, 4);
	redis_pack_double(pack, (double)redis->options.limits.queue_bytes);
	redis_pack_number(pack, put->urgency, 1);
	redis_pack_double(pack, LEASE_MS);
	redis_pack_number(pack, put->has_key, 1);
	redis_pack_number(pack, put->body.len, 4);
	redis_pack_bytes(pack, put->has_key ? put->key_hash : no_key, sizeof put->key_hash);
}

void redis_put(struct store *store, const struct store_put *what, store_put_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_put *put = mem_zalloc(sizeof *put);
	put->redis = redis;
	put->done = done;
	put->ctx = ctx;
	list_init(&put->link);
	struct redis_pack head = {.len = 0};
	put_pack(redis, what, &head);
	size_t tail_len;
	char *tail = redis_message_tail_print(what, &tail_len);
	struct redis_keys keys;
	redis_keys_print(what->device, &keys);
	const struct slice arguments[] = {
		redis_pack_slice(&head),
		{tail, tail_len},
	};
	redis_conn_run(redis->conn, REDIS_SCRIPT_PUT, REDIS_DEVICE_KEYS, keys.slices,
		sizeof arguments / sizeof arguments[0], arguments, put_on_replied, put);
	free(tail);
	put->needs_wait = redis->options.redis_wait > 0 && !redis->is_closing;
	if (put->needs_wait) {
		list_append(&redis->unwaited, &put->link);
		ev_prepare_start(redis->options.loop, &redis->before_sleep);
	}
}

static void put_take_reply(struct redis_put *put, const struct redis_put_reply *reply) {
	struct store_put_result *result = &put->result;
	struct store_stats *stats = &put->redis->stats;
	result->id = redis_message_id(reply->place);
	result->channel = reply->channel;
	result->expires_ms = (int64_t)reply->expires_ms;
	result->is_stored = reply->flags & REDIS_PUT_IS_STORED;
	result->is_here = reply->flags & REDIS_PUT_IS_HERE;
	result->is_below_minimum = reply->flags & REDIS_PUT_IS_BELOW;
	result->was_replaced = reply->flags & REDIS_PUT_WAS_REPLACED;
	result->evicted = reply->evicted;
	result->previous = redis_message_id(reply->previous);
	stats->expired += reply->expired;
	stats->evicted += reply->evicted + (result->expires_ms > 0 && !result->is_stored);
	stats->replaced += result->was_replaced;
}

static void put_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_put *put = ctx;
	struct redis_put_reply parsed;
	put->is_replied = true;
	put->result.outcome = STORE_UNAVAILABLE;
	if (reply && reply->type == REDIS_REPLY_STRING &&
		redis_put_reply_parse((struct slice){reply->str, reply->len}, &parsed)) {
		put->result.outcome = parsed.outcome;
		if (parsed.outcome == STORE_OK) {
			put_take_reply(put, &parsed);
		}
	}
	if (!put->needs_wait) {
		put_finish(put);
	}
}

static void put_on_waited(const struct redisReply *reply, void *ctx) {
	struct redis_wait *wait = ctx;
	struct store_redis *redis = wait->redis;
	bool is_safe = reply && reply->type == REDIS_REPLY_INTEGER &&
				   reply->integer >= (long long)redis->options.redis_wait;
	ev_tstamp now = ev_now(redis->options.loop);
	if (reply && !is_safe && now - redis->wait_logged > WAIT_LOG_PAUSE_SEC) {
		redis->wait_logged = now;
		log_error("redis has too few replicas that keep up cure=\"start them, or lower "
				  "redis-wait\" redis-wait=%u have=%lld",
			redis->options.redis_wait, reply->integer);
	}
	for (struct redis_put *put; (put = list_first(&wait->puts, struct redis_put, link));) {
		list_remove(&put->link);
		if (!put->is_replied && reply) { /* sent again, behind this WAIT: it needs one more */
			list_append(&redis->unwaited, &put->link);
			ev_prepare_start(redis->options.loop, &redis->before_sleep);
			continue;
		}
		if (put->result.is_stored && !is_safe) {
			put->result = (struct store_put_result){.outcome = STORE_UNAVAILABLE};
		}
		put_finish(put);
	}
	free(wait);
}

static void put_finish(struct redis_put *put) {
	put->done(&put->result, put->ctx);
	free(put);
}

void redis_put_flush(struct store_redis *redis) {
	if (list_is_empty(&redis->unwaited)) {
		return;
	}
	struct redis_wait *wait = mem_alloc(sizeof *wait);
	wait->redis = redis;
	list_init(&wait->puts);
	list_splice(&wait->puts, &redis->unwaited);
	ev_prepare_stop(redis->options.loop, &redis->before_sleep);
	char replicas[16], ms[16];
	(void)snprintf(replicas, sizeof replicas, "%u", redis->options.redis_wait);
	(void)snprintf(ms, sizeof ms, "%d", WAIT_MS);
	const struct slice words[] = {slice_of("WAIT"), slice_of(replicas), slice_of(ms)};
	redis_conn_command(redis->conn, 3, words, put_on_waited, wait);
}

static void put_on_before_sleep(struct ev_loop *loop, ev_prepare *watcher, int events) {
	(void)loop;
	(void)events;
	redis_put_flush(watcher->data);
}

void redis_put_init(struct store_redis *redis) {
	list_init(&redis->unwaited);
	ev_prepare_init(&redis->before_sleep, put_on_before_sleep);
	redis->before_sleep.data = redis;
}

/* ---- fetch ------------------------------------------------------------------------------------
 */

static void fetch_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_call *call = ctx;
	struct store_message messages[STORE_FETCH_MAX];
	struct store_fetched result = {
		.outcome = redis_row_outcome(reply), .messages = messages, .next = call->after};
	if (result.outcome == STORE_OK && redis_is_row(reply, 2)) {
		call->redis->stats.expired += (uint64_t)redis_row_number(reply, 1);
		result.has_more = reply->elements - 2 > call->max;
		for (size_t i = 2; i < reply->elements && i - 2 < call->max; i++) {
			const redisReply *item = reply->element[i];
			struct slice text = {item->str, item->len};
			if (item->type == REDIS_REPLY_STRING &&
				redis_message_open(text, &messages[result.count])) {
				result.next = messages[result.count++].id;
			}
		}
	}
	call->fn.fetched(&result, call->ctx);
	free(call);
}

void redis_fetch(struct store *store, struct device_id device, struct message_id after,
	enum urgency min, size_t max, store_fetched_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_call *call = redis_call_make(redis, device, ctx);
	call->fn.fetched = done;
	call->after = after;
	call->max = max;
	struct redis_pack pack = {.len = 0};
	redis_pack_double(&pack, (double)redis_message_sequence(after));
	redis_pack_number(&pack, min, 1);
	redis_pack_number(&pack, max, 4);
	const struct slice arguments[] = {redis_pack_slice(&pack)};
	redis_run(redis, REDIS_SCRIPT_FETCH, device, 1, arguments, fetch_on_replied, call);
}

/* ---- acknowledge ------------------------------------------------------------------------------
 */

/* Many acks are several commands, each within the limits of a script. */
struct redis_acking {
	struct redis_call call;
	size_t pending, removed;
	enum store_outcome outcome;
};

static void ack_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_acking *acking = ctx;
	if (redis_is_row(reply, 1)) {
		size_t removed = (size_t)redis_row_number(reply, 0);
		acking->removed += removed;
		acking->call.redis->stats.acked += removed;
	} else {
		acking->outcome = STORE_UNAVAILABLE;
	}
	if (--acking->pending == 0) {
		if (acking->call.fn.acked) {
			acking->call.fn.acked(acking->outcome, acking->removed, acking->call.ctx);
		}
		free(acking);
	}
}

static void ack_send(struct redis_acking *acking, const struct store_ack *acks, size_t count) {
	struct slice arguments[ACKS_A_CALL];
	struct redis_pack packs[ACKS_A_CALL];
	size_t known = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t place;
		if (redis_message_place(acks[i].id, &place)) {
			packs[known].len = 0;
			redis_pack_double(&packs[known], (double)place);
			redis_pack_bytes(&packs[known], acks[i].channel.bytes, sizeof acks[i].channel.bytes);
			arguments[known] = redis_pack_slice(&packs[known]);
			known++;
		}
	}
	redis_run(acking->call.redis, REDIS_SCRIPT_ACK, acking->call.device, known, arguments,
		ack_on_replied, acking);
}

void redis_ack(struct store *store, struct device_id device, const struct store_ack *acks,
	size_t count, store_acked_fn *done, void *ctx) {
	struct redis_acking *acking = mem_zalloc(sizeof *acking);
	acking->call = (struct redis_call){
		.redis = store_redis_of(store), .device = device, .ctx = ctx, .fn.acked = done};
	acking->pending = count > 0 ? (count + ACKS_A_CALL - 1) / ACKS_A_CALL : 1;
	size_t at = 0;
	do {
		size_t some = count - at < ACKS_A_CALL ? count - at : ACKS_A_CALL;
		ack_send(acking, acks + at, some);
		at += some;
	} while (at < count);
}

/* ---- cancel -----------------------------------------------------------------------------------
 */

static void cancel_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_call *call = ctx;
	enum store_outcome outcome = redis_row_outcome(reply);
	if (outcome != STORE_UNAVAILABLE) {
		call->redis->stats.expired += (uint64_t)redis_row_number(reply, 1);
		call->redis->stats.cancelled += outcome == STORE_OK;
	}
	call->fn.done(outcome, call->ctx);
	free(call);
}

void redis_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_call *call = redis_call_make(redis, device, ctx);
	call->fn.done = done;
	uint64_t place;
	if (!redis_message_place(id, &place)) {
		place = 0; /* where nothing lies */
	}
	struct redis_pack pack = {.len = 0};
	redis_pack_double(&pack, (double)place);
	const struct slice arguments[] = {redis_pack_slice(&pack)};
	redis_run(redis, REDIS_SCRIPT_CANCEL, device, 1, arguments, cancel_on_replied, call);
}
