/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store: the index in memory, every change of it logged to SQLite before it is
 * answered. Operations are checked and booked in the index at once; their answers come in the
 * order of the calls, because whatever cannot be answered at once waits in a batch, and everything
 * behind it does too.
 */
#include "common/mem.h"
#include "storage/queue_index.h"
#include "storage/sqlite_log.h"
#include "storage/store_backend.h"
#include "storage/store_later.h"
#include <stdlib.h>

enum {
	SQLITE_SWEEP_MAX = 2000,
	SQLITE_READ_BYTES_MAX = 8 << 20, /* bodies read in one batch, about */
	SQLITE_PROBE_MS = 250, /* after a failure: what is new is refused for so long */
};

struct store_sqlite {
	struct store store;
	struct queue_index *index;
	struct sqlite_log *log;
	struct list batches; /* struct sqlite_batch::link; the last is being filled, never empty */
	struct sqlite_batch *under_way; /* not on the list */
	struct store_later later;
	ev_prepare flush; /* fed at the lowest priority: hands over what a turn of the loop brought */
	int64_t probe_at_ms;
	bool is_available;
};

/* An answer that waits for its turn; batch is the one it waited for, NULL when it needed none. */
struct sqlite_wait {
	struct store_later_item item; /* its link is on struct sqlite_batch::waits, or it is later's */
	struct store_sqlite *sqlite;
	struct sqlite_batch *in;
	void (*run)(struct sqlite_wait *wait, const struct sqlite_batch *batch); /* frees it */
};

static struct store_sqlite *sqlite_of(struct store *store) {
	return container_of(store, struct store_sqlite, store);
}

/* ---- batches -----------------------------------------------------------------------------------
 */

static struct sqlite_batch *sqlite_filling(const struct store_sqlite *sqlite) {
	return container_of(sqlite->batches.prev, struct sqlite_batch, link);
}

static bool sqlite_batch_is_empty(const struct sqlite_batch *batch) {
	return batch->op_count == 0 && list_is_empty(&batch->waits);
}

/* Does an answer that is known already have to wait for none before it? */
static bool sqlite_is_quiet(const struct store_sqlite *sqlite) {
	return !sqlite->under_way && sqlite->batches.next == sqlite->batches.prev &&
		   sqlite_batch_is_empty(sqlite_filling(sqlite));
}

static void sqlite_add_batch(struct store_sqlite *sqlite) {
	list_append(&sqlite->batches, &sqlite_batch_create()->link);
}

static void sqlite_flush_later(struct store_sqlite *sqlite) {
	if (!sqlite->under_way) {
		ev_feed_event(sqlite->store.options.loop, &sqlite->flush, EV_PREPARE);
	}
}

/* The index's changes become operations. */
static void sqlite_take_changes(struct store_sqlite *sqlite) {
	size_t count;
	const struct queue_change *changes = queue_index_changes(sqlite->index, &count);
	for (size_t i = 0; i < count; i++) {
		sqlite_batch_add(sqlite_filling(sqlite), SQLITE_OP_CHANGE)->change = changes[i];
	}
	queue_index_clear_changes(sqlite->index);
}

static void sqlite_collect(struct store_sqlite *sqlite) {
	sqlite_take_changes(sqlite);
	sqlite_flush_later(sqlite);
}

static void sqlite_finish_batch(struct store_sqlite *sqlite, struct sqlite_batch *batch);

/* Everything that this turn of the loop brought goes over together. */
static void sqlite_flush(struct store_sqlite *sqlite) {
	while (!sqlite->under_way) {
		queue_index_collect_devices(sqlite->index);
		sqlite_take_changes(sqlite);
		/* there is always one that fills */
		struct sqlite_batch *batch = container_of(sqlite->batches.next, struct sqlite_batch, link);
		if (sqlite_batch_is_empty(batch)) {
			return;
		}
		list_remove(&batch->link);
		if (list_is_empty(&sqlite->batches)) {
			sqlite_add_batch(sqlite);
		}
		if (batch->op_count == 0 && batch->read_count == 0) {
			sqlite_finish_batch(sqlite, batch);
			continue;
		}
		sqlite->under_way = batch;
		sqlite_log_submit(sqlite->log, batch);
	}
}

static void sqlite_on_flush(struct ev_loop *loop, ev_prepare *watcher, int events) {
	(void)loop;
	(void)events;
	sqlite_flush(watcher->data);
}

static void sqlite_note_state(struct store_sqlite *sqlite, const struct sqlite_batch *batch) {
	if (batch->new_failed) {
		sqlite->probe_at_ms = store_now_ms(&sqlite->store) + SQLITE_PROBE_MS;
	}
	bool is_available = sqlite->is_available ? !batch->new_failed : batch->new_written;
	if (is_available == sqlite->is_available) {
		return;
	}
	sqlite->is_available = is_available;
	if (sqlite->store.options.on_state) {
		sqlite->store.options.on_state(is_available, batch->reason, sqlite->store.options.ctx);
	}
}

/* What could not be written but is true goes with a later batch. */
static void sqlite_keep(struct store_sqlite *sqlite, const struct sqlite_batch *batch) {
	for (size_t i = 0; batch->new_failed && i < batch->op_count; i++) {
		const struct sqlite_op *op = &batch->ops[i];
		if (op->kind != SQLITE_OP_CHANGE || op->is_skipped) {
			continue;
		}
		const struct queue_change *change = &op->change;
		switch (change->kind) {
		case QUEUE_SUBSCRIPTION_SET:
			queue_index_note_again(sqlite->index, change);
			break;
		case QUEUE_DEVICE_SET:
		case QUEUE_TOMBSTONE_SET:
			if (batch->all_failed) {
				queue_index_note_again(sqlite->index, change);
			}
			break;
		case QUEUE_DEVICE_GONE:
		case QUEUE_SUBSCRIPTION_GONE:
		case QUEUE_TOMBSTONE_GONE:
		case QUEUE_MESSAGE_GONE:
			if (batch->all_failed) {
				sqlite_batch_add(sqlite_filling(sqlite), SQLITE_OP_CHANGE)->change = *change;
			}
			break;
		}
	}
	if (batch->new_failed) {
		sqlite_collect(sqlite);
	}
}

static void sqlite_finish_batch(struct store_sqlite *sqlite, struct sqlite_batch *batch) {
	sqlite->under_way = NULL;
	sqlite_keep(sqlite, batch);
	sqlite_note_state(sqlite, batch);
	struct store_later_item *item;
	while ((item = list_first(&batch->waits, struct store_later_item, link))) {
		list_remove(&item->link);
		struct sqlite_wait *wait = container_of(item, struct sqlite_wait, item);
		wait->run(wait, batch);
	}
	/* What a failure left over waits for company or the next sweep: no busy loop on a full disk. */
	bool go_on = !batch->new_failed || !list_is_empty(&sqlite_filling(sqlite)->waits) ||
				 list_first(&sqlite->batches, struct sqlite_batch, link) != sqlite_filling(sqlite);
	sqlite_batch_destroy(batch);
	if (go_on) {
		sqlite_flush_later(sqlite);
	} else {
		ev_clear_pending(sqlite->store.options.loop, &sqlite->flush);
	}
}

static void sqlite_on_batch(struct sqlite_batch *batch, void *ctx) {
	sqlite_finish_batch(ctx, batch);
}

/* ---- answers in order --------------------------------------------------------------------------
 */

static void sqlite_run_later(struct store_later_item *item) {
	struct sqlite_wait *wait = container_of(item, struct sqlite_wait, item);
	wait->run(wait, NULL);
}

/* needs_disk: not before what the index noted is written. is_quiet: as it was before the
 * operation. */
static void sqlite_answer(struct store_sqlite *sqlite, struct sqlite_wait *wait, bool is_quiet,
	bool needs_disk, void (*run)(struct sqlite_wait *wait, const struct sqlite_batch *batch)) {
	sqlite_collect(sqlite);
	wait->sqlite = sqlite;
	wait->run = run;
	if (is_quiet && !needs_disk) {
		wait->in = NULL;
		store_later_add(&sqlite->later, &wait->item, sqlite_run_later);
	} else {
		wait->in = sqlite_filling(sqlite);
		list_init(&wait->item.link);
		list_append(&wait->in->waits, &wait->item.link);
	}
}

struct sqlite_wait_done {
	struct sqlite_wait wait;
	enum store_outcome outcome;
	size_t removed;
	store_done_fn *done; /* one of the two */
	store_acked_fn *acked;
	void *ctx;
};

static void sqlite_run_done(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	struct sqlite_wait_done *waiting = container_of(wait, struct sqlite_wait_done, wait);
	enum store_outcome outcome = waiting->outcome;
	if (outcome == STORE_OK && batch && batch->all_failed) {
		outcome = STORE_UNAVAILABLE;
	}
	if (waiting->done) {
		waiting->done(outcome, waiting->ctx);
	} else {
		waiting->acked(outcome, waiting->removed, waiting->ctx);
	}
	free(waiting);
}

static void sqlite_answer_done(struct store_sqlite *sqlite, bool is_quiet, bool needs_disk,
	const struct sqlite_wait_done *answer) {
	if (answer->done || answer->acked) {
		struct sqlite_wait_done *waiting = mem_dup(answer, sizeof *answer);
		sqlite_answer(sqlite, &waiting->wait, is_quiet, needs_disk, sqlite_run_done);
	} else {
		sqlite_collect(sqlite);
	}
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

static struct store *sqlite_open(
	const struct store_options *options, const char *rest, char **out_error) {
	struct store_sqlite *sqlite = mem_zalloc(sizeof *sqlite);
	sqlite->store.options = *options;
	sqlite->index = queue_index_create(&options->limits, 0, true);
	sqlite->log =
		sqlite_log_open(rest, sqlite->index, options->loop, sqlite_on_batch, sqlite, out_error);
	if (!sqlite->log) {
		queue_index_destroy(sqlite->index);
		free(sqlite);
		return NULL;
	}
	sqlite->is_available = true;
	list_init(&sqlite->batches);
	sqlite_add_batch(sqlite);
	store_later_init(&sqlite->later, options->loop);
	ev_prepare_init(&sqlite->flush, sqlite_on_flush);
	ev_set_priority(&sqlite->flush, EV_MINPRI);
	sqlite->flush.data = sqlite;
	sqlite_flush_later(sqlite); /* what loading found out of place */
	return &sqlite->store;
}

static void sqlite_close(struct store *store) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_failing = false;
	for (;;) {
		store_later_finish(&sqlite->later);
		if (is_failing && list_is_empty(&sqlite_filling(sqlite)->waits)) {
			break; /* only what could not be written is left */
		}
		sqlite_flush(sqlite);
		struct sqlite_batch *batch = sqlite_log_wait(sqlite->log);
		if (batch) {
			is_failing = batch->new_failed;
			sqlite_finish_batch(sqlite, batch);
		} else if (list_is_empty(&sqlite->later.items)) {
			break;
		}
	}
	ev_clear_pending(store->options.loop, &sqlite->flush);
	sqlite_log_close(sqlite->log);
	queue_index_destroy(sqlite->index);
	struct sqlite_batch *batch, *tmp;
	LIST_FOREACH_SAFE (batch, tmp, &sqlite->batches, link) {
		sqlite_batch_destroy(batch);
	}
	free(sqlite);
}

static bool sqlite_is_available(const struct store *store) {
	return container_of(store, const struct store_sqlite, store)->is_available;
}

/* The disk refused what is new a moment ago: spare it. */
static bool sqlite_refuses_new(const struct store_sqlite *sqlite) {
	return !sqlite->is_available && store_now_ms(&sqlite->store) < sqlite->probe_at_ms;
}

/* ---- devices -----------------------------------------------------------------------------------
 */

struct sqlite_wait_device {
	struct sqlite_wait wait;
	struct store_device result;
	store_device_fn *done;
	void *ctx;
};

static void sqlite_run_device(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	(void)batch;
	struct sqlite_wait_device *waiting = container_of(wait, struct sqlite_wait_device, wait);
	waiting->done(&waiting->result, waiting->ctx);
	free(waiting);
}

static void sqlite_attach(
	struct store *store, struct device_id device, store_device_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	struct sqlite_wait_device *waiting = mem_zalloc(sizeof *waiting);
	queue_index_attach(sqlite->index, device, store_now_ms(store), &waiting->result);
	waiting->done = done;
	waiting->ctx = ctx;
	sqlite_answer(sqlite, &waiting->wait, is_quiet, false, sqlite_run_device);
}

static void sqlite_detach(
	struct store *store, struct device_id device, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	queue_index_detach(sqlite->index, device, store_now_ms(store));
	sqlite_answer_done(sqlite, is_quiet, false,
		&(struct sqlite_wait_done){.outcome = STORE_OK, .done = done, .ctx = ctx});
}

static void sqlite_set_urgency(struct store *store, struct device_id device, enum urgency min,
	store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	enum store_outcome outcome = queue_index_set_urgency(sqlite->index, device, min);
	sqlite_answer_done(sqlite, is_quiet, true,
		&(struct sqlite_wait_done){.outcome = outcome, .done = done, .ctx = ctx});
}

static void sqlite_settle_missed(
	struct store *store, struct device_id device, uint64_t count, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	enum store_outcome outcome = queue_index_settle_missed(sqlite->index, device, count);
	sqlite_answer_done(sqlite, is_quiet, true,
		&(struct sqlite_wait_done){.outcome = outcome, .done = done, .ctx = ctx});
}

/* ---- subscriptions -----------------------------------------------------------------------------
 */

struct sqlite_wait_subscribed {
	struct sqlite_wait wait;
	struct store_subscribed result;
	store_subscribed_fn *done;
	void *ctx;
};

static void sqlite_run_subscribed(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	struct sqlite_wait_subscribed *waiting =
		container_of(wait, struct sqlite_wait_subscribed, wait);
	/* It stays in the index and is written later; the device asks again and gets the same. */
	if (waiting->result.outcome == STORE_OK && batch && batch->new_failed) {
		waiting->result.outcome = STORE_UNAVAILABLE;
	}
	waiting->done(&waiting->result, waiting->ctx);
	free(waiting);
}

static void sqlite_subscribe(
	struct store *store, const struct store_subscribe *what, store_subscribed_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	struct sqlite_wait_subscribed *waiting = mem_zalloc(sizeof *waiting);
	waiting->done = done;
	waiting->ctx = ctx;
	bool is_refused = sqlite_refuses_new(sqlite);
	if (is_refused) {
		waiting->result.outcome = STORE_UNAVAILABLE;
	} else {
		queue_index_subscribe(sqlite->index, what, store_now_ms(store), &waiting->result);
	}
	sqlite_answer(sqlite, &waiting->wait, is_quiet, !is_refused, sqlite_run_subscribed);
}

static void sqlite_unsubscribe(struct store *store, struct device_id device,
	struct channel_id channel, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	queue_index_unsubscribe(sqlite->index, device, channel, store_now_ms(store));
	sqlite_answer_done(sqlite, is_quiet, true,
		&(struct sqlite_wait_done){.outcome = STORE_OK, .done = done, .ctx = ctx});
}

struct sqlite_wait_subscription {
	struct sqlite_wait wait;
	struct store_subscription result;
	store_subscription_fn *done;
	void *ctx;
};

static void sqlite_run_subscription(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	(void)batch;
	struct sqlite_wait_subscription *waiting =
		container_of(wait, struct sqlite_wait_subscription, wait);
	waiting->done(&waiting->result, waiting->ctx);
	free(waiting);
}

static void sqlite_lookup(struct store *store, struct device_id device,
	struct subscription_id subscription, store_subscription_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	struct sqlite_wait_subscription *waiting = mem_zalloc(sizeof *waiting);
	queue_index_lookup(sqlite->index, device, subscription, &waiting->result);
	waiting->done = done;
	waiting->ctx = ctx;
	sqlite_answer(sqlite, &waiting->wait, sqlite_is_quiet(sqlite), false, sqlite_run_subscription);
}

static void sqlite_remove_invited(
	struct store *store, struct invite_id invite, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	queue_index_remove_invited(sqlite->index, invite);
	sqlite_answer_done(sqlite, is_quiet, true,
		&(struct sqlite_wait_done){.outcome = STORE_OK, .done = done, .ctx = ctx});
}

/* ---- put ---------------------------------------------------------------------------------------
 */

struct sqlite_wait_put {
	struct sqlite_wait wait;
	struct queue_put put;
	bool is_booked, needs_disk;
	store_put_fn *done;
	void *ctx;
};

/* What a failed put would have removed, a later one of its topic removes in its stead. */
static void sqlite_inherit(const struct queue_put *heir, uint32_t from) {
	const struct sqlite_wait_put *waiting = container_of(heir, struct sqlite_wait_put, put);
	for (uint32_t i = from; i < heir->doomed_count; i++) {
		sqlite_batch_add(waiting->wait.in, SQLITE_OP_DELETE_DOOMED)->doomed_lo =
			heir->doomed[i]->lo;
	}
}

static void sqlite_run_put(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	struct sqlite_wait_put *waiting = container_of(wait, struct sqlite_wait_put, wait);
	struct queue_index *index = wait->sqlite->index;
	if (waiting->needs_disk && batch && batch->new_failed) {
		struct queue_put *heir;
		uint32_t from;
		queue_put_undo(index, &waiting->put, &heir, &from);
		if (heir && container_of(heir, struct sqlite_wait_put, put)->wait.in != batch) {
			sqlite_inherit(heir, from);
		}
	} else if (waiting->is_booked) {
		queue_put_commit(index, &waiting->put);
	}
	waiting->done(&waiting->put.result, waiting->ctx);
	free(waiting);
}

static void sqlite_add_put(
	struct store_sqlite *sqlite, const struct store_put *what, const struct queue_put *put) {
	struct sqlite_batch *batch = sqlite_filling(sqlite);
	if (put->message) {
		struct sqlite_op *op = sqlite_batch_add(batch, SQLITE_OP_INSERT);
		op->insert.row = (struct queue_message_row){
			.lo = put->message->lo,
			.subscription_number = put->subscription_number,
			.expires_ms = put->message->expires_ms,
			.bytes = put->message->bytes,
			.urgency = put->message->urgency,
			.topic = what->topic,
		};
		op->insert.encoding = what->encoding;
		op->insert.encryption = what->encryption;
		op->insert.crypto_key = what->crypto_key;
		op->insert.body = what->body;
	}
	for (uint32_t i = 0; i < put->doomed_count; i++) {
		sqlite_batch_add(batch, SQLITE_OP_DELETE_DOOMED)->doomed_lo = put->doomed[i]->lo;
	}
}

static void sqlite_put(
	struct store *store, const struct store_put *what, store_put_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	struct sqlite_wait_put *waiting = mem_zalloc(sizeof *waiting);
	waiting->done = done;
	waiting->ctx = ctx;
	struct queue_put *put = &waiting->put;
	bool is_passing = what->ttl_sec == 0 && what->topic.len == 0;
	if (!is_passing && sqlite_refuses_new(sqlite)) {
		put->result.outcome = STORE_UNAVAILABLE;
	} else {
		queue_put_begin(sqlite->index, what, store_now_ms(store), put);
		waiting->is_booked = put->result.outcome == STORE_OK;
		sqlite_add_put(sqlite, what, put);
	}
	waiting->needs_disk = put->message || put->doomed_count > 0 || put->is_self_evicted;
	sqlite_answer(sqlite, &waiting->wait, is_quiet, waiting->needs_disk, sqlite_run_put);
}

/* ---- fetch -------------------------------------------------------------------------------------
 */

struct sqlite_wait_fetch {
	struct sqlite_wait wait;
	struct device_id device;
	struct sqlite_read *read; /* NULL: nothing was found */
	struct store_fetched result;
	store_fetched_fn *done;
	void *ctx;
};

/* The messages whose bodies were read, but for those that ended meanwhile. */
static size_t sqlite_fill_fetched(
	const struct sqlite_wait_fetch *waiting, struct store_message *messages) {
	const struct store_sqlite *sqlite = waiting->wait.sqlite;
	int64_t now_ms = store_now_ms(&sqlite->store);
	size_t count = 0;
	for (size_t i = 0; i < waiting->read->count; i++) {
		const struct message_id id = {queue_index_hi(sqlite->index), waiting->read->lo[i]};
		const struct queue_message *message = queue_index_find(sqlite->index, waiting->device, id);
		if (message && message->expires_ms > now_ms && waiting->read->payloads[i]) {
			messages[count] = (struct store_message){
				.id = id,
				.channel = message->subscription->channel,
				.urgency = (enum urgency)message->urgency,
				.expires_ms = message->expires_ms,
			};
			store_payload_open(waiting->read->payloads[i], &messages[count++]);
		}
	}
	return count;
}

static void sqlite_run_fetch(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	(void)batch;
	struct sqlite_wait_fetch *waiting = container_of(wait, struct sqlite_wait_fetch, wait);
	struct store_message messages[STORE_FETCH_MAX];
	waiting->result.messages = messages;
	if (waiting->read && waiting->read->failed) {
		waiting->result = (struct store_fetched){.outcome = STORE_UNAVAILABLE};
	} else if (waiting->read) {
		waiting->result.count = sqlite_fill_fetched(waiting, messages);
	}
	waiting->done(&waiting->result, waiting->ctx);
	for (size_t i = 0; waiting->read && i < waiting->read->count; i++) {
		free(waiting->read->payloads[i]);
	}
	free(waiting->read);
	free(waiting);
}

static void sqlite_fetch(struct store *store, struct device_id device, struct message_id after,
	enum urgency min, size_t max, store_fetched_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	struct queue_message *found[STORE_FETCH_MAX];
	struct sqlite_wait_fetch *waiting = mem_zalloc(sizeof *waiting);
	waiting->device = device;
	waiting->done = done;
	waiting->ctx = ctx;
	int count = queue_index_walk(sqlite->index, device, after, min, store_now_ms(store), found, max,
		&waiting->result.next, &waiting->result.has_more);
	waiting->result.outcome = count < 0 ? STORE_MISSING : STORE_OK;
	if (count > 0) {
		if (sqlite_filling(sqlite)->read_bytes > SQLITE_READ_BYTES_MAX) {
			sqlite_add_batch(sqlite);
		}
		waiting->read = mem_zalloc(sizeof *waiting->read);
		for (int i = 0; i < count; i++) {
			waiting->read->lo[waiting->read->count++] = found[i]->lo;
			sqlite_filling(sqlite)->read_bytes += found[i]->bytes;
		}
		sqlite_batch_add_read(sqlite_filling(sqlite), waiting->read);
	}
	sqlite_answer(sqlite, &waiting->wait, is_quiet, count > 0, sqlite_run_fetch);
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

static void sqlite_ack(struct store *store, struct device_id device, const struct store_ack *acks,
	size_t count, store_acked_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	size_t removed = 0;
	for (size_t i = 0; i < count; i++) {
		removed += queue_index_ack(sqlite->index, device, &acks[i]);
	}
	sqlite_answer_done(sqlite, is_quiet, removed > 0,
		&(struct sqlite_wait_done){
			.outcome = STORE_OK, .removed = removed, .acked = done, .ctx = ctx});
}

static void sqlite_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	bool was_there = queue_index_cancel(sqlite->index, device, id);
	sqlite_answer_done(sqlite, is_quiet, was_there,
		&(struct sqlite_wait_done){
			.outcome = was_there ? STORE_OK : STORE_MISSING, .done = done, .ctx = ctx});
}

static void sqlite_get_stats(const struct store *store, struct store_stats *out_stats) {
	queue_index_get_stats(container_of(store, const struct store_sqlite, store)->index, out_stats);
}

static void sqlite_sweep(struct store *store) {
	struct store_sqlite *sqlite = sqlite_of(store);
	queue_index_sweep(sqlite->index, store_now_ms(store), SQLITE_SWEEP_MAX);
	if (!sqlite->is_available && !sqlite_refuses_new(sqlite)) {
		(void)sqlite_batch_add(sqlite_filling(sqlite), SQLITE_OP_PROBE);
	}
	sqlite_collect(sqlite); /* with what an earlier failure left */
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
