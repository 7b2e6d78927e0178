/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 8620 7.3: StateChanges as a stream of server-sent events, for servers that cannot push. It
 * reconnects with backoff, resumes by Last-Event-ID, asks for pings at their longest, and finds a
 * dead connection by their absence.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/jmap/jmap_client.h"

enum {
	EVENT_SOURCE_PING_SEC = 900, /* asked for; the server says what it makes of it */
	EVENT_SOURCE_OPEN_MS = 30000, /* until it is open */
	EVENT_SOURCE_GRACE_MS = 30000, /* a ping may be later than its interval */
	EVENT_SOURCE_RETRY_MIN_MS = 1000,
	EVENT_SOURCE_RETRY_MAX_MS = 300000, /* of what a server may wish */
};

struct event_source_options {
	struct alarms *alarms;
	struct fetcher *fetcher;
	struct jmap_client *client;
	const struct jmap_config *config; /* its types */
	/* {account id: {type: state}}, borrowed for the call. Not to destroy the source from here. */
	void (*changed)(const json_t *changed, void *ctx);
	/* It is open now (so look once for what was missed), or it is not: a sentence why. Not to
	 * destroy the source from here. */
	void (*state)(bool is_open, const char *reason, void *ctx);
	void *ctx;
};
struct event_source;
/* Connects at once; the session must be known. */
struct event_source *event_source_create(const struct event_source_options *options);
void event_source_destroy(struct event_source *source); /* NULL is fine */
/* News of the network: a new connection now; an open one is given up for it, since nothing else
 * tells whether it still lives. */
void event_source_hint(struct event_source *source);
bool event_source_is_open(const struct event_source *source);
/* Does the session name another place than the one it was last sought at? */
bool event_source_has_moved(const struct event_source *source);
/* Until the next attempt after one that failed; -1: none is planned. */
int64_t event_source_again_ms(const struct event_source *source);

/* Pure: the session's eventSourceUrl with its variables filled in (RFC 6570 level 1), fresh.
 * types: NULL-terminated; none: all. */
char *event_source_url_dup(const char *url_template, char *const *types, int ping_sec);
