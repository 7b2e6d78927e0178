/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that libwebsockets can do of a relay's work, to compare the relay with: any POST is
 * answered with 201, and hello and register are answered without looking at them. The body of a
 * POST to /p/N is written at once, as it is, to the N-th socket. Nothing is kept, checked or
 * counted.
 */
#pragma once
#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>

enum { BARE_BODY_MAX = 4096, BARE_FRAME_MAX = 8192 };

/* Sockets by number; a number is not used again. */
struct bare {
	const char *host_and_port;
	struct lws **sockets;
	unsigned socket_count, socket_size;
};

struct bare_request {
	unsigned target; /* socket number + 1; 0: nobody */
	size_t body_bytes;
	char body[BARE_BODY_MAX];
};

/* A frame that the socket did not take yet. */
struct bare_frame {
	struct bare_frame *next;
	enum lws_write_protocol kind;
	size_t bytes;
	unsigned char data[]; /* LWS_PRE bytes, then the payload */
};

struct bare_session {
	unsigned number;
	struct bare_frame *first;
};

/* libwebsockets callbacks of the two protocols. */
int bare_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
int bare_websocket(
	struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

/* Sends to the socket of that number at once, or when it takes more. */
void bare_send(struct bare *bare, unsigned number, enum lws_write_protocol kind, const char *data,
	size_t bytes);
