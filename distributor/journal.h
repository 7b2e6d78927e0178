/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages whose app is not there, one file each in a folder: written before the relay hears that
 * they are taken, removed when they were delivered or have expired. Bounded; what does not fit
 * stays unacknowledged at the relay.
 */
#pragma once
#include "distributor/disk.h"
#include "distributor/dispatch.h"

enum {
	JOURNAL_MESSAGES_MAX = 4000,
	JOURNAL_PER_SERVICE_MAX = 1000, /* as many as a relay keeps for a device */
	JOURNAL_BYTES_MAX = 16 << 20,
};

struct journal;
struct journal *journal_open(struct disk *disk, const char *folder);
void journal_close(struct journal *journal);

/* Each message of an earlier run, oldest first, with its registration's number; the callback takes
 * it, or returns false: then it is removed. */
typedef bool journal_found_fn(struct message *take_message, uint32_t number, void *ctx);
void journal_load(struct journal *journal, journal_found_fn *found, void *ctx);

/* False when the journal is full. `done` as in disk.h, it calls journal_note(); the message may be
 * freed meanwhile. */
bool journal_add(
	struct journal *journal, const struct message *message, disk_done_fn *done, void *ctx);
/* `message` was added, or its addition is under way. */
void journal_remove(struct journal *journal, const struct message *message);
/* How the last write went, or 0 when nothing is to be written any more. */
void journal_note(struct journal *journal, int result);
