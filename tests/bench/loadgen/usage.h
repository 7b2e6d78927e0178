/* SPDX-License-Identifier: Apache-2.0 */
/* CPU time that this program and the servers used during the measured time. */
#pragma once
#include "tests/bench/loadgen/options.h"

struct usage {
	const struct options *options;
	double wall_sec, self_sec;
	double server_sec[OPTIONS_PIDS_MAX];
};

/* Starts the clocks. */
void usage_begin(struct usage *usage, const struct options *options);
/* Replaces what usage_begin() noted by the time since. */
void usage_end(struct usage *usage);
/* The JSON members "seconds", "self_cpu" (share of one core) and "server_cpu_s", with a comma
 * behind. */
void usage_print(const struct usage *usage);
