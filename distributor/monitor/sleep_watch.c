/* SPDX-License-Identifier: Apache-2.0 */
/* Sleep and resume as logind and the clocks tell of them. */
#include "distributor/monitor/sleep_watch.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/monitor/bus_object.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

#define SLEEP_SERVICE "org.freedesktop.login1"
#define SLEEP_PATH "/org/freedesktop/login1"
#define SLEEP_INTERFACE "org.freedesktop.login1.Manager"

enum {
	SLEEP_FLUSH_MS = 250, /* what was written before sleep leaves the sockets meanwhile */
	SLEEP_TIMER_SEC = INT32_MAX, /* ends in 2038, once and in vain; still told when it is set */
};

struct sleep_watch {
	struct ev_loop *loop;
	network_news_fn *fn;
	void *ctx;
	ev_check check;
	ev_io set_io; /* a timer that ends when the wall clock is set or the machine resumes */
	int set_fd;
	struct clock_reading (*clock)(void);
	struct clock_reading last;

	struct sd_bus *bus;
	struct bus_object *logind;
	sd_bus_slot *inhibit_call;
	int inhibitor; /* while open, sleep waits; -1 */
	struct alarm release;
	void (*settled)(void *ctx);
	struct clock_reading prepared; /* when sleep was announced */
	bool is_preparing;
	bool is_told; /* of the resume after that */
};

static void sleep_watch_let_go(struct sleep_watch *watch) {
	alarm_stop(&watch->release);
	watch->inhibit_call = sd_bus_slot_unref(watch->inhibit_call);
	if (watch->inhibitor >= 0) {
		(void)close(watch->inhibitor); /* nothing was written */
		watch->inhibitor = -1;
	}
}

static int sleep_watch_on_inhibited(
	struct sd_bus_message *reply, void *ctx, sd_bus_error *out_error) {
	(void)out_error;
	struct sleep_watch *watch = ctx;
	int fd; /* the message's own */
	watch->inhibit_call = sd_bus_slot_unref(watch->inhibit_call);
	if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "h", &fd) <= 0) {
		log_debug("network", "sleep will not wait for us");
		return 0;
	}
	watch->inhibitor = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return 0;
}

static void sleep_watch_inhibit(struct sleep_watch *watch) {
	sleep_watch_let_go(watch);
	if (sd_bus_call_method_async(watch->bus, &watch->inhibit_call, SLEEP_SERVICE, SLEEP_PATH,
			SLEEP_INTERFACE, "Inhibit", sleep_watch_on_inhibited, watch, "ssss", "sleep",
			"Bellwire", "Send what is waiting before the connection falls silent", "delay") < 0) {
		log_debug("network", "sleep will not wait for us");
	}
}

static void sleep_watch_on_release(struct alarm *alarm, void *ctx) {
	(void)alarm;
	sleep_watch_let_go(ctx);
}

static void sleep_watch_resumed(struct sleep_watch *watch, int64_t slept_ms) {
	watch->is_told = true;
	log_info("resumed slept_ms=%lld", (long long)slept_ms);
	watch->fn(NETWORK_RESUMED, slept_ms, watch->ctx);
}

/* Sleep is over, or did not come: it may have been called off. */
static void sleep_watch_end(struct sleep_watch *watch) {
	bool is_news = watch->is_preparing && !watch->is_told;
	watch->is_preparing = false;
	if (is_news) {
		sleep_watch_resumed(watch, clock_reading_slept_ms(watch->prepared, watch->clock()));
	}
}

static void sleep_watch_on_signal(const char *member, struct sd_bus_message *message, void *ctx) {
	struct sleep_watch *watch = ctx;
	int is_before;
	if (strcmp(member, "PrepareForSleep") != 0 ||
		sd_bus_message_read(message, "b", &is_before) <= 0) {
		return;
	}
	if (!is_before) {
		sleep_watch_end(watch);
		sleep_watch_inhibit(watch);
		return;
	}
	watch->is_preparing = true;
	watch->is_told = false;
	watch->prepared = watch->clock();
	log_info("going to sleep");
	watch->fn(NETWORK_SLEEPING, 0, watch->ctx);
	alarm_set(&watch->release, SLEEP_FLUSH_MS, 0);
}

static void sleep_watch_on_settled(bool is_there, void *ctx) {
	struct sleep_watch *watch = ctx;
	if (!is_there) {
		/* with the service its inhibitors are gone, and its word that sleep is over */
		sleep_watch_let_go(watch);
		sleep_watch_end(watch);
	} else if (watch->inhibitor < 0 && !watch->inhibit_call && !watch->is_preparing) {
		sleep_watch_inhibit(watch);
	}
	watch->settled(watch->ctx);
}

static const struct bus_object_class sleep_watch_logind = {
	.service = SLEEP_SERVICE,
	.interface = SLEEP_INTERFACE,
	.settled = sleep_watch_on_settled,
	.signalled = sleep_watch_on_signal,
};

static void sleep_watch_on_check(struct ev_loop *loop, ev_check *check, int events) {
	(void)loop;
	(void)events;
	struct sleep_watch *watch = check->data;
	struct clock_change change = clock_watch_look(&watch->last, watch->clock());
	if (change.slept_ms > 0) {
		sleep_watch_resumed(watch, change.slept_ms);
	}
	if (change.has_jumped) {
		log_info("the clock was set");
		watch->fn(NETWORK_CLOCK_JUMPED, 0, watch->ctx);
	}
}

static void sleep_watch_on_set(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	uint64_t count;
	/* the check of this turn has looked at the clocks already; this only clears it */
	(void)!read(io->fd, &count, sizeof count);
}

static void sleep_watch_arm(struct sleep_watch *watch) {
	watch->set_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (watch->set_fd < 0) {
		return; /* sleep is then seen at the next wake-up */
	}
	struct itimerspec far = {.it_value.tv_sec = SLEEP_TIMER_SEC};
	(void)timerfd_settime(watch->set_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
	ev_io_init(&watch->set_io, sleep_watch_on_set, watch->set_fd, EV_READ);
	watch->set_io.data = watch;
	ev_io_start(watch->loop, &watch->set_io);
}

struct sleep_watch *sleep_watch_open(struct ev_loop *loop, struct alarms *alarms,
	struct clock_reading (*clock)(void), network_news_fn *fn, void *ctx) {
	struct sleep_watch *watch = mem_zalloc(sizeof *watch);
	watch->loop = loop;
	watch->fn = fn;
	watch->ctx = ctx;
	watch->inhibitor = -1;
	watch->clock = clock;
	watch->last = clock();
	alarm_init(&watch->release, alarms, sleep_watch_on_release, watch);
	ev_check_init(&watch->check, sleep_watch_on_check);
	watch->check.data = watch;
	ev_set_priority(&watch->check, EV_MAXPRI); /* before whatever believes in its old times */
	ev_check_start(loop, &watch->check);
	sleep_watch_arm(watch);
	return watch;
}

void sleep_watch_set_bus(
	struct sleep_watch *watch, struct sd_bus *bus, void (*settled)(void *ctx)) {
	bus_object_unfollow(watch->logind);
	watch->logind = NULL;
	sleep_watch_let_go(watch);
	sleep_watch_end(watch);
	watch->bus = bus;
	watch->settled = settled;
	if (bus) {
		watch->logind = bus_object_follow(bus, &sleep_watch_logind, SLEEP_PATH, watch);
	}
}

void sleep_watch_close(struct sleep_watch *watch) {
	if (!watch) {
		return;
	}
	bus_object_unfollow(watch->logind);
	sleep_watch_let_go(watch);
	ev_check_stop(watch->loop, &watch->check);
	if (watch->set_fd >= 0) {
		ev_io_stop(watch->loop, &watch->set_io);
		(void)close(watch->set_fd); /* nothing was written */
	}
	free(watch);
}

bool sleep_watch_has_logind(const struct sleep_watch *watch) {
	return bus_object_is_there(watch->logind);
}
