/* SPDX-License-Identifier: Apache-2.0 */
/* What storage/store.h promises, checked on whatever store the first argument names. */
#include "common/mem.h"
#include "storage/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/rand.h>

static const char *contract_url;

/* One open store and the last result of each kind. */
struct world {
	struct ev_loop *loop;
	ev_timer limit;
	struct store *store;
	unsigned waiting; /* callbacks not run yet */
	bool is_calling; /* a store call is on the stack: no callback may run */
	struct store_put_result put;
	struct store_device device;
	struct store_subscribed subscribed;
	struct store_subscription subscription;
	enum store_outcome done;
	size_t acked;
	struct store_fetched fetched;
	struct message_id ids[STORE_FETCH_MAX];
	char bodies[STORE_FETCH_MAX][64];
};

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

static void world_answered(struct world *world) {
	assert_false(world->is_calling);
	assert_true(world->waiting > 0);
	if (--world->waiting == 0) {
		ev_break(world->loop, EVBREAK_ALL);
	}
}

#define CALL(world, call)                                                                          \
	do {                                                                                           \
		(world)->waiting++;                                                                        \
		(world)->is_calling = true;                                                                \
		call;                                                                                      \
		(world)->is_calling = false;                                                               \
	} while (0)

static void world_wait(struct world *world) {
	ev_timer_again(world->loop, &world->limit);
	if (world->waiting > 0) {
		ev_run(world->loop, 0);
	}
	assert_int_equal(world->waiting, 0);
	ev_timer_stop(world->loop, &world->limit);
}

static void on_put(const struct store_put_result *result, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->put = *result;
}
static void on_device(const struct store_device *device, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->device = *device;
}
static void on_subscribed(const struct store_subscribed *result, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->subscribed = *result;
}
static void on_subscription(const struct store_subscription *subscription, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->subscription = *subscription;
}
static void on_done(enum store_outcome outcome, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->done = outcome;
}
static void on_acked(enum store_outcome outcome, size_t removed, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->done = outcome;
	world->acked = removed;
}
static void on_fetched(const struct store_fetched *fetched, void *ctx) {
	struct world *world = ctx;
	world_answered(world);
	world->fetched = *fetched;
	for (size_t i = 0; i < fetched->count; i++) {
		world->ids[i] = fetched->messages[i].id;
		size_t len = fetched->messages[i].body.len < 63 ? fetched->messages[i].body.len : 63;
		memcpy(world->bodies[i], fetched->messages[i].body.data, len);
		world->bodies[i][len] = '\0';
	}
}
static void on_woken(const struct store_wake *wake, void *ctx) {
	(void)wake;
	(void)ctx;
}

static void world_open(struct world *world) {
	char *error = NULL;
	const struct store_options options = {
		.url = contract_url,
		.loop = world->loop,
		.node = {{1, 2, 3, 4, 5, 6, 7, 8}},
		.limits = contract_limits,
		.on_woken = on_woken,
		.ctx = world,
	};
	world->store = store_open(&options, &error);
	if (!world->store) {
		fail_msg("%s", error);
	}
	ev_timer_again(world->loop, &world->limit);
	while (!store_is_available(world->store)) {
		ev_run(world->loop, EVRUN_ONCE);
	}
	ev_timer_stop(world->loop, &world->limit);
}

static int world_setup(void **state) {
	struct world *world = mem_zalloc(sizeof *world);
	world->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ev_timer_init(&world->limit, world_on_limit, 0, 10);
	world_open(world);
	*state = world;
	return 0;
}

static int world_teardown(void **state) {
	struct world *world = *state;
	store_close(world->store);
	assert_int_equal(world->waiting, 0);
	ev_loop_destroy(world->loop);
	free(world);
	return 0;
}

/* ---- short forms ---- */

static struct device_id new_device(void) {
	struct device_id id;
	assert_int_equal(RAND_bytes(id.bytes, sizeof id.bytes), 1);
	return id;
}

static struct channel_id channel(uint8_t number) {
	return (struct channel_id){{number}};
}

static struct subscription_id subscribe_with(
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

static struct subscription_id subscribe(
	struct world *world, struct device_id device, uint8_t number) {
	return subscribe_with(world, device, number, NULL);
}

struct put_facts {
	uint32_t ttl_sec;
	enum urgency urgency;
	const char *topic;
};

static enum store_outcome put_with(struct world *world, struct device_id device,
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

static enum store_outcome put(struct world *world, struct device_id device,
	struct subscription_id subscription, const char *body) {
	return put_with(
		world, device, subscription, body, (struct put_facts){60, URGENCY_NORMAL, NULL});
}

static void fetch_with(struct world *world, struct device_id device, struct message_id after,
	enum urgency min, size_t max) {
	CALL(world, store_fetch(world->store, device, after, min, max, on_fetched, world));
	world_wait(world);
}

/* Fetches all and compares the bodies, joined by blanks. */
static void expect_queue(struct world *world, struct device_id device, const char *bodies) {
	char joined[STORE_FETCH_MAX * 64] = "";
	size_t len = 0;
	fetch_with(world, device, (struct message_id){0, 0}, URGENCY_VERY_LOW, STORE_FETCH_MAX);
	for (size_t i = 0; i < world->fetched.count; i++) {
		len += (size_t)snprintf(
			joined + len, sizeof joined - len, "%s%s", i > 0 ? " " : "", world->bodies[i]);
	}
	assert_string_equal(joined, bodies);
}

static size_t ack(
	struct world *world, struct device_id device, uint8_t number, struct message_id id) {
	const struct store_ack what = {channel(number), id};
	CALL(world, store_ack(world->store, device, &what, 1, on_acked, world));
	world_wait(world);
	return world->acked;
}

static enum store_outcome attach(struct world *world, struct device_id device) {
	CALL(world, store_attach(world->store, device, on_device, world));
	world_wait(world);
	return world->device.outcome;
}

static enum store_outcome lookup(
	struct world *world, struct device_id device, struct subscription_id subscription) {
	CALL(world, store_lookup(world->store, device, subscription, on_subscription, world));
	world_wait(world);
	return world->subscription.outcome;
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
	assert_int_equal(ack(world, device, 1, first), 0);
	(void)put_with(world, device, one, "e", (struct put_facts){0, URGENCY_NORMAL, "t"});
	assert_false(world->put.is_stored);
	expect_queue(world, device, "b c");
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

static void a_body_above_the_subscriptions_limit_is_too_large(void **state) {
	struct world *world = *state;
	struct store_subscribe what = {.device = new_device(), .channel = channel(1), .max_body = 4};
	assert_int_equal(RAND_bytes(what.fresh.bytes, sizeof what.fresh.bytes), 1);
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(put(world, what.device, what.fresh, "1234"), STORE_OK);
	assert_int_equal(put(world, what.device, what.fresh, "12345"), STORE_TOO_LARGE);
}

static void expired_messages_are_not_seen(void **state) {
	struct world *world = *state;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put_with(
		world, device, subscription, "short", (struct put_facts){1, URGENCY_NORMAL, NULL});
	int64_t expires_ms = world->put.expires_ms;
	(void)put(world, device, subscription, "long");
	ev_timer_again(world->loop, &world->limit);
	while ((int64_t)(ev_time() * 1000) <= expires_ms + 10) {
		ev_sleep(0.02);
		ev_now_update(world->loop);
	}
	ev_timer_stop(world->loop, &world->limit);
	expect_queue(world, device, "long");
	store_sweep(world->store);
	(void)attach(world, device);
	assert_true(world->device.missed <= 1);
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
	store_close(world->store);
	assert_int_equal(world->waiting, 0);
	world_open(world);
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
		PROMISE(transient_messages_are_never_stored),
		PROMISE(a_minimum_holds_less_urgent_messages_back),
		PROMISE(quotas_are_kept),
		PROMISE(an_invite_has_so_many_devices_and_messages),
		PROMISE(a_body_above_the_subscriptions_limit_is_too_large),
		PROMISE(expired_messages_are_not_seen),
		PROMISE(closing_ends_operations_under_way),
		PROMISE(many_at_once_keep_their_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
