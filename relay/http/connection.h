/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client connection of the HTTP front: reads, parses, routes one request at a time, answers,
 * keeps alive. Reading goes through one scratch buffer of the server, so that an idle connection
 * holds no memory but this struct.
 */
#pragma once
#include "common/buffer.h"
#include "common/list.h"
#include "relay/http/listener.h"
#include "relay/http/request.h"
#include <openssl/ssl.h>

enum {
	HTTP_SCRATCH_BYTES = 65536,
	HTTP_INPUT_MAX_BYTES = 131072, /* pipelined input that waits */
	HTTP_OUTPUT_MAX_BYTES = 8 << 20,
	HTTP_DRAIN_MAX_BYTES = 65536, /* of a body that nobody wants, before the connection closes */
	HTTP_LINGER_SEC = 2,
};

enum http_connection_state {
	HTTP_HANDSHAKE, /* TLS */
	HTTP_READ_HEAD,
	HTTP_BUSY, /* the handler has the request */
	HTTP_READ_BODY,
	HTTP_DRAIN, /* answered; the rest of the body is skipped */
	HTTP_FLUSH, /* closes when the answer is out */
	HTTP_LINGER, /* sent everything and FIN; waits for the client's */
	HTTP_CLOSED,
};

struct http_server {
	struct http_server_options options;
	struct http_trusted *trusted;
	struct list connections; /* struct http_connection::link */
	struct list listeners;
	size_t open, busy; /* busy: connections with a request under way or bytes to send */
	bool is_stopping;
	ev_timer every_second;
	struct http_server_stats stats;
	char scratch[HTTP_SCRATCH_BYTES];
};

struct http_connection {
	struct list link; /* struct http_server::connections */
	struct http_server *server;
	struct http_request *request; /* the one under way */
	SSL *ssl; /* NULL on plain text */
	ev_io reader, writer;
	struct buffer in, out;
	struct http_peer peer;
	double since; /* loop time at which the state's time limit began */
	size_t scanned; /* of a head that is not complete */
	size_t drain_left;
	int fd;
	unsigned holds; /* frames on the stack that still use it */
	enum http_connection_state state;
	bool is_processing;
};

struct http_request {
	struct http_connection *connection; /* NULL once the client has gone */
	struct http_head head;
	struct http_peer peer;
	http_body_fn *on_body;
	void *body_ctx, *data;
	size_t body_limit;
	uint64_t body_left; /* of a body with a length, not received yet */
	struct http_chunks chunks;
	struct buffer body; /* when it did not come together with the head */
	struct slice inline_body;
	bool body_is_complete, continue_was_sent;
	size_t head_bytes;
	char text[]; /* the head, and a body that came with it */
};

/* Takes fd over. */
void http_connection_open(struct http_server *server, int fd, struct http_tls *tls,
	const struct sockaddr_storage *address);
void http_connection_close(struct http_connection *connection);
/* Applies the time limits of its state. */
void http_connection_check_time(struct http_connection *connection, double now);

/* ---- for request.c ---- */

/* Sends or keeps; the connection may be closed afterwards. */
void http_connection_send(
	struct http_connection *connection, const char *head, size_t head_bytes, struct slice body);
/* The request is answered and gone: what next? */
void http_connection_finish_request(
	struct http_connection *connection, struct http_request *request, bool close);
/* The handler wants the body now. */
void http_connection_start_body(struct http_connection *connection);
/* Gives up the socket for an upgrade. */
bool http_connection_give_up(struct http_connection *connection, struct http_request *request,
	int *out_fd, char **take_bytes, size_t *out_bytes);

/* Over TLS: pumps between the session and a socketpair, whose other end it returns (negative errno
 * on failure). Owns ssl and fd. */
int http_tls_pump_start(struct ev_loop *loop, SSL *ssl, int fd);
