/* SPDX-License-Identifier: Apache-2.0 */
/* The reference store: the index, with payloads beside it. Nothing survives the process. */
#include "common/mem.h"
#include "storage/queue_index.h"
#include "storage/store_backend.h"
#include "storage/store_payload.h"
#include "storage/store_results.h"
#include <stdlib.h>

enum { MEMORY_SWEEP_MAX = 10000 };

struct store_memory {
	struct store store;
	struct queue_index *index;
	struct store_later later;
};

static struct store_memory *memory_of(struct store *store) {
	return container_of(store, struct store_memory, store);
}

static struct store *memory_open(
	const struct store_options *options, const char *rest, char **out_error) {
	(void)rest;
	(void)out_error;
	struct store_memory *memory = mem_zalloc(sizeof *memory);
	/* Devices remember the ids that they saw; after a restart none may come twice. */
	memory->index = queue_index_create(&options->limits, (uint64_t)(ev_time() * 1000), false);
	store_later_init(&memory->later, options->loop);
	return &memory->store;
}

static void memory_close(struct store *store) {
	struct store_memory *memory = memory_of(store);
	store_later_finish(&memory->later);
	queue_index_destroy(memory->index);
	free(memory);
}

static bool memory_is_available(const struct store *store) {
	(void)store;
	return true;
}

static void memory_attach(
	struct store *store, struct device_id device, store_device_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	struct store_device result;
	queue_index_attach(memory->index, device, store_now_ms(store), &result);
	store_answer_device(&memory->later, &result, done, ctx);
}

static void memory_detach(
	struct store *store, struct device_id device, store_done_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	queue_index_detach(memory->index, device, store_now_ms(store));
	store_answer_done(&memory->later, STORE_OK, done, ctx);
}

static void memory_set_urgency(struct store *store, struct device_id device, enum urgency min,
	store_done_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	store_answer_done(
		&memory->later, queue_index_set_urgency(memory->index, device, min), done, ctx);
}

static void memory_settle_missed(
	struct store *store, struct device_id device, uint64_t count, store_done_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	store_answer_done(
		&memory->later, queue_index_settle_missed(memory->index, device, count), done, ctx);
}

static void memory_subscribe(
	struct store *store, const struct store_subscribe *what, store_subscribed_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	struct store_subscribed result;
	queue_index_subscribe(memory->index, what, store_now_ms(store), &result);
	store_answer_subscribed(&memory->later, &result, done, ctx);
}

static void memory_unsubscribe(struct store *store, struct device_id device,
	struct channel_id channel, store_done_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	queue_index_unsubscribe(memory->index, device, channel, store_now_ms(store));
	store_answer_done(&memory->later, STORE_OK, done, ctx);
}

static void memory_lookup(struct store *store, struct device_id device,
	struct subscription_id subscription, store_subscription_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	struct store_subscription result;
	queue_index_lookup(memory->index, device, subscription, &result);
	store_answer_subscription(&memory->later, &result, done, ctx);
}

static void memory_remove_invited(
	struct store *store, struct invite_id invite, store_done_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	queue_index_remove_invited(memory->index, invite);
	store_answer_done(&memory->later, STORE_OK, done, ctx);
}

static void memory_put(
	struct store *store, const struct store_put *put, store_put_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	struct queue_put booked;
	queue_put_begin(memory->index, put, store_now_ms(store), &booked);
	if (booked.result.outcome == STORE_OK) {
		struct queue_message *message = booked.message;
		queue_put_commit(memory->index, &booked);
		if (message) {
			message->payload =
				store_payload_make(put->encoding, put->encryption, put->crypto_key, put->body);
		}
	}
	store_answer_put(&memory->later, &booked.result, done, ctx);
}

/* A fetch is made when its turn comes, from what is there then. */
struct memory_fetch {
	struct store_later_item item;
	struct store_memory *memory;
	struct device_id device;
	struct message_id after;
	enum urgency min;
	size_t max;
	store_fetched_fn *done;
	void *ctx;
};

static void memory_fetch_run(struct store_later_item *item) {
	struct memory_fetch *fetch = container_of(item, struct memory_fetch, item);
	struct queue_message *found[STORE_FETCH_MAX];
	struct store_message messages[STORE_FETCH_MAX];
	struct store_fetched result = {.outcome = STORE_MISSING, .messages = messages};
	int count = queue_index_walk(fetch->memory->index, fetch->device, fetch->after, fetch->min,
		store_now_ms(&fetch->memory->store), found, fetch->max, &result.next, &result.has_more);
	for (int i = 0; i < count; i++) {
		messages[i] = (struct store_message){
			.id = {queue_index_hi(fetch->memory->index), found[i]->lo},
			.channel = found[i]->subscription->channel,
			.urgency = (enum urgency)found[i]->urgency,
			.expires_ms = found[i]->expires_ms,
			.topic = queue_message_topic(found[i]),
		};
		store_payload_open(found[i]->payload, &messages[i]);
	}
	if (count >= 0) {
		result.outcome = STORE_OK;
		result.count = (size_t)count;
	}
	fetch->done(&result, fetch->ctx);
	free(fetch);
}

static void memory_fetch(struct store *store, struct device_id device, struct message_id after,
	enum urgency min, size_t max, store_fetched_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	struct memory_fetch *fetch = mem_alloc(sizeof *fetch);
	*fetch = (struct memory_fetch){{.run = NULL}, memory, device, after, min, max, done, ctx};
	store_later_add(&memory->later, &fetch->item, memory_fetch_run);
}

static void memory_ack(struct store *store, struct device_id device, const struct store_ack *acks,
	size_t count, store_acked_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	size_t removed = 0;
	for (size_t i = 0; i < count; i++) {
		removed += queue_index_ack(memory->index, device, &acks[i]);
	}
	store_answer_acked(&memory->later, STORE_OK, removed, done, ctx);
}

static void memory_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx) {
	struct store_memory *memory = memory_of(store);
	bool was_there = queue_index_cancel(memory->index, device, id, store_now_ms(store));
	store_answer_done(&memory->later, was_there ? STORE_OK : STORE_MISSING, done, ctx);
}

static void memory_get_stats(const struct store *store, struct store_stats *out_stats) {
	queue_index_get_stats(container_of(store, const struct store_memory, store)->index, out_stats);
}

static void memory_sweep(struct store *store) {
	queue_index_sweep(memory_of(store)->index, store_now_ms(store), MEMORY_SWEEP_MAX);
}

const struct store_backend store_memory_backend = {
	.scheme = "memory",
	.open = memory_open,
	.close = memory_close,
	.is_available = memory_is_available,
	.attach = memory_attach,
	.detach = memory_detach,
	.set_urgency = memory_set_urgency,
	.settle_missed = memory_settle_missed,
	.subscribe = memory_subscribe,
	.unsubscribe = memory_unsubscribe,
	.lookup = memory_lookup,
	.remove_invited = memory_remove_invited,
	.put = memory_put,
	.fetch = memory_fetch,
	.ack = memory_ack,
	.cancel = memory_cancel,
	.get_stats = memory_get_stats,
	.sweep = memory_sweep,
};
