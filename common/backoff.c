/* SPDX-License-Identifier: Apache-2.0 */
/* Retry delays with full jitter. */
#include "common/backoff.h"
#include <assert.h>
#include <sys/random.h>

void backoff_init(struct backoff *backoff, uint32_t base_ms, uint32_t cap_ms) {
	*backoff = (struct backoff){.base_ms = base_ms, .cap_ms = cap_ms};
}

/* A random number in [low, high]; the bias of at most 2^-32 does not matter here. */
static uint32_t backoff_random(uint32_t low, uint32_t high) {
	uint64_t random = 0;
	ssize_t got = getrandom(&random, sizeof random, 0);
	assert(got == (ssize_t)sizeof random); /* so few bytes come whole or not at all */
	return low + (uint32_t)(random % ((uint64_t)high - low + 1));
}

uint32_t backoff_next_ms(struct backoff *backoff) {
	uint32_t shift = backoff->tries < 32 ? backoff->tries : 32;
	uint64_t high = (uint64_t)backoff->base_ms << shift;
	if (high > backoff->cap_ms) {
		high = backoff->cap_ms;
	}
	uint32_t low = backoff->base_ms / 2;
	if (low > high) {
		low = (uint32_t)high;
	}
	if (backoff->tries < UINT32_MAX) {
		backoff->tries++;
	}
	return backoff_random(low, (uint32_t)high);
}

void backoff_reset(struct backoff *backoff) {
	backoff->tries = 0;
}
