/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device: a WebSocket that says hello, registers when asked to, acknowledges what it receives
 * and answers pings. A binary frame is a bare forwarder's delivery: the body itself, without JSON
 * around it.
 */
#pragma once
#include "tests/bench/loadgen/stream.h"

struct device;

enum device_step { DEVICE_OFFLINE, DEVICE_UPGRADE, DEVICE_HELLO, DEVICE_REGISTER, DEVICE_READY };

enum { DEVICE_MARK_BYTES = 24 };

struct device_events {
	/* Hello, and registration if that was wanted, are answered. */
	void (*on_ready)(struct device *device);
	/* mark: the first DEVICE_MARK_BYTES of the body. */
	void (*on_push)(struct device *device, const char *mark);
	/* step: how far it had come. */
	void (*on_closed)(struct device *device, enum device_step step, int error);
};

struct device {
	struct stream stream; /* first member: events are cast back */
	const struct device_events *events;
	void *ctx;
	unsigned index;
	enum device_step step;
	bool wants_register;
	bool sends_acks;

	char *uaid; /* NULL: the first hello asks for one */
	char *channel;
	char *path; /* of the push URL */

	char *partial; /* a frame or head that has not arrived whole */
	size_t partial_bytes;
	char *acks; /* frames made while data is handled, sent together at its end */
	size_t acks_bytes, acks_size;
};

void device_open(struct device *device, struct loop *loop, struct stream_target *target);
/* Closes the socket without a word and keeps who it is. */
void device_close(struct device *device);
void device_finish(struct device *device);
