/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded store: the index in memory, every change of it logged to SQLite before it is
 * answered. */
#include "common/mem.h"
#include "storage/queue_index.h"
#include "storage/sqlite_log.h"
#include "storage/store_backend.h"
#include "storage/store_results.h"
#include <stdlib.h>

enum { SQLITE_SWEEP_MAX = 2000 };

struct store_sqlite {
	struct store store;
	struct queue_index *index;
	struct sqlite_log *log;
	struct sqlite_batch *filling; /* not handed over yet */
	struct store_later later;
	ev_prepare flush; /* fed when the filling batch has something and none is under way */
	bool is_under_way, is_available;
};

/* Who waits for a batch. Runs once the batch is back; frees itself. */
struct sqlite_wait {
	struct list link; /* struct sqlite_batch::waits */
	void (*run)(
		struct store_sqlite *sqlite, struct sqlite_wait *wait, const struct sqlite_batch *batch);
};

static struct store_sqlite *sqlite_of(struct store *store) {
	return container_of(store, struct store_sqlite, store);
}

/* ---- batches ---- */

static void sqlite_flush_later(struct store_sqlite *sqlite) {
	if (!sqlite->is_under_way) {
		ev_feed_event(sqlite->store.options.loop, &sqlite->flush, EV_PREPARE);
	}
}

/* Everything that this turn of the loop brought goes over together. */
static void sqlite_flush(struct store_sqlite *sqlite) {
	struct sqlite_batch *batch = sqlite->filling;
	if (sqlite->is_under_way || (batch->op_count == 0 && list_is_empty(&batch->waits))) {
		return;
	}
	sqlite->filling = sqlite_batch_create();
	sqlite->is_under_way = true;
	sqlite_log_submit(sqlite->log, batch);
}

static void sqlite_on_flush(struct ev_loop *loop, ev_prepare *watcher, int events) {
	(void)loop;
	(void)events;
	sqlite_flush(watcher->data);
}

static struct sqlite_op *sqlite_add(struct store_sqlite *sqlite, enum sqlite_op_kind kind) {
	sqlite_flush_later(sqlite);
	return sqlite_batch_add(sqlite->filling, kind);
}

static void sqlite_add_wait(struct store_sqlite *sqlite, struct sqlite_wait *wait,
	void (*run)(struct store_sqlite *, struct sqlite_wait *, const struct sqlite_batch *)) {
	wait->run = run;
	list_init(&wait->link);
	list_append(&sqlite->filling->waits, &wait->link);
	sqlite_flush_later(sqlite);
}

static void sqlite_note_state(struct store_sqlite *sqlite, const struct sqlite_batch *batch) {
	bool is_available = !batch->puts_failed;
	bool had_new = batch->op_count > 0;
	if (is_available == sqlite->is_available || !had_new) {
		return;
	}
	sqlite->is_available = is_available;
	if (sqlite->store.options.on_state) {
		sqlite->store.options.on_state(is_available, batch->reason, sqlite->store.options.ctx);
	}
}

/* What could not be written but is true: deletions and the like go with the next batch. */
static void sqlite_keep_rest(struct store_sqlite *sqlite, const struct sqlite_batch *batch) {
	for (size_t i = 0; batch->rest_failed && i < batch->op_count; i++) {
		const struct sqlite_op *op = &batch->ops[i];
		if (op->kind != SQLITE_OP_INSERT_MESSAGE && op->kind != SQLITE_OP_PUT_SUBSCRIPTION &&
			!op->is_skipped) {
			*sqlite_batch_add(sqlite->filling, op->kind) = *op;
		}
	}
}

static void sqlite_finish_batch(struct store_sqlite *sqlite, struct sqlite_batch *batch) {
	sqlite->is_under_way = false;
	sqlite_keep_rest(sqlite, batch);
	sqlite_note_state(sqlite, batch);
	struct sqlite_wait *wait;
	while ((wait = list_first(&batch->waits, struct sqlite_wait, link))) {
		list_remove(&wait->link);
		wait->run(sqlite, wait, batch);
	}
	/* After a failure the kept deletions wait for the next second, not for a busy loop. */
	bool retry_now = !batch->rest_failed || !list_is_empty(&sqlite->filling->waits);
	sqlite_batch_destroy(batch);
	if (retry_now) {
		sqlite_flush_later(sqlite);
	}
}

static void sqlite_on_batch(struct sqlite_batch *batch, void *ctx) {
	sqlite_finish_batch(ctx, batch);
}

/* ---- the journal: changes of the index become operations ---- */

static void sqlite_on_device_changed(const struct queue_device *device, void *ctx) {
	sqlite_add(ctx, SQLITE_OP_PUT_DEVICE)->device = *device;
}

static void sqlite_on_device_removed(const struct queue_device *device, void *ctx) {
	sqlite_add(ctx, SQLITE_OP_DELETE_DEVICE)->device.id = device->id;
}

static void sqlite_on_subscription_added(const struct queue_subscription *subscription, void *ctx) {
	struct sqlite_op *op = sqlite_add(ctx, SQLITE_OP_PUT_SUBSCRIPTION);
	op->subscription.facts = *subscription;
	op->subscription.device = subscription->device->id;
}

static void sqlite_on_subscription_removed(
	const struct queue_subscription *subscription, bool is_gone, int64_t now_ms, void *ctx) {
	struct store_sqlite *sqlite = ctx;
	sqlite_add(sqlite, SQLITE_OP_DELETE_SUBSCRIPTION)->tombstone.id = subscription->id;
	if (is_gone) {
		struct sqlite_op *op = sqlite_add(sqlite, SQLITE_OP_PUT_TOMBSTONE);
		op->tombstone.id = subscription->id;
		op->tombstone.expires_ms =
			now_ms + (int64_t)sqlite->store.options.limits.tombstone_sec * 1000;
	}
}

static void sqlite_on_message_removed(
	struct queue_message *message, enum queue_end end, void *ctx) {
	(void)end;
	sqlite_add(ctx, SQLITE_OP_DELETE_MESSAGE)->message.lo = message->lo;
}

/* Its insert may be under way, or in the same batch, which then cancels both out. */
static void sqlite_on_message_dropped(struct queue_message *message, void *ctx) {
	struct store_sqlite *sqlite = ctx;
	if (sqlite->log) {
		sqlite_add(sqlite, SQLITE_OP_DELETE_MESSAGE)->message.lo = message->lo;
	}
}

static void sqlite_on_tombstone_expired(struct subscription_id subscription, void *ctx) {
	sqlite_add(ctx, SQLITE_OP_DELETE_TOMBSTONE)->tombstone.id = subscription;
}

/* ---- opening and closing ---- */

static struct store *sqlite_open(
	const struct store_options *options, const char *rest, char **out_error) {
	struct store_sqlite *sqlite = mem_zalloc(sizeof *sqlite);
	sqlite->store.options = *options;
	const struct queue_journal journal = {
		.device_changed = sqlite_on_device_changed,
		.device_removed = sqlite_on_device_removed,
		.subscription_added = sqlite_on_subscription_added,
		.subscription_removed = sqlite_on_subscription_removed,
		.message_removed = sqlite_on_message_removed,
		.message_dropped = sqlite_on_message_dropped,
		.tombstone_expired = sqlite_on_tombstone_expired,
		.ctx = sqlite,
	};
	sqlite->index = queue_index_create(&options->limits, &journal);
	sqlite->log =
		sqlite_log_open(rest, sqlite->index, options->loop, sqlite_on_batch, sqlite, out_error);
	if (!sqlite->log) {
		queue_index_destroy(sqlite->index);
		free(sqlite);
		return NULL;
	}
	sqlite->is_available = true;
	sqlite->filling = sqlite_batch_create();
	store_later_init(&sqlite->later, options->loop);
	ev_prepare_init(&sqlite->flush, sqlite_on_flush);
	sqlite->flush.data = sqlite;
	return &sqlite->store;
}

static void sqlite_close(struct store *store) {
	struct store_sqlite *sqlite = sqlite_of(store);
	/* Callbacks may ask for more; after some rounds only the log's own leftovers remain. */
	for (int round = 0; round < 100; round++) {
		store_later_finish(&sqlite->later);
		sqlite_flush(sqlite);
		struct sqlite_batch *batch = sqlite_log_wait(sqlite->log);
		if (!batch) {
			break;
		}
		bool failed = batch->rest_failed;
		sqlite_finish_batch(sqlite, batch);
		if (failed && list_is_empty(&sqlite->filling->waits)) {
			break;
		}
	}
	ev_clear_pending(store->options.loop, &sqlite->flush);
	sqlite_log_close(sqlite->log);
	sqlite->log = NULL;
	queue_index_destroy(sqlite->index);
	sqlite_batch_destroy(sqlite->filling);
	free(sqlite);
}

static bool sqlite_is_available(const struct store *store) {
	return container_of(store, const struct store_sqlite, store)->is_available;
}

/* ---- operations that are answered when their batch is on the disk ---- */

struct sqlite_wait_done {
	struct sqlite_wait wait;
	enum store_outcome outcome;
	store_done_fn *done;
	void *ctx;
};

static void sqlite_run_done(
	struct store_sqlite *sqlite, struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	(void)sqlite;
	struct sqlite_wait_done *waiting = container_of(wait, struct sqlite_wait_done, wait);
	enum store_outcome outcome =
		waiting->outcome == STORE_OK && batch->rest_failed ? STORE_UNAVAILABLE : waiting->outcome;
	waiting->done(outcome, waiting->ctx);
	free(waiting);
}

static void sqlite_when_written(
	struct store_sqlite *sqlite, enum store_outcome outcome, store_done_fn *done, void *ctx) {
	if (done) {
		struct sqlite_wait_done *waiting = mem_zalloc(sizeof *waiting);
		waiting->outcome = outcome;
		waiting->done = done;
		waiting->ctx = ctx;
		sqlite_add_wait(sqlite, &waiting->wait, sqlite_run_done);
	}
}

static void sqlite_attach(
	struct store *store, struct device_id device, store_device_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	struct store_device result;
	queue_index_attach(sqlite->index, device, store_now_ms(store), &result);
	store_answer_device(&sqlite->later, &result, done, ctx);
}

static void sqlite_detach(
	struct store *store, struct device_id device, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	queue_index_detach(sqlite->index, device, store_now_ms(store));
	store_answer_done(&sqlite->later, STORE_OK, done, ctx);
}

static void sqlite_set_urgency(struct store *store, struct device_id device, enum urgency min,
	store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	sqlite_when_written(sqlite, queue_index_set_urgency(sqlite->index, device, min), done, ctx);
}

static void sqlite_settle_missed(
	struct store *store, struct device_id device, uint64_t count, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	queue_index_settle_missed(sqlite->index, device, count);
	sqlite_when_written(sqlite, STORE_OK, done, ctx);
}

struct sqlite_wait_subscribed {
	struct sqlite_wait wait;
	struct store_subscribed result;
	bool is_new;
	store_subscribed_fn *done;
	void *ctx;
};

static void sqlite_run_subscribed(
	struct store_sqlite *sqlite, struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	struct sqlite_wait_subscribed *waiting =
		container_of(wait, struct sqlite_wait_subscribed, wait);
	if (waiting->is_new && batch->puts_failed) {
		queue_index_drop_subscription(sqlite->index, waiting->result.subscription);
		waiting->result.outcome = STORE_UNAVAILABLE;
	}
	waiting->done(&waiting->result, waiting->ctx);
	free(waiting);
}

static void sqlite_subscribe(
	struct store *store, const struct store_subscribe *what, store_subscribed_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	struct sqlite_wait_subscribed *waiting = mem_zalloc(sizeof *waiting);
	queue_index_subscribe(
		sqlite->index, what, store_now_ms(store), &waiting->result, &waiting->is_new);
	waiting->done = done;
	waiting->ctx = ctx;
	sqlite_add_wait(sqlite, &waiting->wait, sqlite_run_subscribed);
}

static void sqlite_unsubscribe(struct store *store, struct device_id device,
	struct channel_id channel, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	queue_index_unsubscribe(sqlite->index, device, channel, store_now_ms(store));
	sqlite_when_written(sqlite, STORE_OK, done, ctx);
}

static void sqlite_lookup(struct store *store, struct device_id device,
	struct subscription_id subscription, store_subscription_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	struct store_subscription result;
	queue_index_lookup(sqlite->index, device, subscription, &result);
	store_answer_subscription(&sqlite->later, &result, done, ctx);
}

static void sqlite_remove_invited(
	struct store *store, struct invite_id invite, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	queue_index_remove_invited(sqlite->index, invite);
	sqlite_when_written(sqlite, STORE_OK, done, ctx);
}

/* ---- put ---- */

struct sqlite_wait_put {
	struct sqlite_wait wait;
	struct store_put_result result;
	struct device_id device;
	enum urgency urgency;
	store_put_fn *done;
	void *ctx;
};

static void sqlite_run_put(
	struct store_sqlite *sqlite, struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	struct sqlite_wait_put *waiting = container_of(wait, struct sqlite_wait_put, wait);
	struct store_put_result *result = &waiting->result;
	struct queue_message *message = queue_index_message(sqlite->index, result->id.lo);
	if (batch->puts_failed) {
		if (message) {
			queue_index_undo(sqlite->index, message);
		}
		*result = (struct store_put_result){.outcome = STORE_UNAVAILABLE};
	} else if (message) {
		queue_index_commit(sqlite->index, message);
		/* The device may have come or gone while the disk was busy. */
		queue_index_find_device(sqlite->index, waiting->device, waiting->urgency, &result->is_here,
			&result->is_below_minimum);
	} else {
		result->is_stored = false; /* it was replaced or unsubscribed before it was written */
	}
	waiting->done(result, waiting->ctx);
	free(waiting);
}

static void sqlite_put(
	struct store *store, const struct store_put *put, store_put_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	struct store_put_result result;
	struct queue_message *message;
	queue_index_put(sqlite->index, put, store_now_ms(store), &result, &message);
	if (!message) {
		store_answer_put(&sqlite->later, &result, done, ctx);
		return;
	}
	struct sqlite_op *op = sqlite_add(sqlite, SQLITE_OP_INSERT_MESSAGE);
	op->message.lo = message->lo;
	op->message.device = put->device;
	op->message.channel = message->channel;
	op->message.expires_ms = message->expires_ms;
	op->message.bytes = message->bytes;
	op->message.urgency = message->urgency;
	op->message.topic = put->topic;
	op->message.encoding = put->encoding;
	op->message.encryption = put->encryption;
	op->message.crypto_key = put->crypto_key;
	op->message.body = put->body;
	struct sqlite_wait_put *waiting = mem_zalloc(sizeof *waiting);
	waiting->result = result;
	waiting->device = put->device;
	waiting->urgency = put->urgency;
	waiting->done = done;
	waiting->ctx = ctx;
	sqlite_add_wait(sqlite, &waiting->wait, sqlite_run_put);
}

/* ---- fetch ---- */

struct sqlite_wait_fetch {
	struct sqlite_wait wait;
	struct sqlite_read read;
	struct store_fetched result;
	store_fetched_fn *done;
	void *ctx;
};

static void sqlite_run_fetch(
	struct store_sqlite *sqlite, struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	(void)batch;
	struct sqlite_wait_fetch *waiting = container_of(wait, struct sqlite_wait_fetch, wait);
	struct store_message messages[STORE_FETCH_MAX];
	size_t count = 0;
	for (size_t i = 0; i < waiting->read.count; i++) {
		/* It may have been acknowledged while its body was read. */
		const struct queue_message *message =
			queue_index_message(sqlite->index, waiting->read.lo[i]);
		if (message && message->state == QUEUE_LIVE && waiting->read.payloads[i]) {
			messages[count] = (struct store_message){
				.id = {0, message->lo},
				.channel = message->channel,
				.urgency = (enum urgency)message->urgency,
				.expires_ms = message->expires_ms,
			};
			store_payload_open(waiting->read.payloads[i], &messages[count++]);
		}
	}
	waiting->result.messages = messages;
	waiting->result.count = count;
	waiting->done(&waiting->result, waiting->ctx);
	for (size_t i = 0; i < waiting->read.count; i++) {
		free(waiting->read.payloads[i]);
	}
	free(waiting);
}

static void sqlite_fetch(struct store *store, struct device_id device, struct message_id after,
	enum urgency min, size_t max, store_fetched_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	struct queue_message *found[STORE_FETCH_MAX];
	struct sqlite_wait_fetch *waiting = mem_zalloc(sizeof *waiting);
	int count = queue_index_walk(sqlite->index, device, after.lo, min, store_now_ms(store), found,
		max, &waiting->result.next.lo, &waiting->result.has_more);
	waiting->result.outcome = count < 0 ? STORE_MISSING : STORE_OK;
	waiting->done = done;
	waiting->ctx = ctx;
	for (int i = 0; i < count; i++) {
		waiting->read.lo[i] = found[i]->lo;
	}
	waiting->read.count = count > 0 ? (size_t)count : 0;
	if (count > 0) {
		sqlite_batch_add_read(sqlite->filling, &waiting->read);
	}
	sqlite_add_wait(sqlite, &waiting->wait, sqlite_run_fetch);
}

/* ---- the rest ---- */

static void sqlite_ack(struct store *store, struct device_id device, const struct store_ack *acks,
	size_t count, store_acked_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	size_t removed = 0;
	for (size_t i = 0; i < count; i++) {
		removed += queue_index_ack(sqlite->index, device, &acks[i]);
	}
	store_answer_acked(&sqlite->later, STORE_OK, removed, done, ctx);
}

static void sqlite_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool was_there = id.hi == 0 && queue_index_cancel(sqlite->index, device, id.lo);
	sqlite_when_written(sqlite, was_there ? STORE_OK : STORE_MISSING, done, ctx);
}

static void sqlite_get_stats(const struct store *store, struct store_stats *out_stats) {
	queue_index_get_stats(container_of(store, const struct store_sqlite, store)->index, out_stats);
}

static void sqlite_sweep(struct store *store) {
	struct store_sqlite *sqlite = sqlite_of(store);
	queue_index_sweep(sqlite->index, store_now_ms(store), SQLITE_SWEEP_MAX);
	sqlite_flush_later(sqlite); /* what an earlier failure left */
}

const struct store_backend store_sqlite_backend = {
	.scheme = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.is_available = sqlite_is_available,
	.attach = sqlite_attach,
	.detach = sqlite_detach,
	.set_urgency = sqlite_set_urgency,
	.settle_missed = sqlite_settle_missed,
	.subscribe = sqlite_subscribe,
	.unsubscribe = sqlite_unsubscribe,
	.lookup = sqlite_lookup,
	.remove_invited = sqlite_remove_invited,
	.put = sqlite_put,
	.fetch = sqlite_fetch,
	.ack = sqlite_ack,
	.cancel = sqlite_cancel,
	.get_stats = sqlite_get_stats,
	.sweep = sqlite_sweep,
};
