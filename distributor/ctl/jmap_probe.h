/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `bellwire jmap` asks mail servers by itself: is the login good, and can the server push?
 * Each step is told on standard error with its time; failures say what to do.
 */
#pragma once
#include "distributor/ctl/jmap_place.h"
#include "distributor/jmap/jmap_session.h"

/* The first line that the login's password_command prints, secret_free; NULL when it failed, which
 * has been explained. */
char *jmap_probe_secret(const struct jmap_config *config);

struct jmap_probe {
	char *url; /* of the session */
	bool can_push, can_stream;
};
/* Logs in. COMMAND_OK, or a failure that it has explained; jmap_probe_finish in any case. A host
 * outside the user's domain that DNS alone names gets the secret when the user says so, on the
 * terminal or by is_sure. */
int jmap_probe_run(const struct jmap_place *place, const struct jmap_config *config,
	const char *secret, bool is_sure, struct jmap_probe *out_probe);
void jmap_probe_finish(struct jmap_probe *probe);

enum jmap_destroyed { JMAP_DESTROYED, JMAP_NONE_THERE, JMAP_NOT_DESTROYED };
/* Without a daemon: destroys what jmap-NAME.json says of ours at the server. NOT_DESTROYED:
 * *out_reason is a sentence, fresh. */
enum jmap_destroyed jmap_probe_destroy(
	const struct jmap_place *place, const struct jmap_config *config, char **out_reason);
