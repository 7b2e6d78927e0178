/* SPDX-License-Identifier: Apache-2.0 */
/* One timerfd of the boot clock for all alarms, armed for the latest moment that suits the
 * earliest. */
#include "distributor/alarm.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const double alarms_never_sec = 1e9; /* 31 years */

struct alarms {
	struct ev_loop *loop;
	ev_io io;
	ev_periodic calm; /* never fires; as long as there is one, libev does not wake each minute */
	int fd;
	struct list set; /* struct alarm::link */
	int64_t armed_ms; /* what the timerfd is set to; 0: nothing */
	uint64_t wakeups;
	bool is_running; /* arms once, at the end */
};

static int64_t clock_ms(clockid_t clock) {
	struct timespec now;
	(void)clock_gettime(clock, &now); /* cannot fail for these clocks */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_boot_ms(void) {
	return clock_ms(CLOCK_BOOTTIME);
}

int64_t clock_mono_ms(void) {
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void) {
	return clock_ms(CLOCK_REALTIME);
}

/* The earliest latest moment: everything that is due by then runs in one go. */
static int64_t alarms_next_ms(const struct alarms *alarms) {
	int64_t next_ms = INT64_MAX;
	struct alarm *alarm;
	LIST_FOREACH (alarm, &alarms->set, link) {
		int64_t latest_ms = alarm->due_ms + alarm->slack_ms;
		next_ms = latest_ms < next_ms ? latest_ms : next_ms;
	}
	return next_ms;
}

static void alarms_arm(struct alarms *alarms) {
	if (alarms->is_running) {
		return;
	}
	int64_t next_ms = list_is_empty(&alarms->set) ? 0 : alarms_next_ms(alarms);
	if (next_ms == alarms->armed_ms) {
		return;
	}
	alarms->armed_ms = next_ms;
	struct itimerspec at = {.it_value = {next_ms / 1000, next_ms % 1000 * 1000000}};
	if (timerfd_settime(alarms->fd, TFD_TIMER_ABSTIME, &at, NULL) < 0) {
		log_fatal("the timer cannot be set error=%s", strerror(errno));
	}
}

/* One alarm that is due, or NULL. */
static struct alarm *alarms_due(struct alarms *alarms, int64_t now_ms) {
	struct alarm *alarm;
	LIST_FOREACH (alarm, &alarms->set, link) {
		if (alarm->due_ms <= now_ms) {
			return alarm;
		}
	}
	return NULL;
}

static void alarms_on_timer(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	struct alarms *alarms = io->data;
	uint64_t count;
	(void)!read(alarms->fd, &count, sizeof count); /* EAGAIN when it was set anew meanwhile */
	alarms->wakeups++;
	alarms->armed_ms = 0;
	alarms->is_running = true;
	int64_t now_ms = clock_boot_ms();
	struct alarm *alarm;
	while ((alarm = alarms_due(alarms, now_ms))) {
		alarm_stop(alarm);
		alarm->due(alarm, alarm->ctx);
	}
	alarms->is_running = false;
	alarms_arm(alarms);
}

static void alarms_on_calm(struct ev_loop *loop, ev_periodic *periodic, int events) {
	(void)loop;
	(void)periodic;
	(void)events;
}

struct alarms *alarms_create(struct ev_loop *loop) {
	struct alarms *alarms = mem_zalloc(sizeof *alarms);
	alarms->loop = loop;
	list_init(&alarms->set);
	alarms->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (alarms->fd < 0) {
		log_fatal("no timer can be made error=%s", strerror(errno));
	}
	ev_io_init(&alarms->io, alarms_on_timer, alarms->fd, EV_READ);
	alarms->io.data = alarms;
	ev_io_start(loop, &alarms->io);
	/* with periodic watchers libev lets the kernel tell it of a clock that was set; without, it
	 * wakes each minute to look at it */
	ev_periodic_init(&alarms->calm, alarms_on_calm, ev_time() + alarms_never_sec, 0., NULL);
	ev_periodic_start(loop, &alarms->calm);
	return alarms;
}

void alarms_destroy(struct alarms *alarms) {
	if (!alarms) {
		return;
	}
	ev_io_stop(alarms->loop, &alarms->io);
	ev_periodic_stop(alarms->loop, &alarms->calm);
	(void)close(alarms->fd); /* nothing was written */
	struct alarm *alarm, *next;
	LIST_FOREACH_SAFE (alarm, next, &alarms->set, link) {
		list_remove(&alarm->link);
	}
	free(alarms);
}

uint64_t alarms_wakeups(const struct alarms *alarms) {
	return alarms->wakeups;
}

void alarm_init(struct alarm *alarm, struct alarms *alarms, alarm_fn *due, void *ctx) {
	*alarm = (struct alarm){.alarms = alarms, .due = due, .ctx = ctx};
	list_init(&alarm->link);
}

void alarm_set(struct alarm *alarm, int64_t delay_ms, uint32_t slack_ms) {
	list_remove(&alarm->link);
	/* at least one: what sets itself anew in its own callback must not keep the loop */
	alarm->due_ms = clock_boot_ms() + (delay_ms > 0 ? delay_ms : 1);
	alarm->slack_ms = slack_ms;
	list_append(&alarm->alarms->set, &alarm->link);
	alarms_arm(alarm->alarms);
}

void alarm_stop(struct alarm *alarm) {
	if (!alarm_is_set(alarm)) {
		return;
	}
	list_remove(&alarm->link);
	alarms_arm(alarm->alarms);
}

bool alarm_is_set(const struct alarm *alarm) {
	return !list_is_empty(&alarm->link);
}

int64_t alarm_left_ms(const struct alarm *alarm) {
	if (!alarm_is_set(alarm)) {
		return -1;
	}
	int64_t left_ms = alarm->due_ms - clock_boot_ms();
	return left_ms > 0 ? left_ms : 0;
}
