/* SPDX-License-Identifier: Apache-2.0 */
/* What websocket.c, which has the life of a device socket, shares with websocket_send.c. */
#pragma once
#include "relay/device/websocket.h"
#include <libwebsockets.h>

enum { WEBSOCKET_GATHER_BYTES = 32768 };

struct websocket_host {
	struct ev_loop *loop;
	const struct websocket_events *events;
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct websocket *adopting; /* the socket whose upgrade is being answered */
	struct list doomed; /* struct websocket::link: to be ended outside of any callback */
	ev_async sweep; /* fed, never sent */
	struct list closed_now,
		closed_before; /* struct websocket::link: of this second, and the last */
	ev_timer linger;
	struct websocket *gathering; /* between websocket_gather and websocket_send_gathered */
	size_t gathered_bytes;
	unsigned char gathered[LWS_PRE + WEBSOCKET_GATHER_BYTES]; /* its frames, behind LWS_PRE bytes */
};

/* The socket ends. */
void websocket_forget_unsent(struct websocket *socket);
/* libwebsockets says that there is room. */
void websocket_send_on_writable(struct websocket *socket);
