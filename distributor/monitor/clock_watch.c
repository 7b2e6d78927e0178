/* SPDX-License-Identifier: Apache-2.0 */
/* Sleep and set clocks, seen as drift between three clocks. */
#include "distributor/monitor/clock_watch.h"
#include "distributor/alarm.h"
#include <stdlib.h>

struct clock_reading clock_reading_now(void) {
	return (struct clock_reading){clock_boot_ms(), clock_mono_ms(), clock_wall_ms()};
}

int64_t clock_reading_slept_ms(struct clock_reading from, struct clock_reading to) {
	int64_t slept_ms = (to.boot_ms - to.mono_ms) - (from.boot_ms - from.mono_ms);
	return slept_ms > 0 ? slept_ms : 0;
}

struct clock_change clock_watch_look(struct clock_reading *last, struct clock_reading now) {
	int64_t slept_ms = clock_reading_slept_ms(*last, now);
	int64_t jump_ms = (now.wall_ms - now.boot_ms) - (last->wall_ms - last->boot_ms);
	*last = now;
	return (struct clock_change){
		.slept_ms = slept_ms > CLOCK_WATCH_SLEPT_MS ? slept_ms : 0,
		.has_jumped = llabs(jump_ms) > CLOCK_WATCH_JUMPED_MS,
	};
}
