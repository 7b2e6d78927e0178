/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap of messages by expiry; each knows its place, so that any can leave. */
#include "common/mem.h"
#include "storage/queue_internal.h"
#include <assert.h>

static void queue_heap_place(struct queue_heap *heap, struct queue_message *message, uint32_t at) {
	heap->at[at] = message;
	message->heap_at = at;
}

static void queue_heap_up(struct queue_heap *heap, struct queue_message *message, uint32_t at) {
	while (at > 0 && heap->at[(at - 1) / 2]->expires_ms > message->expires_ms) {
		queue_heap_place(heap, heap->at[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	queue_heap_place(heap, message, at);
}

static void queue_heap_down(struct queue_heap *heap, struct queue_message *message, uint32_t at) {
	for (uint32_t child; (child = 2 * at + 1) < heap->count; at = child) {
		if (child + 1 < heap->count &&
			heap->at[child + 1]->expires_ms < heap->at[child]->expires_ms) {
			child++;
		}
		if (heap->at[child]->expires_ms >= message->expires_ms) {
			break;
		}
		queue_heap_place(heap, heap->at[child], at);
	}
	queue_heap_place(heap, message, at);
}

void queue_heap_add(struct queue_heap *heap, struct queue_message *message) {
	if (heap->count == heap->capacity) {
		heap->capacity = heap->capacity ? heap->capacity * 2 : 256;
		heap->at = mem_realloc(heap->at, heap->capacity * sizeof(void *));
	}
	queue_heap_up(heap, message, heap->count++);
}

void queue_heap_remove(struct queue_heap *heap, struct queue_message *message) {
	uint32_t at = message->heap_at;
	assert(at < heap->count && heap->at[at] == message);
	struct queue_message *last = heap->at[--heap->count];
	if (last == message) {
		return;
	}
	if (last->expires_ms < message->expires_ms) {
		queue_heap_up(heap, last, at);
	} else {
		queue_heap_down(heap, last, at);
	}
}
