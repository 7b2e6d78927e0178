/* SPDX-License-Identifier: Apache-2.0 */
/* text/event-stream as the HTML standard has it, in pieces of any size. Pure. */
#pragma once
#include "common/slice.h"
#include <stdint.h>

enum { EVENT_LINE_MAX = 65536, EVENT_DATA_MAX = 262144 };
struct event {
	struct slice name; /* "message" when the server named none */
	struct slice data, id; /* id: the last that was given; empty when there was none */
};
/* Borrowed for the call. Not to destroy the parser, nor to feed it. */
typedef void event_fn(const struct event *event, void *ctx);
struct event_parser;
struct event_parser *event_parser_create(event_fn *event, void *ctx);
void event_parser_destroy(struct event_parser *parser); /* NULL is fine */
/* False when a limit is exceeded: the stream is to be ended. */
bool event_parser_feed(struct event_parser *parser, struct slice piece);
/* What the next connection sends as Last-Event-ID: of the last whole event; "" for none. */
const char *event_parser_last_id(const struct event_parser *parser);
/* The server's wish how long to wait before the next connection; -1: none. */
int64_t event_parser_retry_ms(const struct event_parser *parser);
/* Another connection begins: half an event is forgotten, the last id and retry stay. */
void event_parser_restart(struct event_parser *parser);
