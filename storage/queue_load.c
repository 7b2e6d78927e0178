/* SPDX-License-Identifier: Apache-2.0 */
/* Fills an empty index from a log. */
#include "common/hashmap.h"
#include "storage/queue_internal.h"

static void queue_load_number(struct queue_index *index, uint64_t number) {
	if (index->next_number <= number) {
		index->next_number = number + 1;
	}
}

/* The devices' counts of the latest day add up to the invite's. */
static void queue_load_invite_count(
	struct queue_invite *invite, const struct queue_device_row *row) {
	if (invite && invite->day < row->day) {
		invite->day = row->day;
		invite->day_count = 0;
	}
	if (invite && invite->day == row->day) {
		invite->day_count += row->day_count;
	}
}

bool queue_load_device(
	struct queue_index *index, uint64_t number, const struct queue_device_row *row) {
	queue_load_number(index, number);
	if (queue_device_find(index, row->id)) {
		return false;
	}
	struct queue_device *device = queue_device_add(index, row->id, number, row->contact_sec);
	device->missed = row->missed;
	device->min_urgency = row->min_urgency;
	queue_device_set_quota(index, device, row->invite, row->messages_per_day);
	if (device->quota) {
		device->quota->day = row->day;
		device->quota->day_count = row->day_count;
		queue_load_invite_count(device->quota->invite, row);
	}
	return true;
}

bool queue_load_subscription(
	struct queue_index *index, uint64_t number, const struct queue_subscription_row *row) {
	queue_load_number(index, number);
	struct queue_device *device = queue_device_find(index, row->device);
	struct queue_subscription *other;
	if (!device || queue_subscription_find(index, row->device, row->id, &other) == STORE_OK) {
		(void)queue_change_add(index, QUEUE_SUBSCRIPTION_GONE, number);
		return false;
	}
	(void)hashmap_put(index->by_number, queue_subscription_add(index, device, row, number));
	return true;
}

bool queue_load_tombstone(
	struct queue_index *index, uint64_t number, const struct queue_tombstone_row *row) {
	queue_load_number(index, number);
	return queue_tombstone_add(index, number, row);
}

bool queue_load_message(struct queue_index *index, const struct queue_message_row *row) {
	struct queue_subscription *subscription =
		hashmap_get(index->by_number, &row->subscription_number);
	if (!subscription) {
		(void)queue_change_add(index, QUEUE_MESSAGE_GONE, row->lo);
		return false;
	}
	struct queue_message *message = queue_message_add(index, subscription, row);
	message->put = NULL;
	queue_message_set_written(index, message);
	return true;
}

void queue_load_finish(struct queue_index *index, uint64_t next_lo) {
	index->next_lo = next_lo;
	hashmap_destroy(index->by_number);
	index->by_number = NULL;
	struct queue_device *device, *tmp;
	LIST_FOREACH_SAFE (device, tmp, &index->by_contact, by_contact) {
		queue_device_forget_if_unused(index, device);
	}
}
