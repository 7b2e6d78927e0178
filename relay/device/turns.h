/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of one client (see http/client.h), over all its sockets. Each takes from the client's
 * bucket; when nothing is left, its device stands in the client's line. Every second as many come
 * to their turn as the bucket has earned, one register a turn, so that no device of an address
 * keeps the others waiting for long. Nobody else's devices notice, and who stands in a line is not
 * looked at.
 */
#pragma once
#include "common/list.h"
#include <stdbool.h>

struct device;
struct devices;
struct hashmap;
struct turn_line;

/* A device's place, embedded; at first the link initialised, the line NULL. */
struct turn {
	struct list link; /* struct turn_line::turns */
	struct turn_line *line; /* NULL: it stands in none */
};

/* The map of lines, by client; empty when no socket is left. */
struct hashmap *turns_create_lines(void);

/* Whether a register of the device may run now. False: it stands in line, and
 * device_requests_on_turn comes from turns_tick, never inside this call. Not while it stands in
 * line already. */
bool turns_take(struct device *device, struct turn *turn);
/* It waits no longer; fine when it does not. */
void turns_leave(struct devices *devices, struct turn *turn);
/* Every second. */
void turns_tick(struct devices *devices);
