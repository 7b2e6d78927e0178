/* SPDX-License-Identifier: Apache-2.0 */
/* What storage/store.h promises, checked on whatever store the first argument names. */
#include "tests/contract/world.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

static const char *contract_url;

static int world_setup(void **state) {
	struct world *world;
	world_create(&world);
	world_open(world, contract_url, NULL);
	*state = world;
	return 0;
}

static int world_teardown(void **state) {
	world_destroy(*state);
	return 0;
}

/* ---- the promises ---- */

static void an_unknown_device_is_missing_everywhere(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id none = {{9}};
	assert_int_equal(attach(world, device), STORE_MISSING);
	assert_int_equal(put(world, device, none, "x"), STORE_MISSING);
	assert_int_equal(lookup(world, device, none), STORE_MISSING);
	assert_int_equal(ack(world, device, 1, (struct message_id){0, 1}), 0);
	CALL(world, store_set_urgency(world->store, device, URGENCY_HIGH, on_done, world));
	world_wait(world);
	assert_int_equal(world->done, STORE_MISSING);
	CALL(world, store_cancel(world->store, device, (struct message_id){0, 1}, on_done, world));
	world_wait(world);
	assert_int_equal(world->done, STORE_MISSING);
}

static void messages_come_back_whole_and_in_order(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	assert_int_equal(world->subscribed.outcome, STORE_OK);
	assert_int_equal(put(world, device, subscription, "a"), STORE_OK);
	assert_true(world->put.is_stored);
	assert_memory_equal(&world->put.channel, &(struct channel_id){{1}}, sizeof(struct channel_id));
	struct message_id first = world->put.id;
	assert_int_equal(put(world, device, subscription, ""), STORE_OK);
	assert_true(message_id_compare(first, world->put.id) < 0);
	assert_int_equal(put(world, device, subscription, "c"), STORE_OK);
	expect_queue(world, device, "a  c");
	fetch_with(world, device, first, URGENCY_VERY_LOW, 10);
	assert_int_equal(world->fetched.count, 2);
}

static void a_fetch_goes_on_where_the_last_one_ended(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	static const char *const bodies[] = {"a", "b", "c", "d", "e"};
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(put(world, device, subscription, bodies[i]), STORE_OK);
	}
	struct message_id after = {0, 0};
	size_t seen = 0;
	do {
		fetch_with(world, device, after, URGENCY_VERY_LOW, 2);
		for (size_t i = 0; i < world->fetched.count; i++) {
			assert_string_equal(world->bodies[i], bodies[seen++]);
		}
		after = world->fetched.next;
	} while (world->fetched.has_more);
	assert_int_equal(seen, 5);
}

static void an_acknowledged_message_is_gone(void **state) {
	struct world *world = *state;
	struct device_id device = new_device(), other = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)subscribe(world, other, 1);
	(void)put(world, device, subscription, "a");
	struct message_id id = world->put.id;
	assert_int_equal(ack(world, device, 2, id), 0); /* the wrong channel */
	assert_int_equal(ack(world, other, 1, id), 0); /* the wrong device */
	expect_queue(world, device, "a");
	assert_int_equal(ack(world, device, 1, id), 1);
	assert_int_equal(ack(world, device, 1, id), 0);
	expect_queue(world, device, "");
	CALL(world, store_cancel(world->store, device, id, on_done, world));
	world_wait(world);
	assert_int_equal(world->done, STORE_MISSING);
}

static void a_sender_can_cancel_what_is_queued(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put(world, device, subscription, "a");
	struct message_id id = world->put.id;
	(void)put(world, device, subscription, "b");
	CALL(world, store_cancel(world->store, device, id, on_done, world));
	world_wait(world);
	assert_int_equal(world->done, STORE_OK);
	expect_queue(world, device, "b");
}

static void a_topic_is_replaced_on_its_subscription_only(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id one = subscribe(world, device, 1), two = subscribe(world, device, 2);
	const struct put_facts t = {60, URGENCY_NORMAL, "t"}, upper = {60, URGENCY_NORMAL, "T"};
	(void)put_with(world, device, one, "a", t);
	struct message_id first = world->put.id;
	(void)put_with(world, device, two, "b", t);
	(void)put_with(world, device, one, "c", upper);
	(void)put_with(world, device, one, "d", t);
	assert_true(world->put.was_replaced);
	expect_queue(world, device, "b c d");
	assert_true(slice_equals(world->last.topic, "t"));
	assert_int_equal(ack(world, device, 1, first), 0);
	(void)put_with(world, device, one, "e", (struct put_facts){0, URGENCY_NORMAL, "t"});
	assert_false(world->put.is_stored);
	expect_queue(world, device, "b c");
	assert_true(slice_equals(world->last.topic, "T"));
	(void)put(world, device, one, "f");
	expect_queue(world, device, "b c f");
	assert_int_equal(world->last.topic.len, 0);
}

static void a_full_queue_drops_the_least_important(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	for (int i = 0; i < 9; i++) {
		(void)put_with(world, device, subscription, i == 4 ? "low" : "n",
			(struct put_facts){60, i == 4 ? URGENCY_LOW : URGENCY_NORMAL, NULL});
	}
	(void)put_with(world, device, subscription, "high", (struct put_facts){60, URGENCY_HIGH, NULL});
	assert_int_equal(world->put.evicted, 0);
	(void)put(world, device, subscription, "x");
	assert_int_equal(world->put.evicted, 1);
	expect_queue(world, device, "n n n n n n n n high x"); /* the low one went */
	(void)put(world, device, subscription, "y");
	expect_queue(world, device, "n n n n n n n high x y");
	(void)put_with(
		world, device, subscription, "z", (struct put_facts){60, URGENCY_VERY_LOW, NULL});
	assert_int_equal(world->put.outcome, STORE_OK);
	assert_false(world->put.is_stored);
	expect_queue(world, device, "n n n n n n n high x y");
	assert_int_equal(attach(world, device), STORE_OK);
	assert_int_equal(world->device.missed, 3);
}

static void what_was_missed_is_told_until_settled(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	for (int i = 0; i < 12; i++) {
		(void)put(world, device, subscription, "m");
	}
	(void)attach(world, device);
	assert_int_equal(world->device.missed, 2);
	CALL(world, store_settle_missed(world->store, device, 2, on_done, world));
	world_wait(world);
	(void)attach(world, device);
	assert_int_equal(world->device.missed, 0);
}

static void a_removed_subscription_is_gone_with_its_messages(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id one = subscribe(world, device, 1), two = subscribe(world, device, 2);
	(void)put(world, device, one, "a");
	(void)put(world, device, two, "b");
	CALL(world, store_unsubscribe(world->store, device, channel(1), on_done, world));
	world_wait(world);
	assert_int_equal(world->done, STORE_OK);
	assert_int_equal(put(world, device, one, "c"), STORE_GONE);
	assert_int_equal(lookup(world, device, one), STORE_GONE);
	expect_queue(world, device, "b");
	struct subscription_id again = subscribe(world, device, 1);
	assert_memory_not_equal(&again, &one, sizeof one);
	assert_int_equal(put(world, device, again, "d"), STORE_OK);
}

static void a_channel_keeps_its_subscription_while_its_key_stays(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	const uint8_t key[STORE_KEY_HASH_BYTES] = {1}, other[STORE_KEY_HASH_BYTES] = {2};
	struct subscription_id first = subscribe_with(world, device, 1, key);
	struct subscription_id same = subscribe_with(world, device, 1, key);
	assert_memory_equal(&first, &same, sizeof first);
	assert_int_equal(put(world, device, first, "a"), STORE_KEY_MISMATCH);
	struct store_put what = {.device = device,
		.subscription = first,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.has_key = true,
		.body = slice_of("a")};
	memcpy(what.key_hash, key, sizeof key);
	CALL(world, store_put(world->store, &what, on_put, world));
	world_wait(world);
	assert_int_equal(world->put.outcome, STORE_OK);
	memcpy(what.key_hash, other, sizeof other);
	CALL(world, store_put(world->store, &what, on_put, world));
	world_wait(world);
	assert_int_equal(world->put.outcome, STORE_KEY_MISMATCH);
	struct subscription_id changed = subscribe_with(world, device, 1, other);
	assert_memory_not_equal(&changed, &first, sizeof first);
	assert_int_equal(lookup(world, device, first), STORE_GONE);
	expect_queue(world, device, "a"); /* what was accepted stays */
}

/* A put with this key, by one who proved to hold it. */
static enum store_outcome put_with_key(struct world *world, struct device_id device,
	struct subscription_id subscription, const uint8_t key_hash[STORE_KEY_HASH_BYTES]) {
	struct store_put what = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.has_key = true,
		.body = slice_of("x")};
	memcpy(what.key_hash, key_hash, sizeof what.key_hash);
	CALL(world, store_put(world->store, &what, on_put, world));
	world_wait(world);
	return world->put.outcome;
}

/* A device that changes the key of a channel again and again takes no more room for it. */
static void so_many_removed_subscriptions_are_remembered(void **state) {
	enum { AT_ONCE = 100, TIMES = STORE_TOMBSTONES_MAX / AT_ONCE + 2 };
	struct world *world = *state;
	struct store_subscribe what = {
		.device = new_device(), .channel = channel(1), .has_key = true, .key_hash = {1}};
	static struct subscription_id ids[TIMES * AT_ONCE];
	for (size_t i = 0; i < TIMES * AT_ONCE; i++) {
		ids[i] = what.fresh = new_subscription();
		what.key_hash[1] = (uint8_t)i;
		CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
		if (i % AT_ONCE == AT_ONCE - 1) {
			world_wait(world);
			assert_int_equal(world->subscribed.outcome, STORE_OK);
		}
	}
	const size_t last = TIMES * AT_ONCE - 1;
	assert_int_equal(lookup(world, what.device, ids[last]), STORE_OK);
	assert_int_equal(lookup(world, what.device, ids[last - 1]), STORE_GONE);
	assert_int_equal(lookup(world, what.device, ids[last - 4000]), STORE_GONE);
	assert_int_equal(lookup(world, what.device, ids[0]), STORE_MISSING);
}

static void a_key_may_follow_later(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	const uint8_t later[STORE_KEY_HASH_BYTES] = {0}, key[STORE_KEY_HASH_BYTES] = {1},
				  other[STORE_KEY_HASH_BYTES] = {2};
	struct subscription_id first = subscribe_with(world, device, 1, later), same;
	assert_int_equal(put(world, device, first, "x"), STORE_KEY_MISMATCH);
	assert_int_equal(put_with_key(world, device, first, key), STORE_KEY_MISMATCH);
	assert_int_equal(lookup(world, device, first), STORE_OK);
	assert_true(world->subscription.has_key);
	assert_true(store_key_is_later(world->subscription.key_hash));
	const uint8_t *const kept[] = {later, NULL, key, key, later};
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		same = subscribe_with(world, device, 1, kept[i]);
		assert_memory_equal(&first, &same, sizeof first);
	}
	assert_int_equal(put_with_key(world, device, first, other), STORE_KEY_MISMATCH);
	assert_int_equal(put_with_key(world, device, first, key), STORE_OK);
	same = subscribe_with(world, device, 1, other);
	assert_memory_not_equal(&first, &same, sizeof first);
	assert_int_equal(lookup(world, device, first), STORE_GONE);
	/* One that never had a key is another subscription once it waits for one. */
	first = subscribe_with(world, device, 2, NULL);
	same = subscribe_with(world, device, 2, later);
	assert_memory_not_equal(&first, &same, sizeof first);
}

static void transient_messages_are_never_stored(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put_with(world, device, subscription, "a", (struct put_facts){0, URGENCY_NORMAL, NULL});
	assert_int_equal(world->put.outcome, STORE_OK);
	assert_true(world->put.is_here); /* subscribing attached it */
	struct message_id first = world->put.id;
	(void)put_with(world, device, subscription, "b", (struct put_facts){0, URGENCY_NORMAL, NULL});
	assert_true(message_id_compare(first, world->put.id) != 0);
	expect_queue(world, device, "");
	CALL(world, store_detach(world->store, device, on_done, world));
	world_wait(world);
	(void)put_with(world, device, subscription, "c", (struct put_facts){0, URGENCY_NORMAL, NULL});
	assert_false(world->put.is_here);
}

static void a_minimum_holds_less_urgent_messages_back(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	CALL(world, store_set_urgency(world->store, device, URGENCY_NORMAL, on_done, world));
	world_wait(world);
	assert_int_equal(world->done, STORE_OK);
	(void)put_with(world, device, subscription, "low", (struct put_facts){60, URGENCY_LOW, NULL});
	assert_true(world->put.is_below_minimum);
	(void)put(world, device, subscription, "normal");
	assert_false(world->put.is_below_minimum);
	fetch_with(world, device, (struct message_id){0, 0}, URGENCY_NORMAL, 10);
	assert_int_equal(world->fetched.count, 1);
	assert_string_equal(world->bodies[0], "normal");
	expect_queue(world, device, "low normal");
	(void)attach(world, device);
	assert_int_equal(world->device.min_urgency, URGENCY_NORMAL);
}

static void quotas_are_kept(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	for (uint8_t i = 1; i <= 5; i++) {
		(void)subscribe(world, device, i);
		assert_int_equal(world->subscribed.outcome, STORE_OK);
	}
	(void)subscribe(world, device, 6);
	assert_int_equal(world->subscribed.outcome, STORE_FULL);
	(void)subscribe(world, device, 3); /* an old one is no new one */
	assert_int_equal(world->subscribed.outcome, STORE_OK);
}

static void an_invite_has_so_many_devices_and_messages(void **state) {
	struct world *world = *state;
	struct store_subscribe what = {.device = new_device(),
		.channel = channel(1),
		.fresh = {{1}},
		.invite_devices = 1,
		.messages_per_day = 2};
	assert_int_equal(RAND_bytes(what.invite.bytes, sizeof what.invite.bytes), 1);
	assert_int_equal(RAND_bytes(what.fresh.bytes, sizeof what.fresh.bytes), 1);
	struct device_id first = what.device;
	struct subscription_id subscription = what.fresh;
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(world->subscribed.outcome, STORE_OK);
	assert_int_equal(put(world, first, subscription, "a"), STORE_OK);
	assert_int_equal(put(world, first, subscription, "b"), STORE_OK);
	assert_int_equal(put(world, first, subscription, "c"), STORE_OVER_QUOTA);
	what.device = new_device();
	what.fresh.bytes[3] ^= 1;
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(world->subscribed.outcome, STORE_FULL);
	CALL(world, store_remove_invited(world->store, what.invite, on_done, world));
	world_wait(world);
	assert_int_equal(attach(world, first), STORE_MISSING);
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(world->subscribed.outcome, STORE_OK);
}

static void devices_of_an_invite_share_its_messages_of_a_day(void **state) {
	struct world *world = *state;
	struct store_subscribe what = {.channel = channel(1), .messages_per_day = 3};
	assert_int_equal(RAND_bytes(what.invite.bytes, sizeof what.invite.bytes), 1);
	struct device_id devices[2];
	struct subscription_id subscriptions[2];
	for (int i = 0; i < 2; i++) {
		devices[i] = what.device = new_device();
		subscriptions[i] = what.fresh = new_subscription();
		CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
		world_wait(world);
		assert_int_equal(world->subscribed.outcome, STORE_OK);
	}
	assert_int_equal(put(world, devices[0], subscriptions[0], "a"), STORE_OK);
	assert_int_equal(put(world, devices[1], subscriptions[1], "b"), STORE_OK);
	assert_int_equal(put(world, devices[0], subscriptions[0], "c"), STORE_OK);
	assert_int_equal(put(world, devices[1], subscriptions[1], "d"), STORE_OVER_QUOTA);
	assert_int_equal(put(world, devices[0], subscriptions[0], "e"), STORE_OVER_QUOTA);
	expect_queue(world, devices[0], "a c");
	expect_queue(world, devices[1], "b");
	/* A device of another invite has its own. */
	what.invite.bytes[0] ^= 1;
	what.device = new_device();
	what.fresh = new_subscription();
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(put(world, what.device, what.fresh, "f"), STORE_OK);
}

static void a_body_above_the_subscriptions_limit_is_too_large(void **state) {
	struct world *world = *state;
	struct store_subscribe what = {.device = new_device(), .channel = channel(1), .max_body = 4};
	assert_int_equal(RAND_bytes(what.fresh.bytes, sizeof what.fresh.bytes), 1);
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(put(world, what.device, what.fresh, "1234"), STORE_OK);
	assert_int_equal(put(world, what.device, what.fresh, "12345"), STORE_TOO_LARGE);
}

static void world_wait_until(struct world *world, int64_t unix_ms) {
	world_run(world, (double)unix_ms / 1000 - ev_time() + 0.02);
}

static void expired_messages_are_not_seen(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put_with(
		world, device, subscription, "short", (struct put_facts){1, URGENCY_NORMAL, NULL});
	int64_t expires_ms = world->put.expires_ms;
	(void)put(world, device, subscription, "long");
	world_wait_until(world, expires_ms);
	expect_queue(world, device, "long");
	store_sweep(world->store);
	(void)attach(world, device);
	assert_true(world->device.missed <= 1);
}

static void an_expired_message_cannot_be_cancelled(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	struct store_stats before, after;
	store_get_stats(world->store, &before);
	(void)put_with(world, device, subscription, "a", (struct put_facts){1, URGENCY_NORMAL, NULL});
	struct message_id id = world->put.id;
	world_wait_until(world, world->put.expires_ms);
	CALL(world, store_cancel(world->store, device, id, on_done, world));
	world_wait(world);
	assert_int_equal(world->done, STORE_MISSING);
	store_get_stats(world->store, &after);
	assert_int_equal(after.cancelled - before.cancelled, 0);
	assert_int_equal(after.expired - before.expired, 1);
	(void)attach(world, device);
	assert_int_equal(world->device.missed, 1);
}

static void what_a_sender_gave_comes_back_byte_for_byte(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	static char body[65536];
	assert_int_equal(RAND_bytes((unsigned char *)body, sizeof body), 1);
	const size_t sizes[] = {0, 1, 4096, sizeof body};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		assert_int_equal(
			put_slice(world, device, subscription, (struct slice){body, sizes[i]}), STORE_OK);
		fetch_with(world, device, (struct message_id){0, 0}, URGENCY_VERY_LOW, STORE_FETCH_MAX);
		assert_int_equal(world->fetched.count, i + 1);
		assert_int_equal(message_id_compare(world->last.id, world->put.id), 0);
		assert_true(slice_equals(world->last.encoding, "aesgcm"));
		assert_true(slice_equals(world->last.encryption, "salt=abc"));
		assert_true(slice_equals(world->last.crypto_key, "dh=def"));
		assert_int_equal(world->last.body.len, sizes[i]);
		assert_memory_equal(world->last.body.data, body, sizes[i]);
		assert_int_equal(world->last.urgency, URGENCY_NORMAL);
		assert_int_equal(world->last.expires_ms, world->put.expires_ms);
	}
}

/* Remembers in which order its calls were answered. */
struct turn {
	struct world *world;
	char mark;
	char *answers; /* where the marks go */
};
static void turn_taken(struct turn *turn) {
	size_t len = strlen(turn->answers);
	turn->answers[len] = turn->mark;
	world_answered(turn->world);
}
static void turn_on_put(const struct store_put_result *result, void *ctx) {
	assert_int_equal(result->outcome, STORE_OK);
	turn_taken(ctx);
}
static void turn_on_fetched(const struct store_fetched *fetched, void *ctx) {
	assert_int_equal(fetched->outcome, STORE_OK);
	turn_taken(ctx);
}
static void turn_on_device(const struct store_device *device, void *ctx) {
	assert_int_equal(device->outcome, STORE_OK);
	turn_taken(ctx);
}
static void turn_on_subscription(const struct store_subscription *subscription, void *ctx) {
	assert_int_equal(subscription->outcome, STORE_OK);
	turn_taken(ctx);
}
static void turn_on_acked(enum store_outcome outcome, size_t removed, void *ctx) {
	(void)removed;
	assert_int_equal(outcome, STORE_OK);
	turn_taken(ctx);
}
static void turn_on_done(enum store_outcome outcome, void *ctx) {
	assert_int_equal(outcome, STORE_OK);
	turn_taken(ctx);
}

static void answers_keep_the_order_of_the_calls(void **state) {
	struct world *world = *state;
	struct store *store = world->store;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put(world, device, subscription, "first");
	const struct store_ack first = {channel(1), world->put.id};
	const struct store_put what = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.body = slice_of("x")};
	const struct store_put passing = {.device = device, .subscription = subscription};
	char answers[16] = "";
	struct turn turns[8];
	for (size_t i = 0; i < 8; i++) {
		turns[i] = (struct turn){world, (char)('a' + i), answers};
	}
	CALL(world, store_put(store, &what, turn_on_put, &turns[0]));
	CALL(world, store_lookup(store, device, subscription, turn_on_subscription, &turns[1]));
	CALL(world, store_fetch(store, device, (struct message_id){0, 0}, URGENCY_LOW, 9,
					turn_on_fetched, &turns[2]));
	CALL(world, store_ack(store, device, &first, 1, turn_on_acked, &turns[3]));
	CALL(world, store_put(store, &passing, turn_on_put, &turns[4]));
	CALL(world, store_attach(store, device, turn_on_device, &turns[5]));
	CALL(world, store_set_urgency(store, device, URGENCY_LOW, turn_on_done, &turns[6]));
	CALL(world, store_detach(store, device, turn_on_done, &turns[7]));
	world_wait(world);
	/* The acknowledgement may be overtaken, but not by what changes the device. */
	char *acked = strchr(answers, 'd');
	assert_true(acked && acked > strchr(answers, 'c') && acked < strchr(answers, 'g'));
	memmove(acked, acked + 1, strlen(acked));
	assert_string_equal(answers, "abcefgh");
	expect_queue(world, device, "x");
}

/* A device that wants to be sure asks for something that changes nothing. */
static void an_unsubscribe_comes_behind_all_acknowledgements(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	char answers[16] = "";
	struct turn turns[5];
	for (size_t i = 0; i < 5; i++) {
		turns[i] = (struct turn){world, i < 4 ? 'a' : 'u', answers};
		if (i < 4) {
			assert_int_equal(put(world, device, subscription, "x"), STORE_OK);
			const struct store_ack what = {channel(1), world->put.id};
			CALL(world, store_ack(world->store, device, &what, 1, turn_on_acked, &turns[i]));
		}
	}
	CALL(world, store_unsubscribe(world->store, device, channel(9), turn_on_done, &turns[4]));
	world_wait(world);
	assert_string_equal(answers, "aaaau");
}

static void a_queue_holds_so_many_bytes(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	static char large[400000], huge[(1 << 20) + 1];
	memset(large, 'l', sizeof large);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			put_slice(world, device, subscription, (struct slice){large, 40000}), STORE_OK);
		assert_int_equal(world->put.evicted, 0);
	}
	const struct store_put big = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.body = {large, sizeof large}};
	CALL(world, store_put(world->store, &big, on_put, world));
	CALL(world, store_put(world->store, &big, on_put, world));
	world_wait(world);
	assert_int_equal(world->put.evicted, 0);
	CALL(world, store_put(world->store, &big, on_put, world));
	world_wait(world);
	assert_true(world->put.is_stored);
	assert_int_equal(world->put.evicted, 3); /* both small ones and one large */
	struct store_put too_big = big;
	too_big.body = (struct slice){huge, sizeof huge};
	CALL(world, store_put(world->store, &too_big, on_put, world));
	world_wait(world);
	assert_int_equal(world->put.outcome, STORE_OK);
	assert_false(world->put.is_stored); /* it would not fit into an empty queue */
	(void)attach(world, device);
	assert_true(world->device.missed >= 4);
}

static void expired_messages_make_room_first(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put_with(world, device, subscription, "old", (struct put_facts){1, URGENCY_HIGH, NULL});
	int64_t expires_ms = world->put.expires_ms;
	for (int i = 0; i < 9; i++) {
		(void)put_with(world, device, subscription, "n", (struct put_facts){60, URGENCY_LOW, NULL});
	}
	world_wait_until(world, expires_ms);
	(void)put(world, device, subscription, "x");
	assert_int_equal(world->put.evicted, 0);
	expect_queue(world, device, "n n n n n n n n n x");
	(void)attach(world, device);
	assert_int_equal(world->device.missed, 1);
}

static void replaced_and_unsubscribed_messages_are_not_missed(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id one = subscribe(world, device, 1), two = subscribe(world, device, 2);
	(void)put_with(world, device, one, "a", (struct put_facts){60, URGENCY_NORMAL, "t"});
	(void)put_with(world, device, one, "b", (struct put_facts){60, URGENCY_NORMAL, "t"});
	(void)put(world, device, two, "c");
	(void)unsubscribe(world, device, 2);
	(void)attach(world, device);
	assert_int_equal(world->device.missed, 0);
	assert_int_equal(world->device.subscriptions, 1);
}

static void more_than_was_missed_cannot_be_settled(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	for (int i = 0; i < 13; i++) {
		(void)put(world, device, subscription, "m");
	}
	CALL(world, store_settle_missed(world->store, device, 1, on_done, world));
	world_wait(world);
	(void)attach(world, device);
	assert_int_equal(world->device.missed, 2);
	CALL(world, store_settle_missed(world->store, device, 99, on_done, world));
	world_wait(world);
	(void)attach(world, device);
	assert_int_equal(world->device.missed, 0);
}

static void a_fetch_passes_what_it_holds_back(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	const enum urgency pattern[] = {URGENCY_LOW, URGENCY_HIGH, URGENCY_LOW, URGENCY_LOW,
		URGENCY_HIGH, URGENCY_LOW, URGENCY_HIGH, URGENCY_LOW};
	for (size_t i = 0; i < 8; i++) {
		(void)put_with(world, device, subscription, pattern[i] == URGENCY_HIGH ? "h" : "l",
			(struct put_facts){60, pattern[i], NULL});
	}
	struct message_id after = {0, 0};
	size_t seen = 0, rounds = 0;
	do {
		fetch_with(world, device, after, URGENCY_HIGH, 1);
		for (size_t i = 0; i < world->fetched.count; i++) {
			assert_string_equal(world->bodies[i], "h");
			seen++;
		}
		assert_true(message_id_compare(after, world->fetched.next) <= 0);
		after = world->fetched.next;
		assert_true(++rounds < 20);
	} while (world->fetched.has_more);
	assert_int_equal(seen, 3);
	fetch_with(world, device, after, URGENCY_HIGH, 5);
	assert_int_equal(world->fetched.count, 0);
	assert_false(world->fetched.has_more);
}

static void a_refused_message_costs_no_quota(void **state) {
	struct world *world = *state;
	struct store_subscribe what = {
		.device = new_device(), .channel = channel(1), .max_body = 3, .messages_per_day = 1};
	what.fresh = new_subscription();
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(put(world, what.device, what.fresh, "large"), STORE_TOO_LARGE);
	assert_int_equal(put(world, what.device, what.fresh, "ok"), STORE_OK);
	assert_int_equal(put(world, what.device, what.fresh, "ok"), STORE_OVER_QUOTA);
	expect_queue(world, what.device, "ok");
}

static void another_devices_subscription_is_missing(void **state) {
	struct world *world = *state;
	struct device_id device = new_device(), other = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)subscribe(world, other, 1);
	assert_int_equal(put(world, other, subscription, "x"), STORE_MISSING);
	assert_int_equal(lookup(world, other, subscription), STORE_MISSING);
	assert_int_equal(unsubscribe(world, other, 1), STORE_OK);
	assert_int_equal(unsubscribe(world, other, 7), STORE_OK); /* there was none */
	assert_int_equal(lookup(world, device, subscription), STORE_OK);
}

static void a_lookup_tells_what_is_asked_for(void **state) {
	struct world *world = *state;
	struct store_subscribe what = {
		.device = new_device(), .channel = channel(1), .has_key = true, .max_body = 77};
	what.fresh = new_subscription();
	memset(what.key_hash, 5, sizeof what.key_hash);
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(lookup(world, what.device, what.fresh), STORE_OK);
	assert_true(world->subscription.has_key);
	assert_memory_equal(world->subscription.key_hash, what.key_hash, sizeof what.key_hash);
	assert_int_equal(world->subscription.max_body, 77);
}

static void calls_without_done_are_fine(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put(world, device, subscription, "a");
	const struct store_ack what = {channel(1), world->put.id};
	store_ack(world->store, device, &what, 1, NULL, NULL);
	store_settle_missed(world->store, device, 1, NULL, NULL);
	store_detach(world->store, device, NULL, NULL);
	expect_queue(world, device, "");
}

static void every_accepted_message_ends_in_one_way(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id one = subscribe(world, device, 1), two = subscribe(world, device, 2);
	struct store_stats before, after;
	store_get_stats(world->store, &before);
	const struct put_facts topic = {60, URGENCY_NORMAL, "t"};
	(void)put_with(world, device, two, "replaced", topic);
	(void)put_with(world, device, two, "unsubscribed", topic);
	(void)put(world, device, one, "acked");
	(void)ack(world, device, 1, world->put.id);
	(void)put(world, device, one, "cancelled");
	CALL(world, store_cancel(world->store, device, world->put.id, on_done, world));
	world_wait(world);
	(void)unsubscribe(world, device, 2);
	for (int i = 0; i < 12; i++) {
		(void)put(world, device, one, "queued");
	}
	store_get_stats(world->store, &after);
	assert_int_equal(after.acked - before.acked, 1);
	assert_int_equal(after.cancelled - before.cancelled, 1);
	assert_int_equal(after.replaced - before.replaced, 1);
	assert_int_equal(after.unsubscribed - before.unsubscribed, 1);
	assert_int_equal(after.evicted - before.evicted, 2);
	if (after.queued_messages >= 0) {
		assert_int_equal(after.queued_messages - before.queued_messages, 10);
	}
}

static void acknowledgements_of_many_are_one_call(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	struct store_ack acks[4];
	for (size_t i = 0; i < 4; i++) {
		(void)put(world, device, subscription, i == 2 ? "stays" : "x");
		acks[i] = (struct store_ack){channel(i == 2 ? 9 : 1), world->put.id};
	}
	CALL(world, store_ack(world->store, device, acks, 4, on_acked, world));
	world_wait(world);
	assert_int_equal(world->done, STORE_OK);
	assert_int_equal(world->acked, 3);
	expect_queue(world, device, "stays");
}

static void closing_ends_operations_under_way(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	const struct store_put what = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.body = slice_of("a")};
	for (int i = 0; i < 8; i++) {
		CALL(world, store_put(world->store, &what, on_put, world));
	}
	CALL(world, store_fetch(world->store, device, (struct message_id){0, 0}, URGENCY_LOW, 5,
					on_fetched, world));
	world_close(world);
	world_open(world, contract_url, NULL);
}

static void many_at_once_keep_their_order(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	static const char *const bodies[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	for (int i = 0; i < 8; i++) {
		const struct store_put what = {.device = device,
			.subscription = subscription,
			.ttl_sec = 60,
			.urgency = URGENCY_NORMAL,
			.topic = slice_of(i % 4 == 0 ? "t" : NULL),
			.body = slice_of(bodies[i])};
		CALL(world, store_put(world->store, &what, on_put, world));
	}
	world_wait(world);
	expect_queue(world, device, "b c d e f g h");
}

/* Only stores that nodes share tell it; nothing of theirs comes between in the others. */
static void a_put_tells_what_came_before(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	static const enum urgency urgencies[] = {URGENCY_NORMAL, URGENCY_HIGH, URGENCY_VERY_LOW};
	const struct message_id none = {0, 0};
	struct message_id last = none, before_last = none;
	for (size_t i = 0; i < 6; i++) {
		const struct put_facts facts = {60, urgencies[i % 3], NULL};
		assert_int_equal(put_with(world, device, subscription, "x", facts), STORE_OK);
		struct message_id previous = world->put.previous;
		assert_true(message_id_compare(last, previous) >= 0);
		if (i > 0 && store_url_is_shared(contract_url)) {
			assert_true(message_id_compare(before_last, previous) < 0);
		}
		before_last = last;
		last = world->put.id;
	}
}

int main(int argc, char **argv) {
	if (argc != 2) {
		fprintf(stderr, "usage: %s STORE-URL\n", argv[0]);
		return 2;
	}
	contract_url = argv[1];
#define PROMISE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		PROMISE(an_unknown_device_is_missing_everywhere),
		PROMISE(messages_come_back_whole_and_in_order),
		PROMISE(a_fetch_goes_on_where_the_last_one_ended),
		PROMISE(an_acknowledged_message_is_gone),
		PROMISE(a_sender_can_cancel_what_is_queued),
		PROMISE(a_topic_is_replaced_on_its_subscription_only),
		PROMISE(a_full_queue_drops_the_least_important),
		PROMISE(what_was_missed_is_told_until_settled),
		PROMISE(a_removed_subscription_is_gone_with_its_messages),
		PROMISE(a_channel_keeps_its_subscription_while_its_key_stays),
		PROMISE(so_many_removed_subscriptions_are_remembered),
		PROMISE(a_key_may_follow_later),
		PROMISE(transient_messages_are_never_stored),
		PROMISE(a_minimum_holds_less_urgent_messages_back),
		PROMISE(quotas_are_kept),
		PROMISE(an_invite_has_so_many_devices_and_messages),
		PROMISE(devices_of_an_invite_share_its_messages_of_a_day),
		PROMISE(a_body_above_the_subscriptions_limit_is_too_large),
		PROMISE(expired_messages_are_not_seen),
		PROMISE(an_expired_message_cannot_be_cancelled),
		PROMISE(what_a_sender_gave_comes_back_byte_for_byte),
		PROMISE(answers_keep_the_order_of_the_calls),
		PROMISE(an_unsubscribe_comes_behind_all_acknowledgements),
		PROMISE(a_queue_holds_so_many_bytes),
		PROMISE(expired_messages_make_room_first),
		PROMISE(replaced_and_unsubscribed_messages_are_not_missed),
		PROMISE(more_than_was_missed_cannot_be_settled),
		PROMISE(a_fetch_passes_what_it_holds_back),
		PROMISE(a_refused_message_costs_no_quota),
		PROMISE(another_devices_subscription_is_missing),
		PROMISE(a_lookup_tells_what_is_asked_for),
		PROMISE(calls_without_done_are_fine),
		PROMISE(every_accepted_message_ends_in_one_way),
		PROMISE(acknowledgements_of_many_are_one_call),
		PROMISE(closing_ends_operations_under_way),
		PROMISE(many_at_once_keep_their_order),
		PROMISE(a_put_tells_what_came_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
