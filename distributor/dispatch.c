/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from the relay, and what is to be told to the targets; queues do the rest. */
#include "distributor/dispatch.h"
#include "common/autopush.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/dispatch_impl.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dispatch_note(struct dispatch *dispatch, const char *what,
	const struct registration *registration, size_t bytes, const char *detail) {
	if (dispatch->options.noted) {
		dispatch->options.noted(what, registration, bytes, detail, dispatch->options.ctx);
	}
}

/* Its target is to be told its endpoint, also when a call that does so is under way. */
static void dispatch_wish(struct dispatch_entry *entry) {
	entry->wants_announce = true;
	entry->wishes++;
	dispatch_queue_pump(entry->queue);
}

static void dispatch_on_spread(struct alarm *alarm, void *ctx) {
	struct dispatch *dispatch = ctx;
	struct dispatch_entry *entry = list_first(&dispatch->spread, struct dispatch_entry, spread);
	if (!entry) {
		return;
	}
	list_remove(&entry->spread);
	/* whoever comes next waits as well, though nobody does now */
	alarm_set(alarm, DISPATCH_SPREAD_MS, ALARM_SLACK_DEADLINE_MS);
	dispatch_wish(entry);
}

struct dispatch *dispatch_create(const struct dispatch_options *options) {
	struct dispatch *dispatch = mem_zalloc(sizeof *dispatch);
	CLEANUP_FREE char *folder = mem_printf("%s/queue", options->state_dir);
	CLEANUP_FREE char *delivered = mem_printf("%s/delivered.json", options->state_dir);
	dispatch->options = *options;
	dispatch->options.state_dir = NULL;
	dispatch->next_sequence = 1;
	dispatch->unfit = (struct log_limit){.event = "push is dropped", .period_sec = 60, .lines = 5};
	dispatch->overflow =
		(struct log_limit){.event = "too many pushes wait", .period_sec = 60, .lines = 1};
	dispatch->queues = hashmap_create(offsetof(struct dispatch_queue, key), 16);
	dispatch->entries = hashmap_create(offsetof(struct dispatch_entry, number), sizeof(uint32_t));
	list_init(&dispatch->spread);
	alarm_init(&dispatch->spread_alarm, options->alarms, dispatch_on_spread, dispatch);
	alarm_init(&dispatch->journal_again, options->alarms, dispatch_on_journal_again, dispatch);
	dispatch->journal = journal_open(options->disk, folder);
	dispatch->delivered = delivered_open(options->alarms, options->disk, delivered);
	return dispatch;
}

void dispatch_destroy(struct dispatch *dispatch) {
	if (!dispatch) {
		return;
	}
	struct dispatch_queue *queue;
	for (size_t at = 0; (queue = hashmap_next(dispatch->queues, &at));) {
		dispatch_queue_free(queue);
	}
	alarm_stop(&dispatch->spread_alarm);
	alarm_stop(&dispatch->journal_again);
	hashmap_destroy(dispatch->queues);
	hashmap_destroy(dispatch->entries);
	journal_close(dispatch->journal);
	delivered_close(dispatch->delivered);
	free(dispatch);
}

static bool dispatch_on_found(struct message *message, uint32_t number, void *ctx) {
	struct dispatch *dispatch = ctx;
	const struct registration *registration =
		registrations_find_number(dispatch->options.registrations, number);
	if (message->sequence >= dispatch->next_sequence) {
		dispatch->next_sequence = message->sequence + 1;
	}
	if (!registration || delivered_has(dispatch->delivered, number, slice_of(message->channel),
							 slice_of(message->version))) {
		return false;
	}
	message->registration = registration;
	message->number = number;
	dispatch_queue_add(dispatch_entry_of(dispatch, registration, true)->queue, message);
	return true;
}

void dispatch_load(struct dispatch *dispatch) {
	journal_load(dispatch->journal, dispatch_on_found, dispatch);
}

void dispatch_start(struct dispatch *dispatch) {
	struct dispatch_queue *queue;
	dispatch->is_started = true;
	for (size_t at = 0; (queue = hashmap_next(dispatch->queues, &at));) {
		dispatch_queue_pump(queue);
	}
}

void dispatch_save(struct dispatch *dispatch) {
	delivered_save(dispatch->delivered);
}

void dispatch_set_target(struct dispatch *dispatch, enum registration_kind kind,
	const struct dispatch_target *target, void *ctx) {
	dispatch->targets[kind].target = target;
	dispatch->targets[kind].ctx = ctx;
	struct dispatch_queue *queue;
	for (size_t at = 0; target && (queue = hashmap_next(dispatch->queues, &at));) {
		if (queue->kind == kind) {
			dispatch_queue_pump(queue);
		}
	}
}

/* ---- from the relay ---- */

void dispatch_ack(struct dispatch *dispatch, struct message *message) {
	struct channel *channel = channels_find(dispatch->options.accounts, slice_of(message->channel));
	if (channel && channel->account->relay && !message->is_acked) {
		/* when it is not up, the relay sends the message again and it is recognised */
		message->is_acked = link_ack(
			channel->account->relay, slice_of(message->channel), slice_of(message->version));
	}
}

static void dispatch_ack_at_once(struct channel *channel, const struct link_notification *n) {
	(void)link_ack(channel->account->relay, n->channel, n->version);
}

static void dispatch_fill(struct message *message, const struct link_notification *n) {
	free(message->body);
	message->body =
		memcpy(mem_zalloc(n->body.len + 1), n->body.len > 0 ? n->body.data : "", n->body.len);
	message->bytes = n->body.len;
	mem_replace_text(&message->version, n->version);
	mem_replace_text(&message->encoding, n->encoding);
	mem_replace_text(&message->encryption, n->encryption);
	mem_replace_text(&message->crypto_key, n->crypto_key);
	mem_replace_text(&message->topic, n->topic);
	message->urgency = n->urgency;
	message->received_ms = clock_wall_ms();
	if (n->ttl_sec >= 0) {
		message->expires_boot_ms = clock_boot_ms() + n->ttl_sec * 1000 + 1000;
	}
}

static void dispatch_name(const struct link_notification *n, char out_id[17]) {
	(void)snprintf(out_id, 17, "%016" PRIx64, delivered_hash(n->channel, n->version));
}

static struct message *dispatch_waiting_one(struct dispatch_queue *queue,
	const struct registration *registration, const struct link_notification *n) {
	struct message *message;
	char id[sizeof message->id];
	dispatch_name(n, id);
	LIST_FOREACH (message, &queue->messages, link) {
		if (memcmp(message->id, id, sizeof id) == 0 && /* thousands may wait */
			message->registration == registration && !message->is_dead &&
			slice_equals(n->channel, message->channel) &&
			slice_equals(n->version, message->version)) {
			return message;
		}
	}
	return NULL;
}

/* A newer message of the topic: the older one, if it still waits here, is of no use. */
static void dispatch_replace_topic(struct dispatch *dispatch, struct dispatch_queue *queue,
	const struct registration *registration, struct slice topic) {
	struct message *message, *next;
	if (topic.len == 0) {
		return;
	}
	LIST_FOREACH_SAFE (message, next, &queue->messages, link) {
		if (message->registration == registration && !message->is_in_flight &&
			slice_equals(topic, message->topic)) {
			dispatch_drop(dispatch, message);
		}
	}
}

bool dispatch_may_log(struct log_limit *limit) {
	double now_sec = (double)clock_boot_ms() / 1000;
	log_limit_tick(limit, now_sec);
	return log_limit_pass(limit, now_sec);
}

/* Is there no room for another? It is not acknowledged, so the relay keeps it for a later session.
 * What one service lets pile up takes no room from those that have little. */
static bool dispatch_is_full(struct dispatch *dispatch, const struct dispatch_queue *queue,
	const struct link_notification *n) {
	uint32_t times = queue->waiting < DISPATCH_FAIR ? 2 : 1;
	bool is_full =
		queue->waiting >= DISPATCH_QUEUE_MAX ||
		queue->waiting_bytes + n->body.len > DISPATCH_QUEUE_BYTES_MAX ||
		dispatch->status.waiting >= times * DISPATCH_WAITING_MAX ||
		dispatch->waiting_bytes + n->body.len > (size_t)times * DISPATCH_WAITING_BYTES_MAX;
	if (is_full && dispatch_may_log(&dispatch->overflow)) {
		log_warn("too many pushes wait service=%s waiting=%u all=%u: more are left at the relay",
			queue->service, queue->waiting, dispatch->status.waiting);
	}
	return is_full;
}

/* Dropped, and acknowledged: what nobody can take. */
static bool dispatch_is_useless(struct dispatch *dispatch, const struct registration *registration,
	const struct link_notification *n) {
	bool fits = n->body.len > 0 && n->body.len <= DISPATCH_APP_BODY_MAX;
	if (registration->kind == REGISTRATION_APP && !fits) {
		if (dispatch_may_log(&dispatch->unfit)) {
			log_warn("push is dropped, apps take 1 to %d bytes bytes=%zu service=%s",
				DISPATCH_APP_BODY_MAX, n->body.len, registration->service);
		}
		return true;
	}
	return registration->is_blocked;
}

static void dispatch_accept(struct dispatch *dispatch, const struct registration *registration,
	const struct link_notification *n) {
	struct dispatch_queue *queue = dispatch_entry_of(dispatch, registration, true)->queue;
	struct message *message = message_create(registration);
	dispatch_replace_topic(dispatch, queue, registration, n->topic);
	dispatch_fill(message, n);
	memcpy(message->channel, n->channel.data, n->channel.len);
	message->sequence = dispatch->next_sequence++;
	dispatch_name(n, message->id);
	registrations_note_push(dispatch->options.registrations, registration, false);
	dispatch_note(dispatch, "push", registration, message->bytes, urgency_name(message->urgency));
	dispatch_queue_add(queue, message);
	dispatch_queue_pump(queue);
}

void dispatch_push(
	struct dispatch *dispatch, struct account *account, const struct link_notification *n) {
	struct channel *channel = channels_find(dispatch->options.accounts, n->channel);
	dispatch->status.received++;
	if (!channel || channel->account != account) {
		(void)link_ack(account->relay, n->channel, n->version); /* of a channel that is gone */
		return;
	}
	const struct registration *registration = channel->registration;
	if (!registration || dispatch_is_useless(dispatch, registration, n)) {
		dispatch->status.dropped++;
		if (registration) {
			dispatch_note(dispatch, "dropped", registration, n->body.len,
				registration->is_blocked ? "blocked" : "apps take 1 to 4096 bytes");
		}
		dispatch_ack_at_once(channel, n);
		return;
	}
	if (delivered_has(dispatch->delivered, registration->number, n->channel, n->version)) {
		dispatch->status.duplicates++;
		dispatch_note(dispatch, "duplicate", registration, n->body.len, "");
		dispatch_ack_at_once(channel, n);
		return;
	}
	struct dispatch_entry *entry = dispatch_entry_of(dispatch, registration, true);
	struct message *waiting = dispatch_waiting_one(entry->queue, registration, n);
	if (!waiting && dispatch_is_full(dispatch, entry->queue, n)) {
		return;
	}
	if (!waiting) {
		dispatch_accept(dispatch, registration, n);
		return;
	}
	dispatch->status.duplicates++;
	waiting->is_acked = false; /* the relay has not heard it */
	if (waiting->is_journalled || registration->is_transient) {
		dispatch_ack(dispatch, waiting);
	}
}

/* ---- to the targets ---- */

static bool dispatch_must_start(
	const struct dispatch *dispatch, const struct registration *registration) {
	const struct dispatch_target *target = dispatch->targets[registration->kind].target;
	return !target || (target->must_start && target->must_start(registration,
												 dispatch->targets[registration->kind].ctx));
}

void dispatch_announce(
	struct dispatch *dispatch, const struct registration *registration, bool spread) {
	struct dispatch_entry *entry = dispatch_entry_of(dispatch, registration, true);
	if (spread && dispatch_must_start(dispatch, registration)) {
		if (!entry->wants_announce && list_is_empty(&entry->spread)) {
			list_append(&dispatch->spread, &entry->spread);
		}
		if (!alarm_is_set(&dispatch->spread_alarm)) {
			alarm_set(&dispatch->spread_alarm, 0, 0);
		}
		dispatch_queue_pump(entry->queue); /* a message that came meanwhile starts it now */
		return;
	}
	list_remove(&entry->spread);
	dispatch_wish(entry);
}

void dispatch_resume(struct dispatch *dispatch, const struct registration *registration) {
	dispatch_queue_pump(dispatch_entry_of(dispatch, registration, true)->queue);
}

void dispatch_leave(struct dispatch *dispatch, const struct registration *registration) {
	struct dispatch_entry *entry = dispatch_entry_of(dispatch, registration, true);
	struct dispatch_queue *queue = entry->queue;
	struct message *message, *next;
	LIST_FOREACH_SAFE (message, next, &queue->messages, link) {
		if (message->registration != registration) {
			continue;
		}
		dispatch_ack(dispatch, message);
		if (message->is_in_flight) {
			message->is_dead = true;
		} else {
			dispatch_drop(dispatch, message);
		}
	}
	struct dispatch_flight *flight, *next_flight;
	LIST_FOREACH_SAFE (flight, next_flight, &entry->flights, link) {
		list_remove(&flight->link);
		flight->entry = NULL;
	}
	(void)hashmap_remove(dispatch->entries, &entry->number);
	list_remove(&entry->link);
	list_remove(&entry->spread);
	free(entry);
	delivered_forget(dispatch->delivered, registration->number);
	dispatch_queue_release(queue);
}

void dispatch_dismiss(
	struct dispatch *dispatch, const struct registration *registration, bool by_app) {
	const struct dispatch_target *target = dispatch->targets[registration->kind].target;
	if (target) {
		target->dismiss(registration, by_app, dispatch->targets[registration->kind].ctx);
	}
}

/* What waits for a retry goes out now. */
static void dispatch_queue_wake(struct dispatch_queue *queue) {
	alarm_stop(&queue->retry);
	queue->step = 0;
	dispatch_queue_pump(queue);
}

void dispatch_service_appeared(
	struct dispatch *dispatch, enum registration_kind kind, const char *service) {
	struct dispatch_queue *queue = dispatch_queue_of(dispatch, kind, service, false);
	if (queue) {
		dispatch_queue_wake(queue);
	}
}

void dispatch_kind_appeared(struct dispatch *dispatch, enum registration_kind kind) {
	struct dispatch_queue *queue;
	for (size_t at = 0; (queue = hashmap_next(dispatch->queues, &at));) {
		if (queue->kind == kind) {
			dispatch_queue_wake(queue);
		}
	}
}

void dispatch_resync(struct dispatch *dispatch, const char *why) {
	for (int kind = 0; kind < REGISTRATION_KIND_COUNT; kind++) {
		const struct dispatch_target *target = dispatch->targets[kind].target;
		if (target && target->resync) {
			target->resync(why, dispatch->targets[kind].ctx);
		}
	}
}

void dispatch_status(const struct dispatch *dispatch, struct dispatch_status *out_status) {
	*out_status = dispatch->status;
}

uint32_t dispatch_waiting(const struct dispatch *dispatch, const struct registration *registration,
	const char **out_reason) {
	const struct dispatch_entry *entry = hashmap_get(dispatch->entries, &registration->number);
	uint32_t count = 0;
	const struct message *message;
	*out_reason = "";
	if (!entry) {
		return 0;
	}
	LIST_FOREACH (message, &entry->queue->messages, link) {
		count += message->registration == registration;
	}
	if (entry->queue->last != DISPATCH_TAKEN) {
		*out_reason = dispatch_outcome_name(entry->queue->last);
	}
	return count;
}
