/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes the pushes of named registrations: connections of the bus that called Listen, until
 * they leave it. A push is decrypted here and handed over by a call of org.bellwire.Listener.Push,
 * whose return acknowledges it. The newest listener of a name gets what comes.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/dispatch.h"
#include <systemd/sd-bus.h>

struct listeners;
/* Becomes the dispatch target of REGISTRATION_NAMED. */
struct listeners *listeners_create(
	struct sd_bus *sd, struct alarms *alarms, struct dispatch *dispatch);
void listeners_destroy(struct listeners *listeners);
/* name "": every name. */
void listeners_add(struct listeners *listeners, const char *connection, const char *name);
