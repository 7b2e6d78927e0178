/* SPDX-License-Identifier: Apache-2.0 */
/* Writes batches to the SQLite file and reads bodies from it. */
#include "storage/sqlite_file.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	SQLITE_RESERVE_MAX = 8 << 20,
	SQLITE_RESERVE_MIN = 256 << 10,
	SQLITE_RESERVE_PART = 8, /* of what is free at the start */
	SQLITE_PAGE_BYTES = 4096,
	SQLITE_SPARE_PAGES = 1024, /* free pages that stay for what comes next */
};

void sqlite_file_finish(struct sqlite_file *file) {
	for (int i = 0; i < SQL_COUNT; i++) {
		(void)sqlite3_finalize(file->statements[i]);
	}
	(void)sqlite3_close(file->db); /* checkpoints; on a full disk the WAL simply stays */
	free(file->path);
	free(file->reserve_path);
}

/* ---- the reserve -------------------------------------------------------------------------------
 */

void sqlite_file_size_reserve(struct sqlite_file *file) {
	struct statvfs disk;
	file->reserve_bytes = SQLITE_RESERVE_MAX;
	if (statvfs(file->path, &disk) == 0) {
		uint64_t part = (uint64_t)disk.f_bavail * disk.f_frsize / SQLITE_RESERVE_PART;
		if (part < SQLITE_RESERVE_MAX) {
			file->reserve_bytes = part > SQLITE_RESERVE_MIN ? (long)part : SQLITE_RESERVE_MIN;
		}
	}
}

bool sqlite_file_make_reserve(struct sqlite_file *file) {
	if (file->has_reserve) {
		return true;
	}
	CLEANUP_CLOSE int fd = open(file->reserve_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int result = fd < 0 ? errno : posix_fallocate(fd, 0, file->reserve_bytes);
	/* Where reserving is not possible at all, we do without. */
	file->has_reserve = result != ENOSPC && result != EDQUOT && result != EFBIG;
	if (!file->has_reserve && fd >= 0 && ftruncate(fd, 0) < 0) {
		/* then it stays as it is, and is tried again */
	}
	return file->has_reserve;
}

static void sqlite_file_give_up_reserve(struct sqlite_file *file) {
	if (truncate(file->reserve_path, 0) < 0) {
		/* none was there */
	}
	file->has_reserve = false;
}

void sqlite_file_lengthen_wal(const struct sqlite_file *file) {
	enum { STEP = 64 << 10 };
	CLEANUP_FREE char *path = mem_printf("%s-wal", file->path);
	CLEANUP_FREE char *zeros = mem_zalloc(STEP);
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0) {
		return;
	}
	/* Behind its last frame SQLite takes zeros for the end. Written, not only reserved: else each
	 * first use of a block has to be noted by the file system. */
	off_t end = file->reserve_bytes + file->reserve_bytes / 16;
	for (off_t at = status.st_size; at < end; at += STEP) {
		if (pwrite(fd, zeros, STEP, at) != STEP) {
			if (ftruncate(fd, status.st_size) < 0) {
				/* harmless */
			}
			return;
		}
	}
	(void)fsync(fd); /* only a matter of speed */
}

/* ---- one operation -----------------------------------------------------------------------------
 */

static int sqlite_run(struct sqlite_file *file, enum sqlite_statement which) {
	sqlite3_stmt *statement = file->statements[which];
	int result = sqlite3_step(statement);
	while (result == SQLITE_ROW) {
		result = sqlite3_step(statement);
	}
	(void)sqlite3_reset(statement); /* repeats the error of step */
	return result == SQLITE_DONE ? SQLITE_OK : result;
}

static void sqlite_bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t bytes) {
	(void)(bytes > 0 ? sqlite3_bind_blob(statement, at, data, (int)bytes, SQLITE_STATIC)
					 : sqlite3_bind_null(statement, at));
}

static void sqlite_bind_slice(sqlite3_stmt *statement, int at, struct slice text) {
	sqlite_bind_blob(statement, at, text.data, text.len);
}

static int sqlite_run_with(struct sqlite_file *file, enum sqlite_statement which, uint64_t number) {
	(void)sqlite3_bind_int64(file->statements[which], 1, (sqlite3_int64)number);
	return sqlite_run(file, which);
}

static int sqlite_insert(struct sqlite_file *file, const struct sqlite_op *op) {
	const struct queue_message_row *facts = &op->insert.row;
	sqlite3_stmt *row = file->statements[SQL_INSERT_MESSAGE];
	(void)sqlite3_bind_int64(row, 2, (sqlite3_int64)facts->subscription_number);
	(void)sqlite3_bind_int64(row, 3, facts->expires_ms);
	(void)sqlite3_bind_int(row, 4, facts->urgency);
	(void)sqlite3_bind_int64(row, 5, facts->bytes);
	sqlite_bind_slice(row, 6, facts->topic);
	int result = sqlite_run_with(file, SQL_INSERT_MESSAGE, facts->lo);
	if (result != SQLITE_OK) {
		return result;
	}
	sqlite3_stmt *body = file->statements[SQL_INSERT_BODY];
	sqlite_bind_slice(body, 2, op->insert.encoding);
	sqlite_bind_slice(body, 3, op->insert.encryption);
	sqlite_bind_slice(body, 4, op->insert.crypto_key);
	sqlite_bind_slice(body, 5, op->insert.body);
	return sqlite_run_with(file, SQL_INSERT_BODY, facts->lo);
}

static int sqlite_delete_messages(struct sqlite_file *file, uint64_t first, uint64_t last) {
	(void)sqlite3_bind_int64(file->statements[SQL_DELETE_MESSAGES], 2, (sqlite3_int64)last);
	(void)sqlite3_bind_int64(file->statements[SQL_DELETE_BODIES], 2, (sqlite3_int64)last);
	int result = sqlite_run_with(file, SQL_DELETE_MESSAGES, first);
	return result == SQLITE_OK ? sqlite_run_with(file, SQL_DELETE_BODIES, first) : result;
}

static int sqlite_set_device(struct sqlite_file *file, const struct queue_change *change) {
	const struct queue_device_row *facts = &change->device;
	sqlite3_stmt *row = file->statements[SQL_SET_DEVICE];
	sqlite_bind_blob(row, 2, &facts->id, sizeof facts->id);
	(void)sqlite3_bind_int64(row, 3, facts->contact_sec * (sqlite3_int64)1000);
	(void)sqlite3_bind_int64(row, 4, facts->missed);
	(void)sqlite3_bind_int(row, 5, facts->min_urgency);
	sqlite_bind_blob(row, 6, &facts->invite, sizeof facts->invite);
	(void)sqlite3_bind_int64(row, 7, facts->messages_per_day);
	(void)sqlite3_bind_int64(row, 8, facts->day);
	(void)sqlite3_bind_int64(row, 9, facts->day_count);
	return sqlite_run_with(file, SQL_SET_DEVICE, change->number);
}

static int sqlite_set_subscription(struct sqlite_file *file, const struct queue_change *change) {
	const struct queue_subscription_row *facts = &change->subscription;
	sqlite3_stmt *row = file->statements[SQL_SET_SUBSCRIPTION];
	sqlite_bind_blob(row, 2, &facts->device, sizeof facts->device);
	sqlite_bind_blob(row, 3, &facts->id, sizeof facts->id);
	sqlite_bind_blob(row, 4, &facts->channel, sizeof facts->channel);
	sqlite_bind_blob(row, 5, facts->key_hash, facts->has_key ? sizeof facts->key_hash : 0);
	(void)sqlite3_bind_int64(row, 6, facts->max_body);
	return sqlite_run_with(file, SQL_SET_SUBSCRIPTION, change->number);
}

static int sqlite_set_tombstone(struct sqlite_file *file, const struct queue_change *change) {
	const struct queue_tombstone_row *facts = &change->tombstone;
	sqlite3_stmt *row = file->statements[SQL_SET_TOMBSTONE];
	sqlite_bind_blob(row, 2, &facts->device, sizeof facts->device);
	sqlite_bind_blob(row, 3, &facts->id, sizeof facts->id);
	(void)sqlite3_bind_int64(row, 4, facts->expires_sec * 1000);
	return sqlite_run_with(file, SQL_SET_TOMBSTONE, change->number);
}

static int sqlite_run_change(struct sqlite_file *file, const struct queue_change *change) {
	switch (change->kind) {
	case QUEUE_DEVICE_SET:
		return sqlite_set_device(file, change);
	case QUEUE_DEVICE_GONE:
		return sqlite_run_with(file, SQL_DELETE_DEVICE, change->number);
	case QUEUE_SUBSCRIPTION_SET:
		return sqlite_set_subscription(file, change);
	case QUEUE_SUBSCRIPTION_GONE:
		return sqlite_run_with(file, SQL_DELETE_SUBSCRIPTION, change->number);
	case QUEUE_TOMBSTONE_SET:
		return sqlite_set_tombstone(file, change);
	case QUEUE_TOMBSTONE_GONE:
		return sqlite_run_with(file, SQL_DELETE_TOMBSTONE, change->number);
	case QUEUE_MESSAGE_GONE:
		return sqlite_delete_messages(file, change->number, change->number);
	}
	return SQLITE_MISUSE;
}

static int sqlite_run_op(struct sqlite_file *file, const struct sqlite_op *op) {
	switch (op->kind) {
	case SQLITE_OP_INSERT:
		return sqlite_insert(file, op);
	case SQLITE_OP_DELETE_DOOMED:
		return sqlite_delete_messages(file, op->doomed_lo, op->doomed_lo);
	case SQLITE_OP_CHANGE:
		return sqlite_run_change(file, &op->change);
	case SQLITE_OP_PROBE:
		return sqlite_run(file, SQL_PROBE);
	}
	return SQLITE_MISUSE;
}

/* ---- one batch ---------------------------------------------------------------------------------
 */

static bool sqlite_op_is_new(const struct sqlite_op *op) {
	return op->kind != SQLITE_OP_CHANGE || op->change.kind == QUEUE_SUBSCRIPTION_SET;
}

static bool sqlite_op_is_deletion(const struct sqlite_op *op) {
	return op->kind == SQLITE_OP_CHANGE && op->change.kind == QUEUE_MESSAGE_GONE && !op->is_skipped;
}

/* A part of a batch. */
struct sqlite_part {
	const struct sqlite_op *ops;
	size_t count;
	bool with_new;
};

/* Deletions of messages that were stored one after the other are one statement. Their number. */
static size_t sqlite_count_neighbours(const struct sqlite_part *part, size_t at) {
	const struct sqlite_op *op = &part->ops[at];
	size_t count = 1;
	while (sqlite_op_is_deletion(op) && at + count < part->count &&
		   sqlite_op_is_deletion(op + count) &&
		   op[count].change.number == op->change.number + count) {
		count++;
	}
	return count;
}

/* One transaction; SQLITE_OK only when it is on the disk. */
static int sqlite_transact(struct sqlite_file *file, const struct sqlite_part *part) {
	int result = sqlite_run(file, SQL_BEGIN);
	for (size_t i = 0, count; i < part->count && result == SQLITE_OK; i += count) {
		const struct sqlite_op *op = &part->ops[i];
		count = sqlite_count_neighbours(part, i);
		if (count > 1) {
			uint64_t first = op->change.number;
			result = sqlite_delete_messages(file, first, first + count - 1);
		} else if (!op->is_skipped && (part->with_new || !sqlite_op_is_new(op))) {
			result = sqlite_run_op(file, op);
		}
	}
	if (result == SQLITE_OK) {
		result = sqlite_run(file, SQL_COMMIT);
	}
	if (result != SQLITE_OK && !sqlite3_get_autocommit(file->db)) {
		(void)sqlite_run(file, SQL_ROLLBACK);
	}
	return result;
}

static int sqlite_transact_all(struct sqlite_file *file, const struct sqlite_batch *batch) {
	return sqlite_transact(file, &(struct sqlite_part){batch->ops, batch->op_count, true});
}

static void sqlite_file_note_failure(
	const struct sqlite_file *file, struct sqlite_batch *batch, const char *reason) {
	(void)snprintf(batch->reason, sizeof batch->reason, "sqlite:%s: %s", file->path, reason);
	batch->new_failed = true;
}

/* A write that finds no space ends as an I/O error in some places. */
static bool sqlite_is_full(const struct sqlite_file *file, int result) {
	return (result & 0xff) == SQLITE_FULL ||
		   ((result & 0xff) == SQLITE_IOERR && sqlite3_system_errno(file->db) == ENOSPC);
}

/* What is not new, on a disk where the WAL may have little room left: in as many transactions as it
 * takes. What was done when one fails is done again later, which changes nothing. */
static int sqlite_transact_rest(struct sqlite_file *file, const struct sqlite_batch *batch) {
	size_t at = 0, most = batch->op_count;
	while (at < batch->op_count) {
		size_t left = batch->op_count - at, count = left < most ? left : most;
		int result = sqlite_transact(file, &(struct sqlite_part){batch->ops + at, count, false});
		if (result == SQLITE_OK) {
			at += count;
		} else if (sqlite_is_full(file, result) && count > 1) {
			most = count / 2;
		} else {
			return result;
		}
		if (at < batch->op_count) {
			(void)sqlite_file_checkpoint(file);
		}
	}
	return SQLITE_OK;
}

static void sqlite_file_write_new(struct sqlite_file *file, struct sqlite_batch *batch) {
	if (!sqlite_file_make_reserve(file)) {
		/* What a drained queue left free in the file may be all there is. */
		(void)sqlite_file_shrink(file);
		(void)sqlite_file_checkpoint(file);
		if (!sqlite_file_make_reserve(file)) {
			sqlite_file_note_failure(file, batch, "the disk is full");
			return;
		}
	}
	int result = sqlite_transact_all(file, batch);
	if (sqlite_is_full(file, result) && sqlite_file_checkpoint(file)) {
		result = sqlite_transact_all(file, batch); /* the WAL begins anew */
	}
	if (result == SQLITE_OK) {
		return;
	}
	bool is_full = sqlite_is_full(file, result);
	sqlite_file_note_failure(file, batch, is_full ? "the disk is full" : sqlite3_errmsg(file->db));
	if (is_full) {
		sqlite_file_give_up_reserve(file);
		(void)sqlite_file_checkpoint(file);
	}
}

void sqlite_file_write(struct sqlite_file *file, struct sqlite_batch *batch) {
	size_t count = 0, count_new = 0;
	for (size_t i = 0; i < batch->op_count; i++) {
		if (!batch->ops[i].is_skipped) {
			count++;
			count_new += sqlite_op_is_new(&batch->ops[i]);
		}
	}
	if (count == 0) {
		return;
	}
	if (file->has_reserve || count_new > 0) {
		sqlite_file_write_new(file, batch);
		if (!batch->new_failed) {
			batch->new_written = count_new > 0;
			return;
		}
	}
	if (count == count_new) {
		batch->all_failed = true; /* there is no rest */
	} else if (sqlite_transact_rest(file, batch) != SQLITE_OK) {
		batch->all_failed = true;
		sqlite_file_note_failure(file, batch, sqlite3_errmsg(file->db));
	}
}

static struct slice sqlite_column_slice(sqlite3_stmt *row, int at) {
	return (struct slice){sqlite3_column_blob(row, at), (size_t)sqlite3_column_bytes(row, at)};
}

void sqlite_file_read(struct sqlite_file *file, struct sqlite_read *read) {
	sqlite3_stmt *row = file->statements[SQL_READ_BODY];
	for (size_t i = 0; i < read->count; i++) {
		(void)sqlite3_bind_int64(row, 1, (sqlite3_int64)read->lo[i]);
		int result = sqlite3_step(row);
		if (result == SQLITE_ROW) {
			read->payloads[i] =
				store_payload_make(sqlite_column_slice(row, 0), sqlite_column_slice(row, 1),
					sqlite_column_slice(row, 2), sqlite_column_slice(row, 3));
		} else if (result != SQLITE_DONE) {
			read->failed = true;
		}
		(void)sqlite3_reset(row);
	}
}

/* ---- upkeep ------------------------------------------------------------------------------------
 */

bool sqlite_file_checkpoint(struct sqlite_file *file) {
	if (file->wal_pages > 0 && sqlite3_wal_checkpoint_v2(file->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
								   NULL, NULL) == SQLITE_OK) {
		file->wal_pages = 0;
		return true;
	}
	return false; /* on a full disk; tried again after the next commit */
}

bool sqlite_file_wants_checkpoint(const struct sqlite_file *file) {
	return file->wal_pages > file->reserve_bytes / SQLITE_PAGE_BYTES;
}

bool sqlite_file_shrink(struct sqlite_file *file) {
	sqlite3_stmt *count = file->statements[SQL_FREE_PAGES];
	int free_pages = sqlite3_step(count) == SQLITE_ROW ? sqlite3_column_int(count, 0) : 0;
	(void)sqlite3_reset(count);
	int spare_pages = file->has_reserve ? SQLITE_SPARE_PAGES : 0;
	return free_pages > spare_pages && sqlite_run(file, SQL_VACUUM) == SQLITE_OK;
}
