/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WebSocket to a relay, on our own libev loop through libwebsockets: connects when told to, gives
 * whole text messages, says why it ended. Nothing about the protocol inside.
 */
#pragma once
#include "common/slice.h"
#include <ev.h>
#include <stdint.h>

struct websocket_events {
	void (*opened)(void *ctx);
	void (*text)(struct slice text, void *ctx);
	/* Once for each websocket_connect: it failed, perhaps before that returned, or ended. */
	void (*closed)(const char *reason, void *ctx);
};

struct websocket_options {
	struct ev_loop *loop;
	const char *url; /* ws, wss, http or https; copied */
	const char *ca_file; /* NULL: the system's certificates */
	bool insecure; /* any certificate */
	const struct websocket_events *events;
	void *ctx;
};

struct websocket;
/* NULL with a sentence in *out_error. */
struct websocket *websocket_create(const struct websocket_options *options, char **out_error);
/* Ends a connection without a word; no event comes any more. Not from within an event. */
void websocket_destroy(struct websocket *websocket);
void websocket_connect(struct websocket *websocket);
/* Queues one text message of an open connection. */
void websocket_send(struct websocket *websocket, struct slice text);
/* Sends what is queued, then a Close frame; `closed` follows. */
void websocket_close(struct websocket *websocket);
