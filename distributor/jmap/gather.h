/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to act on news that come one by one or in floods: on the first after a quiet time at once,
 * on those that follow when none has come for a while, and not later than a longest time. Plain
 * data, pure; times are of one clock, in milliseconds.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct gather {
	int64_t quiet_ms, most_ms; /* from one to the next; from the first that waits */
	int64_t first_ms, last_ms; /* of those that wait */
	int64_t acted_ms;
	bool has_acted, is_pending; /* ever; something waits */
};

/* News. True: act now. */
bool gather_note(struct gather *gather, int64_t now_ms);
/* Until gather_end() is to be called; -1: nothing waits. */
int64_t gather_left_ms(const struct gather *gather, int64_t now_ms);
/* True: act now on what has waited. */
bool gather_end(struct gather *gather, int64_t now_ms);
