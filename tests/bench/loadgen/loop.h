/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain epoll loop with edge-triggered watches and timers. The clock is read once a round, so
 * that a timestamp costs nothing.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct loop_watch;
typedef void loop_event_fn(struct loop_watch *watch, uint32_t events);

/* Embedded in whatever it watches for; fd is -1 while it watches nothing. */
struct loop_watch {
	struct loop *loop;
	int fd;
	loop_event_fn *on_event;
};

typedef void loop_timer_fn(void *ctx);

/* Runs on a timerfd, so sub-millisecond intervals hold. */
struct loop_timer {
	struct loop_watch watch;
	loop_timer_fn *on_due;
	void *ctx;
};

struct loop {
	int epoll_fd;
	bool stopped;
	uint64_t now_ns; /* CLOCK_MONOTONIC when the present round of events began */
	struct loop_timer deadline;
};

void loop_init(struct loop *loop);
void loop_finish(struct loop *loop);

/* The clock itself, for the few places where a round is too coarse. */
uint64_t loop_clock_ns(void);

/* Serves events until loop_stop(), or until limit_sec have passed: then it returns false. */
bool loop_run(struct loop *loop, double limit_sec);
void loop_stop(struct loop *loop);

/* Watches fd for both directions, edge-triggered, until the fd is closed. */
void loop_watch_start(struct loop *loop, struct loop_watch *watch, int fd, loop_event_fn *on_event);

void loop_timer_init(struct loop *loop, struct loop_timer *timer, loop_timer_fn *on_due, void *ctx);
/* First after first_ns, then every interval_ns; 0 means once. Missed rounds are merged into one. */
void loop_timer_set(struct loop_timer *timer, uint64_t first_ns, uint64_t interval_ns);
void loop_timer_finish(struct loop_timer *timer);
