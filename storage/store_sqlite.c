/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded store: the index in memory, every change of it logged to SQLite before it is
 * answered. */
#include "storage/store_sqlite.h"
#include "common/log.h"
#include "common/mem.h"
#include "storage/queue_index.h"
#include <stdlib.h>

enum { SQLITE_SWEEP_MAX = 2000 };

static struct store_sqlite *sqlite_of(struct store *store) {
	return container_of(store, struct store_sqlite, store);
}

struct sqlite_wait_done {
	struct sqlite_wait wait;
	enum store_outcome outcome;
	size_t removed;
	store_done_fn *done; /* one of the two */
	store_acked_fn *acked;
	void *ctx;
};

static void sqlite_send_done(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
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
}

static const struct sqlite_wait_kind sqlite_kind_done = {.answer = sqlite_send_done};

static void sqlite_answer_done(struct store_sqlite *sqlite, bool is_quiet, enum sqlite_need need,
	const struct sqlite_wait_done *answer) {
	if (answer->done || answer->acked) {
		struct sqlite_wait_done *waiting = mem_dup(answer, sizeof *answer);
		sqlite_answer(sqlite, &waiting->wait, is_quiet, need, &sqlite_kind_done);
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
	sqlite_turns_init(sqlite, options->loop);
	return &sqlite->store;
}

/* Also the worker's, when the disk of an abandoned store answers after all. */
static void sqlite_dispose(struct sqlite_batch *finished, void *ctx) {
	struct store_sqlite *sqlite = ctx;
	sqlite_turns_dispose(sqlite, finished);
	queue_index_destroy(sqlite->index);
	free(sqlite);
}

static void sqlite_close(struct store *store) {
	struct store_sqlite *sqlite = sqlite_of(store);
	while (!sqlite_turns_finish(sqlite)) {
		sqlite->is_abandoned = true;
		if (sqlite_log_abandon(sqlite->log, sqlite_dispose, sqlite)) {
			log_error("closed without its last writes: the disk of the SQLite file hangs");
			return;
		}
		sqlite->is_abandoned = sqlite->is_stuck = false; /* it is back */
	}
	sqlite_log_close(sqlite->log);
	sqlite_dispose(NULL, sqlite);
}

static bool sqlite_is_available(const struct store *store) {
	return container_of(store, const struct store_sqlite, store)->is_available;
}

/* ---- devices -----------------------------------------------------------------------------------
 */

struct sqlite_wait_device {
	struct sqlite_wait wait;
	struct store_device result;
	store_device_fn *done;
	void *ctx;
};

static void sqlite_send_device(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	(void)batch;
	struct sqlite_wait_device *waiting = container_of(wait, struct sqlite_wait_device, wait);
	waiting->done(&waiting->result, waiting->ctx);
}

static const struct sqlite_wait_kind sqlite_kind_device = {.answer = sqlite_send_device};

static void sqlite_attach(
	struct store *store, struct device_id device, store_device_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	struct sqlite_wait_device *waiting = mem_zalloc(sizeof *waiting);
	queue_index_attach(sqlite->index, device, store_now_ms(store), &waiting->result);
	waiting->done = done;
	waiting->ctx = ctx;
	sqlite_answer(sqlite, &waiting->wait, is_quiet, SQLITE_NEEDS_NOTHING, &sqlite_kind_device);
}

static void sqlite_detach(
	struct store *store, struct device_id device, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	queue_index_detach(sqlite->index, device, store_now_ms(store));
	sqlite_answer_done(sqlite, is_quiet, SQLITE_NEEDS_NOTHING,
		&(struct sqlite_wait_done){.outcome = STORE_OK, .done = done, .ctx = ctx});
}

static void sqlite_set_urgency(struct store *store, struct device_id device, enum urgency min,
	store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	enum store_outcome outcome = queue_index_set_urgency(sqlite->index, device, min);
	sqlite_answer_done(sqlite, is_quiet, SQLITE_NEEDS_ACKS,
		&(struct sqlite_wait_done){.outcome = outcome, .done = done, .ctx = ctx});
}

static void sqlite_settle_missed(
	struct store *store, struct device_id device, uint64_t count, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	enum store_outcome outcome = queue_index_settle_missed(sqlite->index, device, count);
	sqlite_answer_done(sqlite, is_quiet, SQLITE_NEEDS_ACKS,
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

static void sqlite_send_subscribed(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	struct sqlite_wait_subscribed *waiting =
		container_of(wait, struct sqlite_wait_subscribed, wait);
	/* It stays in the index and is written later; the device asks again and gets the same. */
	if (waiting->result.outcome == STORE_OK && batch && batch->new_failed) {
		waiting->result.outcome = STORE_UNAVAILABLE;
	}
	waiting->done(&waiting->result, waiting->ctx);
}

static const struct sqlite_wait_kind sqlite_kind_subscribed = {.answer = sqlite_send_subscribed};

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
	sqlite_answer(sqlite, &waiting->wait, is_quiet,
		is_refused ? SQLITE_NEEDS_NOTHING : SQLITE_NEEDS_ACKS, &sqlite_kind_subscribed);
}

static void sqlite_unsubscribe(struct store *store, struct device_id device,
	struct channel_id channel, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	queue_index_unsubscribe(sqlite->index, device, channel, store_now_ms(store));
	sqlite_answer_done(sqlite, is_quiet, SQLITE_NEEDS_ACKS,
		&(struct sqlite_wait_done){.outcome = STORE_OK, .done = done, .ctx = ctx});
}

struct sqlite_wait_subscription {
	struct sqlite_wait wait;
	struct store_subscription result;
	store_subscription_fn *done;
	void *ctx;
};

static void sqlite_send_subscription(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	(void)batch;
	struct sqlite_wait_subscription *waiting =
		container_of(wait, struct sqlite_wait_subscription, wait);
	waiting->done(&waiting->result, waiting->ctx);
}

static const struct sqlite_wait_kind sqlite_kind_subscription = {
	.answer = sqlite_send_subscription};

static void sqlite_lookup(struct store *store, struct device_id device,
	struct subscription_id subscription, store_subscription_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	struct sqlite_wait_subscription *waiting = mem_zalloc(sizeof *waiting);
	queue_index_lookup(sqlite->index, device, subscription, &waiting->result);
	waiting->done = done;
	waiting->ctx = ctx;
	sqlite_answer(sqlite, &waiting->wait, sqlite_is_quiet(sqlite), SQLITE_NEEDS_NOTHING,
		&sqlite_kind_subscription);
}

static void sqlite_remove_invited(
	struct store *store, struct invite_id invite, store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	queue_index_remove_invited(sqlite->index, invite);
	sqlite_answer_done(sqlite, is_quiet, SQLITE_NEEDS_ACKS,
		&(struct sqlite_wait_done){.outcome = STORE_OK, .done = done, .ctx = ctx});
}

/* ---- put ---------------------------------------------------------------------------------------
 */

struct sqlite_wait_put {
	struct sqlite_wait wait;
	struct queue_put put;
	struct store_payload
		*payload; /* a copy, which the worker may read for longer than done waits */
	char topic[STORE_TOPIC_MAX];
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

/* The caller was told that the put failed, and delivers nothing: the device has to fetch it. */
static void sqlite_wake_late(const struct sqlite_wait_put *waiting) {
	const struct store_options *options = &waiting->wait.sqlite->store.options;
	const struct store_put_result *result = &waiting->put.result;
	bool is_late = waiting->wait.is_answered && !waiting->wait.sqlite->is_abandoned;
	if (is_late && result->is_stored && result->is_here && options->on_woken) {
		const struct store_wake wake = {.kind = STORE_WAKE_MESSAGES, .device = waiting->put.device};
		options->on_woken(&wake, options->ctx);
	}
}

static void sqlite_settle_put(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
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
		sqlite_wake_late(waiting);
	}
}

static void sqlite_send_put(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	static const struct store_put_result unavailable = {.outcome = STORE_UNAVAILABLE};
	struct sqlite_wait_put *waiting = container_of(wait, struct sqlite_wait_put, wait);
	bool is_failed = waiting->needs_disk && batch && batch->new_failed;
	waiting->done(is_failed ? &unavailable : &waiting->put.result, waiting->ctx);
}

static void sqlite_release_put(struct sqlite_wait *wait) {
	free(container_of(wait, struct sqlite_wait_put, wait)->payload);
}

static const struct sqlite_wait_kind sqlite_kind_put = {
	.settle = sqlite_settle_put,
	.answer = sqlite_send_put,
	.release = sqlite_release_put,
};

static void sqlite_add_put(
	struct store_sqlite *sqlite, const struct store_put *what, struct sqlite_wait_put *waiting) {
	struct sqlite_batch *batch = sqlite_filling(sqlite);
	const struct queue_put *put = &waiting->put;
	if (put->message) {
		struct store_message parts;
		waiting->payload =
			store_payload_make(what->encoding, what->encryption, what->crypto_key, what->body);
		store_payload_open(waiting->payload, &parts);
		memcpy(waiting->topic, what->topic.len ? what->topic.data : "", what->topic.len);
		struct sqlite_op *op = sqlite_batch_add(batch, SQLITE_OP_INSERT);
		op->insert.row = (struct queue_message_row){
			.lo = put->message->lo,
			.subscription_number = put->subscription_number,
			.expires_ms = put->message->expires_ms,
			.bytes = put->message->bytes,
			.urgency = put->message->urgency,
			.topic = {waiting->topic, what->topic.len},
		};
		op->insert.encoding = parts.encoding;
		op->insert.encryption = parts.encryption;
		op->insert.crypto_key = parts.crypto_key;
		op->insert.body = parts.body;
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
		sqlite_add_put(sqlite, what, waiting);
	}
	waiting->needs_disk = put->message || put->doomed_count > 0 || put->is_self_evicted;
	sqlite_answer(sqlite, &waiting->wait, is_quiet,
		waiting->needs_disk ? SQLITE_NEEDS_DISK : SQLITE_NEEDS_NOTHING, &sqlite_kind_put);
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
				.topic = queue_message_topic(message),
			};
			store_payload_open(waiting->read->payloads[i], &messages[count++]);
		}
	}
	return count;
}

static void sqlite_send_fetched(struct sqlite_wait *wait, const struct sqlite_batch *batch) {
	struct sqlite_wait_fetch *waiting = container_of(wait, struct sqlite_wait_fetch, wait);
	struct store_message messages[STORE_FETCH_MAX];
	waiting->result.messages = messages;
	if (waiting->read && (batch == &sqlite_no_answer || waiting->read->failed)) {
		waiting->result = (struct store_fetched){.outcome = STORE_UNAVAILABLE};
	} else if (waiting->read) {
		waiting->result.count = sqlite_fill_fetched(waiting, messages);
	}
	waiting->done(&waiting->result, waiting->ctx);
}

static void sqlite_release_fetch(struct sqlite_wait *wait) {
	struct sqlite_read *read = container_of(wait, struct sqlite_wait_fetch, wait)->read;
	for (size_t i = 0; read && i < read->count; i++) {
		free(read->payloads[i]);
	}
	free(read);
}

static const struct sqlite_wait_kind sqlite_kind_fetch = {
	.answer = sqlite_send_fetched,
	.release = sqlite_release_fetch,
};

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
	if (count > 0 && sqlite->is_stuck) {
		waiting->result = (struct store_fetched){.outcome = STORE_UNAVAILABLE};
	} else if (count > 0) {
		if (sqlite_filling(sqlite)->read_bytes > SQLITE_READ_BYTES_MAX) {
			queue_index_collect_devices(sqlite->index); /* who waits in it may wait for them */
			sqlite_collect(sqlite);
			sqlite_add_batch(sqlite);
		}
		waiting->read = mem_zalloc(sizeof *waiting->read);
		for (int i = 0; i < count; i++) {
			waiting->read->lo[waiting->read->count++] = found[i]->lo;
			sqlite_filling(sqlite)->read_bytes += found[i]->bytes;
		}
		sqlite_batch_add_read(sqlite_filling(sqlite), waiting->read);
	}
	sqlite_answer(sqlite, &waiting->wait, is_quiet,
		count > 0 ? SQLITE_NEEDS_DISK : SQLITE_NEEDS_NOTHING, &sqlite_kind_fetch);
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
	const struct sqlite_wait_done answer = {
		.outcome = STORE_OK, .removed = removed, .acked = done, .ctx = ctx};
	if (removed == 0) {
		sqlite_answer_done(sqlite, is_quiet, SQLITE_NEEDS_NOTHING, &answer);
		return;
	}
	struct sqlite_wait_done *waiting = done ? mem_dup(&answer, sizeof answer) : NULL;
	sqlite_answer_ack(sqlite, waiting ? &waiting->wait : NULL, &sqlite_kind_done);
}

static void sqlite_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx) {
	struct store_sqlite *sqlite = sqlite_of(store);
	bool is_quiet = sqlite_is_quiet(sqlite);
	bool was_there = queue_index_cancel(sqlite->index, device, id, store_now_ms(store));
	sqlite_answer_done(sqlite, is_quiet, was_there ? SQLITE_NEEDS_ACKS : SQLITE_NEEDS_NOTHING,
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
	sqlite_give_up_waiting(sqlite);
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
