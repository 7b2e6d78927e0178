/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bookkeeping behind the stores that live in one process: devices, subscriptions, and the
 * order, age and importance of queued messages. Pure: no input or output, no clock, no callbacks.
 * The memory store is this index with bodies beside it; the SQLite store is this index and a log
 * of its changes, which it collects after each call (struct queue_change).
 *
 * A put is PENDING from queue_put_begin until queue_put_commit or queue_put_undo, which come in the
 * order of the puts. What it replaces or evicts is DOOMED by it: no longer counted, but still seen,
 * until the commit ends it or the undo lets it live again.
 */
#pragma once
#include "common/list.h"
#include "storage/store.h"

struct queue_index;
struct queue_put;
struct queue_quota;
struct queue_topic;

enum queue_message_state { QUEUE_PENDING, QUEUE_LIVE, QUEUE_DOOMED, QUEUE_ENDED };
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
	uint64_t number; /* names it in a log */
	struct list by_contact; /* member of the index's list, longest ago first */
	struct list subscriptions; /* struct queue_subscription::link */
	struct queue_message **messages; /* a run of count pointers from first on, by rising lo */
	uint64_t bytes; /* of those not doomed */
	struct queue_quota *quota; /* NULL: came by no invite */
	uint32_t first, count, capacity;
	uint32_t counted; /* messages that are not doomed */
	uint32_t missed;
	uint32_t subscription_count;
	uint32_t contact_sec;
	uint32_t dirty_at; /* its place in the list of changed devices, from 1 on; 0: unchanged */
	uint8_t min_urgency;
	bool is_attached;
};

struct queue_subscription {
	struct device_id device_id; /* this and the next are one key */
	struct subscription_id id;
	struct queue_device *device; /* this and the next are one key */
	struct channel_id channel;
	struct list link; /* struct queue_device::subscriptions */
	uint64_t number; /* names the channel in a log; stays when the key changes */
	uint8_t *key_hash; /* NULL: not restricted */
	uint32_t max_body;
};

/* A million of these may lie about: no member without need. */
struct queue_message {
	uint64_t lo; /* its message_id is {queue_index_hi(), lo} */
	struct queue_subscription *subscription; /* NULL once ended */
	struct queue_topic *topic; /* NULL: none */
	int64_t expires_ms;
	union {
		void *payload; /* once committed: the store's, freed with the message; may be NULL */
		struct queue_put *put; /* until then */
	};
	uint32_t bytes;
	uint32_t heap_at; /* place among the expiries */
	uint8_t urgency;
	uint8_t state; /* enum queue_message_state */
	uint8_t end; /* enum queue_end, when doomed or ended */
	bool is_written; /* committed; a doomed one is seen only then */
	uint8_t holds; /* the index, its put, the put that doomed it */
};

/* One put under way; embedded by value, and stays where it is until it is settled. */
struct queue_put {
	struct store_put_result result;
	struct device_id device;
	enum urgency urgency;
	struct queue_message *message; /* NULL: nothing is stored */
	uint64_t subscription_number; /* of the message */
	struct queue_message **doomed; /* goes for good with the commit */
	uint32_t doomed_count, doomed_capacity;
	bool is_self_evicted;
};

/* ---- what changed, for a log -----------------------------------------------------------------
 */

enum queue_change_kind {
	QUEUE_DEVICE_SET,
	QUEUE_DEVICE_GONE,
	QUEUE_SUBSCRIPTION_SET,
	QUEUE_SUBSCRIPTION_GONE,
	QUEUE_TOMBSTONE_SET,
	QUEUE_TOMBSTONE_GONE,
	QUEUE_MESSAGE_GONE, /* number is its lo */
};
struct queue_device_row {
	struct device_id id;
	struct invite_id invite;
	uint32_t contact_sec, missed, messages_per_day, day, day_count;
	uint8_t min_urgency;
};
struct queue_subscription_row {
	uint64_t device_number;
	struct device_id device;
	struct subscription_id id;
	struct channel_id channel;
	bool has_key;
	uint8_t key_hash[STORE_KEY_HASH_BYTES];
	uint32_t max_body;
};
struct queue_tombstone_row {
	struct device_id device;
	struct subscription_id id;
	int64_t expires_sec;
};
struct queue_message_row {
	uint64_t lo, subscription_number;
	int64_t expires_ms;
	uint32_t bytes;
	uint8_t urgency;
	struct slice topic;
};
struct queue_change {
	enum queue_change_kind kind;
	uint64_t number;
	union {
		struct queue_device_row device;
		struct queue_subscription_row subscription;
		struct queue_tombstone_row tombstone;
	};
};

/* hi is the upper half of every message id. records: keep changes for a log. */
struct queue_index *queue_index_create(
	const struct store_limits *limits, uint64_t hi, bool records);
void queue_index_destroy(struct queue_index *index);
uint64_t queue_index_hi(const struct queue_index *index);

/* The changes since the last clear, in order; changed devices are only noted until
 * queue_index_collect_devices adds each once. */
const struct queue_change *queue_index_changes(const struct queue_index *index, size_t *out_count);
void queue_index_clear_changes(struct queue_index *index);
void queue_index_collect_devices(struct queue_index *index);
/* A change of the kinds …_SET could not be written: note it again if its thing still exists. */
void queue_index_note_again(struct queue_index *index, const struct queue_change *change);

/* ---- the store's operations ---------------------------------------------------------------------
 */

void queue_index_attach(
	struct queue_index *index, struct device_id id, int64_t now_ms, struct store_device *out);
void queue_index_detach(struct queue_index *index, struct device_id id, int64_t now_ms);
enum store_outcome queue_index_set_urgency(
	struct queue_index *index, struct device_id id, enum urgency min);
enum store_outcome queue_index_settle_missed(
	struct queue_index *index, struct device_id id, uint64_t count);
void queue_index_subscribe(struct queue_index *index, const struct store_subscribe *what,
	int64_t now_ms, struct store_subscribed *out);
void queue_index_unsubscribe(
	struct queue_index *index, struct device_id id, struct channel_id channel, int64_t now_ms);
void queue_index_lookup(const struct queue_index *index, struct device_id device,
	struct subscription_id id, struct store_subscription *out);
void queue_index_remove_invited(struct queue_index *index, struct invite_id invite);

/* Checks and books a put, fills out and out->result. Unless the outcome is OK it is over. */
void queue_put_begin(
	struct queue_index *index, const struct store_put *what, int64_t now_ms, struct queue_put *out);
/* Corrects result (the device may have come or gone meanwhile) and frees what put holds. */
void queue_put_commit(struct queue_index *index, struct queue_put *put);
/* Sets the outcome to UNAVAILABLE and frees what put holds. Messages that it doomed and that a
 * later put of their topic dooms in its stead become part of that one; *out_heir is it (the last
 * doomed_count - *out_from of its doomed are new), or NULL. */
void queue_put_undo(struct queue_index *index, struct queue_put *put, struct queue_put **out_heir,
	uint32_t *out_from);

/* Walks the written, unexpired messages of a device behind `after`, of at least min urgency; fills
 * out (max entries), returns their number, *out_next and *out_more as in struct store_fetched. -1
 * when there is no such device. */
int queue_index_walk(const struct queue_index *index, struct device_id id, struct message_id after,
	enum urgency min, int64_t now_ms, struct queue_message **out, size_t max,
	struct message_id *out_next, bool *out_more);
/* A message of the device that a walk would see; NULL when there is none. */
struct queue_message *queue_index_find(
	const struct queue_index *index, struct device_id id, struct message_id message);
struct slice queue_message_topic(const struct queue_message *message);
/* True when it was there; for a cancel also unexpired. */
bool queue_index_ack(struct queue_index *index, struct device_id id, const struct store_ack *ack);
bool queue_index_cancel(
	struct queue_index *index, struct device_id id, struct message_id message, int64_t now_ms);
/* Expires at most `most` things of each kind. */
void queue_index_sweep(struct queue_index *index, int64_t now_ms, size_t most);
void queue_index_get_stats(const struct queue_index *index, struct store_stats *out);

/* ---- loading from a log
 * --------------------------------------------------------------------------
 */

/* These book without noting changes. Devices first, then subscriptions, then messages in the order
 * of their ids. False: what it belongs to is not there, or it is there already; the log is
 * to forget it. */
bool queue_load_device(
	struct queue_index *index, uint64_t number, const struct queue_device_row *row);
bool queue_load_subscription(
	struct queue_index *index, uint64_t number, const struct queue_subscription_row *row);
bool queue_load_tombstone(
	struct queue_index *index, uint64_t number, const struct queue_tombstone_row *row);
bool queue_load_message(struct queue_index *index, const struct queue_message_row *row);
/* Ends loading: message ids go on from next_lo; devices without any subscription are forgotten. */
void queue_load_finish(struct queue_index *index, uint64_t next_lo);
