/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to try again after a failure: the classes A to G of device-network-and-power.md 12, with
 * full jitter. Pure but for the random numbers.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum retry_class {
	RETRY_LOCAL, /* A: path changed, resume, plugged in: nobody else comes at this moment */
	RETRY_UNREACHABLE, /* B: refused, timed out, no such name, nonsense from the peer */
	RETRY_GOODBYE, /* B, but a session that worked was ended by the peer: spreads a restart */
	RETRY_TOLD, /* C: the relay says when */
	RETRY_REFUSED, /* D: the user must act */
	RETRY_TLS, /* E: the certificate; also whatever smells of a login page */
	RETRY_NO_PATH, /* F: no attempt at all */
	RETRY_REPLACED, /* G: another one has our identity */
	RETRY_CLASS_COUNT
};
const char *retry_class_name(enum retry_class class);

enum {
	RETRY_LOCAL_MS = 300,
	RETRY_GOODBYE_MS = 15000,
	RETRY_BASE_MS = 2000,
	RETRY_FLOOR_MS = 500,
	RETRY_CAP_MS = 300 * 1000,
	RETRY_CAP_BATTERY_MS = 900 * 1000,
	RETRY_TLS_FLOOR_MS = 30 * 1000,
	RETRY_TOLD_MIN_MS = 1000,
	RETRY_TOLD_MAX_MS = 3600 * 1000,
	RETRY_REPLACED_MS = 60 * 1000,
	RETRY_HOURLY = 24, /* refusals after which it is tried daily */
	RETRY_HASTY_CAP_MS = 4000,
};

struct retry {
	uint32_t attempts; /* failed in a row */
	uint32_t refusals, replacements;
	bool on_battery;
	bool is_hasty; /* just resumed: the network is about to come */
};

/* Counts a failure; milliseconds until the next attempt, -1 for none (F). told_sec: class C. */
int64_t retry_next_ms(struct retry *retry, enum retry_class class, int64_t told_sec);
/* Is this a failure that only the user can mend? (D, and G after its second time.) */
bool retry_is_for_good(const struct retry *retry, enum retry_class class);
/* All but the replacements, which a new attempt alone does not cure. */
void retry_reset(struct retry *retry);
