/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UnifiedPush distributor on the session bus: org.unifiedpush.Distributor1 and Distributor2 on
 * /org/unifiedpush/Distributor, under the name org.unifiedpush.Distributor.bellwire. Apps call
 * Register and Unregister here; NewEndpoint, Message and Unregistered go to their Connector object
 * through the Connector version that they registered with, starting apps that do not run. Objects
 * are exported before the name is requested. unifiedpush-dbus.md has the contract.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/bus/bus.h"
#include "distributor/dispatch.h"
#include "distributor/registrations.h"

#define UNIFIEDPUSH_NAME "org.unifiedpush.Distributor.bellwire"

struct unifiedpush_options {
	struct bus *bus; /* the session bus; ours alone to own the name on */
	struct alarms *alarms;
	struct registrations *registrations;
	struct dispatch *dispatch;
	/* Refuses callers outside of a sandbox too (the specification's strict mode). */
	bool only_sandboxed;
	/* A good moment to look at the link; may be NULL. */
	void (*used)(void *ctx);
	void *ctx;
};

struct unifiedpush;
/* 0; -EEXIST when another distributor of this name runs; else negative errno. Becomes the dispatch
 * target of REGISTRATION_APP. */
int unifiedpush_open(const struct unifiedpush_options *options, struct unifiedpush **out);
/* Gives the name back; calls in flight end with DISPATCH_SHUTDOWN. NULL is fine. */
/* Does the app of this bus name run, as far as is known? NULL: there is no bus, so no. */
bool unifiedpush_sees(const struct unifiedpush *unifiedpush, const char *service);
void unifiedpush_close(struct unifiedpush *unifiedpush);
