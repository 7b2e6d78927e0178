/* SPDX-License-Identifier: Apache-2.0 */
/* The queued messages of the index: order, topics, limits, and what a put under way dooms. */
#include "common/hashmap.h"
#include "common/mem.h"
#include "storage/queue_internal.h"
#include <assert.h>
#include <stdlib.h>

enum { QUEUE_MS = 1000, QUEUE_DAY_SEC = 86400 };

/* ---- the run of a device's messages ------------------------------------------------------------
 */

static struct queue_message *queue_run_at(const struct queue_device *device, uint32_t at) {
	return device->messages[device->first + at];
}

/* The place of the first message behind lo. */
static uint32_t queue_run_behind(const struct queue_device *device, uint64_t lo) {
	uint32_t low = 0, high = device->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (queue_run_at(device, middle)->lo <= lo) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static void queue_run_append(struct queue_device *device, struct queue_message *message) {
	assert(device->count == 0 || queue_run_at(device, device->count - 1)->lo < message->lo);
	if (device->first + device->count == device->capacity) {
		if (device->first > device->capacity / 2) {
			memmove(
				device->messages, device->messages + device->first, device->count * sizeof(void *));
			device->first = 0;
		} else {
			device->capacity = device->capacity ? device->capacity * 2 : 4;
			device->messages = mem_realloc(device->messages, device->capacity * sizeof(void *));
		}
	}
	device->messages[device->first + device->count++] = message;
}

static void queue_run_remove(struct queue_device *device, const struct queue_message *message) {
	uint32_t at = queue_run_behind(device, message->lo) - 1;
	assert(queue_run_at(device, at) == message);
	device->count--;
	struct queue_message **run = device->messages + device->first;
	if (at < device->count / 2) {
		memmove(run + 1, run, at * sizeof(void *));
		device->first++;
	} else {
		memmove(run + at, run + at + 1, (device->count - at) * sizeof(void *));
	}
	if (device->count == 0) {
		free(device->messages);
		device->messages = NULL;
		device->first = device->capacity = 0;
	}
}

/* ---- topics ------------------------------------------------------------------------------------
 */

static void queue_topic_key(
	struct queue_topic *out, struct queue_subscription *subscription, struct slice text) {
	memset(out, 0, sizeof *out);
	out->subscription = subscription;
	out->len = (uint8_t)text.len;
	memcpy(out->text, text.data, text.len);
}

/* NULL when the message has none. */
static struct queue_topic *queue_topic_use(
	struct queue_index *index, struct queue_subscription *subscription, struct slice text) {
	if (text.len == 0) {
		return NULL;
	}
	struct queue_topic key;
	queue_topic_key(&key, subscription, text);
	struct queue_topic *topic = hashmap_get(index->topics, &key);
	if (!topic) {
		topic = mem_dup(&key, sizeof key);
		(void)hashmap_put(index->topics, topic);
	}
	topic->uses++;
	return topic;
}

struct slice queue_message_topic(const struct queue_message *message) {
	return message->topic ? (struct slice){message->topic->text, message->topic->len}
						  : (struct slice){NULL, 0};
}

static struct queue_message *queue_topic_newest(
	const struct queue_index *index, struct queue_subscription *subscription, struct slice text) {
	if (text.len == 0) {
		return NULL;
	}
	struct queue_topic key;
	queue_topic_key(&key, subscription, text);
	const struct queue_topic *topic = hashmap_get(index->topics, &key);
	return topic ? topic->newest : NULL;
}

static void queue_topic_leave(struct queue_message *message) {
	if (message->topic && message->topic->newest == message) {
		message->topic->newest = NULL;
	}
}

static void queue_topic_release(struct queue_index *index, struct queue_message *message) {
	queue_topic_leave(message);
	struct queue_topic *topic = message->topic;
	message->topic = NULL;
	if (topic && --topic->uses == 0) {
		(void)hashmap_remove(index->topics, topic);
		free(topic);
	}
}

/* ---- one message: its beginning and its end ----------------------------------------------------
 */

static void queue_message_count(const struct queue_message *message) {
	struct queue_device *device = message->subscription->device;
	device->counted++;
	device->bytes += message->bytes;
}

static void queue_message_uncount(const struct queue_message *message) {
	struct queue_device *device = message->subscription->device;
	device->counted--;
	device->bytes -= message->bytes;
}

struct queue_message *queue_message_add(struct queue_index *index,
	struct queue_subscription *subscription, const struct queue_message_row *row) {
	struct queue_message *message = mem_zalloc(sizeof *message);
	message->lo = row->lo;
	message->subscription = subscription;
	message->expires_ms = row->expires_ms;
	message->bytes = row->bytes;
	message->urgency = row->urgency;
	message->state = QUEUE_PENDING;
	message->holds = 1;
	message->topic = queue_topic_use(index, subscription, row->topic);
	if (message->topic) {
		message->topic->newest = message;
	}
	queue_run_append(subscription->device, message);
	queue_heap_add(&index->expiries, message);
	queue_message_count(message);
	return message;
}

void queue_message_set_written(struct queue_index *index, struct queue_message *message) {
	message->is_written = true;
	message->payload = NULL;
	if (message->state == QUEUE_PENDING) {
		message->state = QUEUE_LIVE;
	}
	index->queued_messages++;
	index->queued_bytes += message->bytes;
}

static void queue_message_release(struct queue_message *message) {
	if (--message->holds == 0) {
		if (message->is_written) {
			free(message->payload);
		}
		free(message);
	}
}

/* Out of every list; lives on while its put or its killer holds it. */
static void queue_message_unlink(struct queue_index *index, struct queue_message *message) {
	if (message->state != QUEUE_DOOMED) {
		queue_message_uncount(message);
	}
	if (message->is_written) {
		index->queued_messages--;
		index->queued_bytes -= message->bytes;
	}
	queue_run_remove(message->subscription->device, message);
	queue_heap_remove(&index->expiries, message);
	queue_topic_release(index, message);
	message->state = QUEUE_ENDED;
	message->subscription = NULL;
	queue_message_release(message);
}

void queue_message_end(
	struct queue_index *index, struct queue_message *message, enum queue_end end) {
	message->end = (uint8_t)end;
	if (message->is_written) {
		index->ended[end]++;
	} /* else its put counts it, if it succeeds */
	if (end == QUEUE_EXPIRED) {
		struct queue_device *device = message->subscription->device;
		device->missed++;
		queue_device_changed(index, device);
	}
	(void)queue_change_add(index, QUEUE_MESSAGE_GONE, message->lo);
	queue_message_unlink(index, message);
}

void queue_messages_end(struct queue_index *index, struct queue_device *device,
	const struct queue_subscription *subscription) {
	for (uint32_t at = device->count; at-- > 0;) {
		struct queue_message *message = queue_run_at(device, at);
		if (!subscription || message->subscription == subscription) {
			queue_message_end(index, message, QUEUE_UNSUBSCRIBED);
		}
	}
}

void queue_messages_expire_of(
	struct queue_index *index, struct queue_device *device, int64_t now_ms) {
	for (uint32_t at = device->count; at-- > 0;) {
		struct queue_message *message = queue_run_at(device, at);
		if (message->state == QUEUE_LIVE && message->expires_ms <= now_ms) {
			queue_message_end(index, message, QUEUE_EXPIRED);
		}
	}
}

/* ---- put: begin --------------------------------------------------------------------------------
 */

static bool queue_quota_take(struct queue_quota *quota, int64_t now_ms) {
	if (!quota || quota->messages_per_day == 0) {
		return true;
	}
	uint32_t day = (uint32_t)(now_ms / QUEUE_MS / QUEUE_DAY_SEC);
	struct queue_invite *invite = quota->invite;
	if (quota->day != day) {
		quota->day = day;
		quota->day_count = 0;
	}
	if (invite && invite->day != day) {
		invite->day = day;
		invite->day_count = 0;
	}
	uint32_t used = invite ? invite->day_count : quota->day_count;
	if (used >= quota->messages_per_day) {
		return false;
	}
	quota->day_count++;
	if (invite) {
		invite->day_count++;
	}
	return true;
}

static void queue_quota_give_back(struct queue_quota *quota) {
	if (!quota || quota->day_count == 0) {
		return;
	}
	quota->day_count--;
	struct queue_invite *invite = quota->invite;
	if (invite && invite->day == quota->day && invite->day_count > 0) {
		invite->day_count--;
	}
}

static enum store_outcome queue_put_check(struct queue_index *index, const struct store_put *what,
	int64_t now_ms, struct queue_subscription **out) {
	enum store_outcome outcome =
		queue_subscription_find(index, what->device, what->subscription, out);
	if (outcome != STORE_OK) {
		return outcome;
	}
	const struct queue_subscription *subscription = *out;
	if (subscription->key_hash && (!what->has_key || memcmp(subscription->key_hash, what->key_hash,
														 STORE_KEY_HASH_BYTES) != 0)) {
		return STORE_KEY_MISMATCH;
	}
	if (subscription->max_body > 0 && what->body.len > subscription->max_body) {
		return STORE_TOO_LARGE;
	}
	struct queue_device *device = subscription->device;
	if (!queue_quota_take(device->quota, now_ms)) {
		return STORE_OVER_QUOTA;
	}
	if (device->quota && device->quota->messages_per_day > 0) {
		queue_device_changed(index, device);
	}
	return STORE_OK;
}

static void queue_put_add_doomed(struct queue_put *put, struct queue_message *message) {
	if (put->doomed_count == put->doomed_capacity) {
		put->doomed_capacity = put->doomed_capacity ? put->doomed_capacity * 2 : 2;
		put->doomed = mem_realloc(put->doomed, put->doomed_capacity * sizeof(void *));
	}
	put->doomed[put->doomed_count++] = message;
}

static void queue_put_doom(
	struct queue_put *put, struct queue_message *message, enum queue_end end) {
	assert(message->state == QUEUE_LIVE || message->state == QUEUE_PENDING);
	queue_message_uncount(message);
	queue_topic_leave(message);
	message->state = QUEUE_DOOMED;
	message->end = (uint8_t)end;
	message->holds++;
	queue_put_add_doomed(put, message);
}

static bool queue_fits(const struct queue_index *index, const struct queue_device *device,
	uint32_t count, uint64_t bytes) {
	return device->counted + count <= index->limits.queue_messages &&
		   device->bytes + bytes <= index->limits.queue_bytes;
}

/* Would it fit if all that is not more important went? */
static bool queue_could_fit(const struct queue_index *index, const struct queue_device *device,
	enum urgency urgency, uint64_t bytes) {
	uint32_t staying = 0;
	for (uint32_t at = 0; at < device->count; at++) {
		const struct queue_message *message = queue_run_at(device, at);
		if (message->state != QUEUE_DOOMED && message->urgency > urgency) {
			staying++;
			bytes += message->bytes;
		}
	}
	return staying < index->limits.queue_messages && bytes <= index->limits.queue_bytes;
}

/* Expired first, then the lowest urgency, then the oldest. False when the new message itself is
 * the one that has to go. */
static bool queue_put_make_room(struct queue_index *index, struct queue_device *device,
	uint64_t bytes, int64_t now_ms, struct queue_put *put) {
	if (queue_fits(index, device, 1, bytes)) {
		return true;
	}
	queue_messages_expire_of(index, device, now_ms);
	if (queue_fits(index, device, 1, bytes)) {
		return true;
	}
	if (!queue_could_fit(index, device, put->urgency, bytes)) {
		return false;
	}
	for (unsigned urgency = 0; urgency <= put->urgency; urgency++) {
		for (uint32_t at = 0; at < device->count; at++) {
			if (queue_fits(index, device, 1, bytes)) {
				return true;
			}
			struct queue_message *message = queue_run_at(device, at);
			if (message->state != QUEUE_DOOMED && message->urgency == urgency) {
				queue_put_doom(put, message, QUEUE_EVICTED);
				put->result.evicted++;
			}
		}
	}
	assert(queue_fits(index, device, 1, bytes));
	return true;
}

static uint32_t queue_put_bytes(const struct store_put *what) {
	return (uint32_t)(what->body.len + what->encoding.len + what->encryption.len +
					  what->crypto_key.len);
}

static void queue_put_book(struct queue_index *index, const struct store_put *what, int64_t now_ms,
	struct queue_subscription *subscription, struct queue_put *put) {
	struct queue_device *device = subscription->device;
	const struct queue_message_row row = {
		.lo = put->result.id.lo,
		.expires_ms = put->result.expires_ms,
		.bytes = queue_put_bytes(what),
		.urgency = (uint8_t)what->urgency,
		.topic = what->topic,
	};
	put->is_self_evicted = !queue_put_make_room(index, device, row.bytes, now_ms, put);
	uint32_t missed = put->result.evicted + put->is_self_evicted;
	if (missed > 0) {
		device->missed += missed;
		queue_device_changed(index, device);
	}
	if (!put->is_self_evicted) {
		put->message = queue_message_add(index, subscription, &row);
		put->message->put = put;
		put->message->holds++;
		put->result.is_stored = true;
		put->subscription_number = subscription->number;
	}
}

void queue_put_begin(struct queue_index *index, const struct store_put *what, int64_t now_ms,
	struct queue_put *out) {
	*out = (struct queue_put){.device = what->device, .urgency = what->urgency};
	struct store_put_result *result = &out->result;
	struct queue_subscription *subscription = NULL;
	result->outcome = queue_put_check(index, what, now_ms, &subscription);
	if (result->outcome != STORE_OK) {
		return;
	}
	const struct queue_device *device = subscription->device;
	result->id = (struct message_id){index->hi, index->next_lo++};
	result->channel = subscription->channel;
	result->is_here = device->is_attached;
	result->is_below_minimum = (uint8_t)what->urgency < device->min_urgency;
	struct queue_message *old = queue_topic_newest(index, subscription, what->topic);
	result->was_replaced = old != NULL;
	if (old) {
		queue_put_doom(out, old, QUEUE_REPLACED);
	}
	if (what->ttl_sec > 0) {
		result->expires_ms = now_ms + (int64_t)what->ttl_sec * QUEUE_MS;
		queue_put_book(index, what, now_ms, subscription, out);
	}
}

/* ---- put: its outcome --------------------------------------------------------------------------
 */

static void queue_put_finish(struct queue_put *put) {
	if (put->message) {
		queue_message_release(put->message);
		put->message = NULL;
	}
	free(put->doomed);
	put->doomed = NULL;
	put->doomed_count = put->doomed_capacity = 0;
}

void queue_put_commit(struct queue_index *index, struct queue_put *put) {
	for (uint32_t i = 0; i < put->doomed_count; i++) {
		struct queue_message *message = put->doomed[i];
		if (message->state == QUEUE_DOOMED) {
			assert(message->is_written);
			index->ended[message->end]++;
			queue_message_unlink(index, message);
		}
		queue_message_release(message);
	}
	index->ended[QUEUE_EVICTED] += put->is_self_evicted;
	struct queue_message *message = put->message;
	if (message && message->state == QUEUE_ENDED) {
		index->ended[message->end]++;
		put->result.is_stored = false;
	} else if (message) {
		queue_message_set_written(index, message);
	}
	/* The device may have come or gone while the log was written. */
	const struct queue_device *device = queue_device_find(index, put->device);
	put->result.is_here = device && device->is_attached;
	put->result.is_below_minimum = device && (uint8_t)put->urgency < device->min_urgency;
	queue_put_finish(put);
}

/* What this put booked beside the message itself. */
static void queue_put_unbook(struct queue_index *index, struct queue_put *put) {
	struct queue_device *device = queue_device_find(index, put->device);
	uint32_t missed = put->result.evicted + put->is_self_evicted;
	if (device && missed > 0) {
		device->missed -= missed < device->missed ? missed : device->missed;
		queue_device_changed(index, device);
	}
	if (device && device->quota) {
		queue_quota_give_back(device->quota);
		queue_device_changed(index, device);
	}
	struct queue_message *message = put->message;
	if (message && message->state != QUEUE_ENDED) {
		queue_message_unlink(index, message);
	}
}

void queue_put_undo(struct queue_index *index, struct queue_put *put, struct queue_put **out_heir,
	uint32_t *out_from) {
	*out_heir = NULL;
	*out_from = 0;
	queue_put_unbook(index, put);
	for (uint32_t i = 0; i < put->doomed_count; i++) {
		struct queue_message *message = put->doomed[i];
		if (message->state == QUEUE_ENDED) {
			queue_message_release(message);
			continue;
		}
		assert(message->is_written);
		struct queue_message *newest = message->topic ? message->topic->newest : NULL;
		if (message->end == QUEUE_REPLACED && newest && !newest->is_written) {
			*out_heir = newest->put;
			*out_from = newest->put->doomed_count;
			queue_put_add_doomed(newest->put, message);
			continue;
		}
		message->state = QUEUE_LIVE;
		queue_message_count(message);
		if (message->topic && !newest) {
			message->topic->newest = message;
		}
		queue_message_release(message);
	}
	put->result = (struct store_put_result){.outcome = STORE_UNAVAILABLE};
	queue_put_finish(put);
}

/* ---- the queue ---------------------------------------------------------------------------------
 */

/* The part of a message id that counts here: those of another run lie before or behind all. */
static uint64_t queue_lo_of(const struct queue_index *index, struct message_id id) {
	return id.hi == index->hi ? id.lo : id.hi < index->hi ? 0 : UINT64_MAX;
}

int queue_index_walk(const struct queue_index *index, struct device_id id, struct message_id after,
	enum urgency min, int64_t now_ms, struct queue_message **out, size_t max,
	struct message_id *out_next, bool *out_more) {
	const struct queue_device *device = queue_device_find(index, id);
	if (!device) {
		return -1;
	}
	size_t count = 0;
	*out_next = after;
	*out_more = false;
	for (uint32_t at = queue_run_behind(device, queue_lo_of(index, after)); at < device->count;
		 at++) {
		struct queue_message *message = queue_run_at(device, at);
		if (!message->is_written) {
			break; /* later ones wait for it, so that order holds */
		}
		bool fits = message->expires_ms > now_ms && message->urgency >= min;
		if (fits && count == max) {
			*out_more = true;
			break;
		}
		*out_next = (struct message_id){index->hi, message->lo};
		if (fits) {
			out[count++] = message;
		}
	}
	return (int)count;
}

struct queue_message *queue_index_find(
	const struct queue_index *index, struct device_id id, struct message_id message_id) {
	const struct queue_device *device = queue_device_find(index, id);
	if (!device || message_id.hi != index->hi) {
		return NULL;
	}
	uint32_t behind = queue_run_behind(device, message_id.lo);
	struct queue_message *message = behind > 0 ? queue_run_at(device, behind - 1) : NULL;
	return message && message->lo == message_id.lo && message->is_written ? message : NULL;
}

bool queue_index_ack(struct queue_index *index, struct device_id id, const struct store_ack *ack) {
	struct queue_message *message = queue_index_find(index, id, ack->id);
	if (!message ||
		memcmp(&message->subscription->channel, &ack->channel, sizeof ack->channel) != 0) {
		return false;
	}
	queue_message_end(index, message, QUEUE_ACKED);
	return true;
}

bool queue_index_cancel(
	struct queue_index *index, struct device_id id, struct message_id message_id, int64_t now_ms) {
	struct queue_message *message = queue_index_find(index, id, message_id);
	if (!message) {
		return false;
	}
	if (message->expires_ms > now_ms) {
		queue_message_end(index, message, QUEUE_CANCELLED);
		return true;
	}
	if (message->state == QUEUE_LIVE) {
		queue_message_end(index, message, QUEUE_EXPIRED);
	}
	return false;
}
