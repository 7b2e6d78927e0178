/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that ends the program instead of failing, and helpers for secrets. */
#include "common/mem.h"
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes without allocating, since nothing can be allocated any more. */
static _Noreturn void mem_exhausted(void) {
	static const char message[] = "out of memory\n";
	(void)!write(STDERR_FILENO, message, sizeof message - 1); /* nobody is left to be told */
	abort();
}

static void *mem_checked(void *made) {
	if (!made) {
		mem_exhausted();
	}
	return made;
}

void *mem_alloc(size_t bytes) {
	return mem_checked(malloc(bytes ? bytes : 1));
}

void *mem_zalloc(size_t bytes) {
	return mem_checked(calloc(1, bytes ? bytes : 1));
}

void *mem_realloc(void *old, size_t bytes) {
	return mem_checked(realloc(old, bytes ? bytes : 1));
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
	if (len == SIZE_MAX) {
		mem_exhausted();
	}
	char *copy = mem_alloc(len + 1);
	if (len > 0) {
		memcpy(copy, text, len);
	}
	copy[len] = '\0';
	return copy;
}

void mem_replace_text(char **text, struct slice value) {
	char *copy = mem_strndup(value.data, value.len);
	free(*text);
	*text = copy;
}

char *mem_printf(const char *format, ...) {
	char *text = NULL;
	va_list args;
	va_start(args, format);
	int len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0) {
		mem_exhausted();
	}
	return text;
}

void mem_wipe(void *data, size_t bytes) {
	if (bytes > 0) {
		OPENSSL_cleanse(data, bytes);
	}
}

_Bool mem_equal_secret(const void *a, const void *b, size_t bytes) {
	return bytes == 0 || CRYPTO_memcmp(a, b, bytes) == 0;
}
