/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the SQLite store: how its calls wait for their turn. Operations are checked and booked
 * in the index at once; their answers come in the order of the calls, because whatever cannot be
 * answered at once waits in a batch, and everything behind it does too.
 *
 * Nobody waits for an acknowledgement, so these gather for some milliseconds: written together they
 * are few statements on few pages, while a part of each commit would hold up the messages. Their
 * answers come when they are written, and are the only ones that others may overtake.
 *
 * A disk that does not answer at all holds up the batch that is being written. After a while its
 * calls and those behind it are answered as unavailable, but stay booked until it is known how they
 * ended.
 */
#pragma once
#include "storage/sqlite_log.h"
#include "storage/store_backend.h"
#include "storage/store_later.h"

enum { SQLITE_READ_BYTES_MAX = 8 << 20 }; /* bodies read in one batch, about */

struct store_sqlite {
	struct store store;
	struct queue_index *index;
	struct sqlite_log *log;
	struct list batches; /* struct sqlite_batch::link; the last is being filled, never empty */
	struct sqlite_batch *acks; /* acknowledgements that gather; on no list */
	struct list handed; /* struct sqlite_batch::link; with the worker, at most SQLITE_HANDED_MAX */
	struct store_later later;
	ev_prepare flush; /* fed at the lowest priority: hands over what a turn of the loop brought */
	ev_timer patience; /* with them; runs while there are any */
	int64_t probe_at_ms;
	int64_t begun_ms; /* since then the worker has had the first of those handed over */
	bool is_available;
	bool is_stuck; /* and it takes too long */
	bool is_abandoned; /* closed while it did: nobody is told any more */
};

struct sqlite_wait;
/* What is done with a call when it has its outcome; batch is the one it waited for, NULL when it
 * needed none. Any but answer may be NULL. */
struct sqlite_wait_kind {
	void (*settle)(struct sqlite_wait *wait, const struct sqlite_batch *batch); /* the index */
	void (*answer)(struct sqlite_wait *wait, const struct sqlite_batch *batch); /* the caller */
	void (*release)(struct sqlite_wait *wait); /* what it holds beside itself */
};

/* A call that waits for its turn; the first member of each kind's struct. */
struct sqlite_wait {
	struct store_later_item item; /* its link is on struct sqlite_batch::waits, or it is later's */
	const struct sqlite_wait_kind *kind;
	struct store_sqlite *sqlite;
	struct sqlite_batch *in;
	bool is_answered; /* in time, before its outcome was known */
	bool was_stuck; /* called while no outcome could be had */
};

void sqlite_turns_init(struct store_sqlite *sqlite, struct ev_loop *loop);
/* Ends what is under way and what waits, as far as the disk lets it. False when that hangs:
 * everything is answered, but the worker still uses what belongs to the batch under way. */
bool sqlite_turns_finish(struct store_sqlite *sqlite);
/* What is left, when the worker is done; finished is the batch that was under way. */
void sqlite_turns_dispose(struct store_sqlite *sqlite, struct sqlite_batch *finished);
/* The log's: a batch came back. ctx is the store. */
void sqlite_on_batch(struct sqlite_batch *batch, void *ctx);

/* The batch that is being filled; it goes over at the end of this turn of the loop, or when one
 * that the worker has is back. */
struct sqlite_batch *sqlite_filling(const struct store_sqlite *sqlite);
void sqlite_add_batch(struct store_sqlite *sqlite);
/* Makes the index's changes operations of it. */
void sqlite_collect(struct store_sqlite *sqlite);
/* What gathered is to be written with it. */
void sqlite_join_acks(struct store_sqlite *sqlite);

/* Does an answer that is known already have to wait for none before it? */
bool sqlite_is_quiet(const struct store_sqlite *sqlite);
enum sqlite_need {
	SQLITE_NEEDS_NOTHING, /* known already */
	SQLITE_NEEDS_DISK, /* not before what the index noted is written */
	SQLITE_NEEDS_ACKS, /* the same, and all acknowledgements before it */
};
/* Answers in turn, after collecting changes. is_quiet: as it was before the operation. */
void sqlite_answer(struct store_sqlite *sqlite, struct sqlite_wait *wait, bool is_quiet,
	enum sqlite_need need, const struct sqlite_wait_kind *kind);
/* The same for an acknowledgement: what the index noted gathers, and the answer too. wait may be
 * NULL. */
void sqlite_answer_ack(
	struct store_sqlite *sqlite, struct sqlite_wait *wait, const struct sqlite_wait_kind *kind);

/* The disk refused what is new a moment ago: spare it. */
bool sqlite_refuses_new(const struct store_sqlite *sqlite);
/* If the disk keeps a batch for too long, nobody waits for it any more. */
void sqlite_give_up_waiting(struct store_sqlite *sqlite);
/* As a batch would look that came back with nothing done; what those get. */
extern const struct sqlite_batch sqlite_no_answer;
