/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, subscriptions and the order of queued messages, in memory. */
#include "storage/queue_index.h"
#include "common/hashmap.h"
#include "common/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ACCEPTED_SATURATED = 10, MS = 1000, DAY_SEC = 86400, MESSAGE_COST = 64 };

struct queue_tombstone {
	struct subscription_id id;
	struct list link; /* struct queue_index::tombstones */
	int64_t expires_ms;
};

struct queue_index {
	struct store_limits limits;
	struct queue_journal journal;
	struct hashmap *devices, *subscriptions, *messages, *tombstones_by_id;
	struct list by_contact; /* struct queue_device::by_contact */
	struct list tombstones; /* struct queue_tombstone::link, oldest first */
	struct queue_message **heap; /* by expiry, the earliest on top */
	size_t heap_count, heap_capacity;
	uint64_t next_lo;
	uint64_t ended[QUEUE_END_COUNT];
	uint64_t queued_bytes, queued_messages;
};

/* ---- expiry heap ---- */

static void heap_place(struct queue_index *index, struct queue_message *message, size_t at) {
	index->heap[at] = message;
	message->heap_at = (uint32_t)at;
}

static void heap_up(struct queue_index *index, struct queue_message *message, size_t at) {
	while (at > 0 && index->heap[(at - 1) / 2]->expires_ms > message->expires_ms) {
		heap_place(index, index->heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	heap_place(index, message, at);
}

static void heap_down(struct queue_index *index, struct queue_message *message, size_t at) {
	for (size_t child; (child = 2 * at + 1) < index->heap_count; at = child) {
		if (child + 1 < index->heap_count &&
			index->heap[child + 1]->expires_ms < index->heap[child]->expires_ms) {
			child++;
		}
		if (index->heap[child]->expires_ms >= message->expires_ms) {
			break;
		}
		heap_place(index, index->heap[child], at);
	}
	heap_place(index, message, at);
}

static void heap_add(struct queue_index *index, struct queue_message *message) {
	if (index->heap_count == index->heap_capacity) {
		index->heap_capacity = index->heap_capacity ? index->heap_capacity * 2 : 256;
		index->heap = mem_realloc(index->heap, index->heap_capacity * sizeof *index->heap);
	}
	heap_up(index, message, index->heap_count++);
}

static void heap_remove(struct queue_index *index, const struct queue_message *message) {
	size_t at = message->heap_at;
	struct queue_message *last = index->heap[--index->heap_count];
	if (last == message) {
		return;
	}
	if (last->expires_ms < message->expires_ms) {
		heap_up(index, last, at);
	} else {
		heap_down(index, last, at);
	}
}

/* ---- making and ending things ---- */

struct queue_index *queue_index_create(
	const struct store_limits *limits, const struct queue_journal *journal) {
	struct queue_index *index = mem_zalloc(sizeof *index);
	index->limits = *limits;
	index->journal = *journal;
	index->devices = hashmap_create(offsetof(struct queue_device, id), sizeof(struct device_id));
	index->subscriptions =
		hashmap_create(offsetof(struct queue_subscription, id), sizeof(struct subscription_id));
	index->messages = hashmap_create(offsetof(struct queue_message, lo), sizeof(uint64_t));
	index->tombstones_by_id =
		hashmap_create(offsetof(struct queue_tombstone, id), sizeof(struct subscription_id));
	list_init(&index->by_contact);
	list_init(&index->tombstones);
	index->next_lo = 1;
	return index;
}

void queue_index_destroy(struct queue_index *index) {
	if (!index) {
		return;
	}
	void *object;
	for (size_t at = 0; (object = hashmap_next(index->messages, &at));) {
		if (index->journal.message_dropped) {
			index->journal.message_dropped(object, index->journal.ctx);
		}
		free(object);
	}
	struct hashmap *const maps[] = {index->subscriptions, index->devices, index->tombstones_by_id};
	for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
		for (size_t at = 0; (object = hashmap_next(maps[i], &at));) {
			free(object);
		}
		hashmap_destroy(maps[i]);
	}
	hashmap_destroy(index->messages);
	free(index->heap);
	free(index);
}

static void queue_device_note(struct queue_index *index, const struct queue_device *device) {
	if (index->journal.device_changed) {
		index->journal.device_changed(device, index->journal.ctx);
	}
}

/* A doomed message no longer counts against its device's limits. */
static void queue_count(struct queue_message *message, bool in) {
	struct queue_device *device = message->device;
	uint32_t one = in ? 1 : (uint32_t)-1;
	device->messages_count += one;
	device->of_urgency[message->urgency] += one;
	device->bytes += in ? message->bytes : -(uint64_t)message->bytes;
}

/* Takes a message off all lists and frees it. */
static void queue_message_free(struct queue_index *index, struct queue_message *message) {
	list_remove(&message->link);
	(void)hashmap_remove(index->messages, &message->lo);
	heap_remove(index, message);
	if (message->state != QUEUE_DOOMED) {
		queue_count(message, false);
	}
	index->queued_messages--;
	index->queued_bytes -= message->bytes;
	free(message);
}

static bool queue_end_is_missed(enum queue_end end) {
	return end == QUEUE_EXPIRED || end == QUEUE_EVICTED;
}

/* The next message that dies with killer, NULL when there is none: only older ones do. */
static struct queue_message *queue_next_doomed(const struct queue_message *killer) {
	struct queue_message *message;
	if (killer->dooms == 0) {
		return NULL;
	}
	LIST_FOREACH (message, &killer->device->messages, link) {
		if (message->state == QUEUE_DOOMED && message->doomed_by == killer) {
			return message;
		}
	}
	return NULL;
}

/* Whoever was to die with a put lives on. */
static void queue_undoom(struct queue_message *killer) {
	struct queue_message *message;
	while ((message = queue_next_doomed(killer))) {
		message->state = QUEUE_LIVE;
		message->doomed_by = NULL;
		killer->dooms--;
		queue_count(message, true);
	}
}

/* Ends a live or doomed message for good, or drops a pending one with what it doomed. */
static void queue_message_end(
	struct queue_index *index, struct queue_message *message, enum queue_end end) {
	index->ended[end]++;
	struct queue_device *device = message->device;
	if (queue_end_is_missed(end)) {
		device->missed++;
	}
	if (message->state == QUEUE_PENDING) {
		/* Its successor or its subscription's end came first; what it replaced stays replaced. */
		struct queue_message *other;
		while ((other = queue_next_doomed(message))) {
			queue_message_end(index, other, (enum queue_end)other->doomed_end);
		}
		if (index->journal.message_dropped) {
			index->journal.message_dropped(message, index->journal.ctx);
		}
	} else {
		if (message->state == QUEUE_DOOMED) {
			message->doomed_by->dooms--;
		}
		if (index->journal.message_removed) {
			index->journal.message_removed(message, end, index->journal.ctx);
		}
	}
	queue_message_free(index, message);
}

static void queue_message_doom(
	struct queue_message *message, enum queue_end end, struct queue_message *killer) {
	message->state = QUEUE_DOOMED;
	message->doomed_end = (uint8_t)end;
	message->doomed_by = killer;
	killer->dooms++;
	queue_count(message, false);
}

static void queue_channel_end(
	struct queue_index *index, struct queue_device *device, const struct channel_id *channel) {
	struct queue_message *message;
restart:
	LIST_FOREACH (message, &device->messages, link) {
		if (!channel || memcmp(&message->channel, channel, sizeof *channel) == 0) {
			/* ending one may end others that it doomed: begin anew */
			queue_message_end(index, message, QUEUE_UNSUBSCRIBED);
			goto restart;
		}
	}
}

static void queue_tombstone_add(
	struct queue_index *index, struct subscription_id id, int64_t expires_ms) {
	struct queue_tombstone *tombstone = mem_zalloc(sizeof *tombstone);
	tombstone->id = id;
	tombstone->expires_ms = expires_ms;
	list_init(&tombstone->link);
	list_append(&index->tombstones, &tombstone->link);
	struct queue_tombstone *old = hashmap_put(index->tombstones_by_id, tombstone);
	if (old) {
		list_remove(&old->link);
		free(old);
	}
}

static void queue_subscription_free(
	struct queue_index *index, struct queue_subscription *subscription) {
	list_remove(&subscription->link);
	subscription->device->subscription_count--;
	(void)hashmap_remove(index->subscriptions, &subscription->id);
	free(subscription);
}

static void queue_subscription_end(struct queue_index *index,
	struct queue_subscription *subscription, bool is_gone, int64_t now_ms) {
	if (index->journal.subscription_removed) {
		index->journal.subscription_removed(subscription, is_gone, now_ms, index->journal.ctx);
	}
	if (is_gone) {
		queue_tombstone_add(
			index, subscription->id, now_ms + (int64_t)index->limits.tombstone_sec * MS);
	}
	queue_subscription_free(index, subscription);
}

static void queue_device_end(struct queue_index *index, struct queue_device *device) {
	queue_channel_end(index, device, NULL);
	struct queue_subscription *subscription, *tmp;
	LIST_FOREACH_SAFE (subscription, tmp, &device->subscriptions, link) {
		queue_subscription_end(index, subscription, false, 0);
	}
	if (index->journal.device_removed) {
		index->journal.device_removed(device, index->journal.ctx);
	}
	list_remove(&device->by_contact);
	(void)hashmap_remove(index->devices, &device->id);
	free(device);
}

static struct queue_device *queue_device_add(
	struct queue_index *index, struct device_id id, int64_t now_ms) {
	struct queue_device *device = mem_zalloc(sizeof *device);
	device->id = id;
	device->contact_ms = now_ms;
	list_init(&device->messages);
	list_init(&device->subscriptions);
	list_init(&device->by_contact);
	list_append(&index->by_contact, &device->by_contact);
	(void)hashmap_put(index->devices, device);
	return device;
}

static struct queue_device *queue_device_find(
	const struct queue_index *index, struct device_id id) {
	return hashmap_get(index->devices, &id);
}

/* ---- devices ---- */

static void queue_device_touch(
	struct queue_index *index, struct queue_device *device, int64_t now_ms) {
	device->contact_ms = now_ms;
	list_remove(&device->by_contact);
	list_append(&index->by_contact, &device->by_contact);
	queue_device_note(index, device);
}

void queue_index_attach(
	struct queue_index *index, struct device_id id, int64_t now_ms, struct store_device *out) {
	*out = (struct store_device){.outcome = STORE_MISSING};
	struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return;
	}
	device->is_attached = true;
	if (now_ms - device->contact_ms > 60 * MS) { /* a minute more or less costs no write */
		queue_device_touch(index, device, now_ms);
	}
	out->outcome = STORE_OK;
	out->min_urgency = (enum urgency)device->min_urgency;
	out->missed = device->missed;
	out->subscriptions = device->subscription_count;
}

void queue_index_detach(struct queue_index *index, struct device_id id, int64_t now_ms) {
	struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return;
	}
	device->is_attached = false;
	if (device->subscription_count == 0 && list_is_empty(&device->messages)) {
		queue_device_end(index, device);
	} else if (now_ms - device->contact_ms > 60 * MS) {
		queue_device_touch(index, device, now_ms);
	}
}

enum store_outcome queue_index_set_urgency(
	struct queue_index *index, struct device_id id, enum urgency min) {
	struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return STORE_MISSING;
	}
	device->min_urgency = (uint8_t)min;
	queue_device_note(index, device);
	return STORE_OK;
}

void queue_index_settle_missed(struct queue_index *index, struct device_id id, uint64_t count) {
	struct queue_device *device = queue_device_find(index, id);
	if (device && count > 0) {
		device->missed -= count < device->missed ? count : device->missed;
		queue_device_note(index, device);
	}
}

/* ---- subscriptions ---- */

static struct queue_subscription *queue_subscription_of(
	const struct queue_device *device, struct channel_id channel) {
	struct queue_subscription *subscription;
	LIST_FOREACH (subscription, &device->subscriptions, link) {
		if (memcmp(&subscription->channel, &channel, sizeof channel) == 0) {
			return subscription;
		}
	}
	return NULL;
}

static bool queue_key_is(
	const struct queue_subscription *subscription, bool has_key, const uint8_t *hash) {
	return subscription->has_key == has_key &&
		   (!has_key || mem_equal_secret(subscription->key_hash, hash, STORE_KEY_HASH_BYTES));
}

static bool queue_invite_is_full(
	const struct queue_index *index, const struct store_subscribe *what) {
	uint32_t count = 0;
	struct queue_device *device;
	for (size_t at = 0; what->invite_devices > 0 && (device = hashmap_next(index->devices, &at));) {
		count += memcmp(&device->invite, &what->invite, sizeof what->invite) == 0;
	}
	return what->invite_devices > 0 && count >= what->invite_devices;
}

void queue_index_subscribe(struct queue_index *index, const struct store_subscribe *what,
	int64_t now_ms, struct store_subscribed *out, bool *out_is_new) {
	*out = (struct store_subscribed){.outcome = STORE_FULL};
	*out_is_new = false;
	struct queue_device *device = queue_device_find(index, what->device);
	struct queue_subscription *old = device ? queue_subscription_of(device, what->channel) : NULL;
	if (old && queue_key_is(old, what->has_key, what->key_hash)) {
		old->max_body = what->max_body;
		*out = (struct store_subscribed){STORE_OK, old->id};
		return;
	}
	if (!old && (device ? device->subscription_count >= index->limits.subscriptions
						: queue_invite_is_full(index, what))) {
		return;
	}
	if (!device) {
		device = queue_device_add(index, what->device, now_ms);
		device->invite = what->invite;
		device->messages_per_day = what->messages_per_day;
		device->is_attached = true;
		queue_device_note(index, device);
	}
	if (old) {
		queue_subscription_end(index, old, true, now_ms);
	}
	struct queue_subscription *fresh = mem_zalloc(sizeof *fresh);
	fresh->id = what->fresh;
	fresh->device = device;
	fresh->channel = what->channel;
	fresh->max_body = what->max_body;
	fresh->has_key = what->has_key;
	memcpy(fresh->key_hash, what->key_hash, sizeof fresh->key_hash);
	list_init(&fresh->link);
	list_append(&device->subscriptions, &fresh->link);
	device->subscription_count++;
	(void)hashmap_put(index->subscriptions, fresh);
	if (index->journal.subscription_added) {
		index->journal.subscription_added(fresh, index->journal.ctx);
	}
	*out = (struct store_subscribed){STORE_OK, fresh->id};
	*out_is_new = true;
}

void queue_index_drop_subscription(struct queue_index *index, struct subscription_id id) {
	struct queue_subscription *subscription = hashmap_get(index->subscriptions, &id);
	if (subscription) {
		queue_subscription_end(index, subscription, false, 0);
	}
}

void queue_index_unsubscribe(
	struct queue_index *index, struct device_id id, struct channel_id channel, int64_t now_ms) {
	struct queue_device *device = queue_device_find(index, id);
	struct queue_subscription *subscription =
		device ? queue_subscription_of(device, channel) : NULL;
	if (subscription) {
		queue_channel_end(index, device, &channel);
		queue_subscription_end(index, subscription, true, now_ms);
	}
}

/* OK with *out, MISSING, or GONE. */
static enum store_outcome queue_subscription_find(const struct queue_index *index,
	struct device_id device, struct subscription_id id, struct queue_subscription **out) {
	struct queue_subscription *subscription = hashmap_get(index->subscriptions, &id);
	if (subscription && memcmp(&subscription->device->id, &device, sizeof device) == 0) {
		*out = subscription;
		return STORE_OK;
	}
	return hashmap_get(index->tombstones_by_id, &id) ? STORE_GONE : STORE_MISSING;
}

void queue_index_lookup(const struct queue_index *index, struct device_id device,
	struct subscription_id id, struct store_subscription *out) {
	*out = (struct store_subscription){0};
	struct queue_subscription *subscription;
	out->outcome = queue_subscription_find(index, device, id, &subscription);
	if (out->outcome == STORE_OK) {
		out->has_key = subscription->has_key;
		out->max_body = subscription->max_body;
		memcpy(out->key_hash, subscription->key_hash, sizeof out->key_hash);
	}
}

void queue_index_remove_invited(struct queue_index *index, struct invite_id invite) {
	struct queue_device *device, *tmp;
	LIST_FOREACH_SAFE (device, tmp, &index->by_contact, by_contact) {
		if (memcmp(&device->invite, &invite, sizeof invite) == 0) {
			queue_device_end(index, device);
		}
	}
}

/* ---- put ---- */

static enum store_outcome queue_put_check(struct queue_index *index, const struct store_put *put,
	int64_t now_ms, struct queue_subscription **out) {
	enum store_outcome outcome =
		queue_subscription_find(index, put->device, put->subscription, out);
	if (outcome != STORE_OK) {
		return outcome;
	}
	struct queue_subscription *subscription = *out;
	if (subscription->has_key && !queue_key_is(subscription, put->has_key, put->key_hash)) {
		return STORE_KEY_MISMATCH;
	}
	if (subscription->max_body > 0 && put->body.len > subscription->max_body) {
		return STORE_TOO_LARGE;
	}
	struct queue_device *device = subscription->device;
	if (device->messages_per_day > 0) {
		uint32_t day = (uint32_t)(now_ms / MS / DAY_SEC);
		if (device->day != day) {
			device->day = day;
			device->day_count = 0;
		}
		if (device->day_count >= device->messages_per_day) {
			return STORE_OVER_QUOTA;
		}
		device->day_count++;
	}
	return STORE_OK;
}

static struct queue_message *queue_topic_find(
	const struct queue_device *device, struct channel_id channel, struct slice topic) {
	struct queue_message *message;
	LIST_FOREACH (message, &device->messages, link) {
		if (message->state != QUEUE_DOOMED && message->topic_len == topic.len &&
			memcmp(message->topic, topic.data, topic.len) == 0 &&
			memcmp(&message->channel, &channel, sizeof channel) == 0) {
			return message;
		}
	}
	return NULL;
}

/* The least important: lowest urgency, then oldest. */
static struct queue_message *queue_victim(const struct queue_device *device) {
	enum urgency lowest = URGENCY_VERY_LOW;
	while (lowest < URGENCY_HIGH && device->of_urgency[lowest] == 0) {
		lowest++;
	}
	struct queue_message *message;
	LIST_FOREACH (message, &device->messages, link) {
		if (message->state != QUEUE_DOOMED && message->urgency == lowest) {
			return message;
		}
	}
	return NULL;
}

static void queue_expire_of(
	struct queue_index *index, struct queue_device *device, int64_t now_ms) {
	struct queue_message *message, *tmp;
	LIST_FOREACH_SAFE (message, tmp, &device->messages, link) {
		if (message->state == QUEUE_LIVE && message->expires_ms <= now_ms) {
			queue_message_end(index, message, QUEUE_EXPIRED);
		}
	}
}

static bool queue_is_over(const struct queue_index *index, const struct queue_device *device) {
	return device->messages_count > index->limits.queue_messages ||
		   device->bytes > index->limits.queue_bytes;
}

static struct queue_message *queue_message_make(
	const struct store_put *put, struct queue_subscription *subscription, int64_t now_ms) {
	struct queue_message *message = mem_zalloc(sizeof *message + put->topic.len);
	message->device = subscription->device;
	message->channel = subscription->channel;
	message->expires_ms = now_ms + (int64_t)put->ttl_sec * MS;
	message->bytes = (uint32_t)(put->body.len + put->encoding.len + put->encryption.len +
								put->crypto_key.len + MESSAGE_COST);
	message->state = QUEUE_PENDING;
	message->urgency = (uint8_t)put->urgency;
	message->topic_len = (uint8_t)put->topic.len;
	if (put->topic.len > 0) {
		memcpy(message->topic, put->topic.data, put->topic.len);
	}
	list_init(&message->link);
	return message;
}

static void queue_message_add(struct queue_index *index, struct queue_message *message) {
	struct queue_device *device = message->device;
	list_append(&device->messages, &message->link);
	queue_count(message, true);
	index->queued_messages++;
	index->queued_bytes += message->bytes;
	(void)hashmap_put(index->messages, message);
	heap_add(index, message);
}

/* Makes room by policy. False when the new message itself is the least important. */
static bool queue_make_room(struct queue_index *index, struct queue_message *fresh, int64_t now_ms,
	struct store_put_result *out) {
	struct queue_device *device = fresh->device;
	if (queue_is_over(index, device) && index->heap[0]->expires_ms <= now_ms) {
		queue_expire_of(index, device, now_ms);
	}
	while (queue_is_over(index, device)) {
		struct queue_message *victim = queue_victim(device);
		if (!victim || victim == fresh) {
			return false;
		}
		out->evicted++;
		if (victim->state == QUEUE_PENDING) {
			queue_message_end(index, victim, QUEUE_EVICTED);
		} else {
			queue_message_doom(victim, QUEUE_EVICTED, fresh);
		}
	}
	return true;
}

/* The message of this topic that the new one takes the place of. killer is NULL for TTL 0. */
static void queue_replace(
	struct queue_index *index, struct queue_message *old, struct queue_message *killer) {
	if (old->state == QUEUE_PENDING || !killer) {
		queue_message_end(index, old, QUEUE_REPLACED);
	} else {
		queue_message_doom(old, QUEUE_REPLACED, killer);
	}
}

void queue_index_put(struct queue_index *index, const struct store_put *put, int64_t now_ms,
	struct store_put_result *out, struct queue_message **out_message) {
	*out = (struct store_put_result){0};
	*out_message = NULL;
	struct queue_subscription *subscription = NULL;
	out->outcome = queue_put_check(index, put, now_ms, &subscription);
	if (out->outcome != STORE_OK) {
		return;
	}
	struct queue_device *device = subscription->device;
	out->id = (struct message_id){0, index->next_lo++};
	out->channel = subscription->channel;
	out->is_here = device->is_attached;
	out->is_below_minimum = (uint8_t)put->urgency < device->min_urgency;
	out->accepted_before = subscription->accepted;
	subscription->accepted += subscription->accepted < ACCEPTED_SATURATED;
	struct queue_message *old =
		put->topic.len > 0 ? queue_topic_find(device, subscription->channel, put->topic) : NULL;
	out->was_replaced = old != NULL;
	if (put->ttl_sec == 0) {
		if (old) {
			queue_replace(index, old, NULL);
		}
		return;
	}
	struct queue_message *message = queue_message_make(put, subscription, now_ms);
	message->lo = out->id.lo;
	out->expires_ms = message->expires_ms;
	if (old) {
		queue_replace(index, old, message);
	}
	queue_message_add(index, message);
	out->is_stored = queue_make_room(index, message, now_ms, out);
	if (!out->is_stored) {
		/* It is the one that goes; what it replaced is replaced all the same. */
		queue_message_end(index, message, QUEUE_EVICTED);
		queue_device_note(index, device);
		return;
	}
	*out_message = message;
}

void queue_index_commit(struct queue_index *index, struct queue_message *message) {
	assert(message->state == QUEUE_PENDING || message->state == QUEUE_DOOMED);
	bool missed = false;
	struct queue_message *other;
	while ((other = queue_next_doomed(message))) {
		missed |= other->doomed_end == QUEUE_EVICTED;
		queue_message_end(index, other, (enum queue_end)other->doomed_end);
	}
	if (message->state == QUEUE_PENDING) {
		message->state = QUEUE_LIVE;
	}
	if (missed) {
		queue_device_note(index, message->device);
	}
}

void queue_index_undo(struct queue_index *index, struct queue_message *message) {
	queue_undoom(message);
	if (index->journal.message_dropped) {
		index->journal.message_dropped(message, index->journal.ctx);
	}
	queue_message_free(index, message);
}

struct queue_message *queue_index_message(const struct queue_index *index, uint64_t lo) {
	return hashmap_get(index->messages, &lo);
}

void queue_index_find_device(const struct queue_index *index, struct device_id id,
	enum urgency urgency, bool *out_here, bool *out_below) {
	const struct queue_device *device = queue_device_find(index, id);
	*out_here = device && device->is_attached;
	*out_below = device && (uint8_t)urgency < device->min_urgency;
}

/* ---- the queue ---- */

int queue_index_walk(const struct queue_index *index, struct device_id id, uint64_t after,
	enum urgency min, int64_t now_ms, struct queue_message **out, size_t max, uint64_t *out_next,
	bool *out_more) {
	const struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return -1;
	}
	size_t count = 0;
	*out_next = after;
	*out_more = false;
	struct queue_message *message;
	/* Most walks begin near the end: look for the start from there. */
	const struct list *at = device->messages.prev;
	while (at != &device->messages && container_of(at, struct queue_message, link)->lo > after) {
		at = at->prev;
	}
	for (at = at->next; at != &device->messages; at = at->next) {
		message = container_of(at, struct queue_message, link);
		if (message->state == QUEUE_PENDING) {
			break; /* later ones wait for it, so that order holds */
		}
		bool fits =
			message->state == QUEUE_LIVE && message->expires_ms > now_ms && message->urgency >= min;
		if (fits && count == max) {
			*out_more = true;
			break;
		}
		*out_next = message->lo;
		if (fits) {
			out[count++] = message;
		}
	}
	return (int)count;
}

static struct queue_message *queue_message_of(
	const struct queue_index *index, struct device_id id, uint64_t lo) {
	struct queue_message *message = hashmap_get(index->messages, &lo);
	bool is_his = message && message->state == QUEUE_LIVE &&
				  memcmp(&message->device->id, &id, sizeof id) == 0;
	return is_his ? message : NULL;
}

bool queue_index_ack(struct queue_index *index, struct device_id id, const struct store_ack *ack) {
	struct queue_message *message =
		ack->id.hi == 0 ? queue_message_of(index, id, ack->id.lo) : NULL;
	if (!message || memcmp(&message->channel, &ack->channel, sizeof ack->channel) != 0) {
		return false;
	}
	queue_message_end(index, message, QUEUE_ACKED);
	return true;
}

bool queue_index_cancel(struct queue_index *index, struct device_id id, uint64_t lo) {
	struct queue_message *message = queue_message_of(index, id, lo);
	if (message) {
		queue_message_end(index, message, QUEUE_CANCELLED);
	}
	return message != NULL;
}

static void queue_sweep_messages(struct queue_index *index, int64_t now_ms, size_t most) {
	while (most-- > 0 && index->heap_count > 0 && index->heap[0]->expires_ms <= now_ms &&
		   index->heap[0]->state == QUEUE_LIVE) {
		struct queue_device *device = index->heap[0]->device;
		queue_message_end(index, index->heap[0], QUEUE_EXPIRED);
		queue_device_note(index, device);
	}
}

void queue_index_sweep(struct queue_index *index, int64_t now_ms, size_t most) {
	queue_sweep_messages(index, now_ms, most);
	struct queue_tombstone *tombstone, *tombstone_tmp;
	size_t left = most;
	LIST_FOREACH_SAFE (tombstone, tombstone_tmp, &index->tombstones, link) {
		if (tombstone->expires_ms > now_ms || left-- == 0) {
			break;
		}
		if (index->journal.tombstone_expired) {
			index->journal.tombstone_expired(tombstone->id, index->journal.ctx);
		}
		list_remove(&tombstone->link);
		(void)hashmap_remove(index->tombstones_by_id, &tombstone->id);
		free(tombstone);
	}
	struct queue_device *device, *device_tmp;
	LIST_FOREACH_SAFE (device, device_tmp, &index->by_contact, by_contact) {
		if (device->contact_ms + (int64_t)index->limits.device_sec * MS > now_ms || most-- == 0) {
			break;
		}
		if (!device->is_attached) {
			queue_device_end(index, device);
		}
	}
}

void queue_index_get_stats(const struct queue_index *index, struct store_stats *out) {
	*out = (struct store_stats){
		.acked = index->ended[QUEUE_ACKED],
		.expired = index->ended[QUEUE_EXPIRED],
		.evicted = index->ended[QUEUE_EVICTED],
		.replaced = index->ended[QUEUE_REPLACED],
		.cancelled = index->ended[QUEUE_CANCELLED],
		.unsubscribed = index->ended[QUEUE_UNSUBSCRIBED],
		.queued_messages = (int64_t)index->queued_messages,
		.queued_bytes = (int64_t)index->queued_bytes,
		.devices = (int64_t)hashmap_count(index->devices),
		.subscriptions = (int64_t)hashmap_count(index->subscriptions),
	};
}

/* ---- loading ---- */

struct queue_device *queue_index_load_device(
	struct queue_index *index, const struct queue_device *facts) {
	struct queue_device *device = queue_device_add(index, facts->id, facts->contact_ms);
	device->invite = facts->invite;
	device->missed = facts->missed;
	device->messages_per_day = facts->messages_per_day;
	device->day = facts->day;
	device->day_count = facts->day_count;
	device->min_urgency = facts->min_urgency;
	return device;
}

bool queue_index_load_subscription(
	struct queue_index *index, struct device_id id, const struct queue_subscription *facts) {
	struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return false;
	}
	struct queue_subscription *subscription = mem_dup(facts, sizeof *facts);
	subscription->device = device;
	list_init(&subscription->link);
	list_append(&device->subscriptions, &subscription->link);
	device->subscription_count++;
	(void)hashmap_put(index->subscriptions, subscription);
	return true;
}

void queue_index_load_tombstone(
	struct queue_index *index, struct subscription_id id, int64_t expires_ms) {
	queue_tombstone_add(index, id, expires_ms);
}

bool queue_index_load_message(struct queue_index *index, struct device_id id, uint64_t lo,
	const struct queue_message *facts, struct slice topic) {
	struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return false;
	}
	struct queue_message *message = mem_zalloc(sizeof *message + topic.len);
	message->lo = lo;
	message->device = device;
	message->channel = facts->channel;
	message->expires_ms = facts->expires_ms;
	message->bytes = facts->bytes;
	message->urgency = facts->urgency;
	message->state = QUEUE_LIVE;
	message->topic_len = (uint8_t)topic.len;
	if (topic.len > 0) {
		memcpy(message->topic, topic.data, topic.len);
	}
	list_init(&message->link);
	queue_message_add(index, message);
	return true;
}

void queue_index_set_next(struct queue_index *index, uint64_t lo) {
	index->next_lo = lo;
}
