/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the queue index share: its insides, and steps that one file does for another.
 */
#pragma once
#include "storage/queue_index.h"

struct hashmap;

struct queue_heap {
	struct queue_message **at; /* the earliest expiry on top */
	uint32_t count, capacity;
};
void queue_heap_add(struct queue_heap *heap, struct queue_message *message);
void queue_heap_remove(struct queue_heap *heap, struct queue_message *message);

/* The messages of one topic of a channel: who is the newest? */
struct queue_topic {
	struct queue_subscription *subscription; /* the key: from here … */
	char text[STORE_TOPIC_MAX];
	uint8_t len; /* … to here */
	uint32_t uses; /* messages that point here */
	struct queue_message *newest; /* neither doomed nor ended; NULL for none */
};

struct queue_tombstone {
	struct device_id device; /* this and the next are one key */
	struct subscription_id id;
	struct list link; /* struct queue_index::tombstones */
	struct list of_device; /* struct queue_graves::tombstones */
	struct queue_graves *graves;
	uint64_t number;
	int64_t expires_sec;
};
/* What is remembered of one device, known or forgotten; there while it is anything. */
struct queue_graves {
	struct device_id device;
	struct list tombstones; /* struct queue_tombstone::of_device, the oldest first */
	uint32_t count;
};

struct queue_invite {
	struct invite_id id;
	struct list devices; /* struct queue_quota::link */
	uint32_t count;
	uint32_t day, day_count; /* messages of all its devices, also of those that went */
};
struct queue_quota {
	struct queue_device *device;
	struct queue_invite *invite; /* NULL: none */
	struct list link; /* struct queue_invite::devices */
	uint32_t messages_per_day, day, day_count;
};

struct queue_index {
	struct store_limits limits;
	uint64_t hi, next_lo, next_number;
	struct hashmap *devices; /* struct queue_device by id */
	struct hashmap *subscriptions; /* struct queue_subscription by device and id */
	struct hashmap *channels; /* the same by device and channel */
	struct hashmap *topics; /* struct queue_topic */
	struct hashmap *tombstones_by_id; /* struct queue_tombstone */
	struct hashmap *graves; /* struct queue_graves */
	struct hashmap *invites; /* struct queue_invite */
	struct hashmap *by_number; /* struct queue_subscription by number; while loading only */
	struct list by_contact; /* struct queue_device::by_contact */
	struct list tombstones; /* struct queue_tombstone::link, in the order of expiry */
	struct queue_heap expiries;
	struct queue_change *changes;
	size_t change_count, change_capacity;
	struct queue_device **dirty; /* with NULL for those that went */
	uint32_t dirty_count, dirty_capacity;
	bool records;
	uint64_t ended[QUEUE_END_COUNT];
	uint64_t queued_bytes, queued_messages; /* written and not ended */
};

/* queue_index.c */
struct queue_device *queue_device_find(const struct queue_index *index, struct device_id id);
struct queue_device *queue_device_add(
	struct queue_index *index, struct device_id id, uint64_t number, uint32_t contact_sec);
void queue_device_set_quota(struct queue_index *index, struct queue_device *device,
	struct invite_id invite, uint32_t messages_per_day);
void queue_device_changed(struct queue_index *index, struct queue_device *device);
void queue_device_forget_if_unused(struct queue_index *index, struct queue_device *device);
struct queue_subscription *queue_subscription_add(struct queue_index *index,
	struct queue_device *device, const struct queue_subscription_row *row, uint64_t number);
/* Beyond STORE_TOMBSTONES_MAX the device's oldest goes, which is noted as a change. */
bool queue_tombstone_add(
	struct queue_index *index, uint64_t number, const struct queue_tombstone_row *row);
struct queue_change *queue_change_add(
	struct queue_index *index, enum queue_change_kind kind, uint64_t number);

/* queue_messages.c */
enum store_outcome queue_subscription_find(const struct queue_index *index, struct device_id device,
	struct subscription_id id, struct queue_subscription **out);
struct queue_message *queue_message_add(struct queue_index *index,
	struct queue_subscription *subscription, const struct queue_message_row *row);
void queue_message_set_written(struct queue_index *index, struct queue_message *message);
/* Ends a message that is no one's; notes that it is gone. */
void queue_message_end(
	struct queue_index *index, struct queue_message *message, enum queue_end end);
/* Of one channel, or of all when it is NULL. */
void queue_messages_end(struct queue_index *index, struct queue_device *device,
	const struct queue_subscription *subscription);
void queue_messages_expire_of(
	struct queue_index *index, struct queue_device *device, int64_t now_ms);
