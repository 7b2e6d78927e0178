/* SPDX-License-Identifier: Apache-2.0 */
/* Many devices. */
#include "tests/bench/loadgen/fleet.h"
#include "common/mem.h"
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLEET_RETRY_NS = 20000000, FLEET_LINE_MAX = 1024 };

static void fleet_on_ready(struct device *device);
static void fleet_on_push(struct device *device, const char *mark);
static void fleet_on_closed(struct device *device, enum device_step step, int error);

static const struct device_events fleet_device_events = {
	.on_ready = fleet_on_ready,
	.on_push = fleet_on_push,
	.on_closed = fleet_on_closed,
};

static void fleet_open_waiting(struct fleet *fleet) {
	while (fleet->waiting_count > 0 && fleet->opening < fleet->burst) {
		struct device *device = &fleet->devices[fleet->waiting[--fleet->waiting_count]];
		fleet->opening++;
		device_open(device, fleet->loop, fleet->target);
	}
}

static void fleet_on_retry(void *ctx) {
	fleet_open_waiting(ctx);
}

void fleet_init(struct fleet *fleet, struct loop *loop, struct stream_target *target,
	unsigned count, unsigned burst) {
	*fleet = (struct fleet){.loop = loop,
		.target = target,
		.count = count,
		.burst = burst,
		.devices = mem_zalloc(((size_t)count + 1) * sizeof *fleet->devices),
		.waiting = mem_zalloc(((size_t)count + 1) * sizeof *fleet->waiting)};
	for (unsigned i = 0; i < count; i++) {
		fleet->devices[i] = (struct device){.stream.watch.fd = -1,
			.events = &fleet_device_events,
			.ctx = fleet,
			.index = i,
			.sends_acks = true};
	}
	loop_timer_init(loop, &fleet->retry, fleet_on_retry, fleet);
}

static unsigned fleet_count_lines(FILE *file) {
	char line[FLEET_LINE_MAX];
	unsigned count = 0;
	while (fgets(line, sizeof line, file)) {
		count++;
	}
	rewind(file);
	return count;
}

void fleet_load(struct fleet *fleet, struct loop *loop, struct stream_target *target,
	const char *name, unsigned burst) {
	FILE *file = name ? fopen(name, "r") : NULL;
	if (!file) {
		err(1, "--devices-file %s", name ? name : "is missing");
	}
	fleet_init(fleet, loop, target, fleet_count_lines(file), burst);
	for (unsigned i = 0; i < fleet->count; i++) {
		struct device *device = &fleet->devices[i];
		if (fscanf(file, "%128ms %64ms %700ms", &device->uaid, &device->channel, &device->path) !=
			3) {
			errx(1, "%s: line %u is no device", name, i + 1);
		}
	}
	fclose(file);
}

void fleet_save(const struct fleet *fleet, const char *name) {
	FILE *file = name ? fopen(name, "w") : NULL;
	if (!file) {
		err(1, "--devices-file %s", name ? name : "is missing");
	}
	for (unsigned i = 0; i < fleet->count; i++) {
		const struct device *device = &fleet->devices[i];
		fprintf(file, "%s %s %s\n", device->uaid, device->channel, device->path);
	}
	if (fclose(file) != 0) {
		err(1, "%s", name);
	}
}

void fleet_finish(struct fleet *fleet) {
	for (unsigned i = 0; i < fleet->count; i++) {
		device_finish(&fleet->devices[i]);
	}
	loop_timer_finish(&fleet->retry);
	free(fleet->devices);
	free(fleet->waiting);
}

void fleet_open(struct fleet *fleet) {
	for (unsigned i = fleet->count; i-- > 0;) {
		fleet->waiting[fleet->waiting_count++] = i;
	}
	/* By the timer, so that nothing is called back before this has returned. */
	loop_timer_set(&fleet->retry, 1, fleet->reopens ? FLEET_RETRY_NS : 0);
}

static void fleet_on_ready(struct device *device) {
	struct fleet *fleet = device->ctx;
	fleet->opening--;
	if (fleet->ready++ == 0) {
		fleet->first_hello_ns = fleet->loop->now_ns;
	}
	if (fleet->ready == fleet->count && fleet->on_all_ready) {
		fleet->on_all_ready(fleet->ctx);
	}
	fleet_open_waiting(fleet);
}

static void fleet_on_push(struct device *device, const char *mark) {
	struct fleet *fleet = device->ctx;
	if (fleet->on_push) {
		fleet->on_push(device, mark, fleet->ctx);
	}
}

static void fleet_on_closed(struct device *device, enum device_step step, int error) {
	struct fleet *fleet = device->ctx;
	if (step == DEVICE_READY) {
		fleet->ready--;
		fleet->cut++;
	} else {
		fleet->opening--;
		fleet->refused++;
	}
	if (!fleet->reopens) {
		errx(1, "device %u lost its connection: %s", device->index,
			error ? strerror(error) : "closed by the server");
	}
	fleet->waiting[fleet->waiting_count++] = device->index;
}
