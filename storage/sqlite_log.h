/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite file behind one worker thread. The loop fills a batch with operations and hands it
 * over; the worker runs it as one synced transaction (group commit), then its reads, and gives it
 * back through the loop. While one is written the next may wait at the worker's door, so that the
 * worker goes on without the loop; until it does, the loop can have that one back and add to it.
 *
 * A batch whose transaction fails is tried once more without what is new, so that deletions go
 * through on a full disk; the flags say what held.
 */
#pragma once
#include "storage/queue_index.h"
#include "storage/store_payload.h"

enum sqlite_op_kind {
	SQLITE_OP_INSERT, /* a message */
	SQLITE_OP_DELETE_DOOMED, /* a message that goes only if the inserts of the batch hold */
	SQLITE_OP_CHANGE, /* any other change of the index */
	SQLITE_OP_PROBE, /* can anything be written again? */
};

struct sqlite_op {
	enum sqlite_op_kind kind;
	bool is_skipped; /* cancelled out within its batch */
	union {
		struct {
			struct queue_message_row row;
			struct slice encoding, encryption, crypto_key, body; /* and topic: not copied */
		} insert;
		uint64_t doomed_lo;
		struct queue_change change;
	};
};

/* Bodies wanted by a fetch; filled by the worker with payloads that the receiver frees, NULL for a
 * missing row. */
struct sqlite_read {
	uint64_t lo[STORE_FETCH_MAX];
	struct store_payload *payloads[STORE_FETCH_MAX];
	size_t count;
	bool failed; /* the file could not be read */
};

enum {
	SQLITE_REASON_BYTES = 300,
	SQLITE_HANDED_MAX = 2, /* batches: one is written, one waits */
};

struct sqlite_batch {
	struct list link; /* the store's */
	struct sqlite_op *ops;
	size_t op_count, op_capacity;
	struct sqlite_read **reads;
	size_t read_count, read_capacity;
	uint64_t read_bytes; /* about */
	bool is_urgent; /* the store's: somebody waits for it */
	struct list waits; /* the store's: who waits for this batch */
	bool new_written; /* something new went to the disk */
	bool new_failed; /* inserts, subscriptions and what they doomed were not written */
	bool all_failed; /* nor was all of the rest; perhaps a part */
	char reason[SQLITE_REASON_BYTES]; /* why, when something failed */
};

struct sqlite_log;
typedef void sqlite_log_done_fn(struct sqlite_batch *batch, void *ctx);

/* Opens or creates the file, checks it, loads everything into index (made by the caller), starts
 * the worker. NULL with a sentence that names file and cure. */
struct sqlite_log *sqlite_log_open(const char *path, struct queue_index *index,
	struct ev_loop *loop, sqlite_log_done_fn *done, void *ctx, char **out_error);
/* At most SQLITE_HANDED_MAX that did not come back, and none of them waiting. Batches come back
 * through done, from the loop, in this order. */
void sqlite_log_submit(struct sqlite_log *log, struct sqlite_batch *batch);
/* Takes back the batch that the worker has not begun; NULL when there is none. */
struct sqlite_batch *sqlite_log_recall(struct sqlite_log *log);
/* After a batch with new_failed the worker begins no other before this call, for settling a failure
 * changes what comes next. */
void sqlite_log_go_on(struct sqlite_log *log);
/* Waits at most so long for the oldest batch and gives it back as a result instead of through
 * done; NULL when the worker is idle, or not in time. */
struct sqlite_batch *sqlite_log_wait(struct sqlite_log *log, double seconds);
/* Neither writing, nor tidying up, nor about to? */
bool sqlite_log_is_idle(struct sqlite_log *log);
/* Instead of closing it, when the disk hangs, and with none waiting: the worker is left alone. If
 * it comes back one day, it calls end from its own thread with the batch that it was writing, if
 * any, and frees the log. False, and nothing has happened, when a batch is back or the worker
 * idles. */
bool sqlite_log_abandon(struct sqlite_log *log, sqlite_log_done_fn *end, void *ctx);
void sqlite_log_close(struct sqlite_log *log);

struct sqlite_batch *sqlite_batch_create(void);
void sqlite_batch_destroy(struct sqlite_batch *batch);
/* All of the operation but its kind is for the caller to fill. */
struct sqlite_op *sqlite_batch_add(struct sqlite_batch *batch, enum sqlite_op_kind kind);
void sqlite_batch_add_read(struct sqlite_batch *batch, struct sqlite_read *read);
/* Moves all that more has behind what batch has, and destroys it. */
void sqlite_batch_join(struct sqlite_batch *batch, struct sqlite_batch *take_more);
/* Marks inserts and deletions of the same message as skipped. */
void sqlite_batch_cancel_out(struct sqlite_batch *batch);
