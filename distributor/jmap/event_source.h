/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 8620 7.3: StateChanges as a stream of server-sent events, for servers that cannot push. The
 * parser is pure; the stream reconnects with backoff, resumes by Last-Event-ID, asks for pings at
 * their longest, and finds a dead connection by their absence.
 */
#pragma once
#include "common/buffer.h"
#include "common/slice.h"
#include "distributor/alarm.h"
#include "distributor/jmap/jmap_client.h"

/* ---- text/event-stream, in pieces of any size ---- */

enum { EVENT_LINE_MAX = 65536, EVENT_DATA_MAX = 262144 };
struct event {
	struct slice name; /* "message" when the server named none */
	struct slice data, id; /* id: empty when none was ever given */
};
typedef void event_fn(const struct event *event, void *ctx);
struct event_parser;
struct event_parser *event_parser_create(event_fn *event, void *ctx);
void event_parser_destroy(struct event_parser *parser);
/* False when a limit is exceeded: the stream is to be ended. */
bool event_parser_feed(struct event_parser *parser, struct slice piece);

/* ---- the stream ---- */

struct event_source_options {
	struct alarms *alarms;
	struct fetcher *fetcher;
	struct jmap_client *client;
	const struct jmap_config *config; /* its types */
	/* {account id: {type: state}}, borrowed for the call. */
	void (*changed)(const json_t *changed, void *ctx);
	/* It is open now (so look once for what was missed), or it ended: why. */
	void (*state)(bool is_open, const char *reason, void *ctx);
	void *ctx;
};
struct event_source;
/* Connects at once; the session must be known. */
struct event_source *event_source_create(const struct event_source_options *options);
void event_source_destroy(struct event_source *source); /* NULL is fine */
/* News of the network: an attempt now when none is open, else one check of the open one. */
void event_source_hint(struct event_source *source);
