/* SPDX-License-Identifier: Apache-2.0 */
/* Times in buckets of 1.6 % width. */
#include "tests/bench/loadgen/histogram.h"

enum { HISTOGRAM_SHIFT = 6, HISTOGRAM_UNIT_NS = 16 };

/* Below 64 units each unit has its bucket; above, every power of two has 64 (log-linear). */
static unsigned histogram_index(uint64_t ns) {
	uint64_t units = ns / HISTOGRAM_UNIT_NS;
	if (units < HISTOGRAM_STEPS) {
		return (unsigned)units;
	}
	unsigned power = 63u - (unsigned)__builtin_clzll(units) - HISTOGRAM_SHIFT;
	unsigned index = (power + 1) * HISTOGRAM_STEPS + (unsigned)((units >> power) - HISTOGRAM_STEPS);
	return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static double histogram_value_ns(unsigned index) {
	if (index < HISTOGRAM_STEPS) {
		return ((double)index + 0.5) * HISTOGRAM_UNIT_NS;
	}
	unsigned power = index / HISTOGRAM_STEPS - 1;
	double step = (double)(1ull << power);
	return (HISTOGRAM_STEPS + index % HISTOGRAM_STEPS + 0.5) * step * HISTOGRAM_UNIT_NS;
}

void histogram_add(struct histogram *histogram, uint64_t ns) {
	histogram->count++;
	histogram->buckets[histogram_index(ns)]++;
	if (ns > histogram->max_ns) {
		histogram->max_ns = ns;
	}
}

double histogram_us(const struct histogram *histogram, double share) {
	uint64_t wanted = (uint64_t)((double)histogram->count * share);
	uint64_t seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > wanted || (seen == histogram->count && seen > 0)) {
			return histogram_value_ns(i) / 1000.0;
		}
	}
	return 0;
}
