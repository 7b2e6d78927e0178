/* SPDX-License-Identifier: Apache-2.0 */
/* The index alone: what puts under way do to each other, and that nothing gets lost in it. */
#include "common/mem.h"
#include "storage/queue_index.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW_MS = 1000000 };

static const struct device_id device = {{7}};
static const struct store_limits limits = {
	.queue_messages = 3,
	.queue_bytes = 1000,
	.subscriptions = 4,
	.device_sec = 100,
	.tombstone_sec = 100,
};

static struct queue_index *index_create(void) {
	struct queue_index *index = queue_index_create(&limits, 0, true);
	for (uint8_t i = 1; i <= 2; i++) {
		const struct store_subscribe what = {
			.device = device, .channel = {{i}}, .fresh = {{i}}, .messages_per_day = 1000};
		struct store_subscribed result;
		queue_index_subscribe(index, &what, NOW_MS, &result);
		assert_int_equal(result.outcome, STORE_OK);
	}
	return index;
}

static void begin(struct queue_index *index, struct queue_put *put, uint8_t channel,
	enum urgency urgency, const char *topic) {
	const struct store_put what = {
		.device = device,
		.subscription = {{channel}},
		.ttl_sec = 60,
		.urgency = urgency,
		.topic = slice_of(topic),
		.body = slice_of("body"),
	};
	queue_put_begin(index, &what, NOW_MS, put);
	assert_int_equal(put->result.outcome, STORE_OK);
}

static struct message_id stored(
	struct queue_index *index, uint8_t channel, enum urgency urgency, const char *topic) {
	struct queue_put put;
	begin(index, &put, channel, urgency, topic);
	queue_put_commit(index, &put);
	return put.result.id;
}

static void undo(struct queue_index *index, struct queue_put *put) {
	struct queue_put *heir;
	uint32_t from;
	queue_put_undo(index, put, &heir, &from);
	assert_int_equal(put->result.outcome, STORE_UNAVAILABLE);
}

/* The ids of what is seen, as text. */
static const char *seen(struct queue_index *index) {
	static char text[200];
	struct queue_message *found[16];
	struct message_id next;
	bool has_more;
	size_t len = 0;
	text[0] = '\0';
	int count = queue_index_walk(index, device, (struct message_id){0, 0}, URGENCY_VERY_LOW, NOW_MS,
		found, 16, &next, &has_more);
	for (int i = 0; i < count; i++) {
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%llu", i > 0 ? " " : "",
			(unsigned long long)found[i]->lo);
	}
	return text;
}

static uint64_t missed(struct queue_index *index) {
	struct store_device result;
	queue_index_attach(index, device, NOW_MS, &result);
	return result.missed;
}

static void a_replaced_message_is_seen_until_its_successor_is_written(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	(void)stored(index, 1, URGENCY_NORMAL, "t");
	struct queue_put put;
	begin(index, &put, 1, URGENCY_NORMAL, "t");
	assert_true(put.result.was_replaced);
	assert_string_equal(seen(index), "1");
	queue_put_commit(index, &put);
	assert_string_equal(seen(index), "2");
	queue_index_destroy(index);
}

static void a_failed_put_leaves_all_as_it_was(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	(void)stored(index, 1, URGENCY_NORMAL, "t");
	(void)stored(index, 1, URGENCY_LOW, NULL);
	(void)stored(index, 2, URGENCY_NORMAL, NULL);
	struct queue_put replacing, evicting;
	begin(index, &replacing, 1, URGENCY_NORMAL, "t");
	begin(index, &evicting, 1, URGENCY_NORMAL, NULL);
	assert_int_equal(evicting.result.evicted, 1);
	assert_int_equal(missed(index), 1);
	undo(index, &replacing);
	undo(index, &evicting);
	assert_string_equal(seen(index), "1 2 3");
	assert_int_equal(missed(index), 0);
	struct store_stats stats;
	queue_index_get_stats(index, &stats);
	assert_int_equal(stats.queued_messages, 3);
	assert_int_equal(stats.evicted + stats.replaced, 0);
	/* and it can be replaced again */
	(void)stored(index, 1, URGENCY_NORMAL, "t");
	assert_string_equal(seen(index), "2 3 6");
	queue_index_destroy(index);
}

static void the_heir_of_a_failed_put_replaces_in_its_stead(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	(void)stored(index, 1, URGENCY_NORMAL, "t");
	struct queue_put first, second, *heir;
	uint32_t from;
	begin(index, &first, 1, URGENCY_NORMAL, "t");
	begin(index, &second, 1, URGENCY_NORMAL, "t");
	queue_put_undo(index, &first, &heir, &from);
	assert_ptr_equal(heir, &second);
	assert_int_equal(second.doomed_count - from, 1);
	assert_int_equal(second.doomed[from]->lo, 1);
	assert_string_equal(seen(index), "1");
	queue_put_commit(index, &second);
	assert_string_equal(seen(index), "3");
	/* the same, and the heir fails too */
	begin(index, &first, 1, URGENCY_NORMAL, "t");
	begin(index, &second, 1, URGENCY_NORMAL, "t");
	undo(index, &first);
	undo(index, &second);
	assert_string_equal(seen(index), "3");
	queue_index_destroy(index);
}

static void a_put_replaced_before_it_was_written_counts_once(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	struct queue_put first, second;
	begin(index, &first, 1, URGENCY_NORMAL, "t");
	begin(index, &second, 1, URGENCY_NORMAL, "t");
	queue_put_commit(index, &first);
	assert_string_equal(seen(index), "1");
	queue_put_commit(index, &second);
	assert_string_equal(seen(index), "2");
	struct store_stats stats;
	queue_index_get_stats(index, &stats);
	assert_int_equal(stats.replaced, 1);
	assert_int_equal(stats.queued_messages, 1);
	queue_index_destroy(index);
}

static void a_subscription_may_end_under_a_put(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	(void)stored(index, 1, URGENCY_NORMAL, "t");
	struct queue_put put;
	begin(index, &put, 1, URGENCY_NORMAL, "t");
	queue_index_unsubscribe(index, device, (struct channel_id){{1}}, NOW_MS);
	assert_string_equal(seen(index), "");
	queue_put_commit(index, &put);
	assert_int_equal(put.result.outcome, STORE_OK);
	assert_false(put.result.is_stored);
	struct store_stats stats;
	queue_index_get_stats(index, &stats);
	assert_int_equal(stats.unsubscribed, 2);
	assert_int_equal(stats.queued_messages, 0);
	queue_index_destroy(index);
}

static void a_doomed_message_may_be_acknowledged(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	struct message_id id = stored(index, 1, URGENCY_NORMAL, "t");
	struct queue_put put;
	begin(index, &put, 1, URGENCY_NORMAL, "t");
	assert_true(queue_index_ack(index, device, &(struct store_ack){{{1}}, id}));
	undo(index, &put);
	assert_string_equal(seen(index), "");
	queue_index_destroy(index);
}

static void a_walk_stops_before_what_is_not_written(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	(void)stored(index, 1, URGENCY_NORMAL, NULL);
	struct queue_put put;
	begin(index, &put, 1, URGENCY_NORMAL, NULL);
	struct queue_message *found[4];
	struct message_id next;
	bool has_more;
	assert_int_equal(queue_index_walk(index, device, (struct message_id){0, 0}, URGENCY_VERY_LOW,
						 NOW_MS, found, 4, &next, &has_more),
		1);
	assert_int_equal(next.lo, 1);
	queue_put_commit(index, &put);
	assert_int_equal(
		queue_index_walk(index, device, next, URGENCY_VERY_LOW, NOW_MS, found, 4, &next, &has_more),
		1);
	queue_index_destroy(index);
}

static void changes_name_what_a_log_must_write(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	queue_index_collect_devices(index);
	queue_index_clear_changes(index);
	struct message_id id = stored(index, 1, URGENCY_NORMAL, NULL);
	assert_true(queue_index_ack(index, device, &(struct store_ack){{{1}}, id}));
	queue_index_unsubscribe(index, device, (struct channel_id){{2}}, NOW_MS);
	queue_index_collect_devices(index);
	const enum queue_change_kind expected[] = {
		QUEUE_MESSAGE_GONE, QUEUE_TOMBSTONE_SET, QUEUE_SUBSCRIPTION_GONE, QUEUE_DEVICE_SET};
	size_t count;
	const struct queue_change *changes = queue_index_changes(index, &count);
	assert_int_equal(count, 4);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(changes[i].kind, expected[i]);
	}
	assert_int_equal(changes[0].number, id.lo);
	assert_int_equal(changes[3].device.day_count, 1);
	queue_index_destroy(index);
}

/* Also in the log: each that is noted is noted as gone, but for those that are known. */
static void the_log_forgets_the_oldest_tombstones(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	struct store_subscribe what = {
		.device = device, .channel = {{1}}, .fresh = {{1}}, .key_hash = {1}};
	struct store_subscribed result;
	int64_t kept = 0;
	for (uint32_t i = 0; i < STORE_TOMBSTONES_MAX + 300; i++) {
		memcpy(what.fresh.bytes + 4, &i, sizeof i);
		what.has_key = !what.has_key;
		queue_index_subscribe(index, &what, NOW_MS + i, &result);
		assert_int_equal(result.outcome, STORE_OK);
		size_t count;
		const struct queue_change *changes = queue_index_changes(index, &count);
		for (size_t k = 0; k < count; k++) {
			kept += changes[k].kind == QUEUE_TOMBSTONE_SET;
			kept -= changes[k].kind == QUEUE_TOMBSTONE_GONE;
		}
		queue_index_clear_changes(index);
	}
	assert_int_equal(kept, STORE_TOMBSTONES_MAX);
	/* The device goes, and what is remembered of it stays, until its time. */
	queue_index_unsubscribe(index, device, (struct channel_id){{1}}, NOW_MS);
	queue_index_unsubscribe(index, device, (struct channel_id){{2}}, NOW_MS);
	queue_index_detach(index, device, NOW_MS);
	struct store_subscription found;
	queue_index_lookup(index, device, what.fresh, &found);
	assert_int_equal(found.outcome, STORE_GONE);
	queue_index_sweep(index, NOW_MS + 200000, STORE_TOMBSTONES_MAX);
	queue_index_lookup(index, device, what.fresh, &found);
	assert_int_equal(found.outcome, STORE_MISSING);
	queue_index_destroy(index);
}

static void upkeep_removes_what_is_old(void **state) {
	(void)state;
	struct queue_index *index = index_create();
	(void)stored(index, 1, URGENCY_NORMAL, NULL);
	queue_index_unsubscribe(index, device, (struct channel_id){{2}}, NOW_MS);
	queue_index_sweep(index, NOW_MS + 61000, 10);
	assert_int_equal(missed(index), 1);
	struct store_subscription found;
	queue_index_lookup(index, device, (struct subscription_id){{2}}, &found);
	assert_int_equal(found.outcome, STORE_GONE);
	queue_index_sweep(index, NOW_MS + 101000, 10);
	queue_index_lookup(index, device, (struct subscription_id){{2}}, &found);
	assert_int_equal(found.outcome, STORE_MISSING);
	queue_index_detach(index, device, NOW_MS + 101000);
	queue_index_sweep(index, NOW_MS + 200000, 10);
	queue_index_lookup(index, device, (struct subscription_id){{1}}, &found);
	assert_int_equal(found.outcome, STORE_OK);
	queue_index_sweep(index, NOW_MS + 202000, 10);
	queue_index_lookup(index, device, (struct subscription_id){{1}}, &found);
	assert_int_equal(found.outcome, STORE_MISSING);
	queue_index_destroy(index);
}

/* Puts wait in a queue and are settled in their order, some badly; everything else happens in
 * between. In the end every accepted message must have ended in one way or lie in the queue. */
struct chaos {
	struct queue_index *index;
	struct queue_put *waiting[64];
	size_t first, end;
	uint64_t accepted;
	int64_t now_ms;
};

static void chaos_put(struct chaos *chaos) {
	static const char *const topics[] = {NULL, NULL, "a", "b"};
	if (chaos->end - chaos->first == 64) {
		return;
	}
	struct queue_put *put = mem_zalloc(sizeof *put);
	const struct store_put what = {
		.device = device,
		.subscription = {{(uint8_t)(1 + rand() % 2), (uint8_t)(rand() % 2)}},
		.ttl_sec = (uint32_t)(rand() % 4),
		.urgency = (enum urgency)(rand() % URGENCY_COUNT),
		.topic = slice_of(topics[rand() % 4]),
		.body = {"", 0},
	};
	queue_put_begin(chaos->index, &what, chaos->now_ms, put);
	if (put->result.outcome == STORE_OK) {
		chaos->waiting[chaos->end++ % 64] = put;
	} else {
		free(put);
	}
}

static void chaos_settle(struct chaos *chaos) {
	if (chaos->first == chaos->end) {
		return;
	}
	struct queue_put *put = chaos->waiting[chaos->first++ % 64];
	if (rand() % 4 == 0) {
		undo(chaos->index, put);
	} else {
		chaos->accepted += put->result.expires_ms > 0;
		queue_put_commit(chaos->index, put);
	}
	free(put);
}

static void chaos_end_some(struct chaos *chaos) {
	struct queue_message *found[4];
	struct message_id next;
	bool has_more;
	int count = queue_index_walk(chaos->index, device, (struct message_id){0, 0}, URGENCY_VERY_LOW,
		chaos->now_ms, found, 4, &next, &has_more);
	if (count > 0) {
		const struct queue_message *message = found[rand() % count];
		const struct store_ack what = {message->subscription->channel, {0, message->lo}};
		assert_true(rand() % 2 ? queue_index_ack(chaos->index, device, &what)
							   : queue_index_cancel(chaos->index, device, what.id, chaos->now_ms));
	}
}

static void chaos_subscribe(struct chaos *chaos) {
	uint8_t channel = (uint8_t)(1 + rand() % 2);
	if (rand() % 2 == 0) {
		queue_index_unsubscribe(
			chaos->index, device, (struct channel_id){{channel}}, chaos->now_ms);
	} else {
		const struct store_subscribe what = {.device = device,
			.channel = {{channel}},
			.fresh = {{channel, (uint8_t)(rand() % 2)}},
			.has_key = rand() % 2 == 0};
		struct store_subscribed result;
		queue_index_subscribe(chaos->index, &what, chaos->now_ms, &result);
	}
}

static void nothing_is_lost_in_chaos(void **state) {
	(void)state;
	for (unsigned seed = 0; seed < 30; seed++) {
		srand(seed);
		struct chaos chaos = {.index = index_create(), .now_ms = NOW_MS};
		for (int step = 0; step < 3000; step++) {
			const int what = rand() % 20;
			if (what < 9) {
				chaos_put(&chaos);
			} else if (what < 16) {
				chaos_settle(&chaos);
			} else if (what < 18) {
				chaos_end_some(&chaos);
			} else if (what == 18) {
				chaos_subscribe(&chaos);
			} else {
				chaos.now_ms += rand() % 500;
				queue_index_sweep(chaos.index, chaos.now_ms, 100);
			}
			queue_index_collect_devices(chaos.index);
			queue_index_clear_changes(chaos.index);
		}
		while (chaos.first < chaos.end) {
			chaos_settle(&chaos);
		}
		struct store_stats stats;
		queue_index_get_stats(chaos.index, &stats);
		assert_int_equal(chaos.accepted, stats.acked + stats.expired + stats.evicted +
											 stats.replaced + stats.cancelled + stats.unsubscribed +
											 (uint64_t)stats.queued_messages);
		queue_index_destroy(chaos.index);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_replaced_message_is_seen_until_its_successor_is_written),
		cmocka_unit_test(a_failed_put_leaves_all_as_it_was),
		cmocka_unit_test(the_heir_of_a_failed_put_replaces_in_its_stead),
		cmocka_unit_test(a_put_replaced_before_it_was_written_counts_once),
		cmocka_unit_test(a_subscription_may_end_under_a_put),
		cmocka_unit_test(a_doomed_message_may_be_acknowledged),
		cmocka_unit_test(a_walk_stops_before_what_is_not_written),
		cmocka_unit_test(changes_name_what_a_log_must_write),
		cmocka_unit_test(the_log_forgets_the_oldest_tombstones),
		cmocka_unit_test(upkeep_removes_what_is_old),
		cmocka_unit_test(nothing_is_lost_in_chaos),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
