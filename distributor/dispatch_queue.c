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

void dispatch_queue_put(struct dispatch_queue *queue, struct message *message) {
	list_append(&queue->messages, &message->link);
	message->queue = queue;
	queue->waiting++;
	queue->waiting_bytes += message->bytes;
	queue->kept += message->is_journalled || message->is_being_journalled;
}

void dispatch_queue_take(struct message *message) {
	struct dispatch_queue *queue = message->queue;
	list_remove(&message->link);
	message->queue = NULL;
	queue->waiting--;
	queue->waiting_bytes -= message->bytes;
	queue->kept -= message->is_journalled || message->is_being_journalled;
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
				dispatch_queue_take(message);
				dispatch_queue_put(queue, message);
			}
		}
		list_remove(&entry->link);
		list_append(&queue->entries, &entry->link);
	}
	entry->queue = queue;
	return entry;
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
	dispatch_queue_take(message);
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
	queue->progress_ms = clock_boot_ms();
}

static void dispatch_announced(struct dispatch_flight *flight, enum dispatch_outcome outcome) {
	struct dispatch_entry *entry = flight->entry;
	if (!entry) {
		return;
	}
	if (outcome != DISPATCH_TAKEN && outcome != DISPATCH_REFUSED) {
		dispatch_failed(flight->queue, outcome);
		return;
	}
	dispatch_succeeded(flight->queue);
	if (flight->edition != entry->registration->edition) {
		return; /* it has to hear of another endpoint */
	}
	entry->wants_announce = flight->wish != entry->wishes;
	registrations_note_announced(
		flight->queue->dispatch->options.registrations, entry->registration);
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
	*flight = (struct dispatch_flight){.queue = queue,
		.entry = entry,
		.message = message,
		.edition = entry->registration->edition,
		.wish = entry->wishes};
	list_append(&entry->flights, &flight->link);
	entry->in_flight++;
	if (queue->in_flight++ == 0) {
		queue->progress_ms = clock_boot_ms();
	}
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

static bool dispatch_queue_has_room(const struct dispatch_queue *queue) {
	const struct dispatch_entry *entry;
	LIST_FOREACH (entry, &queue->entries, link) {
		if (dispatch_entry_has_room(entry)) {
			return true;
		}
	}
	return false;
}

static void dispatch_pump_message(struct dispatch_queue *queue, struct message *message) {
	if (message->is_in_flight) { /* the dead ones are, too */
		return;
	}
	struct dispatch_entry *entry = hashmap_get(queue->dispatch->entries, &message->number);
	if (!entry || strcmp(message->registration->service, queue->service) != 0) {
		entry = dispatch_entry_of(queue->dispatch, message->registration, true);
	}
	if (entry->queue != queue) { /* its app took another name while this was in flight */
		dispatch_queue_take(message);
		dispatch_queue_put(entry->queue, message);
		return;
	}
	if (!dispatch_entry_has_room(entry) || message->registration->is_unsaved) {
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
		if (entry->wants_announce && entry->in_flight == 0 && !entry->registration->is_unsaved) {
			dispatch_fly(entry, NULL);
		}
	}
	if (!dispatch_can_fly(queue) || !dispatch_queue_has_room(queue)) {
		return; /* before thousands are looked at */
	}
	LIST_FOREACH_SAFE (message, next_message, &queue->messages, link) {
		if (!dispatch_can_fly(queue)) {
			break;
		}
		dispatch_pump_message(queue, message);
	}
}

/* It was called, and has not answered for long. */
static bool dispatch_queue_is_stuck(const struct dispatch_queue *queue) {
	return queue->in_flight > 0 && clock_boot_ms() - queue->progress_ms >= DISPATCH_HOLD_MS;
}

void dispatch_queue_add(struct dispatch_queue *queue, struct message *message) {
	dispatch_queue_put(queue, message);
	queue->dispatch->status.waiting++;
	queue->dispatch->waiting_bytes += message->bytes;
	if (message->is_journalled) {
		queue->dispatch->status.journalled++;
	} else if (alarm_is_set(&queue->retry) || dispatch_queue_is_stuck(queue)) {
		(void)dispatch_journal_all(queue);
	} else if (!alarm_is_set(&queue->hold)) {
		alarm_set(&queue->hold, DISPATCH_HOLD_MS, ALARM_SLACK_DEADLINE_MS);
	}
}
