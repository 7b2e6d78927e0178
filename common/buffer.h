/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of bytes with a limit, embedded by value. Appending beyond the limit changes
 * nothing and returns false. Consuming moves a read position; the memory is compacted when that is
 * cheap. An empty buffer can give its memory back (buffer_finish) and be used again.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *data; /* allocation, NULL while empty and unused */
	size_t start; /* first unread byte */
	size_t end; /* one behind the last byte */
	size_t capacity;
	size_t limit_bytes; /* most unread bytes it may hold */
};

void buffer_init(struct buffer *buffer, size_t limit_bytes);
void buffer_finish(struct buffer *buffer);

static inline size_t buffer_length(const struct buffer *buffer) {
	return buffer->end - buffer->start;
}
static inline char *buffer_begin(const struct buffer *buffer) {
	return buffer->data ? buffer->data + buffer->start : NULL;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t bytes)
	__attribute__((warn_unused_result));
bool buffer_printf(struct buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3), warn_unused_result));
/* Room for at least bytes more at the returned place (NULL when over the limit); then
 * buffer_commit. */
char *buffer_reserve(struct buffer *buffer, size_t bytes);
void buffer_commit(struct buffer *buffer, size_t bytes);
/* Drops bytes from the front. */
void buffer_consume(struct buffer *buffer, size_t bytes);
/* Forgets the content, keeps the memory. */
void buffer_clear(struct buffer *buffer);
