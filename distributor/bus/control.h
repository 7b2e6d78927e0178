/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The management interface org.bellwire.Distributor, for `bellwire`: on a bus connection and under
 * a name of its own, since the permission to talk to a UnifiedPush distributor covers every object
 * behind that name. Sandboxed callers are refused. It also hands the pushes of named registrations
 * (`bellwire register`) to whoever listens: the tool exports /org/bellwire/Listener, we call Push
 * there, and its answer is the acknowledgement. Ended follows when the name is unregistered.
 */
#pragma once
#include "distributor/bus/bus.h"
#include "distributor/distributor.h"
#include "distributor/history.h"

#define CONTROL_NAME "org.bellwire.Distributor"
#define CONTROL_PATH "/org/bellwire/Distributor"
#define CONTROL_INTERFACE "org.bellwire.Distributor"
#define CONTROL_LISTENER_PATH "/org/bellwire/Listener"
#define CONTROL_LISTENER_INTERFACE "org.bellwire.Listener"

struct control_options {
	struct bus *bus;
	struct alarms *alarms;
	struct distributor *distributor;
	struct history *history;
};

struct control;
/* 0 or negative errno. Becomes the dispatch target of REGISTRATION_NAMED. */
int control_open(const struct control_options *options, struct control **out_control);
void control_close(struct control *control); /* NULL is fine */
/* Properties have changed: who watches is told. */
void control_changed(struct control *control);
/* What JmapList tells has changed. */
void control_jmap_changed(struct control *control);
