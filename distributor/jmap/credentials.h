/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a login's password or token comes from: a command, the Secret Service of the session, or a
 * file of mode 0600. Asked when needed, held while in use, wiped after; never in a process list or
 * log.
 */
#pragma once
#include "distributor/bus/bus.h"
#include "distributor/jmap/jmap_config.h"
#include <ev.h>

enum credentials_outcome { CREDENTIALS_FOUND, CREDENTIALS_MISSING, CREDENTIALS_FAILED };
/* Once, later. `secret` lives during the call; `reason` is a sentence when there is none. */
typedef void credentials_done_fn(
	enum credentials_outcome outcome, const char *secret, const char *reason, void *ctx);

struct credentials;
/* session_bus NULL: no Secret Service. state_dir: secrets/NAME lies there. */
struct credentials *credentials_create(
	struct ev_loop *loop, struct bus *session_bus, const char *state_dir);
void credentials_destroy(struct credentials *credentials); /* no callback comes any more */
/* password_command when the config has one, else the Secret Service, else the file. */
void credentials_get(struct credentials *credentials, const struct jmap_config *config,
	credentials_done_fn *done, void *ctx);
/* No callback for this ctx any more. */
void credentials_cancel(struct credentials *credentials, void *ctx);

/* For the tool; these block. 0 or negative errno; out_where says in words where it lies now. */
int credentials_store(struct sd_bus *session_bus, const char *state_dir, const char *name,
	const char *label, const char *secret, const char **out_where);
int credentials_forget(struct sd_bus *session_bus, const char *state_dir, const char *name);
