/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the counters of all workers. */
#include "relay/ops/metrics.h"
#include "common/log.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

struct metric_info {
	const char *name, *kind, *help;
};

static const struct metric_info metric_infos[METRIC_COUNT] = {
#define METRIC(id, name, kind, help) [METRIC_##id] = {name, kind, help},
#include "relay/ops/metrics.def"
#undef METRIC
};

struct metrics *metrics_map(unsigned workers) {
	void *shared = mmap(NULL, workers * sizeof(struct metrics), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		log_fatal("no memory for metrics: %s", strerror(errno));
	}
	return shared;
}

bool metrics_print(const struct metrics *all, unsigned workers, struct buffer *out) {
	bool fits = true;
	for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
		const struct metric_info *info = &metric_infos[metric];
		fits &= buffer_printf(
			out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name, info->kind);
		if (workers == 1) {
			fits &= buffer_printf(out, "%s %" PRId64 "\n", info->name, all[0].values[metric]);
			continue;
		}
		for (unsigned i = 0; i < workers; i++) {
			fits &= buffer_printf(
				out, "%s{worker=\"%u\"} %" PRId64 "\n", info->name, i, all[i].values[metric]);
		}
	}
	return fits;
}
