/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite connection of the store: schema, loading, and what the worker does with it. Used by
 * one thread at a time.
 *
 * Beside the file lies PATH-reserve, some megabytes that are given up when the disk is full, so
 * that deletions and checkpoints go through; the WAL is kept smaller than it. While it cannot be
 * made again nothing new is taken.
 */
#pragma once
#include "storage/sqlite_log.h"
#include <sqlite3.h>

enum sqlite_statement {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_INSERT_MESSAGE,
	SQL_INSERT_BODY,
	SQL_DELETE_MESSAGES,
	SQL_DELETE_BODIES,
	SQL_SET_DEVICE,
	SQL_DELETE_DEVICE,
	SQL_SET_SUBSCRIPTION,
	SQL_DELETE_SUBSCRIPTION,
	SQL_SET_TOMBSTONE,
	SQL_DELETE_TOMBSTONE,
	SQL_PROBE,
	SQL_READ_BODY,
	SQL_FREE_PAGES,
	SQL_VACUUM,
	SQL_COUNT
};

struct sqlite_file {
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_COUNT];
	char *path, *reserve_path;
	long reserve_bytes;
	bool has_reserve;
	int wal_pages; /* not moved into the file yet */
};

/* sqlite_open.c. False with a sentence; finish it in either case. */
bool sqlite_file_open(
	struct sqlite_file *file, const char *path, struct queue_index *index, char **out_error);

/* sqlite_file.c */
void sqlite_file_finish(struct sqlite_file *file);
void sqlite_file_write(struct sqlite_file *file, struct sqlite_batch *batch);
void sqlite_file_read(struct sqlite_file *file, struct sqlite_read *read);
/* Moves the WAL into the file. True when it went. */
bool sqlite_file_checkpoint(struct sqlite_file *file);
/* Has it grown so far that this should be done at once? */
bool sqlite_file_wants_checkpoint(const struct sqlite_file *file);
/* Gives a bounded number of free pages back to the file system. True when more are left. */
bool sqlite_file_shrink(struct sqlite_file *file);
/* Decides how large the reserve is: small on a small disk. */
void sqlite_file_size_reserve(struct sqlite_file *file);
bool sqlite_file_make_reserve(struct sqlite_file *file);
/* Lets the WAL have its full size from the beginning, if there is room: syncing a file that grows
 * takes about twice as long. */
void sqlite_file_lengthen_wal(const struct sqlite_file *file);
