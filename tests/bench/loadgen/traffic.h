/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of each message: every body begins with its number and its device, so that a delivery
 * shows whether anything was lost, doubled or out of order, and how long it took.
 */
#pragma once
#include "tests/bench/loadgen/histogram.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum traffic_flag { TRAFFIC_ACCEPTED = 1, TRAFFIC_RECEIVED = 2 };

struct traffic_message {
	uint64_t sent_ns;
	uint32_t owner; /* the sender's index */
	uint8_t flags; /* enum traffic_flag */
};

struct traffic {
	char *body;
	size_t body_bytes;
	struct traffic_message *messages; /* by sequence */
	uint64_t message_count, message_size;
	uint64_t *last; /* by device: one more than the last sequence received */
	unsigned device_count;
	uint64_t accepted, received, doubled, disordered;
	struct histogram latency;
};

void traffic_init(struct traffic *traffic, unsigned device_count, size_t body_bytes);
void traffic_finish(struct traffic *traffic);

/* Only writes the mark into traffic->body; nothing is remembered. */
void traffic_mark(struct traffic *traffic, unsigned device, uint64_t sequence);
/* Marks traffic->body as the next message for device; returns its sequence. */
uint64_t traffic_next(struct traffic *traffic, unsigned device, unsigned owner, uint64_t sent_ns);
void traffic_accept(struct traffic *traffic, uint64_t sequence);
/* A delivery at device; returns the message it is. */
struct traffic_message *traffic_receive(
	struct traffic *traffic, unsigned device, const char *mark, uint64_t now_ns);
/* Accepted and not received. */
uint64_t traffic_lost(const struct traffic *traffic);
