/* SPDX-License-Identifier: Apache-2.0 */
/* One store under test, and what is asked of it again and again. */
#include "tests/contract/world.h"
#include "common/mem.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

static const struct store_limits contract_limits = {
	.queue_messages = 10,
	.queue_bytes = 1 << 20,
	.subscriptions = 5,
	.device_sec = 1000,
	.tombstone_sec = 1000,
};

static void world_on_limit(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)timer;
	(void)events;
	fail_msg("a callback did not come within 10 seconds");
}

void world_answered(struct world *world) {
	assert_false(world->is_calling);
	assert_true(world->waiting > 0);
	if (ev_is_active(&world->limit)) {
		ev_timer_again(world->loop, &world->limit); /* for the next one */
	}
	if (--world->waiting == 0) {
		ev_break(world->loop, EVBREAK_ALL);
	}
}

void world_wait(struct world *world) {
	ev_timer_again(world->loop, &world->limit);
	if (world->waiting > 0) {
		ev_run(world->loop, 0);
	}
	assert_int_equal(world->waiting, 0);
	ev_timer_stop(world->loop, &world->limit);
}

void on_put(const struct store_put_result *result, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->put = *result;
}
void on_device(const struct store_device *device, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->device = *device;
}
void on_subscribed(const struct store_subscribed *result, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->subscribed = *result;
}
void on_subscription(const struct store_subscription *subscription, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->subscription = *subscription;
}
void on_done(enum store_outcome outcome, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->done = outcome;
}
void on_acked(enum store_outcome outcome, size_t removed, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->done = outcome;
	world->acked = removed;
}
static struct slice world_keep(struct slice from, char *to) {
	memcpy(to, from.len ? from.data : "", from.len);
	return (struct slice){to, from.len};
}
static void world_keep_last(struct world *world, const struct store_message *message) {
	world->last = *message;
	world->last.encoding = world_keep(message->encoding, world->pieces[0]);
	world->last.encryption = world_keep(message->encryption, world->pieces[1]);
	world->last.crypto_key = world_keep(message->crypto_key, world->pieces[2]);
	world->last.body = world_keep(message->body, world->pieces[3]);
	world->last.topic = world_keep(message->topic, world->pieces[4]);
}
void on_fetched(const struct store_fetched *fetched, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->fetched = *fetched;
	for (size_t i = 0; i < fetched->count; i++) {
		world->ids[i] = fetched->messages[i].id;
		size_t len = fetched->messages[i].body.len < 63 ? fetched->messages[i].body.len : 63;
		memcpy(world->bodies[i], fetched->messages[i].body.data, len);
		world->bodies[i][len] = '\0';
	}
	if (fetched->count > 0) {
		world_keep_last(world, &fetched->messages[fetched->count - 1]);
	}
}
static void on_woken(const struct store_wake *wake, void *ctx) {
	struct world *world = ctx;
	world->wakes += wake->kind == STORE_WAKE_MESSAGES;
}

static void world_on_state(bool available, const char *reason, void *ctx) {
	struct world *world = ctx;
	(void)available;
	world->state_changes++;
	(void)snprintf(world->reason, sizeof world->reason, "%s", reason ? reason : "");
}

void world_open(struct world *world, const char *url, char **out_error) {
	char *error = NULL;
	const struct store_options options = {
		.url = url,
		.loop = world->loop,
		.node = {{1, 2, 3, 4, 5, 6, 7, 8}},
		.limits = world->limits,
		.on_woken = on_woken,
		.on_state = world_on_state,
		.ctx = world,
	};
	ev_now_update(world->loop);
	world->store = store_open(&options, &error);
	if (out_error) {
		*out_error = error;
		return;
	}
	if (!world->store) {
		fail_msg("%s", error);
	}
	ev_timer_again(world->loop, &world->limit);
	while (!store_is_available(world->store)) {
		ev_run(world->loop, EVRUN_ONCE);
	}
	ev_timer_stop(world->loop, &world->limit);
}

void world_close(struct world *world) {
	store_close(world->store);
	world->store = NULL;
	assert_int_equal(world->waiting, 0);
}

void world_create(struct world **out_world) {
	struct world *world = mem_zalloc(sizeof *world);
	world->limits = contract_limits;
	world->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ev_timer_init(&world->limit, world_on_limit, 0, 10);
	*out_world = world;
}

void world_destroy(struct world *world) {
	if (world->store) {
		world_close(world);
	}
	ev_loop_destroy(world->loop);
	free(world);
}

static void world_on_time(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)timer;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

void world_run(struct world *world, double seconds) {
	ev_timer timer;
	ev_now_update(world->loop);
	ev_timer_init(&timer, world_on_time, seconds, 0);
	ev_timer_start(world->loop, &timer);
	ev_run(world->loop, 0);
	ev_timer_stop(world->loop, &timer);
}

/* ---- short forms ---- */

struct device_id new_device(void) {
	struct device_id id;
	assert_int_equal(RAND_bytes(id.bytes, sizeof id.bytes), 1);
	return id;
}

struct channel_id channel(uint8_t number) {
	return (struct channel_id){{number}};
}

struct subscription_id new_subscription(void) {
	struct subscription_id id;
	assert_int_equal(RAND_bytes(id.bytes, sizeof id.bytes), 1);
	return id;
}

struct subscription_id subscribe_with(
	struct world *world, struct device_id device, uint8_t number, const uint8_t *key_hash) {
	struct store_subscribe what = {.device = device, .channel = channel(number)};
	assert_int_equal(RAND_bytes(what.fresh.bytes, sizeof what.fresh.bytes), 1);
	if (key_hash) {
		what.has_key = true;
		memcpy(what.key_hash, key_hash, sizeof what.key_hash);
	}
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	return world->subscribed.subscription;
}

struct subscription_id subscribe(struct world *world, struct device_id device, uint8_t number) {
	return subscribe_with(world, device, number, NULL);
}

enum store_outcome put_with(struct world *world, struct device_id device,
	struct subscription_id subscription, const char *body, struct put_facts facts) {
	const struct store_put put = {
		.device = device,
		.subscription = subscription,
		.ttl_sec = facts.ttl_sec,
		.urgency = facts.urgency,
		.topic = slice_of(facts.topic),
		.encoding = slice_of("aes128gcm"),
		.body = slice_of(body),
	};
	CALL(world, store_put(world->store, &put, on_put, world));
	world_wait(world);
	return world->put.outcome;
}

enum store_outcome put(struct world *world, struct device_id device,
	struct subscription_id subscription, const char *body) {
	return put_with(
		world, device, subscription, body, (struct put_facts){60, URGENCY_NORMAL, NULL});
}

enum store_outcome put_slice(struct world *world, struct device_id device,
	struct subscription_id subscription, struct slice body) {
	const struct store_put what = {
		.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.encoding = slice_of("aesgcm"),
		.encryption = slice_of("salt=abc"),
		.crypto_key = slice_of("dh=def"),
		.body = body,
	};
	CALL(world, store_put(world->store, &what, on_put, world));
	world_wait(world);
	return world->put.outcome;
}

void fetch_with(struct world *world, struct device_id device, struct message_id after,
	enum urgency min, size_t max) {
	CALL(world, store_fetch(world->store, device, after, min, max, on_fetched, world));
	world_wait(world);
}

/* Fetches all and compares the bodies, joined by blanks. */
void expect_queue(struct world *world, struct device_id device, const char *bodies) {
	char joined[STORE_FETCH_MAX * 64] = "";
	size_t len = 0;
	fetch_with(world, device, (struct message_id){0, 0}, URGENCY_VERY_LOW, STORE_FETCH_MAX);
	for (size_t i = 0; i < world->fetched.count; i++) {
		len += (size_t)snprintf(
			joined + len, sizeof joined - len, "%s%s", i > 0 ? " " : "", world->bodies[i]);
	}
	assert_string_equal(joined, bodies);
}

size_t ack(struct world *world, struct device_id device, uint8_t number, struct message_id id) {
	const struct store_ack what = {channel(number), id};
	CALL(world, store_ack(world->store, device, &what, 1, on_acked, world));
	world_wait(world);
	return world->acked;
}

enum store_outcome attach(struct world *world, struct device_id device) {
	CALL(world, store_attach(world->store, device, on_device, world));
	world_wait(world);
	return world->device.outcome;
}

enum store_outcome unsubscribe(struct world *world, struct device_id device, uint8_t number) {
	CALL(world, store_unsubscribe(world->store, device, channel(number), on_done, world));
	world_wait(world);
	return world->done;
}

enum store_outcome lookup(
	struct world *world, struct device_id device, struct subscription_id subscription) {
	CALL(world, store_lookup(world->store, device, subscription, on_subscription, world));
	world_wait(world);
	return world->subscription.outcome;
}
