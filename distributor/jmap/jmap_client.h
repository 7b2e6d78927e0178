/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One login's access to its server: finds the session, adds the password, asks for that again when
 * the server refuses it, and fetches the session anew when an answer says that it has changed: once
 * a minute at most, for some servers never say the same twice.
 * Everything that the daemon asks a JMAP server goes through here. It does not retry by itself: an
 * outcome says whether that would help, and when. The secret is held until it is forgotten, for a
 * keyring or command that asks the user shall do so once.
 */
#pragma once
#include "distributor/jmap/credentials.h"
#include "distributor/jmap/jmap_call.h"
#include "distributor/jmap/jmap_config.h"
#include "distributor/jmap/jmap_session.h"

enum { JMAP_CLIENT_LOOK_MS = 60 * 1000 }; /* between two because of what an answer says */

struct jmap_client_options {
	struct ev_loop *loop;
	struct fetcher *fetcher;
	struct credentials *credentials;
	const struct jmap_config *config; /* outlives it */
	/* A first session, or one that differs from that before; valid until the next. From the loop,
	 * before the call that waited for it is made. It may call all functions below. */
	void (*on_session)(const struct jmap_session *session, void *ctx);
	void *ctx;
};
struct jmap_client;
struct jmap_client *jmap_client_create(const struct jmap_client_options *options);
void jmap_client_destroy(struct jmap_client *client); /* no callback comes any more */

/* NULL before the first. */
const struct jmap_session *jmap_client_session(const struct jmap_client *client);
/* Another password may be there, or the server elsewhere: the next call asks for both anew. */
void jmap_client_forget(struct jmap_client *client);

/* The session is fetched anew before the next call; when that fails, all goes on with the one that
 * is there. */
void jmap_client_look(struct jmap_client *client);

/* Makes the call once the session is known; calls are made one after the other, in their order. A
 * 401 leads to a second attempt with the password asked for again (a bearer token may have
 * expired), unless that is the same; a 404 of the API's URL to one with a fresh session. When
 * secret or session cannot be had, all calls that wait get a result that tells why (no secret:
 * UNAUTHORIZED; not found: TRY_LATER). done: once, later; it may call all functions here. */
void jmap_client_send(
	struct jmap_client *client, struct jmap_call *take_call, jmap_called_fn *done, void *ctx);
/* No callback comes any more for this ctx. Fine from within one of them. */
void jmap_client_cancel(struct jmap_client *client, void *ctx);

/* Is a person or a command being asked for it just now? */
bool jmap_client_awaits_secret(const struct jmap_client *client);
/* Was the last failure that no secret could be had (the command failed, the keyring is locked)? */
bool jmap_client_lacks_secret(const struct jmap_client *client);

/* Fills url-independent parts for a request of another kind (event streams): auth and certificates.
 * False when session or secret is not known; a call finds both. What it points to is valid until
 * the next call of this module. */
bool jmap_client_fill(struct jmap_client *client, struct fetch_options *options);
