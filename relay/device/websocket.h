/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device sockets, as text messages and ends; libwebsockets is behind it and nowhere else. A
 * struct websocket is embedded in its owner. After websocket_adopt said true, on_closed comes
 * exactly once, later or inside websocket_host_destroy, and nothing after it; until then the owner
 * must live.
 */
#pragma once
#include "common/list.h"
#include "common/slice.h"
#include <ev.h>
#include <stdint.h>

struct lws;
struct websocket_host;
struct websocket_queue;

enum websocket_close_code {
	WEBSOCKET_CLOSE_PROTOCOL = 1002,
	WEBSOCKET_CLOSE_NOT_TEXT = 1003,
	WEBSOCKET_CLOSE_BAD_TEXT = 1007,
	WEBSOCKET_CLOSE_TOO_BIG = 1009,
	WEBSOCKET_CLOSE_STAY_AWAY = 4774, /* Firefox then does not come back by itself */
};

struct websocket {
	struct websocket_host *host;
	struct lws *wsi; /* NULL before the upgrade is answered and after the end */
	struct websocket_queue *queue; /* text that waits for room; NULL mostly */
	char *pieces; /* the message being received; NULL between messages */
	uint32_t piece_bytes, receive_limit;
	struct list link; /* one of the host's lists of ending sockets */
	bool is_ending, wants_write;
};

struct websocket_events {
	void (*on_open)(struct websocket *socket);
	/* One whole text message; valid during the call. */
	void (*on_text)(struct websocket *socket, struct slice text);
	/* The peer sent something that is no message: a ping, or the answer to ours. */
	void (*on_alive)(struct websocket *socket, bool is_pong);
	/* There is room again after websocket_is_choked. */
	void (*on_writable)(struct websocket *socket);
	/* The peer broke the protocol, and the socket is being closed for it. */
	void (*on_broken)(struct websocket *socket, enum websocket_close_code code);
	void (*on_closed)(struct websocket *socket);
};

/* NULL when libwebsockets refuses. */
struct websocket_host *websocket_host_create(
	struct ev_loop *loop, const struct websocket_events *events);
void websocket_host_destroy(struct websocket_host *host);

/* Bytes to leave free in front of every text that is sent. */
size_t websocket_headroom(void);

/* Hands fd (taken over in any case) with an upgrade request read from it and what came behind it;
 * on_open and on_text may run inside. False when it came to nothing: then no event comes. */
bool websocket_adopt(
	struct websocket_host *host, struct websocket *socket, int take_fd, struct slice request);
void websocket_limit_receive(struct websocket *socket, uint32_t bytes); /* of one message */

/* Sends one message now, or queues it behind what waits. text has websocket_headroom() free bytes
 * in front, which are overwritten. False when the queue would exceed queue_limit or the socket
 * ends. */
bool websocket_send(struct websocket *socket, char *text, size_t bytes, size_t queue_limit);
/* What is sent between these two leaves together, for one system call costs more than a message.
 * Nothing else may happen to the socket meanwhile. */
void websocket_gather(struct websocket *socket);
void websocket_send_gathered(struct websocket *socket);
/* Something waits to be sent: on_writable will come. */
bool websocket_is_choked(const struct websocket *socket);
bool websocket_ping(struct websocket *socket);

/* Ends TCP without a Close frame, a moment later. May be called any time, repeatedly. */
void websocket_drop(struct websocket *socket);
/* Sends a Close frame and ends TCP right behind it; on_closed may take two seconds. */
void websocket_close(struct websocket *socket, enum websocket_close_code code);
static inline bool websocket_is_ending(const struct websocket *socket) {
	return socket->is_ending;
}
/* The TCP settings of a device socket; best effort, a socketpair has none. */
void websocket_tune(int fd, uint32_t tcp_user_timeout_ms);
