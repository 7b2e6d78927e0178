/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A way for SQLite to reach its files that gathers what it writes to a WAL, or to the database at a
 * checkpoint, until it syncs, reads or leaves the place. By itself it writes each page with a
 * system call or two, and these cost a commit more than its sync does. Everything else is the
 * default VFS's, but for shared memory, which is not there: a WAL needs locking_mode=EXCLUSIVE.
 */
#pragma once

/* For sqlite3_open_v2; registers it at first. NULL, the default one, when it cannot be had. Not for
 * two threads at once. */
const char *sqlite_vfs_name(void);
