/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of a command as a transient unit of systemd's user manager: with the session's
 * environment instead of ours, outside of our sandbox, in background.slice (app.slice what a person
 * started), its output in the journal. Its end is read from the unit's properties.
 */
#pragma once
#include "distributor/action/hook_run.h"
#include <systemd/sd-bus.h>

struct hook_units;
/* Asks whether the manager is on this bus, now and whenever it comes or goes. */
struct hook_units *hook_units_open(struct sd_bus *bus);
/* No unit may be under way. NULL is fine. */
void hook_units_close(struct hook_units *units);
bool hook_units_are_there(const struct hook_units *units);

struct hook_unit;
/* 0 or -errno; done runs once, later. With HOOK_NO_UNIT nothing has run: do it another way. */
int hook_unit_start(struct hook_units *units, struct alarms *alarms, const struct hook_job *job,
	hook_ended_fn *done, void *ctx, struct hook_unit **out_unit);
/* Has the manager stop it, which takes a moment; done is not called. NULL is fine. */
void hook_unit_stop(struct hook_unit *unit);
/* It goes on without us; done is not called. NULL is fine. */
void hook_unit_leave(struct hook_unit *unit);
