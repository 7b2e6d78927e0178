/* SPDX-License-Identifier: Apache-2.0 */
/* A plain epoll loop with edge-triggered watches and timers. */
#include "tests/bench/loadgen/loop.h"
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LOOP_EVENTS = 512 };

static void loop_on_deadline(void *ctx) {
	struct loop *loop = ctx;
	loop->stopped = true;
}

void loop_init(struct loop *loop) {
	*loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .now_ns = loop_clock_ns()};
	if (loop->epoll_fd < 0) {
		err(1, "epoll_create1");
	}
	/* A timer that comes 50 us late would be counted as the server's time. */
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	loop_timer_init(loop, &loop->deadline, loop_on_deadline, loop);
}

void loop_finish(struct loop *loop) {
	loop_timer_finish(&loop->deadline);
	close(loop->epoll_fd);
}

uint64_t loop_clock_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void loop_stop(struct loop *loop) {
	loop->stopped = true;
}

bool loop_run(struct loop *loop, double limit_sec) {
	struct epoll_event events[LOOP_EVENTS];
	uint64_t end_ns = loop_clock_ns() + (uint64_t)(limit_sec * 1e9);
	loop->stopped = false;
	loop_timer_set(&loop->deadline, (uint64_t)(limit_sec * 1e9), 0);
	while (!loop->stopped) {
		int count = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, -1);
		if (count < 0 && errno != EINTR) {
			err(1, "epoll_wait");
		}
		loop->now_ns = loop_clock_ns();
		for (int i = 0; i < count; i++) {
			struct loop_watch *watch = events[i].data.ptr;
			watch->on_event(watch, events[i].events);
		}
	}
	loop_timer_set(&loop->deadline, 0, 0);
	return loop->now_ns < end_ns;
}

void loop_watch_start(
	struct loop *loop, struct loop_watch *watch, int fd, loop_event_fn *on_event) {
	*watch = (struct loop_watch){.loop = loop, .fd = fd, .on_event = on_event};
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = watch};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		err(1, "epoll_ctl");
	}
}

static void loop_timer_on_event(struct loop_watch *watch, uint32_t events) {
	(void)events;
	struct loop_timer *timer = (struct loop_timer *)(void *)watch;
	uint64_t rounds;
	if (read(watch->fd, &rounds, sizeof rounds) == (ssize_t)sizeof rounds) {
		timer->on_due(timer->ctx);
	}
}

void loop_timer_init(
	struct loop *loop, struct loop_timer *timer, loop_timer_fn *on_due, void *ctx) {
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd < 0) {
		err(1, "timerfd_create");
	}
	timer->on_due = on_due;
	timer->ctx = ctx;
	timer->watch = (struct loop_watch){.loop = loop, .fd = fd, .on_event = loop_timer_on_event};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &timer->watch};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		err(1, "epoll_ctl");
	}
}

void loop_timer_set(struct loop_timer *timer, uint64_t first_ns, uint64_t interval_ns) {
	struct itimerspec when = {
		.it_value = {(time_t)(first_ns / 1000000000u), (long)(first_ns % 1000000000u)},
		.it_interval = {(time_t)(interval_ns / 1000000000u), (long)(interval_ns % 1000000000u)}};
	if (timerfd_settime(timer->watch.fd, 0, &when, NULL) < 0) {
		err(1, "timerfd_settime");
	}
}

void loop_timer_finish(struct loop_timer *timer) {
	if (timer->watch.fd >= 0) {
		close(timer->watch.fd);
		timer->watch.fd = -1;
	}
}
