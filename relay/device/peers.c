/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between nodes: a device that moves from one to another. The new node says "T", taken over; the
 * old one falls silent on its socket and answers "F" with the ids in flight there, 16 bytes each in
 * the order of struct message_id, most significant byte first. When its socket ends, the new node
 * says "R", released: if the old one still has a socket, that one is the device's again.
 */
#include "common/log.h"
#include "relay/device/device.h"

enum {
	PEERS_ID_BYTES = 16,
	PEERS_FRESH_SEC = 2, /* a "T" that comes so soon after our own hello may be older than it */
};
static const double peers_wait_sec = 0.1;

static void peers_write_be64(uint8_t *out, uint64_t value) {
	for (size_t i = 0; i < 8; i++) {
		out[i] = (uint8_t)(value >> (56 - 8 * i));
	}
}

static uint64_t peers_read_be64(const uint8_t *bytes) {
	uint64_t value = 0;
	for (size_t i = 0; i < 8; i++) {
		value = value << 8 | bytes[i];
	}
	return value;
}

void peers_take_over(struct device *device, struct node_id previous) {
	struct devices *devices = device->devices;
	metrics_add(devices->options.metrics, METRIC_DEVICE_TAKEOVERS, 1);
	device->has_peer = true;
	device->peer = previous;
	store_tell(devices->options.store, previous, device->id, slice_of("T"));
	/* The other node may be gone: then what is queued goes out without its answer. */
	device_timer_start(device, &device->wait, peers_wait_sec, device_pull);
}

static void peers_on_taken_over(struct devices *devices, const struct store_wake *wake) {
	struct device *device = hashmap_get(devices->by_id, &wake->device);
	/* To be silent in error would lose pushes; to speak in error only repeats some. */
	bool is_certain = device && devices_now(devices) - device->ready_sec >= PEERS_FRESH_SEC;
	uint8_t text[1 + DEVICES_SENT_IDS_MAX * PEERS_ID_BYTES] = {'F'};
	size_t bytes = 1;
	for (; device; device = device->older) {
		struct message_id ids[DEVICES_SENT_IDS_MAX];
		size_t room = (sizeof text - bytes) / PEERS_ID_BYTES;
		size_t count = window_sent_ids(&device->window, ids, room);
		for (size_t i = 0; i < count; i++) {
			peers_write_be64(text + bytes, ids[i].hi);
			peers_write_be64(text + bytes + 8, ids[i].lo);
			bytes += PEERS_ID_BYTES;
		}
		device->is_elsewhere = is_certain;
		device_probe(device, devices_now(devices));
	}
	store_tell(devices->options.store, wake->from, wake->device,
		(struct slice){(const char *)text, bytes});
}

static void peers_on_in_flight(struct devices *devices, const struct store_wake *wake) {
	struct device *device = hashmap_get(devices->by_id, &wake->device);
	if (!device || !device->wait) {
		return; /* too late, or for a session that is gone */
	}
	const uint8_t *bytes = (const uint8_t *)wake->text.data;
	for (size_t at = 1; at + PEERS_ID_BYTES <= wake->text.len; at += PEERS_ID_BYTES) {
		struct message_id id = {peers_read_be64(bytes + at), peers_read_be64(bytes + at + 8)};
		device_hold(device, &id, 1);
	}
	device_timer_stop(device, &device->wait);
	device_pull(device);
}

void peers_release(struct device *device) {
	if (device->has_peer) {
		store_tell(device->devices->options.store, device->peer, device->id, slice_of("R"));
	}
}

static void peers_on_released(struct devices *devices, const struct store_wake *wake) {
	struct device *device = hashmap_get(devices->by_id, &wake->device);
	if (!device || !device->is_elsewhere) {
		return;
	}
	for (struct device *each = device; each; each = each->older) {
		each->is_elsewhere = false;
	}
	device_attach_again(device);
}

void peers_on_told(struct devices *devices, const struct store_wake *wake) {
	if (slice_equals(wake->text, "T")) {
		peers_on_taken_over(devices, wake);
	} else if (slice_equals(wake->text, "R")) {
		peers_on_released(devices, wake);
	} else if (slice_starts_with(wake->text, "F")) {
		peers_on_in_flight(devices, wake);
	} else {
		log_debug("device", "another node said what this one does not know");
	}
}
