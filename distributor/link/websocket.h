/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSockets to a relay, on our own libev loop through libwebsockets: connects when told to, gives
 * whole text messages, says why it ended. Nothing about the push protocol inside. While nothing is
 * sent or received it wakes nobody: libwebsockets' own timers rest.
 */
#pragma once
#include "common/slice.h"
#include "common/url.h"
#include "distributor/link/websocket_library.h"
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

/* What all connections to one URL share. url: ws, wss, http or https; copied. NULL with a sentence
 * in *out_error. */
struct websocket_client;
struct websocket_client *websocket_client_create(
	struct websocket_library *library, const char *url, char **out_error);
/* After its websockets. NULL is fine. Not from within an event. */
void websocket_client_destroy(struct websocket_client *client);
const struct url *websocket_client_url(const struct websocket_client *client);

enum websocket_ending {
	WEBSOCKET_UNREACHABLE, /* no connection came about, for a reason that only `reason` knows */
	WEBSOCKET_TOO_SLOW, /* TCP, TLS and the upgrade together took too long */
	WEBSOCKET_CERTIFICATE, /* not one that we trust for this host */
	WEBSOCKET_REFUSED, /* the request was answered with `status` */
	WEBSOCKET_CLOSED, /* the peer said goodbye with `code` */
	WEBSOCKET_LOST, /* ended without a word: reset, timed out, closed */
	WEBSOCKET_MISBEHAVED, /* sent what we do not take */
	WEBSOCKET_DONE, /* we closed it */
};
struct websocket_end {
	enum websocket_ending how;
	const char *reason; /* a sentence */
	unsigned int status; /* of HTTP; 0: none */
	int64_t retry_after_sec; /* with a status; -1: not given */
	unsigned int code; /* of the Close frame; 0: none */
	bool is_clock_suspect; /* the certificate is not valid yet */
};

/* From the loop, never within a call of this header. websocket_destroy() is allowed in all. */
struct websocket_events {
	void (*opened)(void *ctx);
	void (*text)(struct slice text, void *ctx);
	void (*ponged)(struct slice payload, void *ctx); /* may be NULL */
	/* Once, unless destroyed before; nothing follows. */
	void (*closed)(const struct websocket_end *end, void *ctx);
};

enum {
	WEBSOCKET_OPEN_MS = 15000, /* for TCP, TLS and upgrade */
	WEBSOCKET_CONNECT_MS = 10000, /* for TCP alone */
	WEBSOCKET_SEND_MS = 20000, /* unacknowledged bytes after which the kernel gives up */
	WEBSOCKET_CLOSE_MS = 3000, /* for the goodbye */
	WEBSOCKET_PING_BYTES = 8,
};

struct websocket_options {
	const char *address; /* to connect to; NULL: the URL's host, resolved here and now */
	/* "USER:PASSWORD@ADDRESS:PORT" of an HTTP proxy, without USER:PASSWORD@ when it needs none;
	 * NULL: none. It is asked for the URL's host, whatever `address` is. */
	const char *proxy;
	size_t message_max; /* longer ones end the connection */
	const struct websocket_events *events;
	void *ctx;
};
struct websocket;
struct websocket *websocket_open(
	struct websocket_client *client, const struct websocket_options *options);
/* Ends the connection without a word; no event comes any more. NULL is fine. */
void websocket_destroy(struct websocket *websocket);
/* Queues one text message of an open connection. */
void websocket_send(struct websocket *websocket, struct slice text);
/* Queues a ping; its payload comes back with `ponged`. */
void websocket_ping(struct websocket *websocket, const uint8_t payload[WEBSOCKET_PING_BYTES]);
/* Sends what is queued, then a Close frame; `closed` follows. NULL is fine. */
void websocket_close(struct websocket *websocket);

int websocket_fd(const struct websocket *websocket); /* -1 when there is none */
/* Text and control frames, payload alone. */
uint64_t websocket_sent_bytes(const struct websocket *websocket);
uint64_t websocket_received_bytes(const struct websocket *websocket);
/* Queued here and not yet given to the kernel. */
bool websocket_has_unsent(const struct websocket *websocket);
