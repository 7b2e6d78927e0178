/* SPDX-License-Identifier: Apache-2.0 */
/* New devices register and are written to the devices file. */
#include "tests/bench/loadgen/fleet.h"
#include "tests/bench/loadgen/scenarios.h"
#include "tests/bench/loadgen/usage.h"
#include <err.h>
#include <stdio.h>

/*
 * Sockets are few, devices may be many: each leaves when it is registered. So on_ready of the fleet
 * does not fit, and the devices have events of their own.
 */
struct enrolment {
	struct loop loop;
	struct stream_target target;
	struct fleet fleet; /* for names and file */
	unsigned next, done, burst;
};

static void enrolment_start_next(struct enrolment *enrolment) {
	if (enrolment->next < enrolment->fleet.count) {
		struct device *device = &enrolment->fleet.devices[enrolment->next++];
		device_open(device, &enrolment->loop, &enrolment->target);
	}
}

static void enrolment_on_ready(struct device *device) {
	struct enrolment *enrolment = device->ctx;
	device_close(device);
	if (++enrolment->done == enrolment->fleet.count) {
		loop_stop(&enrolment->loop);
	}
	enrolment_start_next(enrolment);
}

static void enrolment_on_closed(struct device *device, enum device_step step, int error) {
	errx(1, "device %u lost its connection at step %d: error %d", device->index, (int)step, error);
}

static const struct device_events enrolment_events = {
	.on_ready = enrolment_on_ready,
	.on_closed = enrolment_on_closed,
};

int scenario_register(const struct options *options) {
	static struct enrolment enrolment;
	struct usage usage;
	loop_init(&enrolment.loop);
	stream_target_init(&enrolment.target, options->address, options->port, options->tls);
	fleet_init(&enrolment.fleet, &enrolment.loop, &enrolment.target, options->devices, 1);
	for (unsigned i = 0; i < options->devices; i++) {
		struct device *device = &enrolment.fleet.devices[i];
		device->events = &enrolment_events;
		device->ctx = &enrolment;
		device->wants_register = true;
	}
	usage_begin(&usage, options);
	for (unsigned i = 0; i < options->burst; i++) {
		enrolment_start_next(&enrolment);
	}
	if (!loop_run(&enrolment.loop, options->limit_sec)) {
		errx(1, "register: %u of %u devices within %.0f s", enrolment.done, options->devices,
			options->limit_sec);
	}
	usage_end(&usage);
	fleet_save(&enrolment.fleet, options->devices_file);
	printf("{");
	usage_print(&usage);
	printf("\"devices\": %u, \"per_second\": %.1f}\n", options->devices,
		options->devices / usage.wall_sec);
	fleet_finish(&enrolment.fleet);
	stream_target_finish(&enrolment.target);
	loop_finish(&enrolment.loop);
	return 0;
}
