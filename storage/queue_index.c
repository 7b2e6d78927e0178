/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, subscriptions, tombstones and invites, in memory. */
#include "storage/queue_index.h"
#include "common/hashmap.h"
#include "common/mem.h"
#include "storage/queue_internal.h"
#include <assert.h>
#include <stdlib.h>

enum { QUEUE_MS = 1000, QUEUE_DAY_SEC = 86400, QUEUE_CONTACT_PARTS = 8 };

static bool queue_invite_is_none(struct invite_id invite) {
	static const struct invite_id none;
	return memcmp(&invite, &none, sizeof none) == 0;
}

/* ---- making and unmaking the index -------------------------------------------------------------
 */

struct queue_index *queue_index_create(
	const struct store_limits *limits, uint64_t hi, bool records) {
	struct queue_index *index = mem_zalloc(sizeof *index);
	index->limits = *limits;
	index->hi = hi;
	index->records = records;
	index->next_lo = index->next_number = 1;
	const size_t two_ids = sizeof(struct device_id) + sizeof(struct subscription_id);
	index->devices = hashmap_create(offsetof(struct queue_device, id), sizeof(struct device_id));
	index->subscriptions = hashmap_create(offsetof(struct queue_subscription, device_id), two_ids);
	index->channels = hashmap_create(offsetof(struct queue_subscription, device),
		sizeof(struct queue_device *) + sizeof(struct channel_id));
	index->topics = hashmap_create(offsetof(struct queue_topic, subscription),
		offsetof(struct queue_topic, len) + 1 - offsetof(struct queue_topic, subscription));
	index->tombstones_by_id = hashmap_create(offsetof(struct queue_tombstone, device), two_ids);
	index->graves = hashmap_create(offsetof(struct queue_graves, device), sizeof(struct device_id));
	index->invites = hashmap_create(offsetof(struct queue_invite, id), sizeof(struct invite_id));
	index->by_number =
		hashmap_create(offsetof(struct queue_subscription, number), sizeof(uint64_t));
	list_init(&index->by_contact);
	list_init(&index->tombstones);
	return index;
}

static void queue_map_destroy(struct hashmap *map, void (*destroy)(void *object)) {
	void *object;
	for (size_t at = 0; destroy && (object = hashmap_next(map, &at));) {
		destroy(object);
	}
	hashmap_destroy(map);
}

static void queue_device_free(void *object) {
	struct queue_device *device = object;
	free(device->quota);
	free(device->messages);
	free(device);
}

static void queue_subscription_free(void *object) {
	struct queue_subscription *subscription = object;
	free(subscription->key_hash);
	free(subscription);
}

void queue_index_destroy(struct queue_index *index) {
	if (!index) {
		return;
	}
	for (uint32_t i = 0; i < index->expiries.count; i++) {
		struct queue_message *message = index->expiries.at[i];
		if (message->is_written) {
			free(message->payload);
		}
		free(message);
	}
	queue_map_destroy(index->subscriptions, queue_subscription_free);
	queue_map_destroy(index->channels, NULL);
	queue_map_destroy(index->by_number, NULL);
	queue_map_destroy(index->topics, free);
	queue_map_destroy(index->devices, queue_device_free);
	queue_map_destroy(index->tombstones_by_id, free);
	queue_map_destroy(index->graves, free);
	queue_map_destroy(index->invites, free);
	free(index->expiries.at);
	free(index->changes);
	free(index->dirty);
	free(index);
}

uint64_t queue_index_hi(const struct queue_index *index) {
	return index->hi;
}

/* ---- changes -----------------------------------------------------------------------------------
 */

struct queue_change *queue_change_add(
	struct queue_index *index, enum queue_change_kind kind, uint64_t number) {
	if (!index->records) {
		index->change_count = 0; /* one to scribble on */
	}
	if (index->change_count == index->change_capacity) {
		index->change_capacity = index->change_capacity ? index->change_capacity * 2 : 16;
		index->changes =
			mem_realloc(index->changes, index->change_capacity * sizeof *index->changes);
	}
	struct queue_change *change = &index->changes[index->change_count++];
	change->kind = kind;
	change->number = number;
	return change;
}

const struct queue_change *queue_index_changes(const struct queue_index *index, size_t *out_count) {
	*out_count = index->change_count;
	return index->changes;
}

void queue_index_clear_changes(struct queue_index *index) {
	index->change_count = 0;
}

void queue_device_changed(struct queue_index *index, struct queue_device *device) {
	if (device->dirty_at != 0 || !index->records) {
		return;
	}
	if (index->dirty_count == index->dirty_capacity) {
		index->dirty_capacity = index->dirty_capacity ? index->dirty_capacity * 2 : 16;
		index->dirty = mem_realloc(index->dirty, index->dirty_capacity * sizeof *index->dirty);
	}
	index->dirty[index->dirty_count++] = device;
	device->dirty_at = index->dirty_count;
}

static void queue_device_fill_row(const struct queue_device *device, struct queue_device_row *out) {
	*out = (struct queue_device_row){
		.id = device->id,
		.contact_sec = device->contact_sec,
		.missed = device->missed,
		.min_urgency = device->min_urgency,
	};
	if (device->quota) {
		out->messages_per_day = device->quota->messages_per_day;
		out->day = device->quota->day;
		out->day_count = device->quota->day_count;
		if (device->quota->invite) {
			out->invite = device->quota->invite->id;
		}
	}
}

void queue_index_collect_devices(struct queue_index *index) {
	for (uint32_t i = 0; i < index->dirty_count; i++) {
		struct queue_device *device = index->dirty[i];
		if (device) {
			device->dirty_at = 0;
			queue_device_fill_row(
				device, &queue_change_add(index, QUEUE_DEVICE_SET, device->number)->device);
		}
	}
	index->dirty_count = 0;
}

static void queue_subscription_changed(
	struct queue_index *index, const struct queue_subscription *subscription) {
	struct queue_subscription_row *row =
		&queue_change_add(index, QUEUE_SUBSCRIPTION_SET, subscription->number)->subscription;
	*row = (struct queue_subscription_row){
		.device_number = subscription->device->number,
		.device = subscription->device_id,
		.id = subscription->id,
		.channel = subscription->channel,
		.has_key = subscription->key_hash != NULL,
		.max_body = subscription->max_body,
	};
	if (subscription->key_hash) {
		memcpy(row->key_hash, subscription->key_hash, sizeof row->key_hash);
	}
}

static struct queue_subscription *queue_subscription_get(
	const struct queue_index *index, struct device_id device, struct subscription_id id) {
	const struct {
		struct device_id device;
		struct subscription_id id;
	} key = {device, id};
	return hashmap_get(index->subscriptions, &key);
}

static struct queue_tombstone *queue_tombstone_get(
	const struct queue_index *index, struct device_id device, struct subscription_id id) {
	const struct {
		struct device_id device;
		struct subscription_id id;
	} key = {device, id};
	return hashmap_get(index->tombstones_by_id, &key);
}

void queue_index_note_again(struct queue_index *index, const struct queue_change *change) {
	if (change->kind == QUEUE_DEVICE_SET) {
		struct queue_device *device = queue_device_find(index, change->device.id);
		if (device) {
			queue_device_changed(index, device);
		}
	} else if (change->kind == QUEUE_SUBSCRIPTION_SET) {
		const struct queue_subscription *subscription =
			queue_subscription_get(index, change->subscription.device, change->subscription.id);
		if (subscription) {
			queue_subscription_changed(index, subscription);
		}
	} else if (change->kind == QUEUE_TOMBSTONE_SET) {
		struct queue_change copy = *change; /* it may lie in what grows */
		if (queue_tombstone_get(index, copy.tombstone.device, copy.tombstone.id)) {
			*queue_change_add(index, copy.kind, copy.number) = copy;
		}
	}
}

/* ---- devices -----------------------------------------------------------------------------------
 */

struct queue_device *queue_device_find(const struct queue_index *index, struct device_id id) {
	return hashmap_get(index->devices, &id);
}

struct queue_device *queue_device_add(
	struct queue_index *index, struct device_id id, uint64_t number, uint32_t contact_sec) {
	struct queue_device *device = mem_zalloc(sizeof *device);
	device->id = id;
	device->number = number;
	device->contact_sec = contact_sec;
	list_init(&device->subscriptions);
	list_init(&device->by_contact);
	list_append(&index->by_contact, &device->by_contact);
	void *old = hashmap_put(index->devices, device);
	assert(!old);
	return device;
}

void queue_device_set_quota(struct queue_index *index, struct queue_device *device,
	struct invite_id invite_id, uint32_t messages_per_day) {
	if (queue_invite_is_none(invite_id) && messages_per_day == 0) {
		return;
	}
	struct queue_quota *quota = mem_zalloc(sizeof *quota);
	quota->device = device;
	quota->messages_per_day = messages_per_day;
	list_init(&quota->link);
	device->quota = quota;
	if (queue_invite_is_none(invite_id)) {
		return;
	}
	quota->invite = hashmap_get(index->invites, &invite_id);
	if (!quota->invite) {
		quota->invite = mem_zalloc(sizeof *quota->invite);
		quota->invite->id = invite_id;
		list_init(&quota->invite->devices);
		(void)hashmap_put(index->invites, quota->invite);
	}
	list_append(&quota->invite->devices, &quota->link);
	quota->invite->count++;
}

/* One whose messages were counted stays, else a new device would begin anew. */
static void queue_invite_forget_if_unused(struct queue_index *index, struct queue_invite *invite) {
	if (invite->count == 0 && invite->day_count == 0) {
		(void)hashmap_remove(index->invites, &invite->id);
		free(invite);
	}
}

static void queue_device_drop_quota(struct queue_index *index, struct queue_device *device) {
	struct queue_invite *invite = device->quota ? device->quota->invite : NULL;
	if (invite) {
		list_remove(&device->quota->link);
		invite->count--;
		queue_invite_forget_if_unused(index, invite);
	}
}

static void queue_device_touch(
	struct queue_index *index, struct queue_device *device, int64_t now_ms) {
	uint32_t now_sec = (uint32_t)(now_ms / QUEUE_MS);
	/* A log learns of it now and then only, which is fine enough for limits of many days. */
	uint32_t grain = index->limits.device_sec / QUEUE_CONTACT_PARTS;
	grain = grain > QUEUE_DAY_SEC ? QUEUE_DAY_SEC : grain ? grain : 1;
	if (device->contact_sec / grain != now_sec / grain) {
		queue_device_changed(index, device);
	}
	device->contact_sec = now_sec;
	list_remove(&device->by_contact);
	list_append(&index->by_contact, &device->by_contact);
}

/* Takes a subscription off all maps and frees it. Its messages must have ended. */
static void queue_subscription_remove(
	struct queue_index *index, struct queue_subscription *subscription) {
	(void)queue_change_add(index, QUEUE_SUBSCRIPTION_GONE, subscription->number);
	list_remove(&subscription->link);
	subscription->device->subscription_count--;
	(void)hashmap_remove(index->subscriptions, &subscription->device_id);
	(void)hashmap_remove(index->channels, &subscription->device);
	queue_subscription_free(subscription);
}

static void queue_device_remove(struct queue_index *index, struct queue_device *device) {
	queue_messages_end(index, device, NULL);
	struct queue_subscription *subscription, *tmp;
	LIST_FOREACH_SAFE (subscription, tmp, &device->subscriptions, link) {
		queue_subscription_remove(index, subscription);
	}
	(void)queue_change_add(index, QUEUE_DEVICE_GONE, device->number);
	if (device->dirty_at != 0) {
		index->dirty[device->dirty_at - 1] = NULL;
	}
	queue_device_drop_quota(index, device);
	list_remove(&device->by_contact);
	(void)hashmap_remove(index->devices, &device->id);
	queue_device_free(device);
}

void queue_device_forget_if_unused(struct queue_index *index, struct queue_device *device) {
	if (device->subscription_count == 0 && !device->is_attached) {
		queue_device_remove(index, device);
	}
}

void queue_index_attach(
	struct queue_index *index, struct device_id id, int64_t now_ms, struct store_device *out) {
	*out = (struct store_device){.outcome = STORE_MISSING};
	struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return;
	}
	device->is_attached = true;
	queue_device_touch(index, device, now_ms);
	out->outcome = STORE_OK;
	out->min_urgency = (enum urgency)device->min_urgency;
	out->missed = device->missed;
	out->subscriptions = device->subscription_count;
}

void queue_index_detach(struct queue_index *index, struct device_id id, int64_t now_ms) {
	struct queue_device *device = queue_device_find(index, id);
	if (device && device->is_attached) {
		device->is_attached = false;
		queue_device_touch(index, device, now_ms);
		queue_device_forget_if_unused(index, device);
	}
}

enum store_outcome queue_index_set_urgency(
	struct queue_index *index, struct device_id id, enum urgency min) {
	struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return STORE_MISSING;
	}
	if (device->min_urgency != (uint8_t)min) {
		device->min_urgency = (uint8_t)min;
		queue_device_changed(index, device);
	}
	return STORE_OK;
}

enum store_outcome queue_index_settle_missed(
	struct queue_index *index, struct device_id id, uint64_t count) {
	struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return STORE_MISSING;
	}
	if (count > 0 && device->missed > 0) {
		device->missed -= count < device->missed ? (uint32_t)count : device->missed;
		queue_device_changed(index, device);
	}
	return STORE_OK;
}

void queue_index_remove_invited(struct queue_index *index, struct invite_id id) {
	struct queue_invite *invite = hashmap_get(index->invites, &id);
	if (!invite) {
		return;
	}
	invite->day_count = 0; /* the last device frees it */
	if (invite->count == 0) {
		queue_invite_forget_if_unused(index, invite);
		return;
	}
	for (uint32_t left = invite->count; left > 0; left--) {
		queue_device_remove(
			index, container_of(invite->devices.next, struct queue_quota, link)->device);
	}
}

/* ---- subscriptions
 * -------------------------------------------------------------------------------
 */

static struct queue_graves *queue_graves_of(struct queue_index *index, struct device_id device) {
	struct queue_graves *graves = hashmap_get(index->graves, &device);
	if (!graves) {
		graves = mem_zalloc(sizeof *graves);
		graves->device = device;
		list_init(&graves->tombstones);
		(void)hashmap_put(index->graves, graves);
	}
	return graves;
}

static void queue_tombstone_forget(struct queue_index *index, struct queue_tombstone *tombstone) {
	struct queue_graves *graves = tombstone->graves;
	(void)queue_change_add(index, QUEUE_TOMBSTONE_GONE, tombstone->number);
	list_remove(&tombstone->link);
	list_remove(&tombstone->of_device);
	if (--graves->count == 0) {
		(void)hashmap_remove(index->graves, &graves->device);
		free(graves);
	}
	(void)hashmap_remove(index->tombstones_by_id, &tombstone->device);
	free(tombstone);
}

bool queue_tombstone_add(
	struct queue_index *index, uint64_t number, const struct queue_tombstone_row *row) {
	if (queue_tombstone_get(index, row->device, row->id)) {
		return false;
	}
	struct queue_tombstone *tombstone = mem_zalloc(sizeof *tombstone);
	tombstone->device = row->device;
	tombstone->id = row->id;
	tombstone->number = number;
	tombstone->expires_sec = row->expires_sec;
	list_init(&tombstone->link);
	list_append(&index->tombstones, &tombstone->link);
	(void)hashmap_put(index->tombstones_by_id, tombstone);
	struct queue_graves *graves = queue_graves_of(index, row->device);
	tombstone->graves = graves;
	list_init(&tombstone->of_device);
	list_append(&graves->tombstones, &tombstone->of_device);
	if (++graves->count > STORE_TOMBSTONES_MAX) {
		queue_tombstone_forget(
			index, list_first(&graves->tombstones, struct queue_tombstone, of_device));
	}
	return true;
}

/* The subscription's URL is gone from now on, and stays known as such. */
static void queue_subscription_bury(
	struct queue_index *index, const struct queue_subscription *subscription, int64_t now_ms) {
	const struct queue_tombstone_row row = {
		.device = subscription->device_id,
		.id = subscription->id,
		.expires_sec = now_ms / QUEUE_MS + index->limits.tombstone_sec,
	};
	uint64_t number = index->next_number++;
	if (queue_tombstone_add(index, number, &row)) {
		queue_change_add(index, QUEUE_TOMBSTONE_SET, number)->tombstone = row;
	}
}

enum store_outcome queue_subscription_find(const struct queue_index *index, struct device_id device,
	struct subscription_id id, struct queue_subscription **out) {
	struct queue_subscription *subscription = queue_subscription_get(index, device, id);
	if (subscription) {
		*out = subscription;
		return STORE_OK;
	}
	return queue_tombstone_get(index, device, id) ? STORE_GONE : STORE_MISSING;
}

static struct queue_subscription *queue_channel_get(
	const struct queue_index *index, struct queue_device *device, struct channel_id channel) {
	const struct {
		struct queue_device *device;
		struct channel_id channel;
	} key = {device, channel};
	return hashmap_get(index->channels, &key);
}

struct queue_subscription *queue_subscription_add(struct queue_index *index,
	struct queue_device *device, const struct queue_subscription_row *row, uint64_t number) {
	struct queue_subscription *subscription = mem_zalloc(sizeof *subscription);
	subscription->device_id = device->id;
	subscription->id = row->id;
	subscription->device = device;
	subscription->channel = row->channel;
	subscription->number = number;
	subscription->max_body = row->max_body;
	if (row->has_key) {
		subscription->key_hash = mem_dup(row->key_hash, sizeof row->key_hash);
	}
	list_init(&subscription->link);
	list_append(&device->subscriptions, &subscription->link);
	device->subscription_count++;
	(void)hashmap_put(index->subscriptions, subscription);
	(void)hashmap_put(index->channels, subscription);
	return subscription;
}

static bool queue_subscription_has_key(const struct queue_subscription *subscription, bool has_key,
	const uint8_t key_hash[STORE_KEY_HASH_BYTES]) {
	return has_key == (subscription->key_hash != NULL) &&
		   (!has_key || memcmp(subscription->key_hash, key_hash, STORE_KEY_HASH_BYTES) == 0);
}

/* A key that follows later: does asking for the channel in this way leave its key alone? */
static bool queue_subscription_keeps_key(
	const struct queue_subscription *subscription, const struct store_subscribe *what) {
	if (queue_subscription_has_key(subscription, what->has_key, what->key_hash)) {
		return true;
	}
	return subscription->key_hash && (what->has_key ? store_key_is_later(what->key_hash)
													: store_key_is_later(subscription->key_hash));
}

/* An existing channel is asked for again. */
static void queue_subscription_renew(struct queue_index *index,
	struct queue_subscription *subscription, const struct store_subscribe *what, int64_t now_ms) {
	bool keeps_key = queue_subscription_keeps_key(subscription, what);
	if (keeps_key && subscription->max_body == what->max_body) {
		return;
	}
	subscription->max_body = what->max_body;
	if (!keeps_key && subscription->key_hash && store_key_is_later(subscription->key_hash)) {
		memcpy(subscription->key_hash, what->key_hash, sizeof what->key_hash);
	} else if (!keeps_key) {
		queue_subscription_bury(index, subscription, now_ms);
		(void)hashmap_remove(index->subscriptions, &subscription->device_id);
		subscription->id = what->fresh;
		free(subscription->key_hash);
		subscription->key_hash =
			what->has_key ? mem_dup(what->key_hash, sizeof what->key_hash) : NULL;
		(void)hashmap_put(index->subscriptions, subscription);
	}
	queue_subscription_changed(index, subscription);
}

/* A device that is not known yet; NULL when its invite is used up. */
static struct queue_device *queue_device_make(
	struct queue_index *index, const struct store_subscribe *what, int64_t now_ms) {
	if (what->invite_devices > 0) {
		const struct queue_invite *invite = hashmap_get(index->invites, &what->invite);
		if (invite && invite->count >= what->invite_devices) {
			return NULL;
		}
	}
	struct queue_device *device =
		queue_device_add(index, what->device, index->next_number++, (uint32_t)(now_ms / QUEUE_MS));
	queue_device_set_quota(index, device, what->invite, what->messages_per_day);
	device->is_attached = true;
	queue_device_changed(index, device);
	return device;
}

void queue_index_subscribe(struct queue_index *index, const struct store_subscribe *what,
	int64_t now_ms, struct store_subscribed *out) {
	*out = (struct store_subscribed){.outcome = STORE_FULL};
	struct queue_device *device = queue_device_find(index, what->device);
	struct queue_subscription *subscription =
		device ? queue_channel_get(index, device, what->channel) : NULL;
	if (subscription) {
		queue_subscription_renew(index, subscription, what, now_ms);
	} else {
		if (!device) {
			device = queue_device_make(index, what, now_ms);
		}
		if (!device || device->subscription_count >= index->limits.subscriptions) {
			return;
		}
		struct queue_subscription_row row = {
			.id = what->fresh,
			.channel = what->channel,
			.has_key = what->has_key,
			.max_body = what->max_body,
		};
		memcpy(row.key_hash, what->key_hash, sizeof row.key_hash);
		subscription = queue_subscription_add(index, device, &row, index->next_number++);
		queue_subscription_changed(index, subscription);
	}
	out->outcome = STORE_OK;
	out->subscription = subscription->id;
}

void queue_index_unsubscribe(
	struct queue_index *index, struct device_id id, struct channel_id channel, int64_t now_ms) {
	struct queue_device *device = queue_device_find(index, id);
	struct queue_subscription *subscription =
		device ? queue_channel_get(index, device, channel) : NULL;
	if (subscription) {
		queue_messages_end(index, device, subscription);
		queue_subscription_bury(index, subscription, now_ms);
		queue_subscription_remove(index, subscription);
		queue_device_forget_if_unused(index, device);
	}
}

void queue_index_lookup(const struct queue_index *index, struct device_id device,
	struct subscription_id id, struct store_subscription *out) {
	*out = (struct store_subscription){0};
	struct queue_subscription *subscription;
	out->outcome = queue_subscription_find(index, device, id, &subscription);
	if (out->outcome == STORE_OK) {
		out->max_body = subscription->max_body;
		out->has_key = subscription->key_hash != NULL;
		if (out->has_key) {
			memcpy(out->key_hash, subscription->key_hash, sizeof out->key_hash);
		}
	}
}

/* ---- upkeep
 * --------------------------------------------------------------------------------------
 */

static void queue_sweep_messages(struct queue_index *index, int64_t now_ms, size_t most) {
	for (; most > 0 && index->expiries.count > 0; most--) {
		struct queue_message *message = index->expiries.at[0];
		if (message->expires_ms > now_ms || message->state != QUEUE_LIVE) {
			break; /* one that is being written is settled soon */
		}
		queue_message_end(index, message, QUEUE_EXPIRED);
	}
}

static void queue_sweep_tombstones(struct queue_index *index, int64_t now_ms, size_t most) {
	struct queue_tombstone *tombstone;
	for (; most > 0 && (tombstone = list_first(&index->tombstones, struct queue_tombstone, link));
		 most--) {
		if (tombstone->expires_sec > now_ms / QUEUE_MS) {
			break;
		}
		queue_tombstone_forget(index, tombstone);
	}
}

static void queue_sweep_devices(struct queue_index *index, int64_t now_ms, size_t most) {
	struct queue_device *device;
	for (; most > 0 && (device = list_first(&index->by_contact, struct queue_device, by_contact));
		 most--) {
		if ((int64_t)device->contact_sec + index->limits.device_sec > now_ms / QUEUE_MS) {
			break;
		}
		if (device->is_attached) {
			queue_device_touch(index, device, now_ms); /* its socket is contact enough */
		} else {
			queue_device_remove(index, device);
		}
	}
}

void queue_index_sweep(struct queue_index *index, int64_t now_ms, size_t most) {
	queue_sweep_messages(index, now_ms, most);
	queue_sweep_tombstones(index, now_ms, most);
	queue_sweep_devices(index, now_ms, most);
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
