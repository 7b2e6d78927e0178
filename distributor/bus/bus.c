/* SPDX-License-Identifier: Apache-2.0 */
/* sd-bus on libev: its descriptor, its wanted events and its timeout, looked at before each sleep.
 */
#include "distributor/bus/bus.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUS_TURN_MAX = 64 }; /* messages handled before the rest of the loop has its turn */

struct bus {
	struct ev_loop *loop;
	struct sd_bus *sd;
	bus_lost_fn *lost;
	void *ctx;
	ev_io io;
	ev_timer timer; /* sd-bus' own deadlines */
	ev_prepare prepare;
	ev_idle again; /* there is more to process at once */
	bool is_lost, is_processing, is_closed;
};

static void bus_free(struct bus *bus) {
	bus->sd = sd_bus_close_unref(bus->sd);
	free(bus);
}

static void bus_stop(struct bus *bus) {
	ev_io_stop(bus->loop, &bus->io);
	ev_timer_stop(bus->loop, &bus->timer);
	ev_prepare_stop(bus->loop, &bus->prepare);
	ev_idle_stop(bus->loop, &bus->again);
}

static void bus_fail(struct bus *bus) {
	if (!bus->is_lost) {
		bus->is_lost = true;
		bus_stop(bus);
		bus->lost(bus, bus->ctx);
	}
}

static void bus_process(struct bus *bus) {
	int result = 1;
	bus->is_processing = true;
	for (int i = 0; i < BUS_TURN_MAX && result > 0 && !bus->is_closed; i++) {
		result = sd_bus_process(bus->sd, NULL);
	}
	if (!bus->is_closed) {
		if (result > 0) {
			ev_idle_start(bus->loop, &bus->again);
		} else {
			ev_idle_stop(bus->loop, &bus->again);
		}
		if (result < 0) {
			bus_fail(bus);
		}
	}
	bus->is_processing = false;
	if (bus->is_closed) {
		bus_free(bus);
	}
}

static void bus_on_io(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	bus_process(io->data);
}

static void bus_on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	bus_process(timer->data);
}

static void bus_on_again(struct ev_loop *loop, ev_idle *idle, int events) {
	(void)loop;
	(void)events;
	bus_process(idle->data);
}

static void bus_want(struct bus *bus, int events) {
	if (bus->io.events != events) {
		ev_io_stop(bus->loop, &bus->io);
		ev_io_set(&bus->io, bus->io.fd, events);
		ev_io_start(bus->loop, &bus->io);
	}
}

static void bus_set_timer(struct bus *bus) {
	uint64_t due_usec = 0;
	int result = sd_bus_get_timeout(bus->sd, &due_usec);
	ev_timer_stop(bus->loop, &bus->timer);
	if (result < 0 || due_usec == UINT64_MAX) {
		return;
	}
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	uint64_t now_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	ev_timer_set(&bus->timer, due_usec > now_usec ? (double)(due_usec - now_usec) / 1e6 : 0., 0.);
	ev_timer_start(bus->loop, &bus->timer);
}

static void bus_on_prepare(struct ev_loop *loop, ev_prepare *prepare, int events) {
	(void)loop;
	(void)events;
	struct bus *bus = prepare->data;
	int wanted = sd_bus_get_events(bus->sd);
	if (wanted < 0) {
		bus_fail(bus);
		return;
	}
	bus_want(bus, (wanted & POLLIN ? EV_READ : 0) | (wanted & POLLOUT ? EV_WRITE : 0));
	bus_set_timer(bus);
}

static int bus_connect(enum bus_which which, const char *description, struct sd_bus **out_sd) {
	return which == BUS_SESSION ? sd_bus_open_user_with_description(out_sd, description)
								: sd_bus_open_system_with_description(out_sd, description);
}

int bus_open(struct ev_loop *loop, enum bus_which which, const char *description, bus_lost_fn *lost,
	void *ctx, struct bus **out_bus) {
	struct sd_bus *sd = NULL;
	int result = bus_connect(which, description, &sd);
	if (result < 0) {
		return result;
	}
	struct bus *bus = mem_zalloc(sizeof *bus);
	bus->loop = loop;
	bus->sd = sd;
	bus->lost = lost;
	bus->ctx = ctx;
	ev_io_init(&bus->io, bus_on_io, sd_bus_get_fd(sd), EV_READ);
	ev_timer_init(&bus->timer, bus_on_timer, 0., 0.);
	ev_prepare_init(&bus->prepare, bus_on_prepare);
	ev_idle_init(&bus->again, bus_on_again);
	bus->io.data = bus->timer.data = bus->prepare.data = bus->again.data = bus;
	ev_io_start(loop, &bus->io);
	ev_prepare_start(loop, &bus->prepare);
	/* the greeting and what came with it lie in sd-bus' own queue already */
	ev_idle_start(loop, &bus->again);
	*out_bus = bus;
	return 0;
}

void bus_close(struct bus *bus) {
	if (!bus) {
		return;
	}
	bus_stop(bus);
	(void)sd_bus_flush(bus->sd); /* a last word; the bus may be gone */
	if (bus->is_processing) {
		bus->is_closed = true; /* freed when its own callback has returned */
	} else {
		bus_free(bus);
	}
}

struct sd_bus *bus_get(struct bus *bus) {
	return bus->sd;
}
