/* SPDX-License-Identifier: Apache-2.0 */
/* The worker thread that owns the SQLite connection. */
#include "storage/sqlite_log.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	SQLITE_SCHEMA_VERSION = 1,
	SQLITE_CHECKPOINT_IDLE_PAGES = 128, /* checkpoint when idle and the WAL has as many */
	SQLITE_CHECKPOINT_BUSY_PAGES = 8000, /* … or at once with as many (32 MiB) */
	SQLITE_RESERVE_BYTES =
		1 << 20, /* set aside on the disk, so that deletions go through when it is full */
	SQLITE_VACUUM_PAGES = 256, /* given back at a time */
};
/* Each start takes a block of ids, so none is ever used twice. */
static const uint64_t sqlite_id_block = (uint64_t)1 << 40;

static const char sqlite_schema[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE device(id BLOB PRIMARY KEY, contact_ms INTEGER, missed INTEGER, min_urgency "
	"INTEGER,"
	" invite BLOB, per_day INTEGER, day INTEGER, day_count INTEGER) WITHOUT ROWID;"
	"CREATE TABLE subscription(id BLOB PRIMARY KEY, device BLOB, channel BLOB, key_hash BLOB,"
	" max_body INTEGER) WITHOUT ROWID;"
	"CREATE TABLE tombstone(id BLOB PRIMARY KEY, expires_ms INTEGER) WITHOUT ROWID;"
	"CREATE TABLE message(lo INTEGER PRIMARY KEY, device BLOB, channel BLOB, expires_ms INTEGER,"
	" urgency INTEGER, bytes INTEGER, topic BLOB);"
	"CREATE TABLE body(lo INTEGER PRIMARY KEY, encoding BLOB, encryption BLOB, crypto_key BLOB, "
	"body BLOB);"
	"INSERT INTO meta VALUES('next', 1);";

enum sqlite_statement {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_INSERT_MESSAGE,
	SQL_INSERT_BODY,
	SQL_DELETE_MESSAGE,
	SQL_DELETE_BODY,
	SQL_PUT_DEVICE,
	SQL_DELETE_DEVICE,
	SQL_PUT_SUBSCRIPTION,
	SQL_DELETE_SUBSCRIPTION,
	SQL_PUT_TOMBSTONE,
	SQL_DELETE_TOMBSTONE,
	SQL_READ_BODY,
	SQL_FREE_PAGES,
	SQL_VACUUM,
	SQL_COUNT
};

static const char *const sqlite_statements[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_INSERT_MESSAGE] = "INSERT INTO message VALUES(?1,?2,?3,?4,?5,?6,?7)",
	[SQL_INSERT_BODY] = "INSERT INTO body VALUES(?1,?2,?3,?4,?5)",
	[SQL_DELETE_MESSAGE] = "DELETE FROM message WHERE lo=?1",
	[SQL_DELETE_BODY] = "DELETE FROM body WHERE lo=?1",
	[SQL_PUT_DEVICE] = "REPLACE INTO device VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
	[SQL_DELETE_DEVICE] = "DELETE FROM device WHERE id=?1",
	[SQL_PUT_SUBSCRIPTION] = "REPLACE INTO subscription VALUES(?1,?2,?3,?4,?5)",
	[SQL_DELETE_SUBSCRIPTION] = "DELETE FROM subscription WHERE id=?1",
	[SQL_PUT_TOMBSTONE] = "REPLACE INTO tombstone VALUES(?1,?2)",
	[SQL_DELETE_TOMBSTONE] = "DELETE FROM tombstone WHERE id=?1",
	[SQL_READ_BODY] = "SELECT encoding, encryption, crypto_key, body FROM body WHERE lo=?1",
	[SQL_FREE_PAGES] = "PRAGMA freelist_count",
	[SQL_VACUUM] = "PRAGMA incremental_vacuum(256)",
};

struct sqlite_log {
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_COUNT];
	int wal_pages; /* as of the last commit; the worker's */
	char *reserve_path;
	bool has_reserve; /* the worker's */
	pthread_t worker;
	bool has_worker;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct sqlite_batch *waiting, *finished; /* by the mutex */
	bool is_closing; /* by the mutex */
	bool is_under_way; /* the loop's */
	struct ev_loop *loop;
	ev_async wake;
	sqlite_log_done_fn *done;
	void *ctx;
};

/* ---- the reserve ---- */

/* A file of some size beside the database. Given up when the disk is full, and made again when
 * there is room. */
static void sqlite_reserve_make(struct sqlite_log *log) {
	CLEANUP_CLOSE int fd = open(log->reserve_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	log->has_reserve = fd >= 0 && posix_fallocate(fd, 0, SQLITE_RESERVE_BYTES) == 0;
	if (!log->has_reserve) {
		(void)unlink(log->reserve_path);
	}
}

static bool sqlite_reserve_give_up(struct sqlite_log *log) {
	bool had_it = log->has_reserve;
	log->has_reserve = false;
	return unlink(log->reserve_path) == 0 || had_it;
}

/* ---- the worker: one batch ---- */

static int sqlite_run(struct sqlite_log *log, enum sqlite_statement which) {
	sqlite3_stmt *statement = log->statements[which];
	int result = sqlite3_step(statement);
	while (result == SQLITE_ROW) {
		result = sqlite3_step(statement);
	}
	(void)sqlite3_reset(statement); /* repeats the error of step */
	return result == SQLITE_DONE ? SQLITE_OK : result;
}

static void sqlite_bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t bytes) {
	(void)sqlite3_bind_blob(statement, at, bytes ? data : "", (int)bytes, SQLITE_STATIC);
}

static void sqlite_bind_slice(sqlite3_stmt *statement, int at, struct slice text) {
	sqlite_bind_blob(statement, at, text.data, text.len);
}

static int sqlite_insert_message(struct sqlite_log *log, const struct sqlite_op *op) {
	sqlite3_stmt *row = log->statements[SQL_INSERT_MESSAGE];
	(void)sqlite3_bind_int64(row, 1, (sqlite3_int64)op->message.lo);
	sqlite_bind_blob(row, 2, &op->message.device, sizeof op->message.device);
	sqlite_bind_blob(row, 3, &op->message.channel, sizeof op->message.channel);
	(void)sqlite3_bind_int64(row, 4, op->message.expires_ms);
	(void)sqlite3_bind_int(row, 5, op->message.urgency);
	(void)sqlite3_bind_int64(row, 6, op->message.bytes);
	sqlite_bind_slice(row, 7, op->message.topic);
	int result = sqlite_run(log, SQL_INSERT_MESSAGE);
	if (result != SQLITE_OK) {
		return result;
	}
	sqlite3_stmt *body = log->statements[SQL_INSERT_BODY];
	(void)sqlite3_bind_int64(body, 1, (sqlite3_int64)op->message.lo);
	sqlite_bind_slice(body, 2, op->message.encoding);
	sqlite_bind_slice(body, 3, op->message.encryption);
	sqlite_bind_slice(body, 4, op->message.crypto_key);
	sqlite_bind_slice(body, 5, op->message.body);
	return sqlite_run(log, SQL_INSERT_BODY);
}

static int sqlite_delete_message(struct sqlite_log *log, const struct sqlite_op *op) {
	(void)sqlite3_bind_int64(log->statements[SQL_DELETE_MESSAGE], 1, (sqlite3_int64)op->message.lo);
	(void)sqlite3_bind_int64(log->statements[SQL_DELETE_BODY], 1, (sqlite3_int64)op->message.lo);
	int result = sqlite_run(log, SQL_DELETE_MESSAGE);
	return result == SQLITE_OK ? sqlite_run(log, SQL_DELETE_BODY) : result;
}

static int sqlite_put_device(struct sqlite_log *log, const struct sqlite_op *op) {
	sqlite3_stmt *row = log->statements[SQL_PUT_DEVICE];
	sqlite_bind_blob(row, 1, &op->device.id, sizeof op->device.id);
	(void)sqlite3_bind_int64(row, 2, op->device.contact_ms);
	(void)sqlite3_bind_int64(row, 3, (sqlite3_int64)op->device.missed);
	(void)sqlite3_bind_int(row, 4, op->device.min_urgency);
	sqlite_bind_blob(row, 5, &op->device.invite, sizeof op->device.invite);
	(void)sqlite3_bind_int64(row, 6, op->device.messages_per_day);
	(void)sqlite3_bind_int64(row, 7, op->device.day);
	(void)sqlite3_bind_int64(row, 8, op->device.day_count);
	return sqlite_run(log, SQL_PUT_DEVICE);
}

static int sqlite_put_subscription(struct sqlite_log *log, const struct sqlite_op *op) {
	const struct queue_subscription *facts = &op->subscription.facts;
	sqlite3_stmt *row = log->statements[SQL_PUT_SUBSCRIPTION];
	sqlite_bind_blob(row, 1, &facts->id, sizeof facts->id);
	sqlite_bind_blob(row, 2, &op->subscription.device, sizeof op->subscription.device);
	sqlite_bind_blob(row, 3, &facts->channel, sizeof facts->channel);
	sqlite_bind_blob(row, 4, facts->key_hash, facts->has_key ? sizeof facts->key_hash : 0);
	(void)sqlite3_bind_int64(row, 5, facts->max_body);
	return sqlite_run(log, SQL_PUT_SUBSCRIPTION);
}

static int sqlite_by_id(
	struct sqlite_log *log, enum sqlite_statement which, const void *id, size_t bytes) {
	sqlite_bind_blob(log->statements[which], 1, id, bytes);
	return sqlite_run(log, which);
}

static int sqlite_run_op(struct sqlite_log *log, const struct sqlite_op *op) {
	switch (op->kind) {
	case SQLITE_OP_INSERT_MESSAGE:
		return sqlite_insert_message(log, op);
	case SQLITE_OP_DELETE_MESSAGE:
		return sqlite_delete_message(log, op);
	case SQLITE_OP_PUT_DEVICE:
		return sqlite_put_device(log, op);
	case SQLITE_OP_DELETE_DEVICE:
		return sqlite_by_id(log, SQL_DELETE_DEVICE, &op->device.id, sizeof op->device.id);
	case SQLITE_OP_PUT_SUBSCRIPTION:
		return sqlite_put_subscription(log, op);
	case SQLITE_OP_DELETE_SUBSCRIPTION:
		return sqlite_by_id(
			log, SQL_DELETE_SUBSCRIPTION, &op->tombstone.id, sizeof op->tombstone.id);
	case SQLITE_OP_PUT_TOMBSTONE:
		(void)sqlite3_bind_int64(log->statements[SQL_PUT_TOMBSTONE], 2, op->tombstone.expires_ms);
		return sqlite_by_id(log, SQL_PUT_TOMBSTONE, &op->tombstone.id, sizeof op->tombstone.id);
	case SQLITE_OP_DELETE_TOMBSTONE:
		return sqlite_by_id(log, SQL_DELETE_TOMBSTONE, &op->tombstone.id, sizeof op->tombstone.id);
	case SQLITE_OP_COUNT:
		break;
	}
	return SQLITE_MISUSE;
}

static bool sqlite_op_is_new(const struct sqlite_op *op) {
	return op->kind == SQLITE_OP_INSERT_MESSAGE || op->kind == SQLITE_OP_PUT_SUBSCRIPTION;
}

/* One transaction; SQLITE_OK only when it is on the disk. */
static int sqlite_transact(
	struct sqlite_log *log, const struct sqlite_batch *batch, bool with_new) {
	int result = sqlite_run(log, SQL_BEGIN);
	for (size_t i = 0; i < batch->op_count && result == SQLITE_OK; i++) {
		const struct sqlite_op *op = &batch->ops[i];
		if (!op->is_skipped && (with_new || !sqlite_op_is_new(op))) {
			result = sqlite_run_op(log, op);
		}
	}
	if (result == SQLITE_OK) {
		result = sqlite_run(log, SQL_COMMIT);
	}
	if (result != SQLITE_OK && !sqlite3_get_autocommit(log->db)) {
		(void)sqlite_run(log, SQL_ROLLBACK);
	}
	return result;
}

static void sqlite_checkpoint(struct sqlite_log *log, int least_pages) {
	if (log->wal_pages < least_pages) {
		return;
	}
	/* On a full disk it fails and is tried again after the next commit. */
	if (sqlite3_wal_checkpoint_v2(log->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) ==
		SQLITE_OK) {
		log->wal_pages = 0;
	}
}

static void sqlite_write_batch(struct sqlite_log *log, struct sqlite_batch *batch) {
	bool has_work = false;
	for (size_t i = 0; i < batch->op_count && !has_work; i++) {
		has_work = !batch->ops[i].is_skipped;
	}
	if (!has_work) {
		return;
	}
	if (sqlite_transact(log, batch, true) == SQLITE_OK) {
		return;
	}
	/* A full disk may be full of the log: what has moved into the file makes room in it. */
	(void)snprintf(batch->reason, sizeof batch->reason, "%s", sqlite3_errmsg(log->db));
	sqlite_checkpoint(log, 1);
	if (sqlite_transact(log, batch, true) == SQLITE_OK) {
		return;
	}
	batch->puts_failed = true;
	batch->rest_failed = sqlite_transact(log, batch, false) != SQLITE_OK;
	if (batch->rest_failed && sqlite_reserve_give_up(log)) {
		batch->rest_failed = sqlite_transact(log, batch, false) != SQLITE_OK;
		sqlite_checkpoint(log, 1);
	}
}

static struct slice sqlite_column_slice(sqlite3_stmt *row, int at) {
	return (struct slice){sqlite3_column_blob(row, at), (size_t)sqlite3_column_bytes(row, at)};
}

static void sqlite_read_bodies(struct sqlite_log *log, struct sqlite_read *read) {
	sqlite3_stmt *row = log->statements[SQL_READ_BODY];
	for (size_t i = 0; i < read->count; i++) {
		(void)sqlite3_bind_int64(row, 1, (sqlite3_int64)read->lo[i]);
		if (sqlite3_step(row) == SQLITE_ROW) {
			read->payloads[i] =
				store_payload_make(sqlite_column_slice(row, 0), sqlite_column_slice(row, 1),
					sqlite_column_slice(row, 2), sqlite_column_slice(row, 3));
		}
		(void)sqlite3_reset(row);
	}
}

/* ---- the worker: its life ---- */

static int sqlite_on_wal(void *ctx, sqlite3 *db, const char *name, int pages) {
	(void)db;
	(void)name;
	((struct sqlite_log *)ctx)->wal_pages = pages;
	return SQLITE_OK;
}

/* When there is nothing else to do: move the WAL into the file, give free pages back bit by bit. */
static void sqlite_tidy(struct sqlite_log *log) {
	bool was_busy = log->wal_pages >= SQLITE_CHECKPOINT_IDLE_PAGES;
	sqlite_checkpoint(log, SQLITE_CHECKPOINT_IDLE_PAGES);
	sqlite3_stmt *count = log->statements[SQL_FREE_PAGES];
	int free_pages =
		was_busy && sqlite3_step(count) == SQLITE_ROW ? sqlite3_column_int(count, 0) : 0;
	(void)sqlite3_reset(count);
	if (!log->has_reserve) {
		sqlite_reserve_make(log);
	}
	if (free_pages > 4 * SQLITE_VACUUM_PAGES) {
		(void)sqlite_run(log, SQL_VACUUM);
	}
}

static struct sqlite_batch *sqlite_take(struct sqlite_log *log) {
	(void)pthread_mutex_lock(&log->mutex);
	if (!log->waiting && !log->is_closing) {
		(void)pthread_mutex_unlock(&log->mutex);
		sqlite_tidy(log);
		(void)pthread_mutex_lock(&log->mutex);
	}
	while (!log->waiting && !log->is_closing) {
		(void)pthread_cond_wait(&log->changed, &log->mutex);
	}
	struct sqlite_batch *batch = log->waiting;
	log->waiting = NULL;
	(void)pthread_mutex_unlock(&log->mutex);
	return batch;
}

static void *sqlite_worker(void *ctx) {
	struct sqlite_log *log = ctx;
	for (struct sqlite_batch *batch; (batch = sqlite_take(log));) {
		sqlite_write_batch(log, batch);
		for (size_t i = 0; i < batch->read_count; i++) {
			sqlite_read_bodies(log, batch->reads[i]);
		}
		(void)pthread_mutex_lock(&log->mutex);
		log->finished = batch;
		(void)pthread_cond_broadcast(&log->changed);
		(void)pthread_mutex_unlock(&log->mutex);
		ev_async_send(log->loop, &log->wake);
		sqlite_checkpoint(log, SQLITE_CHECKPOINT_BUSY_PAGES);
	}
	return NULL;
}

/* ---- the loop's side ---- */

static void sqlite_log_on_wake(struct ev_loop *loop, ev_async *watcher, int events) {
	(void)loop;
	(void)events;
	struct sqlite_log *log = watcher->data;
	(void)pthread_mutex_lock(&log->mutex);
	struct sqlite_batch *batch = log->finished;
	log->finished = NULL;
	(void)pthread_mutex_unlock(&log->mutex);
	if (batch) {
		log->is_under_way = false;
		log->done(batch, log->ctx);
	}
}

void sqlite_log_submit(struct sqlite_log *log, struct sqlite_batch *batch) {
	sqlite_batch_cancel_out(batch);
	log->is_under_way = true;
	(void)pthread_mutex_lock(&log->mutex);
	log->waiting = batch;
	(void)pthread_cond_broadcast(&log->changed);
	(void)pthread_mutex_unlock(&log->mutex);
}

struct sqlite_batch *sqlite_log_wait(struct sqlite_log *log) {
	if (!log->is_under_way) {
		return NULL;
	}
	(void)pthread_mutex_lock(&log->mutex);
	while (!log->finished) {
		(void)pthread_cond_wait(&log->changed, &log->mutex);
	}
	struct sqlite_batch *batch = log->finished;
	log->finished = NULL;
	(void)pthread_mutex_unlock(&log->mutex);
	log->is_under_way = false;
	return batch;
}

void sqlite_log_close(struct sqlite_log *log) {
	if (!log) {
		return;
	}
	if (log->has_worker) {
		(void)pthread_mutex_lock(&log->mutex);
		log->is_closing = true;
		(void)pthread_cond_broadcast(&log->changed);
		(void)pthread_mutex_unlock(&log->mutex);
		(void)pthread_join(log->worker, NULL);
		ev_ref(log->loop);
		ev_async_stop(log->loop, &log->wake);
	}
	for (int i = 0; i < SQL_COUNT; i++) {
		(void)sqlite3_finalize(log->statements[i]);
	}
	(void)sqlite3_close(log->db); /* checkpoints; on a full disk the WAL simply stays */
	free(log->reserve_path);
	(void)pthread_mutex_destroy(&log->mutex);
	(void)pthread_cond_destroy(&log->changed);
	free(log);
}

/* ---- opening ---- */

static int sqlite_query_int(struct sqlite_log *log, const char *sql, int64_t *out) {
	sqlite3_stmt *row;
	int result = sqlite3_prepare_v2(log->db, sql, -1, &row, NULL);
	if (result == SQLITE_OK) {
		result = sqlite3_step(row);
		if (result == SQLITE_ROW) {
			*out = sqlite3_column_int64(row, 0);
			result = SQLITE_OK;
		}
		(void)sqlite3_finalize(row);
	}
	return result;
}

static int sqlite_exec(struct sqlite_log *log, const char *sql) {
	return sqlite3_exec(log->db, sql, NULL, NULL, NULL);
}

/* Takes the file for this process alone, makes or checks its tables. */
static int sqlite_prepare_file(struct sqlite_log *log, int64_t *out_version) {
	static const char *const pragmas[] = {
		"PRAGMA locking_mode=EXCLUSIVE",
		"PRAGMA auto_vacuum=INCREMENTAL",
		"PRAGMA journal_mode=WAL",
		"PRAGMA synchronous=FULL",
		"PRAGMA wal_autocheckpoint=0",
		"PRAGMA cache_size=-8000",
		"BEGIN IMMEDIATE",
	};
	int result = SQLITE_OK;
	for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0] && result == SQLITE_OK; i++) {
		result = sqlite_exec(log, pragmas[i]);
	}
	if (result == SQLITE_OK) {
		result = sqlite_query_int(log, "PRAGMA user_version", out_version);
	}
	if (result == SQLITE_OK && *out_version == 0) {
		result = sqlite_exec(log, sqlite_schema);
		*out_version = SQLITE_SCHEMA_VERSION;
		if (result == SQLITE_OK) {
			result = sqlite_exec(log, "PRAGMA user_version=1");
		}
	}
	if (result == SQLITE_OK) {
		result = sqlite_exec(log, "COMMIT");
	}
	/* journal_mode resets the hook */
	(void)sqlite3_wal_hook(log->db, sqlite_on_wal, log);
	return result;
}

static bool sqlite_column_id(sqlite3_stmt *row, int at, void *out, size_t bytes) {
	if ((size_t)sqlite3_column_bytes(row, at) != bytes) {
		return false;
	}
	memcpy(out, sqlite3_column_blob(row, at), bytes);
	return true;
}

static void sqlite_load_device(struct queue_index *index, sqlite3_stmt *row) {
	struct queue_device device = {
		.contact_ms = sqlite3_column_int64(row, 1),
		.missed = (uint64_t)sqlite3_column_int64(row, 2),
		.min_urgency = (uint8_t)sqlite3_column_int(row, 3),
		.messages_per_day = (uint32_t)sqlite3_column_int64(row, 5),
		.day = (uint32_t)sqlite3_column_int64(row, 6),
		.day_count = (uint32_t)sqlite3_column_int64(row, 7),
	};
	if (sqlite_column_id(row, 0, &device.id, sizeof device.id)) {
		(void)sqlite_column_id(row, 4, &device.invite, sizeof device.invite);
		(void)queue_index_load_device(index, &device);
	}
}

static void sqlite_load_subscription(struct queue_index *index, sqlite3_stmt *row) {
	struct queue_subscription facts = {
		.max_body = (uint32_t)sqlite3_column_int64(row, 4),
		.accepted = 10, /* its first ten were before this start, or are few enough */
	};
	struct device_id device;
	facts.has_key = sqlite_column_id(row, 3, facts.key_hash, sizeof facts.key_hash);
	if (sqlite_column_id(row, 0, &facts.id, sizeof facts.id) &&
		sqlite_column_id(row, 1, &device, sizeof device) &&
		sqlite_column_id(row, 2, &facts.channel, sizeof facts.channel)) {
		(void)queue_index_load_subscription(index, device, &facts);
	}
}

static void sqlite_load_tombstone(struct queue_index *index, sqlite3_stmt *row) {
	struct subscription_id id;
	if (sqlite_column_id(row, 0, &id, sizeof id)) {
		queue_index_load_tombstone(index, id, sqlite3_column_int64(row, 1));
	}
}

static void sqlite_load_message(struct queue_index *index, sqlite3_stmt *row) {
	struct queue_message facts = {
		.expires_ms = sqlite3_column_int64(row, 3),
		.urgency = (uint8_t)sqlite3_column_int(row, 4),
		.bytes = (uint32_t)sqlite3_column_int64(row, 5),
	};
	struct device_id device;
	struct slice topic = sqlite_column_slice(row, 6);
	if (sqlite_column_id(row, 1, &device, sizeof device) &&
		sqlite_column_id(row, 2, &facts.channel, sizeof facts.channel) &&
		topic.len <= STORE_TOPIC_MAX) {
		(void)queue_index_load_message(
			index, device, (uint64_t)sqlite3_column_int64(row, 0), &facts, topic);
	}
}

static int sqlite_load(struct sqlite_log *log, struct queue_index *index) {
	static const struct {
		const char *sql;
		void (*load)(struct queue_index *, sqlite3_stmt *);
	} tables[] = {
		{"SELECT * FROM device ORDER BY contact_ms", sqlite_load_device},
		{"SELECT * FROM subscription", sqlite_load_subscription},
		{"SELECT * FROM tombstone ORDER BY expires_ms", sqlite_load_tombstone},
		{"SELECT * FROM message ORDER BY lo", sqlite_load_message},
	};
	int result = SQLITE_OK;
	for (size_t i = 0; i < sizeof tables / sizeof tables[0] && result == SQLITE_OK; i++) {
		sqlite3_stmt *row;
		result = sqlite3_prepare_v2(log->db, tables[i].sql, -1, &row, NULL);
		if (result != SQLITE_OK) {
			break;
		}
		while ((result = sqlite3_step(row)) == SQLITE_ROW) {
			tables[i].load(index, row);
		}
		(void)sqlite3_finalize(row);
		result = result == SQLITE_DONE ? SQLITE_OK : result;
	}
	int64_t next = 1;
	if (result == SQLITE_OK) {
		result = sqlite_query_int(log, "SELECT value FROM meta WHERE name='next'", &next);
	}
	if (result == SQLITE_OK) {
		queue_index_set_next(index, (uint64_t)next);
		CLEANUP_FREE char *sql = mem_printf("UPDATE meta SET value=%lld WHERE name='next'",
			(long long)((uint64_t)next + sqlite_id_block));
		result = sqlite_exec(log, sql);
	}
	return result;
}

static int sqlite_prepare_statements(struct sqlite_log *log) {
	int result = SQLITE_OK;
	for (int i = 0; i < SQL_COUNT && result == SQLITE_OK; i++) {
		result = sqlite3_prepare_v3(log->db, sqlite_statements[i], -1, SQLITE_PREPARE_PERSISTENT,
			&log->statements[i], NULL);
	}
	return result;
}

/* The worker must not take the program's signals. */
static int sqlite_start_worker(struct sqlite_log *log) {
	sigset_t all, old;
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	int result = pthread_create(&log->worker, NULL, sqlite_worker, log);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	log->has_worker = result == 0;
	if (log->has_worker) {
		ev_async_init(&log->wake, sqlite_log_on_wake);
		log->wake.data = log;
		ev_async_start(log->loop, &log->wake);
		ev_unref(log->loop);
	}
	return -result;
}

static char *sqlite_open_error(const struct sqlite_log *log, const char *path, int result) {
	switch (result & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return mem_printf("store sqlite:%s is in use by another process: a SQLite file serves one "
						  "relay with one worker; stop the other, or use redis://",
			path);
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return mem_printf("store sqlite:%s is damaged or no SQLite file (%s); restore a backup, or "
						  "move it away to start anew",
			path, sqlite3_errmsg(log->db));
	default:
		return mem_printf("store sqlite:%s cannot be used: %s; check the directory, its owner and "
						  "its free space",
			path, log->db ? sqlite3_errmsg(log->db) : sqlite3_errstr(result));
	}
}

/* Makes the file with the right mode; SQLite's own would follow the umask. */
static char *sqlite_check_file(const char *path) {
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0) {
		return mem_printf(
			"store sqlite:%s cannot be opened: %s; create its directory, or set store "
			"to a path that this user may write",
			path, strerror(errno));
	}
	if ((status.st_mode & 077) != 0) {
		return mem_printf("store sqlite:%s can be read by others; chmod 600 %s", path, path);
	}
	return NULL;
}

struct sqlite_log *sqlite_log_open(const char *path, struct queue_index *index,
	struct ev_loop *loop, sqlite_log_done_fn *done, void *ctx, char **out_error) {
	*out_error = sqlite_check_file(path);
	if (*out_error) {
		return NULL;
	}
	struct sqlite_log *log = mem_zalloc(sizeof *log);
	log->reserve_path = mem_printf("%s-reserve", path);
	log->loop = loop;
	log->done = done;
	log->ctx = ctx;
	(void)pthread_mutex_init(&log->mutex, NULL);
	(void)pthread_cond_init(&log->changed, NULL);
	int64_t version = 0;
	int result = sqlite3_open_v2(path, &log->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (result == SQLITE_OK) {
		result = sqlite_prepare_file(log, &version);
	}
	if (result == SQLITE_OK && version != SQLITE_SCHEMA_VERSION) {
		*out_error = mem_printf("store sqlite:%s was made by another version of bellwire-relay "
								"(schema %lld, this one has %d)",
			path, (long long)version, SQLITE_SCHEMA_VERSION);
		goto fail;
	}
	if (result == SQLITE_OK) {
		result = sqlite_prepare_statements(log);
	}
	if (result == SQLITE_OK) {
		result = sqlite_load(log, index);
	}
	if (result != SQLITE_OK) {
		*out_error = sqlite_open_error(log, path, result);
		goto fail;
	}
	if (sqlite_start_worker(log) == 0) {
		return log;
	}
	*out_error = mem_strdup("no thread for the SQLite store");
fail:
	sqlite_log_close(log);
	return NULL;
}
