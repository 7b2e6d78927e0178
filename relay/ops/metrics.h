/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and gauges in Prometheus text. metrics.def is the one list. One struct metrics a worker,
 * in memory shared by all workers of a relay, each written by its own worker only; whoever answers
 * /metrics prints them all.
 */
#pragma once
#include "common/buffer.h"
#include <stdint.h>

enum metric {
#define METRIC(id, name, kind, help) METRIC_##id,
#include "relay/ops/metrics.def"
#undef METRIC
	METRIC_COUNT
};

struct metrics {
	int64_t values[METRIC_COUNT];
} __attribute__((aligned(128)));

static inline void metrics_add(struct metrics *metrics, enum metric metric, int64_t n) {
	metrics->values[metric] += n;
}
static inline void metrics_set(struct metrics *metrics, enum metric metric, int64_t value) {
	metrics->values[metric] = value;
}

/* Memory shared with children forked later; never freed. */
struct metrics *metrics_map(unsigned workers);
/* Prometheus text format 0.0.4; with several workers one line each, told apart by a label. */
bool metrics_print(const struct metrics *all, unsigned workers, struct buffer *out);
