/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers that go on counting while the machine sleeps (CLOCK_BOOTTIME): what came due meanwhile
 * runs at resume. All alarms of a daemon share one timerfd and have a slack: how much later one may
 * run so that it falls together with others. No periodic tick, so an idle daemon is not woken.
 */
#pragma once
#include "common/list.h"
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of CLOCK_BOOTTIME, CLOCK_MONOTONIC (stops in sleep), CLOCK_REALTIME. */
int64_t clock_boot_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);

struct alarms;
struct alarm;
typedef void alarm_fn(struct alarm *alarm, void *ctx);

/* Embedded by value. A callback may set, stop or free any alarm, its own too. */
struct alarm {
	struct list link; /* struct alarms::set */
	struct alarms *alarms;
	alarm_fn *due;
	void *ctx;
	int64_t due_ms; /* of the boot clock; meaningless when not set */
	uint32_t slack_ms;
};

/* What alarms are made for: accuracy of deadlines, of heartbeats, of housekeeping. */
enum {
	ALARM_SLACK_DEADLINE_MS = 250,
	ALARM_SLACK_HEARTBEAT_MS = 30000,
	ALARM_SLACK_CARE_MS = 60000
};

struct alarms *alarms_create(struct ev_loop *loop);
void alarms_destroy(struct alarms *alarms); /* all alarms are stopped by then or never run */
/* How often the daemon was woken by it, for `status` and tests. */
uint64_t alarms_wakeups(const struct alarms *alarms);

void alarm_init(struct alarm *alarm, struct alarms *alarms, alarm_fn *due, void *ctx);
/* Runs after delay_ms, at most slack_ms later; replaces what was set. */
void alarm_set(struct alarm *alarm, int64_t delay_ms, uint32_t slack_ms);
void alarm_stop(struct alarm *alarm); /* fine when not set */
bool alarm_is_set(const struct alarm *alarm);
/* Milliseconds until it is due, 0 when overdue, -1 when not set. */
int64_t alarm_left_ms(const struct alarm *alarm);
