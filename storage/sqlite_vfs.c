/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers the writes to a WAL. */
#include "storage/sqlite_vfs.h"
#include "common/mem.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WAL_GATHER_BYTES = 120 << 10 }; /* the Unix VFS writes less than 128 KiB at once */

struct wal_file {
	sqlite3_file base; /* for SQLite; the first member */
	char *bytes; /* gathered, of WAL_GATHER_BYTES; NULL before the first write */
	int len;
	sqlite3_int64 at; /* where they belong */
	/* the default VFS's file lies behind */
};

static struct wal_file *wal_of(sqlite3_file *file) {
	return (struct wal_file *)(void *)file;
}

static sqlite3_file *wal_inner(sqlite3_file *file) {
	return (sqlite3_file *)(void *)(wal_of(file) + 1);
}

/* What cannot be written is dropped: SQLite takes the transaction back, and writes the place anew.
 */
static int wal_flush(sqlite3_file *file) {
	struct wal_file *wal = wal_of(file);
	int len = wal->len;
	wal->len = 0;
	return len > 0 ? wal_inner(file)->pMethods->xWrite(wal_inner(file), wal->bytes, len, wal->at)
				   : SQLITE_OK;
}

static int wal_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at) {
	struct wal_file *wal = wal_of(file);
	bool fits = at == wal->at + wal->len && len <= WAL_GATHER_BYTES - wal->len;
	if (!fits) {
		int result = wal_flush(file);
		if (result != SQLITE_OK) {
			return result;
		}
		wal->at = at;
	}
	if (len > WAL_GATHER_BYTES) {
		return wal_inner(file)->pMethods->xWrite(wal_inner(file), data, len, at);
	}
	if (!wal->bytes) {
		wal->bytes = mem_alloc(WAL_GATHER_BYTES);
	}
	memcpy(wal->bytes + wal->len, data, (size_t)len);
	wal->len += len;
	return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at) {
	const struct wal_file *wal = wal_of(file);
	bool is_gathered = at < wal->at + wal->len && wal->at < at + len;
	int result = is_gathered ? wal_flush(file) : SQLITE_OK;
	return result == SQLITE_OK ? wal_inner(file)->pMethods->xRead(wal_inner(file), out, len, at)
							   : result;
}

static int wal_sync(sqlite3_file *file, int flags) {
	int result = wal_flush(file);
	return result == SQLITE_OK ? wal_inner(file)->pMethods->xSync(wal_inner(file), flags) : result;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size) {
	int result = wal_flush(file);
	return result == SQLITE_OK ? wal_inner(file)->pMethods->xTruncate(wal_inner(file), size)
							   : result;
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *out_size) {
	int result = wal_flush(file);
	return result == SQLITE_OK ? wal_inner(file)->pMethods->xFileSize(wal_inner(file), out_size)
							   : result;
}

static int wal_close(sqlite3_file *file) {
	(void)wal_flush(file); /* what matters was synced */
	free(wal_of(file)->bytes);
	return wal_inner(file)->pMethods->xClose(wal_inner(file));
}

/* ---- only passed on ---- */

static int wal_lock(sqlite3_file *file, int level) {
	return wal_inner(file)->pMethods->xLock(wal_inner(file), level);
}

static int wal_unlock(sqlite3_file *file, int level) {
	return wal_inner(file)->pMethods->xUnlock(wal_inner(file), level);
}

static int wal_check_lock(sqlite3_file *file, int *out_is_reserved) {
	return wal_inner(file)->pMethods->xCheckReservedLock(wal_inner(file), out_is_reserved);
}

static int wal_control(sqlite3_file *file, int what, void *argument) {
	return wal_inner(file)->pMethods->xFileControl(wal_inner(file), what, argument);
}

static int wal_sector_size(sqlite3_file *file) {
	return wal_inner(file)->pMethods->xSectorSize(wal_inner(file));
}

static int wal_device(sqlite3_file *file) {
	return wal_inner(file)->pMethods->xDeviceCharacteristics(wal_inner(file));
}

static const sqlite3_io_methods wal_methods = {
	.iVersion = 1,
	.xClose = wal_close,
	.xRead = wal_read,
	.xWrite = wal_write,
	.xTruncate = wal_truncate,
	.xSync = wal_sync,
	.xFileSize = wal_size,
	.xLock = wal_lock,
	.xUnlock = wal_unlock,
	.xCheckReservedLock = wal_check_lock,
	.xFileControl = wal_control,
	.xSectorSize = wal_sector_size,
	.xDeviceCharacteristics = wal_device,
};

/* ---- the VFS ---- */

static int wal_vfs_open(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out_flags) {
	(void)vfs;
	sqlite3_vfs *inner = sqlite3_vfs_find(NULL);
	if (!(flags & SQLITE_OPEN_WAL)) {
		return inner->xOpen(inner, name, file, flags, out_flags);
	}
	*wal_of(file) = (struct wal_file){.base.pMethods = NULL};
	int result = inner->xOpen(inner, name, wal_inner(file), flags, out_flags);
	if (result == SQLITE_OK) {
		file->pMethods = &wal_methods;
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
	gathering.szOsFile += (int)sizeof(struct wal_file);
	gathering.xOpen = wal_vfs_open;
	return sqlite3_vfs_register(&gathering, 0) == SQLITE_OK ? name : NULL;
}
