/* SPDX-License-Identifier: Apache-2.0 */
/* By the C library's calendar. */
#include "distributor/jmap/jmap_date.h"
#include "common/log.h"
#include "common/mem.h"
#include <string.h>
#include <time.h>

bool jmap_date_parse(struct slice text, int64_t *out_wall_ms) {
	char copy[40];
	struct tm tm = {0};
	int64_t ms = 0;
	if (text.len == 0 || text.len >= sizeof copy || text.data[text.len - 1] != 'Z') {
		return false;
	}
	memcpy(copy, text.data, text.len);
	copy[text.len - 1] = '\0';
	const char *rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || (*rest && *rest++ != '.')) {
		return false;
	}
	for (int weight = 100; *rest; rest++, weight /= 10) {
		if (*rest < '0' || *rest > '9') {
			return false;
		}
		ms += (*rest - '0') * weight;
	}
	*out_wall_ms = (int64_t)timegm(&tm) * 1000 + ms;
	return true;
}

char *jmap_date_print(int64_t wall_ms) {
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	char text[40];
	if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
		log_fatal("the date cannot be put into words");
	}
	return mem_strdup(text);
}
