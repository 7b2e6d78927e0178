/* SPDX-License-Identifier: Apache-2.0 */
/* Sends acknowledgements to the store until it has taken them. */
#include "relay/device/acks.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/device/device.h"
#include <stdlib.h>

struct acks {
	struct list link; /* struct devices::acks_kept, while the store is away */
	struct devices *devices;
	struct device_id device;
	size_t count;
	struct store_ack acks[];
};

static void acks_keep(struct acks *acks) {
	struct devices *devices = acks->devices;
	if (devices->acks_kept_count + acks->count > ACKS_KEPT_MAX) {
		struct log_limit *limit = &devices->acks_lost;
		if (log_limit_pass(limit, ev_now(devices->options.loop))) {
			log_warn("%s count=%zu", limit->event, acks->count);
		}
		free(acks);
		return;
	}
	devices->acks_kept_count += acks->count;
	list_append(&devices->acks_kept, &acks->link);
	devices_start_tick(devices);
}

static void acks_on_done(enum store_outcome outcome, size_t removed, void *ctx) {
	(void)removed;
	struct acks *acks = ctx;
	struct devices *devices = acks->devices;
	if (outcome == STORE_UNAVAILABLE && !devices->is_destroyed) {
		acks_keep(acks);
	} else {
		free(acks);
	}
	devices_release(devices);
}

static void acks_submit(struct acks *acks) {
	acks->devices->references++;
	store_ack(
		acks->devices->options.store, acks->device, acks->acks, acks->count, acks_on_done, acks);
}

void acks_send(struct devices *devices, struct device_id device, const struct autopush_ack *told,
	size_t count) {
	struct acks *acks = mem_alloc(sizeof *acks + count * sizeof *acks->acks);
	acks->devices = devices;
	acks->device = device;
	acks->count = count;
	list_init(&acks->link);
	for (size_t i = 0; i < count; i++) {
		acks->acks[i] = (struct store_ack){told[i].channel, told[i].id};
	}
	acks_submit(acks);
}

static struct acks *acks_take(struct list *list) {
	struct acks *acks = list_first(list, struct acks, link);
	if (acks) {
		list_remove(&acks->link);
	}
	return acks;
}

bool acks_has(const struct devices *devices, struct device_id device, struct message_id id) {
	const struct acks *acks;
	LIST_FOREACH (acks, &devices->acks_kept, link) {
		bool is_its = memcmp(&acks->device, &device, sizeof device) == 0;
		for (size_t i = 0; is_its && i < acks->count; i++) {
			if (message_id_compare(acks->acks[i].id, id) == 0) {
				return true;
			}
		}
	}
	return false;
}

void acks_retry(struct devices *devices) {
	if (devices->acks_kept_count > 0 && store_is_available(devices->options.store)) {
		acks_send_kept(devices);
	}
}

void acks_send_kept(struct devices *devices) {
	struct list ready;
	list_init(&ready);
	list_splice(&ready, &devices->acks_kept);
	devices->acks_kept_count = 0;
	struct acks *acks;
	while ((acks = acks_take(&ready))) {
		acks_submit(acks);
	}
}
