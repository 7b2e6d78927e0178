/* SPDX-License-Identifier: Apache-2.0 */
/* New devices stay connected while senders post to them. */
#include "common/mem.h"
#include "tests/bench/loadgen/fleet.h"
#include "tests/bench/loadgen/scenarios.h"
#include "tests/bench/loadgen/sender.h"
#include "tests/bench/loadgen/traffic.h"
#include "tests/bench/loadgen/usage.h"
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum deliver_phase { DELIVER_OPENING, DELIVER_WARMUP, DELIVER_MEASURE, DELIVER_SETTLE };

enum { DELIVER_SETTLE_LIMIT_SEC = 5, DELIVER_TICK_MIN_NS = 100000 };

/* A sender takes the next message when its last is both answered and received. */
struct deliver_slot {
	struct sender sender;
	bool answered, received;
};

struct deliver {
	const struct options *options;
	struct loop loop;
	struct stream_target target;
	struct fleet active, idle;
	struct deliver_slot *slots;
	unsigned *free_slots; /* a stack, for a fixed rate */
	unsigned free_count;
	unsigned connected;
	unsigned next_device;
	struct traffic traffic;
	struct loop_timer phase_timer, rate_timer;
	enum deliver_phase phase;
	uint64_t rate_start_ns, rate_started; /* messages due since then that were begun */
	uint64_t received_before; /* the measured time, then in it */
	struct usage usage;
};

static void deliver_post(struct deliver *deliver, struct deliver_slot *slot, uint64_t since_ns) {
	unsigned device = deliver->next_device++ % deliver->active.count;
	slot->answered = slot->received = false;
	slot->sender.sequence = traffic_next(&deliver->traffic, device, slot->sender.index, since_ns);
	sender_post(&slot->sender, deliver->active.devices[device].path, deliver->traffic.body,
		deliver->traffic.body_bytes);
}

static uint64_t deliver_due_ns(const struct deliver *deliver) {
	double at = (double)deliver->rate_started / deliver->options->rate * 1e9;
	return deliver->rate_start_ns + (uint64_t)at;
}

/*
 * Begins what is due. A message that had to wait for a sender counts from when it was due; one that
 * did not, from now: the timer's own lateness is not the server's.
 */
static void deliver_on_rate(void *ctx) {
	struct deliver *deliver = ctx;
	uint64_t now = loop_clock_ns();
	while (deliver->free_count > 0 && deliver_due_ns(deliver) <= now) {
		uint64_t due = deliver_due_ns(deliver);
		bool waited = now - due > 2 * DELIVER_TICK_MIN_NS;
		deliver->rate_started++;
		deliver_post(deliver, &deliver->slots[deliver->free_slots[--deliver->free_count]],
			waited ? due : loop_clock_ns());
	}
}

static void deliver_slot_done(struct deliver *deliver, struct deliver_slot *slot) {
	if (!slot->answered || !slot->received) {
		return;
	}
	if (deliver->phase == DELIVER_SETTLE) {
		if (traffic_lost(&deliver->traffic) == 0 &&
			deliver->traffic.received == deliver->traffic.message_count) {
			loop_stop(&deliver->loop);
		}
	} else if (deliver->options->rate > 0) {
		deliver->free_slots[deliver->free_count++] = slot->sender.index;
	} else {
		deliver_post(deliver, slot, loop_clock_ns());
	}
}

static void deliver_on_answered(struct sender *sender, int status) {
	struct deliver *deliver = sender->ctx;
	if (status != 201) {
		errx(1, "a POST was answered with %d", status);
	}
	traffic_accept(&deliver->traffic, sender->sequence);
	struct deliver_slot *slot = &deliver->slots[sender->index];
	slot->answered = true;
	deliver_slot_done(deliver, slot);
}

static void deliver_on_push(struct device *device, const char *mark, void *ctx) {
	struct deliver *deliver = ctx;
	uint64_t doubled = deliver->traffic.doubled;
	const struct traffic_message *message =
		traffic_receive(&deliver->traffic, device->index, mark, loop_clock_ns());
	if (deliver->traffic.doubled == doubled) {
		struct deliver_slot *slot = &deliver->slots[message->owner];
		slot->received = true;
		deliver_slot_done(deliver, slot);
	}
}

static void deliver_on_lost(struct sender *sender, int error) {
	errx(1, "sender %u lost its connection: %s", sender->index,
		error ? strerror(error) : "closed by the server");
}

static void deliver_start_load(struct deliver *deliver) {
	deliver->phase = DELIVER_WARMUP;
	loop_timer_set(&deliver->phase_timer, (uint64_t)(deliver->options->warmup_sec * 1e9) + 1, 0);
	if (deliver->options->rate > 0) {
		uint64_t interval = (uint64_t)(1e9 / deliver->options->rate);
		interval = interval < DELIVER_TICK_MIN_NS ? DELIVER_TICK_MIN_NS : interval;
		deliver->rate_start_ns = loop_clock_ns();
		loop_timer_set(&deliver->rate_timer, interval, interval);
		return;
	}
	for (unsigned i = 0; i < deliver->options->connections; i++) {
		deliver_post(deliver, &deliver->slots[i], loop_clock_ns());
	}
}

static void deliver_on_idle(struct sender *sender) {
	struct deliver *deliver = sender->ctx;
	deliver->free_slots[deliver->free_count++] = sender->index;
	if (++deliver->connected == deliver->options->connections) {
		deliver_start_load(deliver);
	}
}

static void deliver_open_senders(void *ctx) {
	struct deliver *deliver = ctx;
	for (unsigned i = 0; i < deliver->options->connections; i++) {
		struct sender *sender = &deliver->slots[i].sender;
		sender->index = i;
		sender->ctx = deliver;
		sender->on_idle = deliver_on_idle;
		sender->on_answered = deliver_on_answered;
		sender->on_lost = deliver_on_lost;
		sender_open(sender, &deliver->loop, &deliver->target);
	}
}

static void deliver_open_active(void *ctx) {
	struct deliver *deliver = ctx;
	fleet_open(&deliver->active);
}

static void deliver_on_phase(void *ctx) {
	struct deliver *deliver = ctx;
	switch (deliver->phase) {
	case DELIVER_WARMUP:
		deliver->phase = DELIVER_MEASURE;
		memset(&deliver->traffic.latency, 0, sizeof deliver->traffic.latency);
		deliver->received_before = deliver->traffic.received;
		usage_begin(&deliver->usage, deliver->options);
		loop_timer_set(&deliver->phase_timer, (uint64_t)(deliver->options->seconds * 1e9), 0);
		break;
	case DELIVER_MEASURE:
		usage_end(&deliver->usage);
		deliver->received_before = deliver->traffic.received - deliver->received_before;
		deliver->phase = DELIVER_SETTLE;
		loop_timer_set(&deliver->rate_timer, 0, 0);
		loop_timer_set(&deliver->phase_timer, DELIVER_SETTLE_LIMIT_SEC * 1000000000ull, 0);
		break;
	case DELIVER_SETTLE:
	case DELIVER_OPENING:
		loop_stop(&deliver->loop);
		break;
	}
}

static void deliver_print(const struct deliver *deliver) {
	const struct traffic *traffic = &deliver->traffic;
	printf("{");
	usage_print(&deliver->usage);
	printf("\"requests\": %llu, \"per_second\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
		   "\"max_us\": %.1f, \"lost\": %llu, \"doubled\": %llu, \"disordered\": %llu}\n",
		(unsigned long long)deliver->received_before,
		(double)deliver->received_before / deliver->usage.wall_sec,
		histogram_us(&traffic->latency, 0.5), histogram_us(&traffic->latency, 0.99),
		(double)traffic->latency.max_ns / 1000, (unsigned long long)traffic_lost(traffic),
		(unsigned long long)traffic->doubled, (unsigned long long)traffic->disordered);
}

static void deliver_init(struct deliver *deliver, const struct options *options) {
	deliver->options = options;
	loop_init(&deliver->loop);
	stream_target_init(&deliver->target, options->address, options->port, options->tls);
	fleet_init(
		&deliver->active, &deliver->loop, &deliver->target, options->devices, options->burst);
	fleet_init(&deliver->idle, &deliver->loop, &deliver->target, options->idle, options->burst);
	for (unsigned i = 0; i < options->devices; i++) {
		deliver->active.devices[i].wants_register = true;
		deliver->active.devices[i].sends_acks = !options->no_acks;
	}
	deliver->active.on_all_ready = deliver_open_senders;
	deliver->active.on_push = deliver_on_push;
	deliver->active.ctx = deliver;
	deliver->idle.on_all_ready = deliver_open_active;
	deliver->idle.ctx = deliver;
	deliver->slots = mem_zalloc(options->connections * sizeof *deliver->slots);
	deliver->free_slots = mem_zalloc(options->connections * sizeof *deliver->free_slots);
	traffic_init(&deliver->traffic, options->devices, options->body_bytes);
	loop_timer_init(&deliver->loop, &deliver->phase_timer, deliver_on_phase, deliver);
	loop_timer_init(&deliver->loop, &deliver->rate_timer, deliver_on_rate, deliver);
}

static void deliver_finish(struct deliver *deliver) {
	for (unsigned i = 0; i < deliver->options->connections; i++) {
		stream_close(&deliver->slots[i].sender.stream);
	}
	free(deliver->slots);
	free(deliver->free_slots);
	traffic_finish(&deliver->traffic);
	fleet_finish(&deliver->active);
	fleet_finish(&deliver->idle);
	loop_timer_finish(&deliver->phase_timer);
	loop_timer_finish(&deliver->rate_timer);
	stream_target_finish(&deliver->target);
	loop_finish(&deliver->loop);
}

int scenario_deliver(const struct options *options) {
	static struct deliver deliver;
	if (options->devices < options->connections) {
		errx(2, "--devices: at least as many as senders, so that order can be told");
	}
	deliver_init(&deliver, options);
	if (options->idle > 0) {
		fleet_open(&deliver.idle);
	} else {
		fleet_open(&deliver.active);
	}
	if (!loop_run(&deliver.loop, options->limit_sec)) {
		errx(1, "deliver: not done within %.0f s, at phase %d with %u and %u devices ready",
			options->limit_sec, (int)deliver.phase, deliver.idle.ready, deliver.active.ready);
	}
	deliver_print(&deliver);
	deliver_finish(&deliver);
	return 0;
}
