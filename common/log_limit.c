/* SPDX-License-Identifier: Apache-2.0 */
/* Counts an event's lines by periods. */
#include "common/log_limit.h"
#include "common/log.h"
#include <inttypes.h>

void log_limit_tick(struct log_limit *limit, double now_sec) {
	double age = now_sec - limit->began;
	if (limit->seen == 0 || (age >= 0 && age < limit->period_sec)) {
		return;
	}
	if (limit->seen > limit->lines) {
		log_warn("%s: %" PRIu64 " more within %.0f s", limit->event, limit->seen - limit->lines,
			limit->period_sec);
	}
	limit->seen = 0;
}

bool log_limit_pass(struct log_limit *limit, double now_sec) {
	log_limit_tick(limit, now_sec);
	if (limit->seen == 0) {
		limit->began = now_sec;
	}
	return ++limit->seen <= limit->lines;
}
