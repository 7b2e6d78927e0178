/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of events. */
#include "distributor/history.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "distributor/alarm.h"
#include <stdlib.h>
#include <string.h>

struct history {
	struct history_event events[HISTORY_MAX];
	size_t count, next;
};

/* Cut between characters; what is no UTF-8 ends the text. */
static void history_set(char *out, size_t max, const char *text) {
	size_t len = 0, step, left = text ? strlen(text) : 0;
	while (left > 0 && (step = utf8_character((const uint8_t *)text + len, left)) > 0 &&
		   len + step < max) {
		len += step;
		left -= step;
	}
	if (len > 0) {
		memcpy(out, text, len);
	}
	out[len] = '\0';
}

struct history *history_create(void) {
	return mem_zalloc(sizeof(struct history));
}

void history_destroy(struct history *history) {
	free(history);
}

void history_add(struct history *history, const char *what, uint32_t number, const char *name,
	size_t bytes, const char *detail) {
	struct history_event *event = &history->events[history->next];
	history->next = (history->next + 1) % HISTORY_MAX;
	history->count += history->count < HISTORY_MAX;
	event->wall_ms = clock_wall_ms();
	event->what = what;
	event->number = number;
	event->bytes = bytes;
	history_set(event->name, sizeof event->name, name);
	history_set(event->detail, sizeof event->detail, detail);
}

size_t history_count(const struct history *history) {
	return history->count;
}

const struct history_event *history_at(const struct history *history, size_t at) {
	size_t oldest = (history->next + HISTORY_MAX - history->count) % HISTORY_MAX;
	return &history->events[(oldest + at) % HISTORY_MAX];
}
