/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Battery, mains, power profile and metered network become one answer: the least urgency that is
 * worth waking the device for, and how eager the rest may be (device-network-and-power.md 15).
 * UPower and the power-profiles daemon when the system bus has them, else logind, else sysfs.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/bus/bus.h"
#include "storage/ids.h"
#include <stdbool.h>

struct power_state {
	bool on_mains; /* no battery, or fed from outside */
	bool is_low; /* the battery warns, and does not charge */
	bool is_saving; /* the user chose the power-saver profile */
	bool is_metered; /* as told by power_set_metered */
};
/* The table of section 15. Pure. */
enum urgency power_min_urgency(const struct power_state *state);

struct power;
/* After every change that counts: a lower minimum at once, a higher one after 60 s. */
typedef void power_changed_fn(const struct power_state *state, enum urgency min, void *ctx);

struct power_options {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct bus *system_bus; /* NULL: none, sysfs only */
	const char *sysfs; /* "/sys/class/power_supply"; tests give another */
	power_changed_fn *changed; /* also once soon after opening, when it is not mains */
	void *ctx;
};
struct power *power_open(const struct power_options *options);
void power_close(struct power *power); /* not from within `changed`; NULL is fine */
/* As network_set_bus(): the last state is kept for 60 s, then the other sources are asked. */
void power_set_bus(struct power *power, struct bus *system_bus);
/* A good moment to read how full the battery is, for the machine is awake anyway (a heartbeat, a
 * resume). Otherwise that is read each 15 min, only on battery. */
void power_look(struct power *power);
void power_set_metered(struct power *power, bool is_metered);
const struct power_state *power_state(const struct power *power);
