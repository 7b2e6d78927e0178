/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session's keyring (org.freedesktop.secrets), which KDE Wallet, GNOME Keyring, KeePassXC and
 * others offer. Our secrets have the attributes application=bellwire and login=NAME. They pass in
 * the clear over the session bus, which is local.
 */
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

enum secret_outcome {
	SECRET_FOUND,
	SECRET_MISSING,
	SECRET_NO_SERVICE,
	SECRET_LOCKED, /* and the user did not unlock it */
	SECRET_FAILED
};
/* Once, later; secret and reason (a sentence when there is no secret) live during the call. */
typedef void secret_looked_fn(
	enum secret_outcome outcome, const char *secret, const char *reason, void *ctx);

struct secret_lookup;
/* may_prompt: a locked keyring may ask the user, who has prompt_ms for it. */
struct secret_lookup *secret_lookup_start(struct ev_loop *loop, struct sd_bus *bus,
	const char *name, bool may_prompt, int prompt_ms, secret_looked_fn *done, void *ctx);
/* done is not called. NULL is fine; not from within it. */
void secret_lookup_cancel(struct secret_lookup *lookup);

/* These block, and may prompt. 0, -ENOENT when there is no such service (or nothing to forget),
 * other negative errnos with a sentence in *out_error, fresh. */
int secret_service_store(
	struct sd_bus *bus, const char *name, const char *label, const char *secret, char **out_error);
int secret_service_forget(struct sd_bus *bus, const char *name, char **out_error);
