/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to apps: NewEndpoint, Message and Unregistered at /org/unifiedpush/Connector, through the
 * version that the app registered with. A v2 app that turns out to export Connector1 only is
 * called through that one from then on. The app is started when it does not run; its method return
 * is the acknowledgement, so no call ever has the no-reply flag.
 */
#pragma once
#include "distributor/bus/names.h"
#include "distributor/dispatch.h"

enum {
	CONNECTOR_RUNNING_MS = 30000, /* what a running app has to answer */
	CONNECTOR_START_MS = 60000 /* and one that must be started */
};

struct alarms;
struct connectors;
struct connectors *connectors_create(struct sd_bus *sd, struct alarms *alarms, struct names *names);
/* Calls in flight end with DISPATCH_SHUTDOWN within this call. NULL is fine. */
void connectors_destroy(struct connectors *connectors);

/* `done` once, later. The registration may go meanwhile, the message stays until then. */
void connectors_announce(struct connectors *connectors, const struct registration *registration,
	dispatch_done_fn *done, void *done_ctx);
void connectors_deliver(struct connectors *connectors, const struct message *message,
	dispatch_done_fn *done, void *done_ctx);
/* by_app confirms the app's own Unregister; else we drop it. */
void connectors_dismiss(
	struct connectors *connectors, const struct registration *registration, bool by_app);

/* What an error of the app, or of the bus in its stead, means for what waits (sections 11 and 12).
 * Pure. */
enum dispatch_outcome connector_outcome(const char *error_name, bool is_from_bus);
