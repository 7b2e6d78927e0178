/* SPDX-License-Identifier: Apache-2.0 */
/* Times and durations in few characters. */
#include "distributor/ctl/readable.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

void readable_time(int64_t wall_ms, char out[READABLE_MAX]) {
	time_t then = (time_t)(wall_ms / 1000), now = time(NULL);
	struct tm when, today;
	if (wall_ms <= 0 || !localtime_r(&then, &when) || !localtime_r(&now, &today)) {
		(void)snprintf(out, READABLE_MAX, "never");
		return;
	}
	bool is_today = when.tm_year == today.tm_year && when.tm_yday == today.tm_yday;
	(void)strftime(out, READABLE_MAX, is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &when);
}

void readable_duration(int64_t ms, char out[READABLE_MAX]) {
	if (ms < 0) {
		out[0] = '\0';
	} else if (ms < 1000) {
		(void)snprintf(out, READABLE_MAX, "%" PRId64 " ms", ms);
	} else if (ms < 120 * 1000) {
		(void)snprintf(out, READABLE_MAX, "%" PRId64 " s", ms / 1000);
	} else if (ms < 120 * 60 * 1000) {
		(void)snprintf(out, READABLE_MAX, "%" PRId64 " min", ms / 60000);
	} else {
		(void)snprintf(out, READABLE_MAX, "%" PRId64 " h", ms / 3600000);
	}
}
