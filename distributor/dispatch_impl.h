/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind dispatch.h share. */
#pragma once
#include "common/hashmap.h"
#include "common/log_limit.h"
#include "distributor/accounts.h"
#include "distributor/delivered.h"
#include "distributor/dispatch.h"
#include "distributor/journal.h"

enum {
	DISPATCH_IN_FLIGHT_MAX = 8, /* calls to one service */
	DISPATCH_HOLD_MS = 2000, /* what waits longer goes to the journal, so that the relay goes on */
	DISPATCH_JOURNAL_AGAIN_MS = 10000, /* after the disk refused */
	DISPATCH_SPREAD_MS =
		1000, /* between two of many announcements, each of which may start an app */
	DISPATCH_REFUSED_MAX = 3,
	DISPATCH_WAITING_MAX = 8192, /* more than a relay keeps for a device; they wait there instead */
	DISPATCH_WAITING_BYTES_MAX = 32 << 20,
	DISPATCH_QUEUE_MAX = 2048, /* of these, for one service */
	DISPATCH_QUEUE_BYTES_MAX = 8 << 20,
	DISPATCH_FAIR =
		32, /* a service may have so many when others use up the rest, twice as much in all */
	DISPATCH_APP_BODY_MAX = 4096,
};

/* One service: an app by its bus name, or one hook, or one name. */
struct dispatch_queue {
	struct dispatch *dispatch;
	uint8_t key[16]; /* digest of kind and service; of struct dispatch::queues */
	enum registration_kind kind;
	char *service;
	struct list messages; /* struct message::link, by age */
	struct list entries; /* struct dispatch_entry::link */
	struct alarm retry; /* set: nothing goes out before it is due */
	struct alarm hold;
	uint32_t waiting, kept; /* messages; of these, in the journal or on their way there */
	size_t waiting_bytes;
	int64_t progress_ms; /* boot clock: the last one that was taken, or the first call since */
	uint32_t in_flight, step;
	enum dispatch_outcome last; /* of the last attempt that failed; TAKEN: none did */
};

/* What is known of one registration. */
struct dispatch_entry {
	struct list link; /* struct dispatch_queue::entries */
	struct list spread; /* struct dispatch::spread */
	struct dispatch_queue *queue;
	uint32_t number; /* key of struct dispatch::entries */
	const struct registration *registration;
	struct list flights; /* struct dispatch_flight::link: calls that await their answer */
	uint32_t in_flight;
	bool wants_announce;
	uint32_t wishes; /* to announce it, so far */
};

/* One call to a target. */
struct dispatch_flight {
	struct list link; /* struct dispatch_entry::flights */
	struct dispatch_queue *queue;
	struct dispatch_entry *entry; /* NULL: the registration went meanwhile */
	struct message *message; /* NULL: an announcement … */
	uint32_t edition, wish; /* … of this edition of the endpoint, for this wish and those before */
};

struct dispatch {
	struct dispatch_options options;
	struct {
		const struct dispatch_target *target;
		void *ctx;
	} targets[REGISTRATION_KIND_COUNT];
	struct hashmap *queues, *entries;
	struct list spread; /* struct dispatch_entry::spread: to be announced one by one */
	struct alarm spread_alarm;
	struct journal *journal;
	struct delivered *delivered;
	uint64_t next_sequence;
	struct dispatch_status status;
	size_t waiting_bytes; /* bodies of what waits */
	struct log_limit unfit, overflow; /* lines that a relay or sender can provoke */
	struct alarm journal_again;
	bool is_started;
};

void dispatch_note(struct dispatch *dispatch, const char *what,
	const struct registration *registration, size_t bytes, const char *detail);
struct dispatch_queue *dispatch_queue_of(
	struct dispatch *dispatch, enum registration_kind kind, const char *service, bool make);
struct dispatch_entry *dispatch_entry_of(
	struct dispatch *dispatch, const struct registration *registration, bool make);
void dispatch_queue_pump(struct dispatch_queue *queue);
void dispatch_queue_add(struct dispatch_queue *queue, struct message *message);
/* Into its queue, and out of it; the counts follow. */
void dispatch_queue_put(struct dispatch_queue *queue, struct message *message);
void dispatch_queue_take(struct message *message);
bool dispatch_may_log(struct log_limit *limit);

/* ---- dispatch_journal.c ---- */
/* Does it take nothing? */
bool dispatch_queue_is_failing(const struct dispatch_queue *queue);
/* What waits goes to the disk, so that the relay may forget it. How many were given to the disk. */
uint32_t dispatch_journal_all(struct dispatch_queue *queue);
/* The disk refused: what still waits is written again. */
void dispatch_on_journal_again(struct alarm *alarm, void *ctx);

/* ---- dispatch_queue.c ---- */
/* Takes it from its queue and the journal, and frees it. */
void dispatch_drop(struct dispatch *dispatch, struct message *message);
void dispatch_ack(struct dispatch *dispatch, struct message *message);
void dispatch_queue_free(struct dispatch_queue *queue);
/* Frees it when it serves nobody any more. */
void dispatch_queue_release(struct dispatch_queue *queue);
