/* SPDX-License-Identifier: Apache-2.0 */
/* Delays of the retry classes. */
#include "distributor/link/retry.h"
#include <assert.h>
#include <sys/random.h>

static const char *const retry_class_names[RETRY_CLASS_COUNT] = {
	[RETRY_LOCAL] = "local",
	[RETRY_UNREACHABLE] = "unreachable",
	[RETRY_GOODBYE] = "goodbye",
	[RETRY_TOLD] = "told",
	[RETRY_REFUSED] = "refused",
	[RETRY_TLS] = "tls",
	[RETRY_NO_PATH] = "no-path",
	[RETRY_REPLACED] = "replaced",
};

const char *retry_class_name(enum retry_class class) {
	return retry_class_names[class];
}

/* In [low, high]; the bias of 2^-32 does not matter here. */
static int64_t retry_random_ms(int64_t low, int64_t high) {
	uint64_t random = 0;
	ssize_t got = getrandom(&random, sizeof random, 0);
	assert(got == (ssize_t)sizeof random && high >= low);
	return low + (int64_t)(random % (uint64_t)(high - low + 1));
}

static int64_t retry_power_ms(int64_t base_ms, uint32_t doublings, int64_t cap_ms) {
	int64_t value = base_ms << (doublings < 20 ? doublings : 20);
	return value < cap_ms ? value : cap_ms;
}

static int64_t retry_backoff_ms(const struct retry *retry, int64_t floor_ms) {
	if (retry->is_hasty && floor_ms == RETRY_FLOOR_MS) {
		int64_t step_ms = retry_power_ms(RETRY_FLOOR_MS, retry->attempts, RETRY_HASTY_CAP_MS);
		return retry_random_ms(step_ms / 2, step_ms);
	}
	int64_t cap_ms = retry->on_battery ? RETRY_CAP_BATTERY_MS : RETRY_CAP_MS;
	return floor_ms + retry_random_ms(0, retry_power_ms(RETRY_BASE_MS, retry->attempts, cap_ms));
}

static int64_t retry_told_ms(int64_t told_sec) {
	int64_t told_ms = told_sec < RETRY_TOLD_MAX_MS / 1000 ? told_sec * 1000 : RETRY_TOLD_MAX_MS;
	told_ms = told_ms > RETRY_TOLD_MIN_MS ? told_ms : RETRY_TOLD_MIN_MS;
	int64_t delay_ms = retry_random_ms(told_ms, told_ms + told_ms * 3 / 10);
	return delay_ms < RETRY_TOLD_MAX_MS ? delay_ms : RETRY_TOLD_MAX_MS;
}

/* Hourly, after a day daily; a tenth of jitter. */
static int64_t retry_refused_ms(struct retry *retry) {
	int64_t delay_ms = retry->refusals < RETRY_HOURLY ? 3600 * 1000 : 24 * 3600 * 1000;
	retry->refusals++;
	return retry_random_ms(delay_ms - delay_ms / 10, delay_ms + delay_ms / 10);
}

int64_t retry_next_ms(struct retry *retry, enum retry_class class, int64_t told_sec) {
	int64_t delay_ms = -1;
	switch (class) {
	case RETRY_LOCAL:
		delay_ms = retry_random_ms(0, RETRY_LOCAL_MS);
		break;
	case RETRY_UNREACHABLE:
		delay_ms = retry_backoff_ms(retry, RETRY_FLOOR_MS);
		break;
	case RETRY_GOODBYE:
		delay_ms = retry_random_ms(0, RETRY_GOODBYE_MS);
		break;
	case RETRY_TOLD:
		delay_ms = retry_told_ms(told_sec);
		break;
	case RETRY_REFUSED:
		delay_ms = retry_refused_ms(retry);
		break;
	case RETRY_TLS:
		delay_ms = retry_backoff_ms(retry, RETRY_TLS_FLOOR_MS);
		break;
	case RETRY_NO_PATH:
	case RETRY_CLASS_COUNT:
		return -1;
	case RETRY_REPLACED:
		delay_ms = retry->replacements++ == 0 ? RETRY_REPLACED_MS : retry_refused_ms(retry);
		break;
	}
	retry->attempts += retry->attempts < UINT32_MAX;
	return delay_ms;
}

bool retry_is_for_good(const struct retry *retry, enum retry_class class) {
	return class == RETRY_REFUSED || (class == RETRY_REPLACED && retry->replacements > 1);
}

void retry_reset(struct retry *retry) {
	retry->attempts = retry->refusals = 0;
}
