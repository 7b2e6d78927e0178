/* SPDX-License-Identifier: Apache-2.0 */
/* The identifiers that travel between store, relay and devices. Plain data, compared with memcmp.
 */
#pragma once
#include <stdint.h>

/* First 16 bytes of SHA-256 over the UAID text: the store never holds a credential. */
struct device_id {
	uint8_t bytes[16];
};
/* Random at each registration; with the device id it makes the push token. Never issued twice. */
struct subscription_id {
	uint8_t bytes[16];
};
/* The device's name for a subscription: the UUID it chose. */
struct channel_id {
	uint8_t bytes[16];
};
/* Names one stored message of a device for ever, and orders them: an earlier one compares lower,
 * first hi, then lo. Assigned by the store. The device knows it as `version`. All zero lies before
 * every message. */
struct message_id {
	uint64_t hi, lo;
};
/* One relay process. */
struct node_id {
	uint8_t bytes[8];
};
struct invite_id {
	uint8_t bytes[16]; /* all zero: none */
};

static inline int message_id_compare(struct message_id a, struct message_id b) {
	if (a.hi != b.hi) {
		return a.hi < b.hi ? -1 : 1;
	}
	return a.lo == b.lo ? 0 : a.lo < b.lo ? -1 : 1;
}

/* RFC 8030 5.3; the order is the order of importance. */
enum urgency { URGENCY_VERY_LOW, URGENCY_LOW, URGENCY_NORMAL, URGENCY_HIGH, URGENCY_COUNT };
