/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that does not fail: out of memory ends the program with a message. So every size that
 * a peer can choose is capped before it reaches these functions. Release with free().
 */
#pragma once
#include "common/slice.h"
#include <stddef.h>

void *mem_alloc(size_t bytes);
void *mem_zalloc(size_t bytes);
void *mem_realloc(void *old, size_t bytes);
/* A copy of bytes, never NULL (an empty one is a unique pointer). */
void *mem_dup(const void *data, size_t bytes);
char *mem_strdup(const char *text);
/* Copies len bytes and adds a NUL. */
char *mem_strndup(const char *text, size_t len);
/* Frees *text, which may be NULL, and makes it a copy of value; value may lie in the old text. */
void mem_replace_text(char **text, struct slice value);
/* printf into fresh memory. */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroes memory in a way that the compiler keeps; for keys. */
void mem_wipe(void *data, size_t bytes);
/* Compares in time that depends on bytes only; for secrets. */
_Bool mem_equal_secret(const void *a, const void *b, size_t bytes);
