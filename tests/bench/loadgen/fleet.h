/* SPDX-License-Identifier: Apache-2.0 */
/* Many devices: opening them a burst at a time, bringing them back, remembering them in a file. */
#pragma once
#include "tests/bench/loadgen/device.h"
#include "tests/bench/loadgen/loop.h"

struct fleet {
	struct loop *loop;
	struct stream_target *target;
	struct device *devices;
	unsigned count;
	unsigned burst; /* that may be connecting at a time */
	bool reopens; /* a device that lost its connection tries again every 20 ms */

	unsigned opening; /* connecting now */
	unsigned ready;
	unsigned *waiting; /* a stack of devices to open */
	unsigned waiting_count;
	struct loop_timer retry;

	unsigned refused, cut; /* failed connects; connections lost */
	uint64_t first_hello_ns; /* since the last time that none was ready */

	void (*on_all_ready)(void *ctx);
	void (*on_push)(struct device *device, const char *mark, void *ctx);
	void *ctx;
};

void fleet_init(struct fleet *fleet, struct loop *loop, struct stream_target *target,
	unsigned count, unsigned burst);
/* As fleet_init, with the devices of a file made by fleet_save. */
void fleet_load(struct fleet *fleet, struct loop *loop, struct stream_target *target,
	const char *file, unsigned burst);
void fleet_save(const struct fleet *fleet, const char *file);
void fleet_finish(struct fleet *fleet);

/* Opens all; on_all_ready follows, from the loop. */
void fleet_open(struct fleet *fleet);
