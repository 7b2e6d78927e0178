/* SPDX-License-Identifier: Apache-2.0 */
/* Small files as a whole: read with a limit, written so that a crash or a full disk leaves the old
 * or the new one. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Fresh memory with a NUL behind the content. 0, -EFBIG above limit_bytes, or negative errno. */
int file_read(const char *path, size_t limit_bytes, char **out_data, size_t *out_bytes);
/* As file_read, for secrets: -EACCES when others than the owner may read or write it, or when it
 * belongs to neither us nor root. */
int file_read_secret(const char *path, size_t limit_bytes, char **out_data, size_t *out_bytes);
/* As file_read, for what we wrote ourselves and somebody may have meddled with: never waits,
 * -EISDIR or -EINVAL for what is no plain file. One of ours that lost its permissions gets them
 * back. */
int file_read_own(const char *path, size_t limit_bytes, char **out_data, size_t *out_bytes);
/* Renames what lies at path, a folder too, to PATH.damaged-TIME; with stays, a file stays where it
 * is, too, until it is replaced. 0 with the fresh name, or negative errno. */
int file_set_aside(const char *path, bool stays, char **out_aside);
/* Writes beside path, syncs, renames, syncs the directory. 0 or negative errno with the old file
 * untouched. */
int file_replace(const char *path, const void *data, size_t bytes, mode_t mode);
/* Makes the folders that path lies in, as mkdir -p does; what is made gets mode 0700. 0 or negative
 * errno. */
int file_make_folders(const char *path);
/* Removes from a folder what file_replace() left behind when it was cut off by a crash. */
void file_sweep(const char *folder);
