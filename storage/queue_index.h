/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bookkeeping behind the stores that live in one process: devices, subscriptions, and the
 * order, age and importance of queued messages; not their bodies' place. Pure: no input or output,
 * no callbacks into the caller but the journal, no clock. The memory store is this index; the
 * SQLite store is this index and a log of its changes.
 *
 * A message is PENDING from its put until queue_index_commit (then LIVE and seen by walks) or
 * queue_index_undo. What a pending put replaces or evicts is DOOMED by it at once, is no longer
 * seen, and goes for good with the commit or lives again with the undo.
 */
#pragma once
#include "common/list.h"
#include "storage/store.h"

struct hashmap;
struct queue_index;

enum queue_message_state { QUEUE_PENDING, QUEUE_LIVE, QUEUE_DOOMED };
/* Why a message ended. */
enum queue_end {
	QUEUE_ACKED,
	QUEUE_EXPIRED,
	QUEUE_EVICTED,
	QUEUE_REPLACED,
	QUEUE_CANCELLED,
	QUEUE_UNSUBSCRIBED,
	QUEUE_END_COUNT
};

struct queue_device {
	struct device_id id;
	struct list messages; /* struct queue_message::link, oldest first */
	struct list subscriptions; /* struct queue_subscription::link */
	struct list by_contact; /* member of queue_index's list, longest ago first */
	struct invite_id invite;
	int64_t contact_ms;
	uint64_t missed;
	uint64_t bytes;
	uint32_t messages_count, subscription_count;
	uint32_t of_urgency[URGENCY_COUNT]; /* messages of each, the doomed left out */
	uint32_t messages_per_day, day, day_count;
	uint8_t min_urgency;
	bool is_attached;
};

struct queue_subscription {
	struct subscription_id id;
	struct list link; /* struct queue_device::subscriptions */
	struct queue_device *device;
	struct channel_id channel;
	uint32_t max_body;
	bool has_key;
	uint8_t accepted; /* saturates at 10 */
	uint8_t key_hash[STORE_KEY_HASH_BYTES];
};

struct queue_message {
	uint64_t lo; /* its message_id is {0, lo} */
	struct list link; /* struct queue_device::messages */
	struct queue_device *device;
	struct queue_message *doomed_by;
	struct channel_id channel;
	int64_t expires_ms;
	void *payload; /* the store's; released through the journal */
	uint32_t bytes;
	uint32_t heap_at; /* place among the expiries */
	uint32_t dooms; /* how many messages die with it */
	uint8_t state, urgency, doomed_end, topic_len;
	char topic[];
};

/* Told of every change that a durable store must write. Any member may be NULL. */
struct queue_journal {
	void (*device_changed)(const struct queue_device *device, void *ctx);
	void (*device_removed)(const struct queue_device *device, void *ctx);
	void (*subscription_added)(const struct queue_subscription *subscription, void *ctx);
	/* is_gone: leave a tombstone. */
	void (*subscription_removed)(
		const struct queue_subscription *subscription, bool is_gone, int64_t now_ms, void *ctx);
	/* A message that was LIVE has ended; free its payload. */
	void (*message_removed)(struct queue_message *message, enum queue_end end, void *ctx);
	/* A PENDING message was undone, or ended before its commit; free its payload. */
	void (*message_dropped)(struct queue_message *message, void *ctx);
	void (*tombstone_expired)(struct subscription_id subscription, void *ctx);
	void *ctx;
};

struct queue_index *queue_index_create(
	const struct store_limits *limits, const struct queue_journal *journal);
void queue_index_destroy(struct queue_index *index); /* frees payloads through message_dropped */

/* ---- the store's operations ---- */

void queue_index_attach(
	struct queue_index *index, struct device_id id, int64_t now_ms, struct store_device *out);
void queue_index_detach(struct queue_index *index, struct device_id id, int64_t now_ms);
enum store_outcome queue_index_set_urgency(
	struct queue_index *index, struct device_id id, enum urgency min);
void queue_index_settle_missed(struct queue_index *index, struct device_id id, uint64_t count);
/* *out_is_new: undo it with queue_index_drop_subscription when it could not be written. */
void queue_index_subscribe(struct queue_index *index, const struct store_subscribe *what,
	int64_t now_ms, struct store_subscribed *out, bool *out_is_new);
void queue_index_drop_subscription(struct queue_index *index, struct subscription_id id);
void queue_index_unsubscribe(
	struct queue_index *index, struct device_id id, struct channel_id channel, int64_t now_ms);
void queue_index_lookup(const struct queue_index *index, struct device_id device,
	struct subscription_id id, struct store_subscription *out);
void queue_index_remove_invited(struct queue_index *index, struct invite_id invite);

/* Checks and books a put. On OK *out_message is the pending message, NULL for TTL 0 or when it did
 * not fit. */
void queue_index_put(struct queue_index *index, const struct store_put *put, int64_t now_ms,
	struct store_put_result *out, struct queue_message **out_message);
void queue_index_commit(struct queue_index *index, struct queue_message *message);
void queue_index_undo(struct queue_index *index, struct queue_message *message);
/* May still be undone by others' removal between put and commit: the caller keeps the id, and asks.
 */
struct queue_message *queue_index_message(const struct queue_index *index, uint64_t lo);

/* Is the device attached here, and is this urgency below its minimum? Both false when it is gone.
 */
void queue_index_find_device(const struct queue_index *index, struct device_id id,
	enum urgency urgency, bool *out_here, bool *out_below);

/* Walks the live, unexpired messages of a device behind `after`, of at least min urgency; fills out
 * (max entries), returns their number, *out_next and *out_more as in struct store_fetched. -1 when
 * there is no such device. */
int queue_index_walk(const struct queue_index *index, struct device_id id, uint64_t after,
	enum urgency min, int64_t now_ms, struct queue_message **out, size_t max, uint64_t *out_next,
	bool *out_more);
/* True when it was there. */
bool queue_index_ack(struct queue_index *index, struct device_id id, const struct store_ack *ack);
bool queue_index_cancel(struct queue_index *index, struct device_id id, uint64_t lo);
/* Expires at most `most` things of each kind. */
void queue_index_sweep(struct queue_index *index, int64_t now_ms, size_t most);
void queue_index_get_stats(const struct queue_index *index, struct store_stats *out);

/* ---- loading from a log ---- */

/* These book without telling the journal. Devices first, then subscriptions, then messages in the
 * order of their ids. */
struct queue_device *queue_index_load_device(
	struct queue_index *index, const struct queue_device *device);
/* False when its device is unknown. */
bool queue_index_load_subscription(struct queue_index *index, struct device_id device,
	const struct queue_subscription *subscription);
void queue_index_load_tombstone(
	struct queue_index *index, struct subscription_id id, int64_t expires_ms);
bool queue_index_load_message(struct queue_index *index, struct device_id device, uint64_t lo,
	const struct queue_message *facts, struct slice topic);
/* Ids from here on. */
void queue_index_set_next(struct queue_index *index, uint64_t lo);
