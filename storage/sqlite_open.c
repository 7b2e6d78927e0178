/* SPDX-License-Identifier: Apache-2.0 */
/* Opens, creates and checks the SQLite file, and loads the index from it. */
#include "common/cleanup.h"
#include "common/mem.h"
#include "storage/sqlite_file.h"
#include "storage/sqlite_vfs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SQLITE_SCHEMA_VERSION = 1 };
/* Each start takes a block of ids, so none is ever used twice, not even one that was never stored.
 */
static const uint64_t sqlite_id_block = (uint64_t)1 << 40;

/* A message is two rows: what the index needs, read at start, and what a fetch needs. Both only
 * grow at their end, and no other index has to be kept. */
static const char sqlite_schema[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE device(number INTEGER PRIMARY KEY, id BLOB NOT NULL, contact_ms INTEGER,"
	" missed INTEGER, min_urgency INTEGER, invite BLOB, per_day INTEGER, day INTEGER,"
	" day_count INTEGER);"
	"CREATE TABLE subscription(number INTEGER PRIMARY KEY, device BLOB NOT NULL, id BLOB NOT NULL,"
	" channel BLOB NOT NULL, key_hash BLOB, max_body INTEGER);"
	"CREATE TABLE tombstone(number INTEGER PRIMARY KEY, device BLOB NOT NULL, id BLOB NOT NULL,"
	" expires_ms INTEGER);"
	"CREATE TABLE message(lo INTEGER PRIMARY KEY, subscription INTEGER NOT NULL,"
	" expires_ms INTEGER, urgency INTEGER, bytes INTEGER, topic BLOB);"
	"CREATE TABLE body(lo INTEGER PRIMARY KEY, encoding BLOB, encryption BLOB, crypto_key BLOB,"
	" body BLOB);"
	"INSERT INTO meta VALUES('next', 1), ('probe', 0);";

static const char *const sqlite_statements[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_INSERT_MESSAGE] = "INSERT INTO message VALUES(?1,?2,?3,?4,?5,?6)",
	[SQL_INSERT_BODY] = "INSERT INTO body VALUES(?1,?2,?3,?4,?5)",
	[SQL_DELETE_MESSAGES] = "DELETE FROM message WHERE lo BETWEEN ?1 AND ?2",
	[SQL_DELETE_BODIES] = "DELETE FROM body WHERE lo BETWEEN ?1 AND ?2",
	[SQL_SET_DEVICE] = "REPLACE INTO device VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
	[SQL_DELETE_DEVICE] = "DELETE FROM device WHERE number=?1",
	[SQL_SET_SUBSCRIPTION] = "REPLACE INTO subscription VALUES(?1,?2,?3,?4,?5,?6)",
	[SQL_DELETE_SUBSCRIPTION] = "DELETE FROM subscription WHERE number=?1",
	[SQL_SET_TOMBSTONE] = "REPLACE INTO tombstone VALUES(?1,?2,?3,?4)",
	[SQL_DELETE_TOMBSTONE] = "DELETE FROM tombstone WHERE number=?1",
	[SQL_PROBE] = "UPDATE meta SET value=1-value WHERE name='probe'",
	[SQL_READ_BODY] = "SELECT encoding, encryption, crypto_key, body FROM body WHERE lo=?1",
	[SQL_FREE_PAGES] = "PRAGMA freelist_count",
	[SQL_VACUUM] = "PRAGMA incremental_vacuum(256)",
};

static int sqlite_exec(struct sqlite_file *file, const char *sql) {
	return sqlite3_exec(file->db, sql, NULL, NULL, NULL);
}

static int sqlite_query_int(struct sqlite_file *file, const char *sql, int64_t *out) {
	sqlite3_stmt *row;
	int result = sqlite3_prepare_v2(file->db, sql, -1, &row, NULL);
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

static int sqlite_on_wal(void *ctx, sqlite3 *db, const char *name, int pages) {
	(void)db;
	(void)name;
	((struct sqlite_file *)ctx)->wal_pages = pages;
	return SQLITE_OK;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

/* Makes the file with the right mode; SQLite's own would follow the umask. */
static char *sqlite_check_file(const char *path) {
	if (path[0] == '\0') {
		return mem_strdup("store sqlite: names no file; write sqlite:PATH");
	}
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0) {
		return mem_printf("store sqlite:%s cannot be opened: %s; create its directory, or set "
						  "store to a path that this user may write",
			path, strerror(errno));
	}
	if (!S_ISREG(status.st_mode)) {
		return mem_printf("store sqlite:%s is no regular file; name one", path);
	}
	if ((status.st_mode & 077) != 0) {
		return mem_printf("store sqlite:%s can be read by others; chmod 600 %s", path, path);
	}
	return NULL;
}

/* Takes the file for this process alone, makes its tables or reads their version. */
static int sqlite_prepare_file(struct sqlite_file *file, int64_t *out_version) {
	static const char *const steps[] = {
		"PRAGMA locking_mode=EXCLUSIVE",
		"PRAGMA auto_vacuum=INCREMENTAL",
		"PRAGMA journal_mode=WAL",
		"PRAGMA synchronous=FULL",
		"PRAGMA wal_autocheckpoint=0",
		"PRAGMA temp_store=MEMORY",
		"PRAGMA cache_size=-8000",
		"BEGIN IMMEDIATE",
	};
	int result = SQLITE_OK;
	for (size_t i = 0; i < sizeof steps / sizeof steps[0] && result == SQLITE_OK; i++) {
		result = sqlite_exec(file, steps[i]);
	}
	if (result == SQLITE_OK) {
		result = sqlite_query_int(file, "PRAGMA user_version", out_version);
	}
	if (result == SQLITE_OK && *out_version == 0) {
		*out_version = SQLITE_SCHEMA_VERSION;
		result = sqlite_exec(file, sqlite_schema);
		if (result == SQLITE_OK) {
			result = sqlite_exec(file, "PRAGMA user_version=1");
		}
	}
	if (result == SQLITE_OK) {
		result = sqlite_exec(file, "COMMIT");
	}
	/* Not earlier: setting the journal mode resets the hook. */
	(void)sqlite3_wal_hook(file->db, sqlite_on_wal, file);
	return result;
}

static int sqlite_prepare_statements(struct sqlite_file *file) {
	int result = SQLITE_OK;
	for (int i = 0; i < SQL_COUNT && result == SQLITE_OK; i++) {
		result = sqlite3_prepare_v3(file->db, sqlite_statements[i], -1, SQLITE_PREPARE_PERSISTENT,
			&file->statements[i], NULL);
	}
	return result;
}

/* ---- loading -----------------------------------------------------------------------------------
 */

static bool sqlite_column_id(sqlite3_stmt *row, int at, void *out, size_t bytes) {
	if ((size_t)sqlite3_column_bytes(row, at) != bytes) {
		return false;
	}
	memcpy(out, sqlite3_column_blob(row, at), bytes);
	return true;
}

static void sqlite_load_device(struct queue_index *index, sqlite3_stmt *row) {
	struct queue_device_row facts = {
		.contact_sec = (uint32_t)(sqlite3_column_int64(row, 2) / 1000),
		.missed = (uint32_t)sqlite3_column_int64(row, 3),
		.min_urgency = (uint8_t)(sqlite3_column_int(row, 4) % URGENCY_COUNT),
		.messages_per_day = (uint32_t)sqlite3_column_int64(row, 6),
		.day = (uint32_t)sqlite3_column_int64(row, 7),
		.day_count = (uint32_t)sqlite3_column_int64(row, 8),
	};
	if (sqlite_column_id(row, 1, &facts.id, sizeof facts.id)) {
		(void)sqlite_column_id(row, 5, &facts.invite, sizeof facts.invite);
		(void)queue_load_device(index, (uint64_t)sqlite3_column_int64(row, 0), &facts);
	}
}

static void sqlite_load_subscription(struct queue_index *index, sqlite3_stmt *row) {
	struct queue_subscription_row facts = {.max_body = (uint32_t)sqlite3_column_int64(row, 5)};
	facts.has_key = sqlite_column_id(row, 4, facts.key_hash, sizeof facts.key_hash);
	if (sqlite_column_id(row, 1, &facts.device, sizeof facts.device) &&
		sqlite_column_id(row, 2, &facts.id, sizeof facts.id) &&
		sqlite_column_id(row, 3, &facts.channel, sizeof facts.channel)) {
		(void)queue_load_subscription(index, (uint64_t)sqlite3_column_int64(row, 0), &facts);
	}
}

static void sqlite_load_tombstone(struct queue_index *index, sqlite3_stmt *row) {
	struct queue_tombstone_row facts = {.expires_sec = sqlite3_column_int64(row, 3) / 1000};
	if (sqlite_column_id(row, 1, &facts.device, sizeof facts.device) &&
		sqlite_column_id(row, 2, &facts.id, sizeof facts.id)) {
		(void)queue_load_tombstone(index, (uint64_t)sqlite3_column_int64(row, 0), &facts);
	}
}

static void sqlite_load_message(struct queue_index *index, sqlite3_stmt *row) {
	const struct queue_message_row facts = {
		.lo = (uint64_t)sqlite3_column_int64(row, 0),
		.subscription_number = (uint64_t)sqlite3_column_int64(row, 1),
		.expires_ms = sqlite3_column_int64(row, 2),
		.urgency = (uint8_t)(sqlite3_column_int(row, 3) % URGENCY_COUNT),
		.bytes = (uint32_t)sqlite3_column_int64(row, 4),
		.topic = {sqlite3_column_blob(row, 5), (size_t)sqlite3_column_bytes(row, 5)},
	};
	if (facts.topic.len <= STORE_TOPIC_MAX) {
		(void)queue_load_message(index, &facts);
	}
}

static int sqlite_load_table(struct sqlite_file *file, struct queue_index *index, const char *sql,
	void (*load)(struct queue_index *, sqlite3_stmt *)) {
	sqlite3_stmt *row;
	int result = sqlite3_prepare_v2(file->db, sql, -1, &row, NULL);
	if (result != SQLITE_OK) {
		return result;
	}
	while ((result = sqlite3_step(row)) == SQLITE_ROW) {
		load(index, row);
	}
	(void)sqlite3_finalize(row);
	return result == SQLITE_DONE ? SQLITE_OK : result;
}

static int sqlite_load(struct sqlite_file *file, struct queue_index *index) {
	static const struct {
		const char *sql;
		void (*load)(struct queue_index *, sqlite3_stmt *);
	} tables[] = {
		{"SELECT * FROM device ORDER BY contact_ms", sqlite_load_device},
		{"SELECT * FROM subscription ORDER BY number", sqlite_load_subscription},
		{"SELECT * FROM tombstone ORDER BY expires_ms", sqlite_load_tombstone},
		{"SELECT * FROM message ORDER BY lo", sqlite_load_message},
	};
	int64_t next = 1;
	int result = sqlite_query_int(file, "SELECT value FROM meta WHERE name='next'", &next);
	if (result == SQLITE_OK) {
		CLEANUP_FREE char *sql = mem_printf("UPDATE meta SET value=%lld WHERE name='next'",
			(long long)((uint64_t)next + sqlite_id_block));
		result = sqlite_exec(file, sql);
	}
	for (size_t i = 0; i < sizeof tables / sizeof tables[0] && result == SQLITE_OK; i++) {
		result = sqlite_load_table(file, index, tables[i].sql, tables[i].load);
	}
	if (result == SQLITE_OK) {
		queue_load_finish(index, (uint64_t)next);
	}
	return result;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static char *sqlite_open_error(const struct sqlite_file *file, const char *path, int result) {
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
			path, sqlite3_errmsg(file->db));
	case SQLITE_FULL:
		return mem_printf(
			"store sqlite:%s cannot be opened: the disk is full; free some space", path);
	default:
		return mem_printf("store sqlite:%s cannot be used: %s; check the directory, its owner and "
						  "its free space",
			path, file->db ? sqlite3_errmsg(file->db) : sqlite3_errstr(result));
	}
}

bool sqlite_file_open(
	struct sqlite_file *file, const char *path, struct queue_index *index, char **out_error) {
	*file = (struct sqlite_file){.path = mem_strdup(path)};
	file->reserve_path = mem_printf("%s-reserve", path);
	*out_error = sqlite_check_file(path);
	if (*out_error) {
		return false;
	}
	/* Nobody reads what it counts at each allocation; too late once SQLite is in use. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	int64_t version = SQLITE_SCHEMA_VERSION;
	int result = sqlite3_open_v2(path, &file->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, sqlite_vfs_name());
	if (result == SQLITE_OK) {
		result = sqlite_prepare_file(file, &version);
	}
	if (result == SQLITE_OK && version != SQLITE_SCHEMA_VERSION) {
		*out_error = mem_printf("store sqlite:%s was made by another version of bellwire-relay "
								"(schema %lld, this one has %d); use that one, or move it away",
			path, (long long)version, SQLITE_SCHEMA_VERSION);
		return false;
	}
	if (result == SQLITE_OK) {
		result = sqlite_prepare_statements(file);
	}
	if (result == SQLITE_OK) {
		result = sqlite_load(file, index);
	}
	if (result != SQLITE_OK) {
		*out_error = sqlite_open_error(file, path, result);
		return false;
	}
	sqlite_file_size_reserve(file);
	sqlite_file_lengthen_wal(file);
	(void)sqlite_file_make_reserve(file); /* without it the store opens, but takes nothing new */
	return true;
}
