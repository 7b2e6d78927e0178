/* SPDX-License-Identifier: Apache-2.0 */
/* What one durable commit costs on this disk: bellwire-probe DIR prints medians as JSON. */
#include <err.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROBE_ROUNDS = 1500, PROBE_BYTES = 512, PROBE_PATH_MAX = 4096 };

static uint64_t probe_now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int probe_compare(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* p50 and p99, in microseconds. */
static void probe_print(const char *name, uint64_t *times, const char *comma) {
	qsort(times, PROBE_ROUNDS, sizeof *times, probe_compare);
	printf("\"%s_p50_us\": %.1f, \"%s_p99_us\": %.1f%s", name,
		(double)times[PROBE_ROUNDS / 2] / 1e3, name, (double)times[PROBE_ROUNDS * 99 / 100] / 1e3,
		comma);
}

static void probe_path(char *out, const char *dir, const char *name) {
	if (snprintf(out, PROBE_PATH_MAX, "%s/%s", dir, name) >= PROBE_PATH_MAX) {
		errx(2, "too long: %s", dir);
	}
}

static void probe_exec(sqlite3 *db, const char *sql) {
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		errx(1, "%s: %s", sql, sqlite3_errmsg(db));
	}
}

/* One row a commit, as a message that comes alone. */
static void probe_sqlite(const char *path, const void *data, uint64_t *times) {
	sqlite3 *db;
	sqlite3_stmt *insert;
	if (sqlite3_open(path, &db) != SQLITE_OK) {
		errx(1, "%s: %s", path, sqlite3_errmsg(db));
	}
	probe_exec(db, "PRAGMA journal_mode=WAL");
	probe_exec(db, "PRAGMA synchronous=FULL");
	probe_exec(db, "CREATE TABLE message (id INTEGER PRIMARY KEY, body BLOB)");
	if (sqlite3_prepare_v2(db, "INSERT INTO message (body) VALUES (?)", -1, &insert, NULL)) {
		errx(1, "%s", sqlite3_errmsg(db));
	}
	for (int i = 0; i < PROBE_ROUNDS; i++) {
		uint64_t start = probe_now_ns();
		probe_exec(db, "BEGIN IMMEDIATE");
		sqlite3_bind_blob(insert, 1, data, PROBE_BYTES, SQLITE_STATIC);
		if (sqlite3_step(insert) != SQLITE_DONE) {
			errx(1, "%s", sqlite3_errmsg(db));
		}
		sqlite3_reset(insert);
		probe_exec(db, "COMMIT");
		times[i] = probe_now_ns() - start;
	}
	sqlite3_finalize(insert);
	sqlite3_close(db);
}

static void probe_append(const char *path, const void *data, uint64_t *times) {
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		err(1, "%s", path);
	}
	for (int i = 0; i < PROBE_ROUNDS; i++) {
		uint64_t start = probe_now_ns();
		if (write(fd, data, PROBE_BYTES) != PROBE_BYTES || fdatasync(fd) < 0) {
			err(1, "%s", path);
		}
		times[i] = probe_now_ns() - start;
	}
	close(fd);
}

int main(int argc, char **argv) {
	static uint64_t times[PROBE_ROUNDS];
	char path[PROBE_PATH_MAX];
	char data[PROBE_BYTES];
	if (argc != 2) {
		errx(2, "usage: bellwire-probe DIR");
	}
	memset(data, 0xa5, sizeof data);
	printf("{");
	probe_path(path, argv[1], "probe.db");
	probe_sqlite(path, data, times);
	probe_print("sqlite_commit", times, ", ");
	probe_path(path, argv[1], "probe.log");
	probe_append(path, data, times);
	probe_print("fdatasync", times, "}\n");
	return 0;
}
