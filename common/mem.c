/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that aborts, and the handling of secrets in memory. */
#include "common/mem.h"
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *mem_check(void *memory, size_t bytes) {
	if (!memory) {
		fprintf(stderr, "out of memory: %zu bytes wanted\n", bytes);
		abort();
	}
	return memory;
}

void *mem_alloc(size_t bytes) {
	return mem_check(malloc(bytes ? bytes : 1), bytes);
}

void *mem_zalloc(size_t bytes) {
	return mem_check(calloc(1, bytes ? bytes : 1), bytes);
}

void *mem_realloc(void *old, size_t bytes) {
	return mem_check(realloc(old, bytes ? bytes : 1), bytes);
}

void *mem_dup(const void *data, size_t bytes) {
	void *copy = mem_alloc(bytes);
	if (bytes > 0) {
		memcpy(copy, data, bytes);
	}
	return copy;
}

char *mem_strdup(const char *text) {
	return mem_dup(text, strlen(text) + 1);
}

char *mem_strndup(const char *text, size_t len) {
	char *copy = mem_alloc(len + 1);
	if (len > 0) {
		memcpy(copy, text, len);
	}
	copy[len] = '\0';
	return copy;
}

char *mem_printf(const char *format, ...) {
	va_list args;
	char *text = NULL;
	va_start(args, format);
	int len = vasprintf(&text, format, args);
	va_end(args);
	return mem_check(len < 0 ? NULL : text, 0);
}

void mem_wipe(void *data, size_t bytes) {
	OPENSSL_cleanse(data, bytes);
}

_Bool mem_equal_secret(const void *a, const void *b, size_t bytes) {
	return CRYPTO_memcmp(a, b, bytes) == 0;
}
