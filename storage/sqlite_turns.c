/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of the SQLite store, and the calls that wait for them. */
#include "storage/queue_index.h"
#include "storage/store_sqlite.h"
#include <stdlib.h>

enum {
	SQLITE_STUCK_MS = STORE_DEADLINE_MS - 1500, /* found by a sweep, which comes every second */
	SQLITE_PROBE_MS = 250, /* after a failure: what is new is refused for so long */
	SQLITE_ACKS_MAX = 1024, /* so many gather at most */
};
static const double sqlite_patience_sec = 0.02; /* … and for so long */

/* ---- batches -----------------------------------------------------------------------------------
 */

struct sqlite_batch *sqlite_filling(const struct store_sqlite *sqlite) {
	return container_of(sqlite->batches.prev, struct sqlite_batch, link);
}

/* The batch whose turn is next; there is always one that fills. */
static struct sqlite_batch *sqlite_front(const struct store_sqlite *sqlite) {
	return container_of(sqlite->batches.next, struct sqlite_batch, link);
}

static bool sqlite_batch_is_empty(const struct sqlite_batch *batch) {
	return batch->op_count == 0 && list_is_empty(&batch->waits);
}

bool sqlite_is_quiet(const struct store_sqlite *sqlite) {
	return list_is_empty(&sqlite->handed) && sqlite->batches.next == sqlite->batches.prev &&
		   sqlite_batch_is_empty(sqlite_filling(sqlite));
}

void sqlite_add_batch(struct store_sqlite *sqlite) {
	list_append(&sqlite->batches, &sqlite_batch_create()->link);
}

static void sqlite_flush_later(struct store_sqlite *sqlite) {
	ev_feed_event(sqlite->store.options.loop, &sqlite->flush, EV_PREPARE);
}

/* The index's changes become operations. */
static void sqlite_take_changes(struct store_sqlite *sqlite, struct sqlite_batch *batch) {
	size_t count;
	const struct queue_change *changes = queue_index_changes(sqlite->index, &count);
	for (size_t i = 0; i < count; i++) {
		sqlite_batch_add(batch, SQLITE_OP_CHANGE)->change = changes[i];
	}
	queue_index_clear_changes(sqlite->index);
}

void sqlite_collect(struct store_sqlite *sqlite) {
	sqlite_take_changes(sqlite, sqlite_filling(sqlite));
	sqlite_filling(sqlite)->is_urgent = true;
	sqlite_flush_later(sqlite);
}

/* ---- acknowledgements that gather --------------------------------------------------------------
 */

static int sqlite_compare_deletions(const void *a, const void *b) {
	uint64_t left = ((const struct sqlite_op *)a)->change.number;
	uint64_t right = ((const struct sqlite_op *)b)->change.number;
	return left < right ? -1 : left > right;
}

void sqlite_join_acks(struct store_sqlite *sqlite) {
	struct sqlite_batch *acks = sqlite->acks, *batch = sqlite_filling(sqlite);
	ev_timer_stop(sqlite->store.options.loop, &sqlite->patience);
	if (sqlite_batch_is_empty(acks)) {
		return;
	}
	/* so that the worker finds neighbours */
	qsort(acks->ops, acks->op_count, sizeof *acks->ops, sqlite_compare_deletions);
	for (size_t i = 0; i < acks->op_count; i++) {
		*sqlite_batch_add(batch, SQLITE_OP_CHANGE) = acks->ops[i];
	}
	acks->op_count = 0;
	list_splice(&batch->waits, &acks->waits);
	sqlite_collect(sqlite);
}

static void sqlite_on_patience(struct ev_loop *loop, ev_timer *watcher, int events) {
	(void)loop;
	(void)events;
	sqlite_join_acks(watcher->data);
}

/* What an acknowledgement changed beside its message goes the usual way. */
static void sqlite_gather(struct store_sqlite *sqlite) {
	size_t count;
	const struct queue_change *changes = queue_index_changes(sqlite->index, &count);
	for (size_t i = 0; i < count; i++) {
		bool gathers = changes[i].kind == QUEUE_MESSAGE_GONE;
		struct sqlite_batch *batch = gathers ? sqlite->acks : sqlite_filling(sqlite);
		sqlite_batch_add(batch, SQLITE_OP_CHANGE)->change = changes[i];
	}
	queue_index_clear_changes(sqlite->index);
	if (sqlite->acks->op_count >= SQLITE_ACKS_MAX) {
		sqlite_join_acks(sqlite);
	} else if (!ev_is_active(&sqlite->patience)) {
		ev_timer_set(&sqlite->patience, sqlite_patience_sec, 0);
		ev_timer_start(sqlite->store.options.loop, &sqlite->patience);
	}
}

/* The batch whose turn it is, if it is due. */
static struct sqlite_batch *sqlite_next_batch(struct store_sqlite *sqlite) {
	queue_index_collect_devices(sqlite->index);
	sqlite_take_changes(sqlite, sqlite_filling(sqlite));
	struct sqlite_batch *batch = sqlite_front(sqlite);
	if (sqlite_batch_is_empty(batch)) {
		batch->is_urgent = false;
	}
	return batch->is_urgent ? batch : NULL;
}

static bool sqlite_batch_has_work(const struct sqlite_batch *batch) {
	return batch->op_count > 0 || batch->read_count > 0;
}

static void sqlite_take_off(struct store_sqlite *sqlite, struct sqlite_batch *batch) {
	list_remove(&batch->link);
	if (list_is_empty(&sqlite->batches)) {
		sqlite_add_batch(sqlite);
	}
}

static void sqlite_submit(struct store_sqlite *sqlite, struct sqlite_batch *batch) {
	list_append(&sqlite->handed, &batch->link);
	sqlite_log_submit(sqlite->log, batch);
}

static struct sqlite_batch *sqlite_recall(struct store_sqlite *sqlite) {
	struct sqlite_batch *batch = sqlite_log_recall(sqlite->log);
	if (batch) {
		list_remove(&batch->link);
	}
	return batch;
}

static void sqlite_join(struct sqlite_batch *batch, struct sqlite_batch *take_more) {
	struct store_later_item *item;
	LIST_FOREACH (item, &take_more->waits, link) {
		container_of(item, struct sqlite_wait, item)->in = batch;
	}
	sqlite_batch_join(batch, take_more);
}

/* False when the worker has no room. */
static bool sqlite_hand_over(struct store_sqlite *sqlite, struct sqlite_batch *batch) {
	struct sqlite_batch *waiting = sqlite_recall(sqlite);
	if (waiting) {
		bool fits = waiting->read_bytes + batch->read_bytes <= SQLITE_READ_BYTES_MAX;
		if (fits) {
			sqlite_take_off(sqlite, batch);
			sqlite_join(waiting, batch);
		}
		sqlite_submit(sqlite, waiting);
		return fits;
	}
	bool has_room = sqlite->handed.next == sqlite->handed.prev; /* none, or one being written */
	if (list_is_empty(&sqlite->handed)) {
		sqlite->begun_ms = store_now_ms(&sqlite->store);
	}
	if (has_room) {
		sqlite_take_off(sqlite, batch);
		sqlite_submit(sqlite, batch);
	}
	return has_room;
}

/* The worker need not idle while answers go out. */
static void sqlite_offer(struct store_sqlite *sqlite) {
	struct sqlite_batch *batch;
	while ((batch = sqlite_next_batch(sqlite)) && sqlite_batch_has_work(batch) &&
		   sqlite_hand_over(sqlite, batch)) {
	}
}

static void sqlite_finish_batch(struct store_sqlite *sqlite, struct sqlite_batch *batch);

/* Everything that this turn of the loop brought goes over together. What has nothing to write is
 * answered here, when its turn has come; that may bring more. */
static void sqlite_flush(struct store_sqlite *sqlite) {
	for (;;) {
		sqlite_offer(sqlite);
		struct sqlite_batch *batch = sqlite_next_batch(sqlite);
		if (!batch || !list_is_empty(&sqlite->handed)) {
			return;
		}
		sqlite_take_off(sqlite, batch);
		sqlite_finish_batch(sqlite, batch);
	}
}

static void sqlite_on_flush(struct ev_loop *loop, ev_prepare *watcher, int events) {
	(void)loop;
	(void)events;
	sqlite_flush(watcher->data);
}

static void sqlite_set_available(
	struct store_sqlite *sqlite, bool is_available, const char *reason) {
	if (is_available != sqlite->is_available) {
		sqlite->is_available = is_available;
		if (sqlite->store.options.on_state) {
			sqlite->store.options.on_state(is_available, reason, sqlite->store.options.ctx);
		}
	}
}

static void sqlite_note_state(struct store_sqlite *sqlite, const struct sqlite_batch *batch) {
	if (batch->new_failed) {
		sqlite->probe_at_ms = store_now_ms(&sqlite->store) + SQLITE_PROBE_MS;
	}
	sqlite_set_available(
		sqlite, sqlite->is_available ? !batch->new_failed : batch->new_written, batch->reason);
}

/* What could not be written but is true goes with the next batch, in one transaction with it: calls
 * in there may have been told that it is so. */
static void sqlite_keep(struct store_sqlite *sqlite, const struct sqlite_batch *batch) {
	struct sqlite_batch *next = sqlite_front(sqlite);
	for (size_t i = 0; i < batch->op_count; i++) {
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
				sqlite_batch_add(next, SQLITE_OP_CHANGE)->change = *change;
			}
			break;
		}
	}
	queue_index_collect_devices(sqlite->index);
	sqlite_take_changes(sqlite, next);
	next->is_urgent = true;
	sqlite_flush_later(sqlite);
}

static void sqlite_wait_run(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	if (wait->kind->settle) {
		wait->kind->settle(wait, batch);
	}
	if (!wait->is_answered) {
		wait->kind->answer(wait, batch);
	}
	if (wait->kind->release) {
		wait->kind->release(wait);
	}
	free(wait);
}

static void sqlite_take_back(struct store_sqlite *sqlite) {
	struct sqlite_batch *batch = sqlite_recall(sqlite);
	if (batch) {
		list_prepend(&sqlite->batches, &batch->link);
	}
}

static void sqlite_settle_failure(
	struct store_sqlite *sqlite, const struct sqlite_batch *finished) {
	sqlite_take_back(sqlite);
	sqlite_keep(sqlite, finished);
	sqlite_log_go_on(sqlite->log);
}

static void sqlite_finish_batch(struct store_sqlite *sqlite, struct sqlite_batch *batch) {
	sqlite->is_stuck = false;
	if (batch->new_failed) {
		sqlite_settle_failure(sqlite, batch);
	} else {
		sqlite_offer(sqlite);
	}
	sqlite_note_state(sqlite, batch);
	struct store_later_item *item;
	while ((item = list_first(&batch->waits, struct store_later_item, link))) {
		list_remove(&item->link);
		sqlite_wait_run(container_of(item, struct sqlite_wait, item), batch);
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

void sqlite_on_batch(struct sqlite_batch *batch, void *ctx) {
	struct store_sqlite *sqlite = ctx;
	list_remove(&batch->link);
	sqlite->begun_ms = store_now_ms(&sqlite->store);
	sqlite_finish_batch(sqlite, batch);
}

const struct sqlite_batch sqlite_no_answer = {.new_failed = true, .all_failed = true};

static void sqlite_answer_stuck_in(struct sqlite_batch *batch) {
	struct store_later_item *item;
	LIST_FOREACH (item, &batch->waits, link) {
		struct sqlite_wait *wait = container_of(item, struct sqlite_wait, item);
		if (!wait->is_answered) {
			wait->is_answered = true;
			wait->kind->answer(wait, &sqlite_no_answer);
		}
	}
}

static void sqlite_set_stuck(struct store_sqlite *sqlite) {
	sqlite->is_stuck = true;
	sqlite_set_available(sqlite, false, "the disk of the SQLite file does not answer");
	struct sqlite_batch *batch;
	LIST_FOREACH (batch, &sqlite->handed, link) {
		sqlite_answer_stuck_in(batch);
	}
	LIST_FOREACH (batch, &sqlite->batches, link) {
		sqlite_answer_stuck_in(batch);
	}
	sqlite_answer_stuck_in(sqlite->acks);
}

void sqlite_give_up_waiting(struct store_sqlite *sqlite) {
	if (!list_is_empty(&sqlite->handed) && !sqlite->is_stuck &&
		store_now_ms(&sqlite->store) - sqlite->begun_ms >= SQLITE_STUCK_MS) {
		sqlite_set_stuck(sqlite);
	}
}

/* ---- answers in order --------------------------------------------------------------------------
 */

static void sqlite_run_later(struct store_later_item *item) {
	struct sqlite_wait *wait = container_of(item, struct sqlite_wait, item);
	sqlite_wait_run(wait, wait->was_stuck ? &sqlite_no_answer : NULL);
}

/* NULL: it is known what comes of it. */
static void sqlite_wait_in(struct store_sqlite *sqlite, struct sqlite_wait *wait,
	const struct sqlite_wait_kind *kind, struct sqlite_batch *batch) {
	wait->sqlite = sqlite;
	wait->kind = kind;
	wait->was_stuck = sqlite->is_stuck;
	wait->in = batch;
	if (batch) {
		list_init(&wait->item.link);
		list_append(&batch->waits, &wait->item.link);
	} else {
		store_later_add(&sqlite->later, &wait->item, sqlite_run_later);
	}
}

void sqlite_answer(struct store_sqlite *sqlite, struct sqlite_wait *wait, bool is_quiet,
	enum sqlite_need need, const struct sqlite_wait_kind *kind) {
	if (need == SQLITE_NEEDS_ACKS) {
		sqlite_join_acks(sqlite);
	}
	sqlite_collect(sqlite);
	bool is_known = (is_quiet && need == SQLITE_NEEDS_NOTHING) || sqlite->is_stuck;
	sqlite_wait_in(sqlite, wait, kind, is_known ? NULL : sqlite_filling(sqlite));
}

void sqlite_answer_ack(
	struct store_sqlite *sqlite, struct sqlite_wait *wait, const struct sqlite_wait_kind *kind) {
	if (wait) {
		sqlite_wait_in(sqlite, wait, kind, sqlite->is_stuck ? NULL : sqlite->acks);
	}
	sqlite_gather(sqlite);
}

bool sqlite_refuses_new(const struct store_sqlite *sqlite) {
	return sqlite->is_stuck ||
		   (!sqlite->is_available && store_now_ms(&sqlite->store) < sqlite->probe_at_ms);
}

/* ---- beginning and end ---- */

void sqlite_turns_init(struct store_sqlite *sqlite, struct ev_loop *loop) {
	list_init(&sqlite->batches);
	list_init(&sqlite->handed);
	sqlite_add_batch(sqlite);
	sqlite->acks = sqlite_batch_create();
	store_later_init(&sqlite->later, loop);
	ev_prepare_init(&sqlite->flush, sqlite_on_flush);
	ev_set_priority(&sqlite->flush, EV_MINPRI);
	sqlite->flush.data = sqlite;
	ev_timer_init(&sqlite->patience, sqlite_on_patience, 0, 0);
	sqlite->patience.data = sqlite;
	sqlite_collect(sqlite); /* what loading found out of place */
}

/* Returns when nothing is left to write, or to answer. */
static void sqlite_run_out(struct store_sqlite *sqlite) {
	bool is_failing = false;
	for (;;) {
		store_later_finish(&sqlite->later);
		sqlite_join_acks(sqlite);
		bool is_last = sqlite->batches.next == sqlite->batches.prev;
		if (is_failing && is_last && list_is_empty(&sqlite_filling(sqlite)->waits)) {
			return; /* only what could not be written is left */
		}
		sqlite_collect(sqlite);
		sqlite_flush(sqlite);
		double patience_sec = sqlite->is_stuck ? 0 : SQLITE_STUCK_MS / 1000.0;
		struct sqlite_batch *batch = sqlite_log_wait(sqlite->log, patience_sec);
		if (batch) {
			is_failing = batch->new_failed;
			sqlite_on_batch(batch, sqlite);
		} else if (!sqlite->is_stuck && !sqlite_log_is_idle(sqlite->log)) {
			sqlite_set_stuck(sqlite);
		} else if (list_is_empty(&sqlite->later.items)) {
			return;
		}
	}
}

bool sqlite_turns_finish(struct store_sqlite *sqlite) {
	sqlite_run_out(sqlite);
	ev_clear_pending(sqlite->store.options.loop, &sqlite->flush);
	ev_timer_stop(sqlite->store.options.loop, &sqlite->patience);
	sqlite_take_back(sqlite); /* what waits behind a disk that hangs */
	return !sqlite->is_stuck;
}

static void sqlite_dispose_batch(struct sqlite_batch *batch, const struct sqlite_batch *result) {
	struct store_later_item *item;
	while ((item = list_first(&batch->waits, struct store_later_item, link))) {
		list_remove(&item->link);
		sqlite_wait_run(container_of(item, struct sqlite_wait, item), result);
	}
}

void sqlite_turns_dispose(struct store_sqlite *sqlite, struct sqlite_batch *finished) {
	if (finished) {
		sqlite_dispose_batch(finished, finished);
		sqlite_batch_destroy(finished);
	}
	struct sqlite_batch *batch;
	while ((batch = list_first(&sqlite->batches, struct sqlite_batch, link))) {
		sqlite_dispose_batch(batch, &sqlite_no_answer);
		list_remove(&batch->link);
		sqlite_batch_destroy(batch);
	}
	sqlite_dispose_batch(sqlite->acks, &sqlite_no_answer);
	sqlite_batch_destroy(sqlite->acks);
}
