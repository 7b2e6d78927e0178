/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one session knows of messages that are sent and not acknowledged yet. Pure. At most `limit`
 * of them occupy the window; one that is too old frees its place but stays known, so that it is not
 * sent again in this session. Takes no memory while empty.
 *
 * While a fetch is under way an acknowledged message stays known too (window_settle forgets it):
 * the fetch may have read it before the store removed it.
 */
#pragma once
#include "storage/ids.h"
#include <stdbool.h>
#include <stddef.h>

struct window_entry; /* window.c */

struct window {
	struct window_entry *entries; /* ordered by id */
	uint32_t count, capacity;
	uint32_t in_flight; /* entries that occupy a place */
	uint32_t held; /* entries that another socket of the device got */
};

void window_finish(struct window *window);

/* Sent now. The message must not be known. */
void window_add(
	struct window *window, struct message_id id, struct channel_id channel, uint32_t now_sec);
/* Was sent on another socket: not sent here until window_release_held. Known ones stay as they are.
 */
void window_hold(struct window *window, struct message_id id);
/* Forgets those still held; true when there were any. */
bool window_release_held(struct window *window);
bool window_knows(const struct window *window, struct message_id id);
/* Acknowledged; ignored when it was sent for another channel. When keep, it stays known until
 * window_settle, even if it was not known before. True when a place became free. */
bool window_ack(struct window *window, struct message_id id, struct channel_id channel, bool keep);
void window_settle(struct window *window);
/* Frees the places of those sent at or before then_sec. True when a place became free. */
bool window_expire(struct window *window, uint32_t then_sec);
/* Forgets so many of those that freed their place, the oldest first, that at most max are known;
 * all others stay. Beyond what a queue holds the store has dropped them. */
void window_trim(struct window *window, uint32_t max);
/* When the oldest that occupies a place was sent; only while in_flight > 0. */
uint32_t window_oldest_sec(const struct window *window);
/* Copies up to max ids of unacknowledged messages that were sent here; returns their number. */
size_t window_sent_ids(const struct window *window, struct message_id *out_ids, size_t max);
