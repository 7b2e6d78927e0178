/* SPDX-License-Identifier: Apache-2.0 */
/* Exponential delays with full jitter. */
#include "common/backoff.h"
#include <openssl/rand.h>

void backoff_init(struct backoff *backoff, uint32_t base_ms, uint32_t cap_ms) {
	*backoff = (struct backoff){.base_ms = base_ms, .cap_ms = cap_ms};
}

uint32_t backoff_next_ms(struct backoff *backoff) {
	uint64_t top = backoff->base_ms;
	for (uint32_t i = 0; i < backoff->tries && top < backoff->cap_ms; i++) {
		top *= 2;
	}
	if (top > backoff->cap_ms) {
		top = backoff->cap_ms;
	}
	backoff->tries++;
	uint64_t low = backoff->base_ms / 2 < top ? backoff->base_ms / 2 : top;
	uint32_t random = 0;
	(void)RAND_bytes(
		(unsigned char *)&random, sizeof random); /* failing, the delay is the lowest */
	return (uint32_t)(low + random % (top - low + 1));
}

void backoff_reset(struct backoff *backoff) {
	backoff->tries = 0;
}
