/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: `[hook NAME]` sections of the config, each with an endpoint of its own. A push is
 * decrypted and runs the hook's command (an argument list, no shell) with the message on standard
 * input and its facts in BELLWIRE_*, or shows a desktop notification. One run of a hook at a time;
 * what comes meanwhile is coalesced, but never waits longer than max_delay. A message is taken when
 * the run that carried it has ended well; when it could not be started or was ended by its time
 * limit it is offered again. After a gap (missed messages, long sleep, start) a hook runs once to
 * catch up.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/bus/bus.h"
#include "distributor/dispatch.h"
#include "distributor/registrations.h"
#include <ev.h>
#include <stdio.h>

enum { HOOK_NAME_MAX = 64, HOOKS_MAX = 64 };

struct hook_config {
	char *name; /* letters, digits, '-', '_' */
	char **command; /* NULL-terminated; NULL: none */
	char *notify_title, *notify_text; /* templates, NULL: no notification */
	char *vapid_key; /* only its holder may send; NULL: anybody */
	bool catch_up; /* runs at start and after gaps; needs a command */
	int64_t quiet_ms, max_delay_ms; /* coalescing; 0: a run a message, as soon as possible */
	int64_t timeout_ms; /* of a run; then SIGTERM, and SIGKILL 5 s later */
	bool as_unit; /* through systemd's user manager when it is there (default) */
};

struct hooks_config {
	struct hook_config *hooks;
	size_t count;
};
/* Reads the [hook NAME] sections of the config file (NULL: none). 0, or -EINVAL with each problem
 * on err: file, line, key, and what would do. */
int hooks_config_load(const char *path, struct hooks_config *out_config, FILE *err);
void hooks_config_free(struct hooks_config *config);

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
/* Ends running commands (SIGTERM), waits for none. NULL is fine. */
void hooks_close(struct hooks *hooks);
/* Runs every hook with catch_up once, soon: `why` becomes BELLWIRE_REASON. */
void hooks_catch_up(struct hooks *hooks, const char *why);
/* On battery hooks are gathered longer (0 on mains). */
void hooks_set_patience_ms(struct hooks *hooks, int64_t patience_ms);
