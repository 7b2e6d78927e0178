/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a D-Bus daemon on our libev loop (sd-bus). The session bus carries UnifiedPush,
 * a second connection to it our management interface, the system bus the news of logind, UPower
 * and NetworkManager. Everything that is waiting is dispatched in one go, and what was queued is
 * flushed before the loop sleeps.
 */
#pragma once
#include <ev.h>
#include <systemd/sd-bus.h>

struct bus;
/* The bus is gone (session end, daemon restarted): nothing more will come. It may be closed here.
 */
typedef void bus_lost_fn(struct bus *bus, void *ctx);

enum bus_which { BUS_SESSION, BUS_SYSTEM };

/* 0 or negative errno: no such bus, not reachable. DBUS_SESSION_BUS_ADDRESS and
 * DBUS_SYSTEM_BUS_ADDRESS are honoured. `description` appears in log lines of sd-bus. */
int bus_open(struct ev_loop *loop, enum bus_which which, const char *description, bus_lost_fn *lost,
	void *ctx, struct bus **out_bus);
/* Replies that are still awaited never come: owners drop their slots first. NULL is fine. */
void bus_close(struct bus *bus);
struct sd_bus *bus_get(struct bus *bus);
