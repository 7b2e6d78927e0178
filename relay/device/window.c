/* SPDX-License-Identifier: Apache-2.0 */
/* The sliding window: an ordered array, searched by halving; almost everything happens at its ends.
 */
#include "relay/device/window.h"
#include "common/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum window_entry_state {
	WINDOW_IN_FLIGHT, /* occupies a place */
	WINDOW_OVERDUE, /* sent, unacknowledged for too long */
	WINDOW_HELD, /* sent on another socket */
	WINDOW_ACKED, /* kept until the fetch under way is over */
};

struct window_entry {
	struct message_id id;
	uint32_t sent_sec;
	uint32_t channel_tag; /* of the channel's id; 0: not known */
	enum window_entry_state state;
};

/* Part of the random id: enough to see that an ack names another channel. */
static uint32_t window_tag_of(struct channel_id channel) {
	uint32_t tag;
	memcpy(&tag, channel.bytes, sizeof tag);
	return tag;
}

void window_finish(struct window *window) {
	free(window->entries);
	*window = (struct window){0};
}

/* The place of the first entry that is not before id. */
static uint32_t window_place(const struct window *window, struct message_id id) {
	uint32_t low = 0, high = window->count;
	if (high > 0 && message_id_compare(window->entries[high - 1].id, id) < 0) {
		return high;
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (message_id_compare(window->entries[middle].id, id) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static struct window_entry *window_find(const struct window *window, struct message_id id) {
	uint32_t at = window_place(window, id);
	bool found = at < window->count && message_id_compare(window->entries[at].id, id) == 0;
	return found ? &window->entries[at] : NULL;
}

static void window_count_entry(struct window *window, enum window_entry_state state, int n) {
	window->in_flight += (uint32_t)(state == WINDOW_IN_FLIGHT ? n : 0);
	window->held += (uint32_t)(state == WINDOW_HELD ? n : 0);
}

static void window_set_state(
	struct window *window, struct window_entry *entry, enum window_entry_state state) {
	window_count_entry(window, entry->state, -1);
	entry->state = state;
	window_count_entry(window, state, 1);
}

static void window_insert(struct window *window, const struct window_entry *entry) {
	if (window->count == window->capacity) {
		window->capacity = window->capacity ? window->capacity * 2 : 4;
		window->entries = mem_realloc(window->entries, window->capacity * sizeof *window->entries);
	}
	uint32_t at = window_place(window, entry->id);
	memmove(&window->entries[at + 1], &window->entries[at],
		(window->count - at) * sizeof *window->entries);
	window->entries[at] = *entry;
	window->count++;
	window_count_entry(window, entry->state, 1);
}

static void window_release_memory(struct window *window) {
	if (window->count == 0) {
		assert(window->in_flight == 0 && window->held == 0);
		window_finish(window);
	}
}

static void window_remove(struct window *window, struct window_entry *entry) {
	size_t at = (size_t)(entry - window->entries);
	window_count_entry(window, entry->state, -1);
	window->count--;
	memmove(entry, entry + 1, (window->count - at) * sizeof *entry);
	window_release_memory(window);
}

/* Of one state, the first max. True when any was there. */
static bool window_remove_some(struct window *window, enum window_entry_state state, uint32_t max) {
	uint32_t kept = 0, before = window->count;
	for (uint32_t i = 0; i < before; i++) {
		if (window->entries[i].state != state || i - kept == max) {
			window->entries[kept++] = window->entries[i];
		}
	}
	window_count_entry(window, state, -(int)(before - kept));
	window->count = kept;
	window_release_memory(window);
	return kept < before;
}

void window_add(
	struct window *window, struct message_id id, struct channel_id channel, uint32_t now_sec) {
	assert(!window_knows(window, id));
	window_insert(
		window, &(struct window_entry){id, now_sec, window_tag_of(channel), WINDOW_IN_FLIGHT});
}

void window_hold(struct window *window, struct message_id id) {
	if (!window_knows(window, id)) {
		window_insert(window, &(struct window_entry){id, 0, 0, WINDOW_HELD});
	}
}

bool window_release_held(struct window *window) {
	return window->held > 0 && window_remove_some(window, WINDOW_HELD, UINT32_MAX);
}

bool window_knows(const struct window *window, struct message_id id) {
	return window_find(window, id) != NULL;
}

bool window_ack(struct window *window, struct message_id id, struct channel_id channel, bool keep) {
	struct window_entry *entry = window_find(window, id);
	if (!entry) {
		if (keep) {
			window_insert(
				window, &(struct window_entry){id, 0, window_tag_of(channel), WINDOW_ACKED});
		}
		return false;
	}
	if (entry->channel_tag != 0 && entry->channel_tag != window_tag_of(channel)) {
		return false;
	}
	bool freed = entry->state == WINDOW_IN_FLIGHT;
	if (keep) {
		window_set_state(window, entry, WINDOW_ACKED);
	} else {
		window_remove(window, entry);
	}
	return freed;
}

void window_settle(struct window *window) {
	if (window->count > 0) {
		(void)window_remove_some(window, WINDOW_ACKED, UINT32_MAX);
	}
}

bool window_expire(struct window *window, uint32_t then_sec) {
	bool freed = false;
	for (uint32_t i = 0; i < window->count; i++) {
		struct window_entry *entry = &window->entries[i];
		if (entry->state == WINDOW_IN_FLIGHT && entry->sent_sec <= then_sec) {
			window_set_state(window, entry, WINDOW_OVERDUE);
			freed = true;
		}
	}
	return freed;
}

void window_trim(struct window *window, uint32_t max) {
	if (window->count > max) {
		(void)window_remove_some(window, WINDOW_OVERDUE, window->count - max);
	}
}

uint32_t window_oldest_sec(const struct window *window) {
	uint32_t oldest = UINT32_MAX;
	for (uint32_t i = 0; i < window->count; i++) {
		const struct window_entry *entry = &window->entries[i];
		if (entry->state == WINDOW_IN_FLIGHT && entry->sent_sec < oldest) {
			oldest = entry->sent_sec;
		}
	}
	return oldest;
}

size_t window_sent_ids(const struct window *window, struct message_id *out_ids, size_t max) {
	size_t count = 0;
	for (uint32_t i = 0; i < window->count && count < max; i++) {
		enum window_entry_state state = window->entries[i].state;
		if (state == WINDOW_IN_FLIGHT || state == WINDOW_OVERDUE) {
			out_ids[count++] = window->entries[i].id;
		}
	}
	return count;
}
