/* SPDX-License-Identifier: Apache-2.0 */
/* The last events of the daemon, for `bellwire log`: in memory only, without payloads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTORY_MAX = 256 };

struct history_event {
	int64_t wall_ms;
	const char *what; /* a constant: "push", "taken", "waiting", "link", … */
	uint32_t number; /* of the registration; 0: none */
	char name[64]; /* its service or name, cut */
	size_t bytes;
	char detail[96];
};

struct history;
struct history *history_create(void);
void history_destroy(struct history *history);
/* name and detail may be NULL. */
void history_add(struct history *history, const char *what, uint32_t number, const char *name,
	size_t bytes, const char *detail);
size_t history_count(const struct history *history);
/* 0 is the oldest that is kept. */
const struct history_event *history_at(const struct history *history, size_t at);
