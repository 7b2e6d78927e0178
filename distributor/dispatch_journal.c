/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not taken soon goes to the journal on the disk, and with it leaves the relay, whose
 * window is for all apps together. One that takes nothing may have so many there; of more the
 * least urgent are dropped, as a relay does with a device that does not come.
 */
#include "common/log.h"
#include "common/mem.h"
#include "distributor/dispatch_impl.h"
#include <stdlib.h>
#include <string.h>

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
			message->queue->kept--;
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

/* False when the journal is full. */
static bool dispatch_journal(struct message *message) {
	struct dispatch_queue *queue = message->queue;
	struct dispatch_write *write = mem_zalloc(sizeof *write);
	write->dispatch = queue->dispatch;
	write->sequence = message->sequence;
	memcpy(write->queue_key, queue->key, sizeof write->queue_key);
	message->is_being_journalled =
		journal_add(queue->dispatch->journal, message, dispatch_on_journalled, write);
	if (!message->is_being_journalled) {
		free(write);
		return false;
	}
	queue->kept++;
	return true;
}

/* ---- too many ---- */

bool dispatch_queue_is_failing(const struct dispatch_queue *queue) {
	return alarm_is_set(&queue->retry) || queue->last != DISPATCH_TAKEN;
}

static bool dispatch_is_kept(const struct message *message) {
	return message->is_journalled || message->is_being_journalled;
}

/* The one to do without: expired, or the oldest of the least urgent. NULL: none may go. */
static struct message *dispatch_victim(struct dispatch_queue *queue, bool kept_only) {
	struct message *message, *victim = NULL;
	int64_t now_ms = clock_boot_ms();
	LIST_FOREACH (message, &queue->messages, link) {
		if (message->is_in_flight || message->is_dead ||
			(kept_only && !dispatch_is_kept(message))) {
			continue;
		}
		if (message->expires_boot_ms <= now_ms) {
			return message;
		}
		if (!victim || message->urgency < victim->urgency) {
			victim = message;
		}
	}
	return victim;
}

static bool dispatch_evict(struct dispatch_queue *queue, bool kept_only) {
	struct dispatch *dispatch = queue->dispatch;
	struct message *message = dispatch_victim(queue, kept_only);
	const struct dispatch_target *target = dispatch->targets[queue->kind].target;
	if (!message) {
		return false;
	}
	if (dispatch_may_log(&dispatch->overflow)) {
		log_warn("too many pushes wait, the least urgent are dropped kind=%s service=%s waiting=%u",
			registration_kind_name(queue->kind), queue->service, queue->waiting);
		if (target && target->resync) {
			target->resync("missed", dispatch->targets[queue->kind].ctx);
		}
	}
	dispatch->status.dropped++;
	dispatch_note(
		dispatch, "dropped", message->registration, message->bytes, "too many wait for it");
	dispatch_ack(dispatch, message);
	dispatch_drop(dispatch, message);
	return true;
}

/* In a full journal: one goes of the service that takes nothing and has the most there. */
static bool dispatch_make_room(struct dispatch *dispatch) {
	struct dispatch_queue *queue, *fullest = NULL;
	for (size_t at = 0; (queue = hashmap_next(dispatch->queues, &at));) {
		if (dispatch_queue_is_failing(queue) && (!fullest || queue->kept > fullest->kept)) {
			fullest = queue;
		}
	}
	return fullest && dispatch_evict(fullest, true);
}

/* ---- what waits ---- */

static void dispatch_trim(struct dispatch_queue *queue) {
	while (dispatch_queue_is_failing(queue) &&
		   queue->waiting > JOURNAL_PER_SERVICE_MAX + queue->in_flight &&
		   dispatch_evict(queue, false)) {
	}
}

/* Until the journal is full: false then. */
static bool dispatch_journal_some(struct dispatch_queue *queue, uint32_t *given) {
	struct message *message;
	LIST_FOREACH (message, &queue->messages, link) {
		if (dispatch_is_kept(message) || message->is_dead) {
			continue;
		}
		if (message->registration->is_transient) {
			/* nobody asks for it after a crash; so memory will do */
			dispatch_ack(queue->dispatch, message);
		} else if (queue->kept >= JOURNAL_PER_SERVICE_MAX) {
			return true;
		} else if (!dispatch_journal(message)) {
			return false;
		} else {
			(*given)++;
		}
	}
	return true;
}

uint32_t dispatch_journal_all(struct dispatch_queue *queue) {
	uint32_t given = 0;
	dispatch_trim(queue);
	while (!dispatch_journal_some(queue, &given) && dispatch_queue_is_failing(queue) &&
		   dispatch_make_room(queue->dispatch)) {
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
