/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers what SQLite writes to a WAL, and to the database at a checkpoint. */
#include "storage/sqlite_vfs.h"
#include "common/mem.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { GATHER_BYTES = 120 << 10 }; /* the Unix VFS writes less than 128 KiB at once */

struct gather_file {
	sqlite3_file base; /* for SQLite; the first member */
	char *bytes; /* gathered, of GATHER_BYTES; NULL before the first write */
	int len;
	sqlite3_int64 at; /* where they belong */
	/* the default VFS's file lies behind */
};

static struct gather_file *gather_of(sqlite3_file *file) {
	return (struct gather_file *)(void *)file;
}

static sqlite3_file *gather_inner(sqlite3_file *file) {
	return (sqlite3_file *)(void *)(gather_of(file) + 1);
}

/* What cannot be written is dropped: SQLite takes the transaction back and writes the place anew,
 * or repeats the checkpoint. */
static int gather_flush(sqlite3_file *file) {
	struct gather_file *gather = gather_of(file);
	int len = gather->len;
	gather->len = 0;
	return len > 0 ? gather_inner(file)->pMethods->xWrite(
						 gather_inner(file), gather->bytes, len, gather->at)
				   : SQLITE_OK;
}

static int gather_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at) {
	struct gather_file *gather = gather_of(file);
	bool fits = at == gather->at + gather->len && len <= GATHER_BYTES - gather->len;
	if (!fits) {
		int result = gather_flush(file);
		if (result != SQLITE_OK) {
			return result;
		}
		gather->at = at;
	}
	if (len > GATHER_BYTES) {
		return gather_inner(file)->pMethods->xWrite(gather_inner(file), data, len, at);
	}
	if (!gather->bytes) {
		gather->bytes = mem_alloc(GATHER_BYTES);
	}
	memcpy(gather->bytes + gather->len, data, (size_t)len);
	gather->len += len;
	return SQLITE_OK;
}

static int gather_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at) {
	const struct gather_file *gather = gather_of(file);
	bool is_gathered = at < gather->at + gather->len && gather->at < at + len;
	int result = is_gathered ? gather_flush(file) : SQLITE_OK;
	return result == SQLITE_OK
			   ? gather_inner(file)->pMethods->xRead(gather_inner(file), out, len, at)
			   : result;
}

static int gather_sync(sqlite3_file *file, int flags) {
	int result = gather_flush(file);
	return result == SQLITE_OK ? gather_inner(file)->pMethods->xSync(gather_inner(file), flags)
							   : result;
}

static int gather_truncate(sqlite3_file *file, sqlite3_int64 size) {
	int result = gather_flush(file);
	return result == SQLITE_OK ? gather_inner(file)->pMethods->xTruncate(gather_inner(file), size)
							   : result;
}

static int gather_size(sqlite3_file *file, sqlite3_int64 *out_size) {
	int result = gather_flush(file);
	return result == SQLITE_OK
			   ? gather_inner(file)->pMethods->xFileSize(gather_inner(file), out_size)
			   : result;
}

static int gather_close(sqlite3_file *file) {
	(void)gather_flush(file); /* what matters was synced */
	free(gather_of(file)->bytes);
	return gather_inner(file)->pMethods->xClose(gather_inner(file));
}

/* ---- only passed on ---- */

static int gather_lock(sqlite3_file *file, int level) {
	return gather_inner(file)->pMethods->xLock(gather_inner(file), level);
}

static int gather_unlock(sqlite3_file *file, int level) {
	return gather_inner(file)->pMethods->xUnlock(gather_inner(file), level);
}

static int gather_check_lock(sqlite3_file *file, int *out_is_reserved) {
	return gather_inner(file)->pMethods->xCheckReservedLock(gather_inner(file), out_is_reserved);
}

static int gather_control(sqlite3_file *file, int what, void *argument) {
	return gather_inner(file)->pMethods->xFileControl(gather_inner(file), what, argument);
}

static int gather_sector_size(sqlite3_file *file) {
	return gather_inner(file)->pMethods->xSectorSize(gather_inner(file));
}

static int gather_device(sqlite3_file *file) {
	return gather_inner(file)->pMethods->xDeviceCharacteristics(gather_inner(file));
}

static const sqlite3_io_methods gather_methods = {
	.iVersion = 1,
	.xClose = gather_close,
	.xRead = gather_read,
	.xWrite = gather_write,
	.xTruncate = gather_truncate,
	.xSync = gather_sync,
	.xFileSize = gather_size,
	.xLock = gather_lock,
	.xUnlock = gather_unlock,
	.xCheckReservedLock = gather_check_lock,
	.xFileControl = gather_control,
	.xSectorSize = gather_sector_size,
	.xDeviceCharacteristics = gather_device,
};

/* ---- the VFS ---- */

static int gather_open(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out_flags) {
	(void)vfs;
	sqlite3_vfs *inner = sqlite3_vfs_find(NULL);
	if (!(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB))) {
		return inner->xOpen(inner, name, file, flags, out_flags);
	}
	*gather_of(file) = (struct gather_file){.base.pMethods = NULL};
	int result = inner->xOpen(inner, name, gather_inner(file), flags, out_flags);
	if (result == SQLITE_OK) {
		file->pMethods = &gather_methods;
	}
	return result;
}

const char *sqlite_vfs_name(void) {
	static sqlite3_vfs gathering; /* SQLite keeps the pointer */
	static const char name[] = "bellwire";
	if (sqlite3_vfs_find(name)) {
		return name;
	}
	const sqlite3_vfs *inner = sqlite3_vfs_find(NULL);
	if (!inner) {
		return NULL;
	}
	gathering = *inner;
	gathering.pNext = NULL;
	gathering.zName = name;
	gathering.szOsFile += (int)sizeof(struct gather_file);
	gathering.xOpen = gather_open;
	return sqlite3_vfs_register(&gathering, 0) == SQLITE_OK ? name : NULL;
}
