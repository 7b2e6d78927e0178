/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One service's queue: dispatch_queue_pump -> (the target) -> dispatch_on_done -> taken, or failed
 * and tried again later.
 */
#include "common/log.h"
#include "common/mem.h"
#include "distributor/dispatch_impl.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const int64_t dispatch_delays_ms[] = {
	2000, 10000, 60000, 300000, 1800000, (int64_t)6 * 3600 * 1000};
enum {
	DISPATCH_DELAYS = sizeof dispatch_delays_ms / sizeof *dispatch_delays_ms,
	DISPATCH_SLOW_STEP = 2, /* where the schedule begins for what is not there at all */
};

const char *dispatch_outcome_name(enum dispatch_outcome outcome) {
	static const char *const names[] = {
		[DISPATCH_TAKEN] = "taken",
		[DISPATCH_ABSENT] = "not running and cannot be started",
		[DISPATCH_DENIED] = "a policy of the bus forbids to call it",
		[DISPATCH_NOT_READY] = "running, but takes no pushes",
		[DISPATCH_NO_ANSWER] = "did not answer",
		[DISPATCH_REFUSED] = "answered with an error",
		[DISPATCH_SHUTDOWN] = "interrupted",
	};
	_Static_assert(sizeof names / sizeof *names == DISPATCH_OUTCOME_COUNT, "a name is missing");
	return names[outcome];
}

static void dispatch_on_done(enum dispatch_outcome outcome, void *ctx);

/* ---- queues and entries ---- */

static void dispatch_on_retry(struct alarm *alarm, void *ctx) {
	(void)alarm;
	dispatch_queue_pump(ctx);
}

static void dispatch_on_hold(struct alarm *alarm, void *ctx);

struct dispatch_queue *dispatch_queue_of(
	struct dispatch *dispatch, enum registration_kind kind, const char *service, bool make) {
	uint8_t key[16];
	registration_digest(kind, slice_of(service), key);
	struct dispatch_queue *queue = hashmap_get(dispatch->queues, key);
	if (queue || !make) {
		return queue;
	}
	queue = mem_zalloc(sizeof *queue);
	queue->dispatch = dispatch;
	queue->kind = kind;
	queue->service = mem_strdup(service);
	memcpy(queue->key, key, sizeof queue->key);
	list_init(&queue->messages);
	list_init(&queue->entries);
	alarm_init(&queue->retry, dispatch->options.alarms, dispatch_on_retry, queue);
	alarm_init(&queue->hold, dispatch->options.alarms, dispatch_on_hold, queue);
	(void)hashmap_put(dispatch->queues, queue);
	return queue;
}

void dispatch_queue_free(struct dispatch_queue *queue) {
	struct message *message;
	struct dispatch_entry *entry;
	while ((message = list_first(&queue->messages, struct message, link))) {
		message_free(message);
	}
	while ((entry = list_first(&queue->entries, struct dispatch_entry, link))) {
		(void)hashmap_remove(queue->dispatch->entries, &entry->number);
		list_remove(&entry->link);
		list_remove(&entry->spread);
		free(entry);
	}
	alarm_stop(&queue->retry);
	alarm_stop(&queue->hold);
	(void)hashmap_remove(queue->dispatch->queues, queue->key);
	free(queue->service);
	free(queue);
}

void dispatch_queue_release(struct dispatch_queue *queue) {
	if (list_is_empty(&queue->entries) && list_is_empty(&queue->messages) &&
		queue->in_flight == 0) {
		dispatch_queue_free(queue);
	}
}

/* The entry moves along when the app has taken another name. */
struct dispatch_entry *dispatch_entry_of(
	struct dispatch *dispatch, const struct registration *registration, bool make) {
	struct dispatch_entry *entry = hashmap_get(dispatch->entries, &registration->number);
	if (!entry && !make) {
		return NULL;
	}
	struct dispatch_queue *queue =
		dispatch_queue_of(dispatch, registration->kind, registration->service, true);
	if (!entry) {
		entry = mem_zalloc(sizeof *entry);
		entry->number = registration->number;
		entry->registration = registration;
		list_init(&entry->spread);
		list_init(&entry->flights);
		list_append(&queue->entries, &entry->link);
		(void)hashmap_put(dispatch->entries, entry);
	} else if (entry->queue != queue) {
		struct message *message, *next;
		LIST_FOREACH_SAFE (message, next, &entry->queue->messages, link) {
			if (message->registration == registration && !message->is_in_flight) {
				list_remove(&message->link);
				list_append(&queue->messages, &message->link);
			}
		}
		list_remove(&entry->link);
		list_append(&queue->entries, &entry->link);
	}
	entry->queue = queue;
	return entry;
}

/* ---- journal ---- */

/* A message on its way to the disk; found again by its number, for it may be gone by then. */
struct dispatch_write {
	struct dispatch *dispatch;
	uint8_t queue_key[16];
	uint64_t sequence;
};

static struct message *dispatch_find(const struct dispatch_write *write) {
	struct dispatch_queue *queue = hashmap_get(write->dispatch->queues, write->queue_key);
	struct message *message;
	if (queue) {
		LIST_FOREACH (message, &queue->messages, link) {
			if (message->sequence == write->sequence && message->is_being_journalled) {
				return message;
			}
		}
	}
	return NULL;
}

static void dispatch_on_journalled(int result, void *ctx) {
	struct dispatch_write *write = ctx;
	struct dispatch *dispatch = write->dispatch;
	struct message *message = dispatch_find(write);
	if (message) {
		message->is_being_journalled = false;
		if (result < 0) {
			journal_remove(dispatch->journal, message);
		} else {
			message->is_journalled = true;
			dispatch->status.journalled++;
			dispatch_ack(dispatch, message);
		}
	}
	journal_note(dispatch->journal, result);
	if (result < 0 && !alarm_is_set(&dispatch->journal_again)) {
		alarm_set(&dispatch->journal_again, DISPATCH_JOURNAL_AGAIN_MS, ALARM_SLACK_DEADLINE_MS);
	}
	free(write);
}

static void dispatch_journal(struct dispatch_queue *queue, struct message *message) {
	struct dispatch *dispatch = queue->dispatch;
	struct dispatch_write *write = mem_zalloc(sizeof *write);
	write->dispatch = dispatch;
	write->sequence = message->sequence;
	memcpy(write->queue_key, queue->key, sizeof write->queue_key);
	message->is_being_journalled =
		journal_add(dispatch->journal, message, dispatch_on_journalled, write);
	if (!message->is_being_journalled) {
		free(write);
	}
}

/* How many were given to the disk. */
static uint32_t dispatch_journal_all(struct dispatch_queue *queue) {
	uint32_t count = 0, given = 0;
	struct message *message;
	LIST_FOREACH (message, &queue->messages, link) {
		if (count++ >= JOURNAL_PER_REGISTRATION_MAX) {
			break;
		}
		if (!message->is_journalled && !message->is_being_journalled && !message->is_dead &&
			!message->registration->is_transient) {
			dispatch_journal(queue, message);
			given += message->is_being_journalled;
		}
	}
	return given;
}

void dispatch_on_journal_again(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct dispatch *dispatch = ctx;
	struct dispatch_queue *queue;
	uint32_t given = 0;
	for (size_t at = 0; (queue = hashmap_next(dispatch->queues, &at));) {
		given += dispatch_journal_all(queue);
	}
	if (given == 0) {
		journal_note(dispatch->journal, 0); /* all were taken meanwhile */
	}
}

static void dispatch_on_hold(struct alarm *alarm, void *ctx) {
	(void)alarm;
	(void)dispatch_journal_all(ctx);
}

/* ---- one call ---- */

void dispatch_drop(struct dispatch *dispatch, struct message *message) {
	if (message->is_journalled || message->is_being_journalled) {
		journal_remove(dispatch->journal, message);
	}
	if (message->is_journalled) {
		dispatch->status.journalled--;
	}
	dispatch->status.waiting--;
	dispatch->waiting_bytes -= message->bytes;
	message_free(message);
}

static void dispatch_took(struct dispatch *dispatch, struct message *message) {
	delivered_add(dispatch->delivered, message->registration->number, slice_of(message->channel),
		slice_of(message->version));
	registrations_note_push(dispatch->options.registrations, message->registration, true);
	dispatch_ack(dispatch, message);
	dispatch_drop(dispatch, message);
}

static void dispatch_failed(struct dispatch_queue *queue, enum dispatch_outcome outcome) {
	uint32_t step = queue->step;
	if (outcome == DISPATCH_ABSENT || outcome == DISPATCH_DENIED ||
		(outcome == DISPATCH_NOT_READY && step >= 2)) {
		step = step > DISPATCH_SLOW_STEP ? step : DISPATCH_SLOW_STEP;
	}
	(void)dispatch_journal_all(queue);
	if (alarm_is_set(&queue->retry)) {
		return; /* several calls fail at once, but that is one failure */
	}
	step = step < DISPATCH_DELAYS ? step : DISPATCH_DELAYS - 1;
	if (queue->last != outcome) {
		log_info("push waits kind=%s service=%s reason=\"%s\" next_s=%lld",
			registration_kind_name(queue->kind), queue->service, dispatch_outcome_name(outcome),
			(long long)dispatch_delays_ms[step] / 1000);
	}
	queue->last = outcome;
	queue->step = step + 1;
	alarm_set(&queue->retry, dispatch_delays_ms[step],
		step < DISPATCH_SLOW_STEP ? ALARM_SLACK_DEADLINE_MS : ALARM_SLACK_HEARTBEAT_MS);
}

static void dispatch_succeeded(struct dispatch_queue *queue) {
	queue->step = 0;
	queue->last = DISPATCH_TAKEN;
}

static void dispatch_announced(struct dispatch_flight *flight, enum dispatch_outcome outcome) {
	struct dispatch_entry *entry = flight->entry;
	if (!entry) {
		return;
	}
	if (outcome == DISPATCH_TAKEN || outcome == DISPATCH_REFUSED) {
		entry->wants_announce = false;
		registrations_note_announced(
			flight->queue->dispatch->options.registrations, entry->registration);
		dispatch_succeeded(flight->queue);
	} else {
		dispatch_failed(flight->queue, outcome);
	}
}

static void dispatch_delivered(struct dispatch_flight *flight, enum dispatch_outcome outcome) {
	struct dispatch *dispatch = flight->queue->dispatch;
	struct message *message = flight->message;
	message->is_in_flight = false;
	if (!flight->entry || message->is_dead) {
		dispatch_drop(dispatch, message);
	} else if (outcome == DISPATCH_TAKEN) {
		dispatch->status.taken++;
		dispatch_note(dispatch, "taken", message->registration, message->bytes, "");
		dispatch_succeeded(flight->queue);
		dispatch_took(dispatch, message);
	} else if (outcome == DISPATCH_REFUSED && ++message->attempts >= DISPATCH_REFUSED_MAX) {
		log_warn("push is given up after %d attempts service=%s reason=\"%s\"",
			DISPATCH_REFUSED_MAX, flight->queue->service, dispatch_outcome_name(outcome));
		dispatch->status.dropped++;
		dispatch_note(dispatch, "dropped", message->registration, message->bytes,
			dispatch_outcome_name(outcome));
		dispatch_succeeded(flight->queue);
		dispatch_took(dispatch, message);
	} else {
		dispatch_note(dispatch, "waiting", message->registration, message->bytes,
			dispatch_outcome_name(outcome));
		dispatch_failed(flight->queue, outcome);
	}
}

static void dispatch_on_done(enum dispatch_outcome outcome, void *ctx) {
	struct dispatch_flight *flight = ctx;
	struct dispatch_queue *queue = flight->queue;
	queue->in_flight--;
	list_remove(&flight->link);
	if (flight->entry) {
		flight->entry->in_flight--;
	}
	if (outcome != DISPATCH_SHUTDOWN) {
		if (flight->message) {
			dispatch_delivered(flight, outcome);
		} else {
			dispatch_announced(flight, outcome);
		}
	} else if (flight->message) {
		flight->message->is_in_flight = false;
	}
	free(flight);
	if (outcome == DISPATCH_SHUTDOWN) {
		return;
	}
	dispatch_queue_pump(queue);
	dispatch_queue_release(queue);
}

static void dispatch_fly(struct dispatch_entry *entry, struct message *message) {
	struct dispatch_queue *queue = entry->queue;
	struct dispatch *dispatch = queue->dispatch;
	const struct dispatch_target *target = dispatch->targets[queue->kind].target;
	void *ctx = dispatch->targets[queue->kind].ctx;
	struct dispatch_flight *flight = mem_zalloc(sizeof *flight);
	*flight = (struct dispatch_flight){.queue = queue, .entry = entry, .message = message};
	list_append(&entry->flights, &flight->link);
	entry->in_flight++;
	queue->in_flight++;
	if (message) {
		message->is_in_flight = true;
		target->deliver(message, dispatch_on_done, flight, ctx);
	} else {
		target->announce(entry->registration, dispatch_on_done, flight, ctx);
	}
}

/* ---- what goes out ---- */

static bool dispatch_can_fly(const struct dispatch_queue *queue) {
	const struct dispatch_target *target = queue->dispatch->targets[queue->kind].target;
	return queue->dispatch->is_started && target && !alarm_is_set(&queue->retry) &&
		   (queue->in_flight < DISPATCH_IN_FLIGHT_MAX || queue->in_flight < target->gathers);
}

/* What the entry's target takes at a time. */
static bool dispatch_entry_has_room(const struct dispatch_entry *entry) {
	uint32_t gathers = entry->queue->dispatch->targets[entry->queue->kind].target->gathers;
	return entry->in_flight < (gathers > 1 ? gathers : 1);
}

static void dispatch_pump_message(struct dispatch_queue *queue, struct message *message) {
	if (message->is_in_flight) { /* the dead ones are, too */
		return;
	}
	struct dispatch_entry *entry = dispatch_entry_of(queue->dispatch, message->registration, true);
	if (entry->queue != queue) { /* its app took another name while this was in flight */
		list_remove(&message->link);
		list_append(&entry->queue->messages, &message->link);
		return;
	}
	if (!dispatch_entry_has_room(entry)) {
		return;
	}
	if (message->expires_boot_ms <= clock_boot_ms()) {
		queue->dispatch->status.expired++;
		dispatch_note(queue->dispatch, "expired", message->registration, message->bytes, "");
		dispatch_ack(queue->dispatch, message);
		dispatch_drop(queue->dispatch, message);
		return;
	}
	bool is_announced = message->registration->is_announced && !entry->wants_announce;
	if (is_announced || entry->in_flight == 0) {
		dispatch_fly(entry, is_announced ? message : NULL);
	}
}

void dispatch_queue_pump(struct dispatch_queue *queue) {
	struct dispatch_entry *entry, *next_entry;
	struct message *message, *next_message;
	LIST_FOREACH_SAFE (entry, next_entry, &queue->entries, link) {
		if (!dispatch_can_fly(queue)) {
			break;
		}
		if (entry->wants_announce && entry->in_flight == 0) {
			dispatch_fly(entry, NULL);
		}
	}
	LIST_FOREACH_SAFE (message, next_message, &queue->messages, link) {
		if (!dispatch_can_fly(queue)) {
			break;
		}
		dispatch_pump_message(queue, message);
	}
}

void dispatch_queue_add(struct dispatch_queue *queue, struct message *message) {
	list_append(&queue->messages, &message->link);
	queue->dispatch->status.waiting++;
	queue->dispatch->waiting_bytes += message->bytes;
	if (message->is_journalled) {
		queue->dispatch->status.journalled++;
	} else if (alarm_is_set(&queue->retry)) {
		(void)dispatch_journal_all(queue);
	} else if (!alarm_is_set(&queue->hold)) {
		alarm_set(&queue->hold, DISPATCH_HOLD_MS, ALARM_SLACK_DEADLINE_MS);
	}
}
