/* SPDX-License-Identifier: Apache-2.0 */
/* Devices connect, a line is printed, and they stay until stdin ends. */
#include "tests/bench/loadgen/fleet.h"
#include "tests/bench/loadgen/scenarios.h"
#include "tests/bench/loadgen/usage.h"
#include <err.h>
#include <stdio.h>
#include <unistd.h>

struct idle {
	const struct options *options;
	struct loop loop;
	struct stream_target target;
	struct fleet fleet;
	struct loop_watch input;
	struct usage usage;
};

static void idle_on_all_ready(void *ctx) {
	struct idle *idle = ctx;
	usage_end(&idle->usage);
	printf("{");
	usage_print(&idle->usage);
	printf("\"devices\": %u}\n", idle->fleet.count);
	fflush(stdout);
}

static void idle_on_input(struct loop_watch *watch, uint32_t events) {
	if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR)) {
		loop_stop(watch->loop);
	}
}

int scenario_idle(const struct options *options) {
	static struct idle idle;
	idle.options = options;
	loop_init(&idle.loop);
	stream_target_init(&idle.target, options->address, options->port, options->tls);
	fleet_init(&idle.fleet, &idle.loop, &idle.target, options->devices, options->burst);
	idle.fleet.on_all_ready = idle_on_all_ready;
	idle.fleet.ctx = &idle;
	loop_watch_start(&idle.loop, &idle.input, STDIN_FILENO, idle_on_input);
	usage_begin(&idle.usage, options);
	fleet_open(&idle.fleet);
	if (!loop_run(&idle.loop, options->limit_sec)) {
		errx(1, "idle: %u of %u devices ready, and nobody ended this within %.0f s",
			idle.fleet.ready, options->devices, options->limit_sec);
	}
	fleet_finish(&idle.fleet);
	stream_target_finish(&idle.target);
	loop_finish(&idle.loop);
	return 0;
}
