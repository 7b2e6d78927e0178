/* SPDX-License-Identifier: Apache-2.0 */
/* What became of each message. */
#include "tests/bench/loadgen/traffic.h"
#include "common/mem.h"
#include "tests/bench/loadgen/device.h"
#include <err.h>
#include <stdlib.h>
#include <string.h>

enum { TRAFFIC_SEQUENCE_DIGITS = 16, TRAFFIC_DEVICE_DIGITS = 8 };
_Static_assert(
	TRAFFIC_SEQUENCE_DIGITS + TRAFFIC_DEVICE_DIGITS == DEVICE_MARK_BYTES, "the mark's layout");

void traffic_init(struct traffic *traffic, unsigned device_count, size_t body_bytes) {
	if (body_bytes < DEVICE_MARK_BYTES) {
		errx(2, "a body has at least %d bytes", DEVICE_MARK_BYTES);
	}
	*traffic = (struct traffic){.body = mem_alloc(body_bytes + 1),
		.body_bytes = body_bytes,
		.device_count = device_count,
		.last = mem_zalloc(((size_t)device_count + 1) * sizeof *traffic->last)};
	/* As random as ciphertext would be, and the same in every run. */
	uint32_t state = 1;
	for (size_t i = 0; i < body_bytes; i++) {
		state = state * 1664525u + 1013904223u;
		traffic->body[i] = (char)(state >> 24);
	}
}

void traffic_finish(struct traffic *traffic) {
	free(traffic->body);
	free(traffic->messages);
	free(traffic->last);
}

static void traffic_grow(struct traffic *traffic, uint64_t count) {
	if (count > traffic->message_size) {
		uint64_t size =
			traffic->message_size * 2 > count ? traffic->message_size * 2 : count + 4096;
		traffic->messages = mem_realloc(traffic->messages, size * sizeof *traffic->messages);
		traffic->message_size = size;
	}
	if (count > traffic->message_count) {
		memset(traffic->messages + traffic->message_count, 0,
			(count - traffic->message_count) * sizeof *traffic->messages);
		traffic->message_count = count;
	}
}

void traffic_mark(struct traffic *traffic, unsigned device, uint64_t sequence) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < TRAFFIC_SEQUENCE_DIGITS; i++) {
		traffic->body[i] = digits[sequence >> (4 * (TRAFFIC_SEQUENCE_DIGITS - 1 - i)) & 15];
	}
	for (size_t i = 0; i < TRAFFIC_DEVICE_DIGITS; i++) {
		traffic->body[TRAFFIC_SEQUENCE_DIGITS + i] =
			digits[device >> (4 * (TRAFFIC_DEVICE_DIGITS - 1 - i)) & 15];
	}
}

uint64_t traffic_next(struct traffic *traffic, unsigned device, unsigned owner, uint64_t sent_ns) {
	uint64_t sequence = traffic->message_count;
	traffic_grow(traffic, sequence + 1);
	traffic->messages[sequence] = (struct traffic_message){.sent_ns = sent_ns, .owner = owner};
	traffic_mark(traffic, device, sequence);
	return sequence;
}

void traffic_accept(struct traffic *traffic, uint64_t sequence) {
	traffic->messages[sequence].flags |= TRAFFIC_ACCEPTED;
	traffic->accepted++;
}

static uint64_t traffic_hex(const char *text, size_t digits) {
	char copy[TRAFFIC_SEQUENCE_DIGITS + 1] = {0};
	char *end;
	memcpy(copy, text, digits);
	uint64_t value = strtoull(copy, &end, 16);
	if (end != copy + digits) {
		errx(1, "a delivery with a body that was not sent");
	}
	return value;
}

struct traffic_message *traffic_receive(
	struct traffic *traffic, unsigned device, const char *mark, uint64_t now_ns) {
	uint64_t sequence = traffic_hex(mark, TRAFFIC_SEQUENCE_DIGITS);
	if (traffic_hex(mark + TRAFFIC_SEQUENCE_DIGITS, TRAFFIC_DEVICE_DIGITS) != device ||
		device >= traffic->device_count || sequence > 1000000000u) {
		errx(1, "a delivery to the wrong device");
	}
	traffic_grow(traffic, sequence + 1);
	struct traffic_message *message = &traffic->messages[sequence];
	if (message->flags & TRAFFIC_RECEIVED) {
		traffic->doubled++;
		return message;
	}
	message->flags |= TRAFFIC_RECEIVED;
	traffic->received++;
	if (sequence < traffic->last[device]) {
		traffic->disordered++;
	} else {
		traffic->last[device] = sequence + 1;
	}
	if (message->sent_ns > 0) {
		histogram_add(&traffic->latency, now_ns - message->sent_ns);
	}
	return message;
}

uint64_t traffic_lost(const struct traffic *traffic) {
	uint64_t lost = 0;
	for (uint64_t i = 0; i < traffic->message_count; i++) {
		lost += (traffic->messages[i].flags & (TRAFFIC_ACCEPTED | TRAFFIC_RECEIVED)) ==
				TRAFFIC_ACCEPTED;
	}
	return lost;
}
