/* SPDX-License-Identifier: Apache-2.0 */
/* Devices stay connected through the server's death and return, while senders post to them. */
#include "common/mem.h"
#include "tests/bench/loadgen/fleet.h"
#include "tests/bench/loadgen/scenarios.h"
#include "tests/bench/loadgen/sender.h"
#include "tests/bench/loadgen/traffic.h"
#include "tests/bench/loadgen/usage.h"
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETURN_STATUS_MAX = 600, RETURN_SETTLE_NS = 1500000000 };

/* Before the server died; while some are missing; all back; the senders have stopped as well. */
enum return_phase { RETURN_BEFORE, RETURN_AWAY, RETURN_BACK, RETURN_SETTLE };

struct homecoming {
	const struct options *options;
	struct loop loop;
	struct stream_target target;
	struct fleet fleet;
	struct sender *senders;
	bool *is_connected; /* by sender */
	struct traffic traffic;
	struct loop_timer rate_timer, watch_timer, settle_timer;
	enum return_phase phase;
	unsigned next_device, next_sender;
	uint64_t died_ns, first_ns, back_ns;
	uint64_t statuses[RETURN_STATUS_MAX];
	uint64_t refused,
		cut; /* by the kernel of a dead server: before, or with a request on its way */
};

static void homecoming_on_answered(struct sender *sender, int status) {
	struct homecoming *homecoming = sender->ctx;
	if (status == 0) {
		homecoming->cut++;
		return;
	}
	homecoming->statuses[status > 0 && status < RETURN_STATUS_MAX ? status : 0]++;
	if (status == 201) {
		traffic_accept(&homecoming->traffic, sender->sequence);
	}
}

static void homecoming_on_idle(struct sender *sender) {
	struct homecoming *homecoming = sender->ctx;
	homecoming->is_connected[sender->index] = true;
}

static void homecoming_on_lost(struct sender *sender, int error) {
	struct homecoming *homecoming = sender->ctx;
	(void)error;
	if (!homecoming->is_connected[sender->index]) {
		homecoming->refused++;
	}
	homecoming->is_connected[sender->index] = false;
}

/* One message by the next sender that is free; those without a connection try to get one. */
static void homecoming_on_rate(void *ctx) {
	struct homecoming *homecoming = ctx;
	for (unsigned i = 0; i < homecoming->options->connections; i++) {
		unsigned index = homecoming->next_sender++ % homecoming->options->connections;
		struct sender *sender = &homecoming->senders[index];
		if (sender->stream.state == STREAM_CLOSED) {
			sender_open(sender, &homecoming->loop, &homecoming->target);
		} else if (homecoming->is_connected[index] && !sender->busy) {
			unsigned device = homecoming->next_device++ % homecoming->fleet.count;
			sender->sequence = traffic_next(&homecoming->traffic, device, index, loop_clock_ns());
			sender_post(sender, homecoming->fleet.devices[device].path, homecoming->traffic.body,
				homecoming->traffic.body_bytes);
			return;
		}
	}
}

static void homecoming_on_push(struct device *device, const char *mark, void *ctx) {
	struct homecoming *homecoming = ctx;
	(void)traffic_receive(&homecoming->traffic, device->index, mark, loop_clock_ns());
}

static void homecoming_start_senders(struct homecoming *homecoming) {
	for (unsigned i = 0; i < homecoming->options->connections; i++) {
		struct sender *sender = &homecoming->senders[i];
		sender->index = i;
		sender->ctx = homecoming;
		sender->stream.watch.fd = -1;
		sender->on_idle = homecoming_on_idle;
		sender->on_answered = homecoming_on_answered;
		sender->on_lost = homecoming_on_lost;
	}
	uint64_t interval = (uint64_t)(1e9 / homecoming->options->rate);
	loop_timer_set(&homecoming->rate_timer, interval, interval);
}

static void homecoming_on_all_ready(void *ctx) {
	struct homecoming *homecoming = ctx;
	if (homecoming->phase == RETURN_BEFORE) {
		if (homecoming->options->rate > 0) {
			homecoming_start_senders(homecoming);
		}
		/* Whoever runs this kills the server on reading the line. */
		printf("{\"ready\": %u}\n", homecoming->fleet.count);
		fflush(stdout);
		loop_timer_set(&homecoming->watch_timer, 1000000, 1000000);
	} else if (homecoming->phase == RETURN_AWAY) {
		homecoming->phase = RETURN_BACK;
		homecoming->first_ns = homecoming->fleet.first_hello_ns;
		homecoming->back_ns = homecoming->loop.now_ns;
		loop_timer_set(&homecoming->settle_timer, RETURN_SETTLE_NS, 0);
	}
}

/* Every millisecond: notes when the connections were cut. */
static void homecoming_on_watch(void *ctx) {
	struct homecoming *homecoming = ctx;
	if (homecoming->phase == RETURN_BEFORE && homecoming->fleet.ready < homecoming->fleet.count) {
		homecoming->phase = RETURN_AWAY;
		homecoming->died_ns = homecoming->loop.now_ns;
		loop_timer_set(&homecoming->watch_timer, 0, 0);
	}
}

/* The senders stop first, so that what they were answered can still arrive. */
static void homecoming_on_settle(void *ctx) {
	struct homecoming *homecoming = ctx;
	if (homecoming->phase == RETURN_BACK) {
		homecoming->phase = RETURN_SETTLE;
		loop_timer_set(&homecoming->rate_timer, 0, 0);
		loop_timer_set(&homecoming->settle_timer, RETURN_SETTLE_NS, 0);
	} else {
		loop_stop(&homecoming->loop);
	}
}

static void homecoming_print(const struct homecoming *homecoming) {
	printf("{\"devices\": %u, \"away_s\": %.4f, \"return_s\": %.4f, \"device_refused\": %u, "
		   "\"device_cut\": %u, \"refused\": %llu, \"cut\": %llu, \"lost\": %llu, "
		   "\"doubled\": %llu, \"disordered\": %llu, \"statuses\": {",
		homecoming->fleet.count, (double)(homecoming->first_ns - homecoming->died_ns) / 1e9,
		(double)(homecoming->back_ns - homecoming->first_ns) / 1e9, homecoming->fleet.refused,
		homecoming->fleet.cut, (unsigned long long)homecoming->refused,
		(unsigned long long)homecoming->cut, (unsigned long long)traffic_lost(&homecoming->traffic),
		(unsigned long long)homecoming->traffic.doubled,
		(unsigned long long)homecoming->traffic.disordered);
	const char *comma = "";
	for (unsigned i = 0; i < RETURN_STATUS_MAX; i++) {
		if (homecoming->statuses[i] > 0) {
			printf("%s\"%u\": %llu", comma, i, (unsigned long long)homecoming->statuses[i]);
			comma = ", ";
		}
	}
	printf("}}\n");
}

static void homecoming_init(struct homecoming *homecoming, const struct options *options) {
	homecoming->options = options;
	loop_init(&homecoming->loop);
	stream_target_init(&homecoming->target, options->address, options->port, options->tls);
	if (options->devices_file) {
		fleet_load(&homecoming->fleet, &homecoming->loop, &homecoming->target,
			options->devices_file, options->burst);
	} else {
		fleet_init(&homecoming->fleet, &homecoming->loop, &homecoming->target, options->devices,
			options->burst);
	}
	homecoming->fleet.reopens = true;
	homecoming->fleet.on_push = homecoming_on_push;
	homecoming->fleet.on_all_ready = homecoming_on_all_ready;
	homecoming->fleet.ctx = homecoming;
	homecoming->senders = mem_zalloc(options->connections * sizeof *homecoming->senders);
	homecoming->is_connected = mem_zalloc(options->connections * sizeof(bool));
	traffic_init(&homecoming->traffic, homecoming->fleet.count, options->body_bytes);
	loop_timer_init(&homecoming->loop, &homecoming->rate_timer, homecoming_on_rate, homecoming);
	loop_timer_init(&homecoming->loop, &homecoming->watch_timer, homecoming_on_watch, homecoming);
	loop_timer_init(&homecoming->loop, &homecoming->settle_timer, homecoming_on_settle, homecoming);
}

static void homecoming_finish(struct homecoming *homecoming) {
	for (unsigned i = 0; i < homecoming->options->connections; i++) {
		stream_close(&homecoming->senders[i].stream);
	}
	free(homecoming->senders);
	free(homecoming->is_connected);
	traffic_finish(&homecoming->traffic);
	fleet_finish(&homecoming->fleet);
	loop_timer_finish(&homecoming->rate_timer);
	loop_timer_finish(&homecoming->watch_timer);
	loop_timer_finish(&homecoming->settle_timer);
	stream_target_finish(&homecoming->target);
	loop_finish(&homecoming->loop);
}

int scenario_return(const struct options *options) {
	static struct homecoming homecoming;
	homecoming_init(&homecoming, options);
	fleet_open(&homecoming.fleet);
	if (!loop_run(&homecoming.loop, options->limit_sec)) {
		errx(1, "return: %u of %u devices back within %.0f s", homecoming.fleet.ready,
			homecoming.fleet.count, options->limit_sec);
	}
	homecoming_print(&homecoming);
	homecoming_finish(&homecoming);
	return 0;
}
