/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request as a handler sees it. The handler runs when the head is complete and must lead
 * to exactly one of: http_request_answer, or http_request_take_upgrade. It may first ask for the
 * body, and may answer from any later callback: the request outlives its socket. When the client
 * has gone, an answer is silently dropped.
 *
 * A handler that keeps the request over a callback holds it by the reference it is given: the
 * request stays valid until its answer. Everything that a slice points to stays valid as long.
 */
#pragma once
#include "relay/http/parse.h"
#include <stdint.h>
#include <sys/socket.h>

struct http_request;

/* Where it came from. Behind a trusted proxy, the address that the proxy names in X-Forwarded-For
 * or Forwarded. */
struct http_peer {
	struct sockaddr_storage address; /* AF_UNSPEC for a unix socket without a proxy header */
	bool is_secure;
	bool is_proxy; /* the address is that of a trusted proxy itself */
};
/* Whom limits of addresses count it as (see client.h); 0 for a trusted proxy too. */
uint64_t http_peer_client(const struct http_peer *peer);

const struct http_head *http_request_head(const struct http_request *request);
const struct http_peer *http_request_peer(const struct http_request *request);
/* The first header of that name (any case); NULL when absent. *out_count, if not NULL, is how many
 * there are. */
const struct slice *http_request_header(
	const struct http_request *request, const char *name, size_t *out_count);
/* No client is listening any more. */
bool http_request_is_orphan(const struct http_request *request);

enum http_body_result {
	HTTP_BODY_OK,
	HTTP_BODY_TOO_LARGE, /* over the limit; answer, and the connection looks after the rest */
	HTTP_BODY_BROKEN, /* bad chunk, client gone, timed out: the connection has answered itself if it
						 could. Do not answer; free what is yours, the request ends with this
						 callback. */
};
typedef void http_body_fn(
	struct http_request *request, enum http_body_result result, struct slice body, void *ctx);
/* Reads the whole body, at most limit_bytes; sends 100 Continue first when the client waits for it.
 * A declared length above the limit is TOO_LARGE at once. done may run before the call returns. The
 * body stays valid until the answer. */
void http_request_read_body(
	struct http_request *request, size_t limit_bytes, http_body_fn *done, void *ctx);

struct http_answer_header {
	const char *name, *value;
};
struct http_answer {
	int status;
	const char *content_type; /* NULL without body */
	struct slice body;
	const struct http_answer_header *headers; /* beside Content-Length, Connection, Date */
	size_t header_count;
	bool close; /* end the connection after this */
};
/* Writes at once when it can. A body not read yet is drained up to 64 KiB, or the connection closes
 * behind the answer. HEAD gets the headers only. Ends the request: do not touch it afterwards. */
void http_request_answer(struct http_request *request, const struct http_answer *answer);

/* A WebSocket upgrade is handed on: the connection leaves HTTP. *out_fd (now the caller's) is its
 * socket, or over TLS one end of a socketpair that the TLS layer pumps. *take_bytes is what was
 * read so far, beginning with this request's head (free it). Ends the request. Only for heads with
 * is_websocket_upgrade. False when the client has gone, or was sent away with 503 for
 * want of descriptors. */
bool http_request_take_upgrade(
	struct http_request *request, int *out_fd, char **take_bytes, size_t *out_bytes);
