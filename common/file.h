/* SPDX-License-Identifier: Apache-2.0 */
/* Small files as a whole: read with a limit, written so that a crash or a full disk leaves the old
 * or the new one. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* Fresh memory with a NUL behind the content. 0, -EFBIG above limit_bytes, or negative errno. */
int file_read(const char *path, size_t limit_bytes, char **out_data, size_t *out_bytes);
/* As file_read, for secrets: -EACCES when others than the owner may read or write it, or when it
 * belongs to neither us nor root. */
int file_read_secret(const char *path, size_t limit_bytes, char **out_data, size_t *out_bytes);
/* Writes beside path, syncs, renames, syncs the directory. 0 or negative errno with the old file
 * untouched. */
int file_replace(const char *path, const void *data, size_t bytes, mode_t mode);
/* Makes the folders that path lies in, as mkdir -p does; what is made gets mode 0700. 0 or negative
 * errno. */
int file_make_folders(const char *path);
