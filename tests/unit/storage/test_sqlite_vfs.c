/* SPDX-License-Identifier: Apache-2.0 */
/* The VFS that gathers writes: transactions larger than it gathers, taken back, read
 * again. */
#include "common/cleanup.h"
#include "storage/sqlite_vfs.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/bellwire-vfs-XXXXXX";
static char path[64], copied[64];

static sqlite3 *open_with(const char *vfs) {
	sqlite3 *db;
	assert_int_equal(
		sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs), SQLITE_OK);
	return db;
}

static void run(sqlite3 *db, const char *sql) {
	char *error = NULL;
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) {
		fail_msg("%s: %s", sql, error);
	}
}

static void expect(sqlite3 *db, const char *sql, const char *value) {
	sqlite3_stmt *row;
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(row, 0), value);
	(void)sqlite3_finalize(row);
}

/* 200 rows of 5000 bytes: about 1 MB. */
#define FILL                                                                                       \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200)"                    \
	" INSERT INTO t SELECT NULL, randomblob(5000) FROM n"

/* A small cache makes SQLite write pages before the commit, and read them back from the WAL. */
static void run_all(const char *cache) {
	sqlite3 *db = open_with(sqlite_vfs_name());
	run(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
	run(db, cache);
	run(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)");
	run(db, "BEGIN; " FILL "; UPDATE t SET x=zeroblob(4000) WHERE id % 2");
	expect(db, "SELECT count(*) FROM t", "200");
	run(db, "ROLLBACK");
	expect(db, "SELECT count(*) FROM t", "0");
	run(db, FILL);
	run(db, "BEGIN; UPDATE t SET x=zeroblob(4000) WHERE id % 2; SAVEPOINT s; DELETE FROM t; "
			"ROLLBACK TO s; COMMIT");
	expect(db, "SELECT count(*) FROM t WHERE x=zeroblob(4000)", "100");
	run(db, "PRAGMA wal_checkpoint(PASSIVE); DELETE FROM t WHERE id > 150");
	expect(db, "PRAGMA integrity_check", "ok");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	db = open_with(NULL);
	expect(db, "PRAGMA integrity_check", "ok");
	expect(db, "SELECT count(*) || ' ' || sum(length(x)) FROM t", "150 675000");
	run(db, "DROP TABLE t");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void large_transactions_hold(void **state) {
	(void)state;
	run_all("PRAGMA cache_size=-8000");
}

static void what_spills_is_read_back(void **state) {
	(void)state;
	run_all("PRAGMA cache_size=10");
}

static void copy(const char *suffix) {
	char from[80], to[80];
	(void)snprintf(from, sizeof from, "%s%s", path, suffix);
	(void)snprintf(to, sizeof to, "%s%s", copied, suffix);
	CLEANUP_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC);
	CLEANUP_CLOSE int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char bytes[65536];
	ssize_t n;
	while ((n = read(in, bytes, sizeof bytes)) > 0) {
		assert_int_equal(write(out, bytes, (size_t)n), n);
	}
	assert_int_equal(n, 0);
}

/* What the next start after a crash would find; with_wal: else in the database alone. */
static void expect_after_crash(bool with_wal, const char *count) {
	copy("");
	if (with_wal) {
		copy("-wal");
	}
	sqlite3 *db;
	assert_int_equal(sqlite3_open(copied, &db), SQLITE_OK);
	expect(db, "PRAGMA integrity_check", "ok");
	expect(db, "SELECT count(*) FROM t", count);
	run(db, "PRAGMA journal_mode=DELETE"); /* the WAL goes */
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	(void)unlink(copied);
}

static void what_is_committed_is_in_the_files(void **state) {
	(void)state;
	sqlite3 *db = open_with(sqlite_vfs_name());
	run(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; "
			"CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)");
	run(db, FILL);
	expect_after_crash(true, "200");
	run(db, "PRAGMA wal_checkpoint(PASSIVE)");
	expect_after_crash(false, "200");
	run(db, "DELETE FROM t WHERE id % 2; UPDATE t SET x=zeroblob(3000)");
	expect_after_crash(true, "100");
	expect_after_crash(false, "200");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void) {
	if (!mkdtemp(folder)) {
		return 1;
	}
	(void)snprintf(path, sizeof path, "%s/db", folder);
	(void)snprintf(copied, sizeof copied, "%s/copy", folder);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_transactions_hold),
		cmocka_unit_test(what_spills_is_read_back),
		cmocka_unit_test(what_is_committed_is_in_the_files),
	};
	int result = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	(void)rmdir(folder);
	return result;
}
