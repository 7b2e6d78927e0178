/* SPDX-License-Identifier: Apache-2.0 */
/* The store on Redis: devices, subscriptions, nodes; store_redis_messages.c has the messages. What
 * must be atomic is a script of redis_scripts/. */
#include "storage/store_redis.h"
#include "common/mem.h"
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

enum { REMOVALS_A_STEP = 500, INVITE_KEY_MAX = 64 };

/* ---- keys and replies --------------------------------------------------------------------------
 */

struct store_redis *store_redis_of(struct store *store) {
	return container_of(store, struct store_redis, store);
}

double redis_ms(uint32_t sec) {
	return sec * 1000.0;
}

void redis_keys_print(struct device_id device, struct redis_keys *out_keys) {
	static const char *const ends[REDIS_DEVICE_KEYS] = {"}", "}:q", "}:x", "}:g"};
	for (size_t i = 0; i < REDIS_DEVICE_KEYS; i++) {
		char *text = out_keys->texts[i];
		size_t end_len = strlen(ends[i]);
		memcpy(text, "bw:{", 4);
		redis_hex_print(device.bytes, sizeof device.bytes, text + 4);
		memcpy(text + 4 + REDIS_DEVICE_HEX, ends[i], end_len);
		out_keys->slices[i] = (struct slice){text, 4 + REDIS_DEVICE_HEX + end_len};
	}
}

static struct slice invite_key_print(struct invite_id invite, char out[INVITE_KEY_MAX]) {
	memcpy(out, "bw:{invite:", 11);
	redis_hex_print(invite.bytes, sizeof invite.bytes, out + 11);
	out[11 + 2 * sizeof invite.bytes] = '}';
	return (struct slice){out, 11 + 2 * sizeof invite.bytes + 1};
}

static bool invite_is_none(struct invite_id invite) {
	static const struct invite_id none;
	return memcmp(&invite, &none, sizeof none) == 0;
}

bool redis_is_row(const struct redisReply *reply, size_t count) {
	return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= count;
}

int64_t redis_row_number(const struct redisReply *row, size_t index) {
	return redis_is_row(row, index + 1) && row->element[index]->type == REDIS_REPLY_INTEGER
			   ? row->element[index]->integer
			   : 0;
}

bool redis_row_bytes(const struct redisReply *row, size_t index, void *out, size_t bytes) {
	if (!redis_is_row(row, index + 1) || row->element[index]->type != REDIS_REPLY_STRING ||
		row->element[index]->len != bytes) {
		return false;
	}
	memcpy(out, row->element[index]->str, bytes);
	return true;
}

enum store_outcome redis_row_outcome(const struct redisReply *reply) {
	if (!redis_is_row(reply, 1) || reply->element[0]->type != REDIS_REPLY_INTEGER ||
		reply->element[0]->integer < 0 || reply->element[0]->integer >= STORE_OUTCOME_COUNT) {
		return STORE_UNAVAILABLE;
	}
	return (enum store_outcome)reply->element[0]->integer;
}

struct redis_call *redis_call_make(struct store_redis *redis, struct device_id device, void *ctx) {
	struct redis_call *call = mem_zalloc(sizeof *call);
	call->redis = redis;
	call->device = device;
	call->ctx = ctx;
	return call;
}

void redis_run(struct store_redis *redis, enum redis_script_name script, struct device_id device,
	size_t count, const struct slice *arguments, redis_replied_fn *replied, void *ctx) {
	struct redis_keys keys;
	redis_put_flush(redis);
	redis_keys_print(device, &keys);
	redis_conn_run(
		redis->conn, script, REDIS_DEVICE_KEYS, keys.slices, count, arguments, replied, ctx);
}

/* Counts a device as one of the invite's. most 0: as many as there are. */
static void invite_run(struct store_redis *redis, struct invite_id invite, struct device_id device,
	uint32_t most, redis_replied_fn *replied, void *ctx) {
	char key_text[INVITE_KEY_MAX], most_text[16], lifetime[24];
	const struct slice key = invite_key_print(invite, key_text);
	(void)snprintf(most_text, sizeof most_text, "%u", most);
	(void)snprintf(lifetime, sizeof lifetime, "%.0f", redis_ms(redis->options.limits.device_sec));
	const struct slice arguments[] = {
		{(const char *)device.bytes, sizeof device.bytes}, slice_of(most_text), slice_of(lifetime)};
	redis_conn_run(redis->conn, REDIS_SCRIPT_INVITE, 1, &key, 3, arguments, replied, ctx);
}

/* ---- devices -----------------------------------------------------------------------------------
 */

static void done_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_call *call = ctx;
	if (call->fn.done) {
		call->fn.done(redis_row_outcome(reply), call->ctx);
	}
	free(call);
}

/* Detaching and settling a device that is gone is no failure. */
static void done_or_missing_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_call *call = ctx;
	if (call->fn.done) {
		enum store_outcome outcome = redis_row_outcome(reply);
		call->fn.done(outcome == STORE_MISSING ? STORE_OK : outcome, call->ctx);
	}
	free(call);
}

static void attach_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_call *call = ctx;
	struct store_redis *redis = call->redis;
	struct store_device result = {.outcome = redis_row_outcome(reply)};
	char previous[REDIS_NODE_HEX];
	if (result.outcome == STORE_OK &&
		!(redis_is_row(reply, 8) && redis_row_bytes(reply, 5, previous, sizeof previous))) {
		result.outcome = STORE_UNAVAILABLE;
	}
	if (result.outcome == STORE_OK) {
		result.min_urgency = (enum urgency)redis_row_number(reply, 1);
		result.missed = (uint64_t)redis_row_number(reply, 2);
		result.subscriptions = (uint32_t)redis_row_number(reply, 3);
		result.was_elsewhere =
			redis_row_number(reply, 4) &&
			redis_hex_parse(previous, result.previous.bytes, sizeof result.previous.bytes);
		redis->stats.expired += (uint64_t)redis_row_number(reply, 6);
		struct invite_id invite;
		if (redis_row_bytes(reply, 7, invite.bytes, sizeof invite.bytes) &&
			!invite_is_none(invite)) {
			invite_run(redis, invite, call->device, 0, NULL, NULL);
		}
	}
	call->fn.device(&result, call->ctx);
	free(call);
}

static void redis_attach(
	struct store *store, struct device_id device, store_device_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_call *call = redis_call_make(redis, device, ctx);
	call->fn.device = done;
	struct redis_pack pack = {.len = 0};
	redis_pack_bytes(&pack, redis->node_hex, sizeof redis->node_hex);
	redis_pack_double(&pack, redis_ms(redis->options.limits.device_sec));
	const struct slice arguments[] = {redis_pack_slice(&pack)};
	redis_run(redis, REDIS_SCRIPT_ATTACH, device, 1, arguments, attach_on_replied, call);
}

static void redis_detach(
	struct store *store, struct device_id device, store_done_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_call *call = redis_call_make(redis, device, ctx);
	call->fn.done = done;
	char lifetime[24];
	(void)snprintf(lifetime, sizeof lifetime, "%.0f", redis_ms(redis->options.limits.device_sec));
	const struct slice arguments[] = {
		slice_of("D"), {redis->node_hex, sizeof redis->node_hex}, slice_of(lifetime)};
	redis_run(redis, REDIS_SCRIPT_UPDATE, device, 3, arguments, done_or_missing_on_replied, call);
}

static void redis_set_urgency(struct store *store, struct device_id device, enum urgency min,
	store_done_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_call *call = redis_call_make(redis, device, ctx);
	call->fn.done = done;
	const char digit = (char)('0' + min);
	const struct slice arguments[] = {slice_of("U"), {&digit, 1}};
	redis_run(redis, REDIS_SCRIPT_UPDATE, device, 2, arguments, done_on_replied, call);
}

static void redis_settle_missed(
	struct store *store, struct device_id device, uint64_t count, store_done_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_call *call = redis_call_make(redis, device, ctx);
	call->fn.done = done;
	char number[24];
	(void)snprintf(number, sizeof number, "%llu", (unsigned long long)count);
	const struct slice arguments[] = {slice_of("M"), slice_of(number)};
	redis_run(redis, REDIS_SCRIPT_UPDATE, device, 2, arguments, done_or_missing_on_replied, call);
}

/* ---- subscribe: the device first, its invite behind it in the same pipeline, so that what the
 * caller sends next still comes after both. A device that was one too many is taken back.
 * ---------------- */

struct redis_subscribing {
	struct store_redis *redis;
	struct device_id device;
	struct invite_id invite; /* asked for */
	struct invite_id belongs; /* what the device came by */
	struct store_subscribed result;
	bool is_new;
	store_subscribed_fn *done;
	void *ctx;
};

static void subscribe_on_made(const struct redisReply *reply, void *ctx);
static void subscribe_on_counted(const struct redisReply *reply, void *ctx);
static void subscribe_finish(struct redis_subscribing *subscribing);

static void redis_subscribe(
	struct store *store, const struct store_subscribe *what, store_subscribed_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_subscribing *subscribing = mem_zalloc(sizeof *subscribing);
	subscribing->redis = redis;
	subscribing->device = what->device;
	subscribing->invite = what->invite;
	subscribing->done = done;
	subscribing->ctx = ctx;
	static const uint8_t no_key[STORE_KEY_HASH_BYTES];
	struct redis_pack pack = {.len = 0};
	redis_pack_bytes(&pack, redis->node_hex, sizeof redis->node_hex);
	redis_pack_number(&pack, redis->options.limits.subscriptions, 4);
	redis_pack_number(&pack, what->messages_per_day, 4);
	redis_pack_number(&pack, what->has_key, 1);
	redis_pack_number(&pack, what->max_body, 4);
	redis_pack_double(&pack, redis_ms(redis->options.limits.tombstone_sec));
	redis_pack_double(&pack, redis_ms(redis->options.limits.device_sec));
	const struct slice arguments[] = {
		redis_pack_slice(&pack),
		{(const char *)what->channel.bytes, sizeof what->channel.bytes},
		{(const char *)what->fresh.bytes, sizeof what->fresh.bytes},
		{(const char *)(what->has_key ? what->key_hash : no_key), STORE_KEY_HASH_BYTES},
		{(const char *)what->invite.bytes, sizeof what->invite.bytes},
	};
	redis_run(
		redis, REDIS_SCRIPT_SUBSCRIBE, what->device, 5, arguments, subscribe_on_made, subscribing);
	if (!invite_is_none(what->invite)) {
		invite_run(redis, what->invite, what->device, what->invite_devices, subscribe_on_counted,
			subscribing);
	}
}

static void subscribe_on_made(const struct redisReply *reply, void *ctx) {
	struct redis_subscribing *subscribing = ctx;
	struct store_subscribed *result = &subscribing->result;
	result->outcome = redis_row_outcome(reply);
	if (result->outcome == STORE_OK) {
		subscribing->is_new = redis_row_number(reply, 2);
		bool is_whole = redis_row_bytes(reply, 1, result->subscription.bytes,
							sizeof result->subscription.bytes) &&
						redis_row_bytes(reply, 3, subscribing->belongs.bytes,
							sizeof subscribing->belongs.bytes);
		result->outcome = is_whole ? STORE_OK : STORE_UNAVAILABLE;
	}
	if (invite_is_none(subscribing->invite)) {
		subscribe_finish(subscribing);
	}
}

static void subscribe_on_counted(const struct redisReply *reply, void *ctx) {
	struct redis_subscribing *subscribing = ctx;
	struct store_redis *redis = subscribing->redis;
	struct invite_id invite = subscribing->invite;
	bool is_counted = redis_row_number(reply, 0), was_added = redis_row_number(reply, 1);
	bool is_ok = subscribing->result.outcome == STORE_OK;
	bool belongs = is_ok && memcmp(&subscribing->belongs, &invite, sizeof invite) == 0;
	if (belongs && subscribing->is_new && !is_counted) {
		const struct slice arguments[] = {{(const char *)invite.bytes, sizeof invite.bytes}};
		redis_run(redis, REDIS_SCRIPT_REMOVE, subscribing->device, 1, arguments, NULL, NULL);
		subscribing->result.outcome = reply ? STORE_FULL : STORE_UNAVAILABLE;
	} else if (was_added && !belongs) {
		char key[INVITE_KEY_MAX];
		const struct slice words[] = {slice_of("ZREM"), invite_key_print(invite, key),
			{(const char *)subscribing->device.bytes, sizeof subscribing->device.bytes}};
		redis_conn_command(redis->conn, 3, words, NULL, NULL);
	}
	subscribe_finish(subscribing);
}

static void subscribe_finish(struct redis_subscribing *subscribing) {
	subscribing->done(&subscribing->result, subscribing->ctx);
	free(subscribing);
}

/* ---- other operations on subscriptions ----------------------------------------------------------
 */

static void unsubscribe_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_call *call = ctx;
	bool is_ok = redis_is_row(reply, 2);
	if (is_ok) {
		call->redis->stats.unsubscribed += (uint64_t)redis_row_number(reply, 0);
		call->redis->stats.expired += (uint64_t)redis_row_number(reply, 1);
	}
	if (call->fn.done) {
		call->fn.done(is_ok ? STORE_OK : STORE_UNAVAILABLE, call->ctx);
	}
	free(call);
}

static void redis_unsubscribe(struct store *store, struct device_id device,
	struct channel_id channel, store_done_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_call *call = redis_call_make(redis, device, ctx);
	call->fn.done = done;
	char tombstone[24];
	(void)snprintf(
		tombstone, sizeof tombstone, "%.0f", redis_ms(redis->options.limits.tombstone_sec));
	const struct slice arguments[] = {
		{(const char *)channel.bytes, sizeof channel.bytes}, slice_of(tombstone)};
	redis_run(redis, REDIS_SCRIPT_UNSUBSCRIBE, device, 2, arguments, unsubscribe_on_replied, call);
}

static void lookup_on_replied(const struct redisReply *reply, void *ctx) {
	struct redis_call *call = ctx;
	struct store_subscription result = {.outcome = redis_row_outcome(reply)};
	if (result.outcome == STORE_OK) {
		result.has_key = redis_row_number(reply, 1);
		result.max_body = (uint32_t)redis_row_number(reply, 3);
		if (!redis_row_bytes(reply, 2, result.key_hash, sizeof result.key_hash)) {
			result.outcome = STORE_UNAVAILABLE;
		}
	}
	call->fn.subscription(&result, call->ctx);
	free(call);
}

static void redis_lookup(struct store *store, struct device_id device,
	struct subscription_id subscription, store_subscription_fn *done, void *ctx) {
	struct store_redis *redis = store_redis_of(store);
	struct redis_call *call = redis_call_make(redis, device, ctx);
	call->fn.subscription = done;
	const struct slice arguments[] = {
		{(const char *)subscription.bytes, sizeof subscription.bytes}};
	redis_run(redis, REDIS_SCRIPT_LOOKUP, device, 1, arguments, lookup_on_replied, call);
}

/* ---- removing an invite's devices, some at a time
 * -------------------------------------------------- */

struct redis_removing {
	struct store_redis *redis;
	struct invite_id invite;
	size_t pending;
	bool has_failed;
	store_done_fn *done;
	void *ctx;
};

static void remove_step(struct redis_removing *removing);
static void remove_on_listed(const struct redisReply *reply, void *ctx);
static void remove_on_removed(const struct redisReply *reply, void *ctx);
static void remove_finish(struct redis_removing *removing, enum store_outcome outcome);

static void redis_remove_invited(
	struct store *store, struct invite_id invite, store_done_fn *done, void *ctx) {
	struct redis_removing *removing = mem_zalloc(sizeof *removing);
	removing->redis = store_redis_of(store);
	removing->invite = invite;
	removing->done = done;
	removing->ctx = ctx;
	remove_step(removing);
}

static void remove_step(struct redis_removing *removing) {
	char key[INVITE_KEY_MAX], last[16];
	(void)snprintf(last, sizeof last, "%d", REMOVALS_A_STEP - 1);
	const struct slice words[] = {
		slice_of("ZRANGE"), invite_key_print(removing->invite, key), slice_of("0"), slice_of(last)};
	redis_put_flush(removing->redis);
	redis_conn_command(removing->redis->conn, 4, words, remove_on_listed, removing);
}

static void remove_on_listed(const struct redisReply *reply, void *ctx) {
	struct redis_removing *removing = ctx;
	struct store_redis *redis = removing->redis;
	if (!redis_is_row(reply, 1)) {
		remove_finish(removing, redis_is_row(reply, 0) ? STORE_OK : STORE_UNAVAILABLE);
		return;
	}
	char key[INVITE_KEY_MAX];
	struct slice invite_key = invite_key_print(removing->invite, key);
	const struct slice arguments[] = {
		{(const char *)removing->invite.bytes, sizeof removing->invite.bytes}};
	removing->pending = reply->elements;
	for (size_t i = 0; i < reply->elements; i++) {
		struct device_id device = {{0}};
		(void)redis_row_bytes(reply, i, device.bytes, sizeof device.bytes);
		redis_run(redis, REDIS_SCRIPT_REMOVE, device, 1, arguments, remove_on_removed, removing);
		const struct slice words[] = {
			slice_of("ZREM"), invite_key, {reply->element[i]->str, reply->element[i]->len}};
		redis_conn_command(redis->conn, 3, words, NULL, NULL);
	}
}

static void remove_on_removed(const struct redisReply *reply, void *ctx) {
	struct redis_removing *removing = ctx;
	removing->has_failed = removing->has_failed || !redis_is_row(reply, 1);
	removing->redis->stats.unsubscribed += (uint64_t)redis_row_number(reply, 0);
	if (--removing->pending > 0) {
		return;
	}
	if (removing->has_failed) {
		remove_finish(removing, STORE_UNAVAILABLE);
	} else {
		remove_step(removing);
	}
}

static void remove_finish(struct redis_removing *removing, enum store_outcome outcome) {
	if (removing->done) {
		removing->done(outcome, removing->ctx);
	}
	free(removing);
}

/* ---- nodes
 * --------------------------------------------------------------------------------------- */

static size_t channel_print(const char node_hex[REDIS_NODE_HEX], char out[32]) {
	int len = snprintf(out, 32, "bw:node:%.*s", REDIS_NODE_HEX, node_hex);
	return (size_t)len;
}

static void redis_tell(
	struct store *store, struct node_id to, struct device_id device, struct slice text) {
	struct store_redis *redis = store_redis_of(store);
	char to_hex[REDIS_NODE_HEX], channel[32];
	redis_hex_print(to.bytes, sizeof to.bytes, to_hex);
	size_t len;
	char *told = redis_told_print(redis->options.node, device, text, &len);
	const struct slice words[] = {
		slice_of("PUBLISH"), {channel, channel_print(to_hex, channel)}, {told, len}};
	redis_put_flush(redis);
	redis_conn_command(redis->conn, 3, words, NULL, NULL);
	free(told);
}

static void redis_on_heard(struct slice text, void *ctx) {
	struct store_redis *redis = ctx;
	struct redis_heard heard;
	struct store_message message;
	if (!redis_heard_parse(text, &heard)) {
		return;
	}
	struct store_wake wake = {.device = heard.device};
	switch (heard.kind) {
	case REDIS_HEARD_MESSAGES:
		wake.kind = STORE_WAKE_MESSAGES;
		break;
	case REDIS_HEARD_TRANSIENT:
		wake.kind = STORE_WAKE_TRANSIENT;
		wake.message = &message;
		if (!redis_message_open(heard.text, &message)) {
			return;
		}
		break;
	case REDIS_HEARD_TOLD:
		wake.kind = STORE_WAKE_TOLD;
		wake.from = heard.from;
		wake.text = heard.text;
		break;
	}
	redis->options.on_woken(&wake, redis->options.ctx);
}

static void redis_on_lost(void *ctx) {
	struct store_redis *redis = ctx;
	const struct store_wake wake = {.kind = STORE_WAKE_LOST};
	redis->options.on_woken(&wake, redis->options.ctx);
}

static void redis_on_state(bool is_ready, const char *reason, void *ctx) {
	struct store_redis *redis = ctx;
	if (redis->options.on_state) {
		redis->options.on_state(is_ready, reason, redis->options.ctx);
	}
}

/* ---- life
 * ---------------------------------------------------------------------------------------- */

/* Those of the options override those of the URL. */
static const char *redis_login_set(struct redis_url *url, const struct store_options *options) {
	if (options->redis_user && options->redis_user[0]) {
		free(url->user);
		url->user = mem_strdup(options->redis_user);
	}
	if (options->redis_password && options->redis_password[0]) {
		free(url->password);
		url->password = mem_strdup(options->redis_password);
	}
	return url->user && !url->password ? "a Redis user needs a password" : NULL;
}

static struct store *redis_open(
	const struct store_options *options, const char *rest, char **out_error) {
	(void)rest; /* the scheme matters: three are ours */
	struct redis_url url = {0};
	const char *error = redis_url_parse(options->url, &url);
	if (!error) {
		error = redis_login_set(&url, options);
	}
	if (error) {
		*out_error = mem_printf("store URL of a Redis: %s", error);
		redis_url_finish(&url);
		return NULL;
	}
	struct store_redis *redis = mem_zalloc(sizeof *redis);
	redis->options = *options;
	redis->options.url = redis->options.redis_user = NULL;
	redis->options.redis_password = redis->options.redis_ca_file = NULL;
	redis_hex_print(options->node.bytes, sizeof options->node.bytes, redis->node_hex);
	redis_put_init(redis);
	char channel[32];
	(void)channel_print(redis->node_hex, channel);
	struct redis_conn_options conn_options = {
		.loop = options->loop,
		.url = url,
		.ca_file = options->redis_ca_file,
		.channel = channel,
		.is_quiet = options->is_quiet,
		.on_state = redis_on_state,
		.on_heard = redis_on_heard,
		.on_lost = redis_on_lost,
		.ctx = redis,
	};
	redis->conn = redis_conn_create(&conn_options, out_error);
	if (!redis->conn) {
		free(redis);
		return NULL;
	}
	return &redis->store;
}

static void redis_close(struct store *store) {
	struct store_redis *redis = store_redis_of(store);
	redis_put_flush(redis);
	redis->is_closing = true;
	redis_conn_destroy(redis->conn);
	ev_prepare_stop(redis->options.loop, &redis->before_sleep);
	free(redis);
}

static bool redis_is_available(const struct store *store) {
	return redis_conn_is_ready(container_of(store, const struct store_redis, store)->conn);
}

static void redis_get_stats(const struct store *store, struct store_stats *out_stats) {
	*out_stats = container_of(store, const struct store_redis, store)->stats;
	out_stats->queued_messages = out_stats->queued_bytes = -1;
	out_stats->devices = out_stats->subscriptions = -1;
}

const struct store_backend store_redis_backend = {
	.scheme = "redis",
	.is_shared = true,
	.open = redis_open,
	.close = redis_close,
	.is_available = redis_is_available,
	.attach = redis_attach,
	.detach = redis_detach,
	.set_urgency = redis_set_urgency,
	.settle_missed = redis_settle_missed,
	.subscribe = redis_subscribe,
	.unsubscribe = redis_unsubscribe,
	.lookup = redis_lookup,
	.remove_invited = redis_remove_invited,
	.put = redis_put,
	.fetch = redis_fetch,
	.ack = redis_ack,
	.cancel = redis_cancel,
	.tell = redis_tell,
	.get_stats = redis_get_stats,
};
