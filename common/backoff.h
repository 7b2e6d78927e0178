/* SPDX-License-Identifier: Apache-2.0 */
/* Retry delays with full jitter: the n-th is random in [base/2, min(cap, base * 2^n)]. Plain data.
 */
#pragma once
#include <stdint.h>

struct backoff {
	uint32_t base_ms, cap_ms;
	uint32_t tries;
};

void backoff_init(struct backoff *backoff, uint32_t base_ms, uint32_t cap_ms);
uint32_t backoff_next_ms(struct backoff *backoff); /* counts one more try */
void backoff_reset(struct backoff *backoff);
