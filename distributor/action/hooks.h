/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: `[hook NAME]` sections of the config, each with an endpoint of its own. A push is
 * decrypted and runs the hook's command (an argument list, no shell) with the message on standard
 * input and its facts in BELLWIRE_*, or shows a desktop notification. One run of a hook at a time;
 * what comes meanwhile is coalesced, but never waits longer than max_delay. A message is taken when
 * the run that carried it has ended well; when it could not be started or was ended by its time
 * limit it is offered again, and three times when the command failed. After a gap (missed messages,
 * long sleep, start) a hook runs once to catch up.
 */
#pragma once
#include "distributor/action/hooks_config.h"
#include "distributor/alarm.h"
#include "distributor/bus/bus.h"
#include "distributor/dispatch.h"
#include "distributor/registrations.h"
#include <ev.h>

struct hooks_options {
	struct ev_loop *loop;
	struct alarms *alarms;
	const struct hooks_config *config; /* outlives the hooks */
	struct bus *session_bus; /* NULL: no notifications, no transient units */
	struct registrations *registrations;
	struct dispatch *dispatch;
};
struct hooks;
/* Becomes the dispatch target of REGISTRATION_HOOK, registers what is new in the config and
 * unregisters what left it. */
struct hooks *hooks_open(const struct hooks_options *options);
/* Ends running commands (SIGTERM), waits for none; what they carried is given back as
 * DISPATCH_SHUTDOWN. NULL is fine. */
void hooks_close(struct hooks *hooks);
/* Runs every hook with catch_up once, soon: `why` becomes BELLWIRE_REASON. */
void hooks_catch_up(struct hooks *hooks, const char *why);
/* On battery hooks are gathered longer (0 on mains). NULL is fine. */
void hooks_set_patience_ms(struct hooks *hooks, int64_t patience_ms);
