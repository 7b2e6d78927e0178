/* SPDX-License-Identifier: Apache-2.0 */
/* A growing run of bytes with a limit. */
#include "common/buffer.h"
#include "common/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_FIRST_BYTES = 512 };

void buffer_init(struct buffer *buffer, size_t limit_bytes) {
	*buffer = (struct buffer){.limit_bytes = limit_bytes};
}

void buffer_finish(struct buffer *buffer) {
	free(buffer->data);
	*buffer = (struct buffer){.limit_bytes = buffer->limit_bytes};
}

static void buffer_compact(struct buffer *buffer) {
	if (buffer->start > 0) {
		memmove(buffer->data, buffer->data + buffer->start, buffer_length(buffer));
		buffer->end -= buffer->start;
		buffer->start = 0;
	}
}

char *buffer_reserve(struct buffer *buffer, size_t bytes) {
	size_t used = buffer_length(buffer);
	if (bytes > buffer->limit_bytes || used > buffer->limit_bytes - bytes) {
		return NULL;
	}
	if (buffer->capacity - buffer->end < bytes) {
		buffer_compact(buffer);
	}
	if (buffer->capacity - buffer->end < bytes || !buffer->data) {
		size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST_BYTES;
		while (capacity - used < bytes) {
			capacity *= 2;
		}
		buffer->data = mem_realloc(buffer->data, capacity);
		buffer->capacity = capacity;
	}
	return buffer->data + buffer->end;
}

void buffer_commit(struct buffer *buffer, size_t bytes) {
	buffer->end += bytes;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t bytes) {
	char *place = buffer_reserve(buffer, bytes);
	if (!place) {
		return false;
	}
	if (bytes > 0) {
		memcpy(place, data, bytes);
	}
	buffer_commit(buffer, bytes);
	return true;
}

bool buffer_printf(struct buffer *buffer, const char *format, ...) {
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *place = len < 0 ? NULL : buffer_reserve(buffer, (size_t)len + 1);
	if (place) {
		(void)vsnprintf(place, (size_t)len + 1, format, again);
		buffer_commit(buffer, (size_t)len);
	}
	va_end(again);
	return place != NULL;
}

void buffer_consume(struct buffer *buffer, size_t bytes) {
	buffer->start += bytes;
	if (buffer->start == buffer->end) {
		buffer->start = buffer->end = 0;
	}
}

void buffer_clear(struct buffer *buffer) {
	buffer->start = buffer->end = 0;
}
