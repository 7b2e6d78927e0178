/* SPDX-License-Identifier: Apache-2.0 */
/* Times in buckets of 1.6 % width, from 1 us to 2 minutes. */
#pragma once
#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_BUCKETS = 28 * HISTOGRAM_STEPS };

struct histogram {
	uint64_t count;
	uint64_t max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
/* The time that share of all (0.5 = median) did not exceed, in microseconds; 0 when there are none.
 */
double histogram_us(const struct histogram *histogram, double share);
