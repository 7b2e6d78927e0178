/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which messages were taken already: the last 256 of each registration, so that one that the relay
 * sends again does not reach an app twice, also after a restart. The channel belongs to the key: a
 * registration that moves has channels at two relays, and they may give equal versions. Kept as
 * 64-bit hashes of both; written at most every 5 s, without a promise for the last of them.
 */
#pragma once
#include "common/slice.h"
#include "distributor/alarm.h"
#include "distributor/disk.h"
#include <stdbool.h>

struct delivered;
struct delivered *delivered_open(struct alarms *alarms, struct disk *disk, const char *path);
void delivered_save(struct delivered *delivered); /* what has changed, now: before disk_close() */
void delivered_close(struct delivered *delivered); /* after disk_close() */

/* What a message is known by: the same whenever the relay sends it again, in other runs too. */
uint64_t delivered_hash(struct slice channel, struct slice version);
bool delivered_has(
	const struct delivered *delivered, uint32_t number, struct slice channel, struct slice version);
void delivered_add(
	struct delivered *delivered, uint32_t number, struct slice channel, struct slice version);
void delivered_forget(struct delivered *delivered, uint32_t number);
