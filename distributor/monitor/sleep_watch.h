/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleep and resume: logind's PrepareForSleep with a delay inhibitor, and the clocks, looked at each
 * time the loop wakes. A resume that both tell of is told once. The kernel wakes the loop when the
 * machine resumes or the wall clock is set, so nothing ticks.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/monitor/clock_watch.h"
#include "distributor/monitor/network.h"
#include <systemd/sd-bus.h>

struct sleep_watch;
/* `fn` gets NETWORK_SLEEPING, NETWORK_RESUMED and NETWORK_CLOCK_JUMPED. It may not close the watch.
 */
struct sleep_watch *sleep_watch_open(struct ev_loop *loop, struct alarms *alarms,
	struct clock_reading (*clock)(void), network_news_fn *fn, void *ctx);
void sleep_watch_close(struct sleep_watch *watch);
/* Follows logind on this bus; NULL: no more. settled is called when it is known to be there or not.
 */
void sleep_watch_set_bus(struct sleep_watch *watch, struct sd_bus *bus, void (*settled)(void *ctx));
bool sleep_watch_has_logind(const struct sleep_watch *watch);
