/* SPDX-License-Identifier: Apache-2.0 */
/* All devices of the file connect at once and take what is queued. */
#include "tests/bench/loadgen/fleet.h"
#include "tests/bench/loadgen/scenarios.h"
#include "tests/bench/loadgen/traffic.h"
#include "tests/bench/loadgen/usage.h"
#include <err.h>
#include <stdio.h>

/* After the last message (or after all said hello), to see whether anything comes twice. */
enum { DRAIN_QUIET_NS = 300000000 };

struct drain {
	const struct options *options;
	struct loop loop;
	struct stream_target target;
	struct fleet fleet;
	struct traffic traffic;
	struct loop_timer quiet;
	uint64_t expected, start_ns, last_ns;
	struct usage usage;
	bool is_complete;
};

static void drain_complete_when_done(struct drain *drain) {
	if (!drain->is_complete && drain->traffic.received >= drain->expected &&
		drain->fleet.ready == drain->fleet.count) {
		drain->is_complete = true;
		usage_end(&drain->usage);
		loop_timer_set(&drain->quiet, DRAIN_QUIET_NS, 0);
	}
}

static void drain_on_push(struct device *device, const char *mark, void *ctx) {
	struct drain *drain = ctx;
	drain->last_ns = loop_clock_ns();
	(void)traffic_receive(&drain->traffic, device->index, mark, drain->last_ns);
	drain_complete_when_done(drain);
}

static void drain_on_all_ready(void *ctx) {
	drain_complete_when_done(ctx);
}

static void drain_on_quiet(void *ctx) {
	struct drain *drain = ctx;
	loop_stop(&drain->loop);
}

static void drain_print(const struct drain *drain) {
	double seconds = (double)(drain->last_ns - drain->start_ns) / 1e9;
	printf("{");
	usage_print(&drain->usage);
	printf("\"requests\": %llu, \"drain_s\": %.4f, \"per_second\": %.1f, \"lost\": %llu, "
		   "\"doubled\": %llu, \"disordered\": %llu, \"unexpected\": %llu}\n",
		(unsigned long long)drain->traffic.received, seconds,
		seconds > 0 ? (double)drain->traffic.received / seconds : 0,
		(unsigned long long)(drain->traffic.received < drain->expected
								 ? drain->expected - drain->traffic.received
								 : 0),
		(unsigned long long)drain->traffic.doubled, (unsigned long long)drain->traffic.disordered,
		(unsigned long long)(drain->traffic.received > drain->expected
								 ? drain->traffic.received - drain->expected
								 : 0));
}

int scenario_drain(const struct options *options) {
	static struct drain drain;
	drain.options = options;
	loop_init(&drain.loop);
	stream_target_init(&drain.target, options->address, options->port, options->tls);
	fleet_load(&drain.fleet, &drain.loop, &drain.target, options->devices_file, options->burst);
	drain.fleet.on_push = drain_on_push;
	drain.fleet.on_all_ready = drain_on_all_ready;
	drain.fleet.ctx = &drain;
	drain.expected = (uint64_t)drain.fleet.count * options->per_device;
	traffic_init(&drain.traffic, drain.fleet.count, options->body_bytes);
	loop_timer_init(&drain.loop, &drain.quiet, drain_on_quiet, &drain);
	usage_begin(&drain.usage, options);
	drain.start_ns = drain.last_ns = loop_clock_ns();
	fleet_open(&drain.fleet);
	if (!loop_run(&drain.loop, options->limit_sec)) {
		warnx("drain: %llu of %llu messages within %.0f s, %u devices ready",
			(unsigned long long)drain.traffic.received, (unsigned long long)drain.expected,
			options->limit_sec, drain.fleet.ready);
	}
	if (!drain.is_complete) {
		usage_end(&drain.usage);
	}
	drain_print(&drain);
	traffic_finish(&drain.traffic);
	fleet_finish(&drain.fleet);
	loop_timer_finish(&drain.quiet);
	stream_target_finish(&drain.target);
	loop_finish(&drain.loop);
	return 0;
}
