/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of devices that wait for the registers of their address. */
#include "relay/device/turns.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/device/device.h"
#include <assert.h>
#include <stdlib.h>

struct turn_line {
	uint64_t client;
	struct list turns; /* struct turn::link; never empty between two calls */
};

struct hashmap *turns_create_lines(void) {
	return hashmap_create(offsetof(struct turn_line, client), sizeof(uint64_t));
}

static bool turns_take_token(struct devices *devices, uint64_t client) {
	return limits_take_register(devices->options.limits, devices_now(devices), client);
}

static void turns_note_wait(struct devices *devices, uint64_t client) {
	char text[CLIENT_TEXT_BYTES];
	metrics_add(devices->options.metrics, METRIC_DEVICE_REGISTERS_HELD, 1);
	if (log_limit_pass(&devices->too_fast, ev_now(devices->options.loop))) {
		log_warn("%s address=%s", devices->too_fast.event, client_print(client, text));
	}
}

bool turns_take(struct device *device, struct turn *turn) {
	struct devices *devices = device->devices;
	uint64_t client = device->client;
	assert(!turn->line);
	if (!client || !devices->options.limits) {
		return true;
	}
	struct turn_line *line = hashmap_get(devices->lines, &client);
	if (!line && turns_take_token(devices, client)) {
		return true;
	}
	turns_note_wait(devices, client);
	if (!line) {
		line = mem_zalloc(sizeof *line);
		line->client = client;
		list_init(&line->turns);
		(void)hashmap_put(devices->lines, line);
	}
	turn->line = line;
	list_append(&line->turns, &turn->link);
	return false;
}

static void turns_end_line(struct devices *devices, struct turn_line *line) {
	(void)hashmap_remove(devices->lines, &line->client);
	free(line);
}

void turns_leave(struct devices *devices, struct turn *turn) {
	struct turn_line *line = turn->line;
	if (!line) {
		return;
	}
	turn->line = NULL;
	list_remove(&turn->link);
	if (list_is_empty(&line->turns)) {
		turns_end_line(devices, line);
	}
}

void turns_tick(struct devices *devices) {
	struct turn_line *line;
	for (size_t at = 0; (line = hashmap_next(devices->lines, &at));) {
		struct turn *turn;
		while ((turn = list_first(&line->turns, struct turn, link)) &&
			   turns_take_token(devices, line->client)) {
			/* It may stand at the end of the same line afterwards. */
			list_remove(&turn->link);
			turn->line = NULL;
			device_requests_on_turn(turn);
		}
		if (!turn) {
			turns_end_line(devices, line);
		}
	}
}
