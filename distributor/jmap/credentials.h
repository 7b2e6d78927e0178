/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a login's password or token comes from: a command, the Secret Service of the session, or a
 * file of mode 0600. Asked when needed, held while in use, wiped after; never in a process list or
 * log.
 */
#pragma once
#include "distributor/action/hook_command.h"
#include "distributor/bus/bus.h"
#include "distributor/jmap/jmap_config.h"

enum credentials_outcome { CREDENTIALS_FOUND, CREDENTIALS_MISSING, CREDENTIALS_FAILED };
/* Once, later. `secret` lives during the call; `reason` is a sentence when there is none. */
typedef void credentials_done_fn(
	enum credentials_outcome outcome, const char *secret, const char *reason, void *ctx);

enum {
	CREDENTIALS_COMMAND_MS = 60000, /* what a password_command has */
	CREDENTIALS_PROMPT_MS = 120000, /* what the user has to unlock the keyring */
	/* After a prompt that was not answered, a locked keyring is only looked at for so long. */
	CREDENTIALS_PROMPT_AGAIN_MS = 3600000,
};

struct credentials;
/* place: where commands run, copied. session_bus NULL: no Secret Service. state_dir: secrets/NAME
 * lies there. */
struct credentials *credentials_create(
	const struct hook_place *place, struct bus *session_bus, const char *state_dir);
/* Other time limits, for tests. */
void credentials_set_limits(struct credentials *credentials, int command_ms, int prompt_ms);
void credentials_destroy(struct credentials *credentials); /* no callback comes any more */
/* password_command when the config has one, else the Secret Service, else the file. Callbacks may
 * call this and the next, also for themselves. */
void credentials_get(struct credentials *credentials, const struct jmap_config *config,
	credentials_done_fn *done, void *ctx);
/* No callback for this ctx any more. */
void credentials_cancel(struct credentials *credentials, void *ctx);

/* ---- for the tool; these block ---- */

enum credentials_place {
	CREDENTIALS_ANYWHERE, /* the Secret Service when there is one, else the file */
	CREDENTIALS_SERVICE,
	CREDENTIALS_FILE
};
/* Stores it in one place, and forgets what another has, for that could be found instead. 0 with
 * where it lies now in *out_words, or negative errno with a sentence there; fresh. session_bus
 * NULL: there is none. */
int credentials_store(struct sd_bus *session_bus, const char *state_dir, const char *name,
	const char *label, const char *secret, enum credentials_place place, char **out_words);
/* Wherever it is. 0 also when there was none; else negative errno with a sentence. */
int credentials_forget(
	struct sd_bus *session_bus, const char *state_dir, const char *name, char **out_words);
