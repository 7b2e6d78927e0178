/* SPDX-License-Identifier: Apache-2.0 */
/* A growing run of bytes with a limit. */
#include "common/buffer.h"
#include "common/mem.h"
#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_FIRST_BYTES = 256 };

void buffer_init(struct buffer *buffer, size_t limit_bytes) {
	*buffer = (struct buffer){.limit_bytes = limit_bytes};
}

void buffer_finish(struct buffer *buffer) {
	free(buffer->data);
	buffer_init(buffer, buffer->limit_bytes);
}

static void buffer_compact(struct buffer *buffer) {
	size_t length = buffer_length(buffer);
	if (buffer->start > 0 && length > 0) {
		memmove(buffer->data, buffer->data + buffer->start, length);
	}
	buffer->start = 0;
	buffer->end = length;
}

/*
 * Makes room for bytes behind the end, whatever the limit. Moving is cheap when at least as much
 * was read as is left; otherwise more than half of the memory is in use, and it doubles. So each
 * appended byte is moved a constant number of times, and the memory stays under four limits.
 */
static void buffer_make_room(struct buffer *buffer, size_t bytes) {
	size_t length = buffer_length(buffer);
	size_t needed = length + bytes;
	if (needed <= buffer->capacity && buffer->start >= length) {
		buffer_compact(buffer);
		return;
	}
	size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST_BYTES;
	if (buffer->capacity && capacity <= SIZE_MAX / 2) {
		capacity *= 2;
	}
	while (capacity < needed) {
		capacity = capacity <= SIZE_MAX / 2 ? capacity * 2 : needed;
	}
	buffer_compact(buffer);
	buffer->data = mem_realloc(buffer->data, capacity);
	buffer->capacity = capacity;
}

static bool buffer_fits(const struct buffer *buffer, size_t bytes) {
	size_t length = buffer_length(buffer);
	return length <= buffer->limit_bytes && bytes <= buffer->limit_bytes - length;
}

char *buffer_reserve(struct buffer *buffer, size_t bytes) {
	if (!buffer_fits(buffer, bytes)) {
		return NULL;
	}
	if (!buffer->data || bytes > buffer->capacity - buffer->end) {
		buffer_make_room(buffer, bytes);
	}
	return buffer->data + buffer->end;
}

void buffer_commit(struct buffer *buffer, size_t bytes) {
	assert(bytes <= buffer->capacity - buffer->end);
	buffer->end += bytes;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t bytes) {
	if (bytes == 0) {
		return true;
	}
	char *at = buffer_reserve(buffer, bytes);
	if (!at) {
		return false;
	}
	memcpy(at, data, bytes);
	buffer->end += bytes;
	return true;
}

bool buffer_printf(struct buffer *buffer, const char *format, ...) {
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	size_t room = buffer->capacity - buffer->end;
	int len = vsnprintf(buffer->data ? buffer->data + buffer->end : NULL, room, format, args);
	va_end(args);
	bool fits = len >= 0 && buffer_fits(buffer, (size_t)len);
	if (fits && (size_t)len >= room) {
		buffer_make_room(buffer, (size_t)len + 1); /* vsnprintf ends with a NUL */
		room = buffer->capacity - buffer->end;
		len = vsnprintf(buffer->data + buffer->end, room, format, again);
		assert(len >= 0 && (size_t)len < room);
	}
	va_end(again);
	if (fits) {
		buffer->end += (size_t)len;
	}
	return fits;
}

void buffer_consume(struct buffer *buffer, size_t bytes) {
	assert(bytes <= buffer_length(buffer));
	buffer->start += bytes;
	if (buffer->start == buffer->end) {
		buffer->start = buffer->end = 0;
	}
}

void buffer_clear(struct buffer *buffer) {
	buffer->start = buffer->end = 0;
}
