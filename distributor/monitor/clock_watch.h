/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the clocks tell of sleep when nobody else does: the boot clock goes on while the machine
 * sleeps, the monotonic one stops, and the wall clock may be set. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
	CLOCK_WATCH_SLEPT_MS = 2000, /* more was sleep */
	CLOCK_WATCH_JUMPED_MS = 60000, /* more is a hint: the clock was set, or a VM paused */
};

struct clock_reading {
	int64_t boot_ms, mono_ms, wall_ms;
};
struct clock_reading clock_reading_now(void);

struct clock_change {
	int64_t slept_ms; /* 0: did not sleep */
	bool has_jumped; /* the wall clock, against the boot clock */
};
/* Compares with *last, which becomes `now`. */
struct clock_change clock_watch_look(struct clock_reading *last, struct clock_reading now);
/* How long the machine slept between the two. */
int64_t clock_reading_slept_ms(struct clock_reading from, struct clock_reading to);
