/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 request heads and chunked bodies (RFC 9112). Pure and strict: a message that two parsers
 * could read differently is refused. Slices point into the caller's text.
 */
#pragma once
#include "common/slice.h"
#include <stdint.h>

enum {
	HTTP_HEAD_MAX_BYTES = 16384, /* request line and headers -> 431 */
	HTTP_TARGET_MAX_BYTES = 8192, /* -> 414 */
	HTTP_FIELD_MAX_BYTES = 8192, /* one header value -> 431 */
	HTTP_HEADERS_MAX = 100, /* -> 431 */
};

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_PATCH,
	HTTP_OTHER
};

struct http_header {
	struct slice name, value; /* value trimmed */
};

struct http_head {
	enum http_method method;
	struct slice target; /* as received */
	struct slice path; /* of it, without query; an absolute-form target is reduced to its path */
	struct slice query; /* without '?' */
	int minor_version; /* HTTP/1.x */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t header_count;
	/* framing */
	bool is_chunked;
	bool has_content_length;
	uint64_t content_length;
	/* what the headers ask of the connection */
	bool keep_alive;
	bool expects_continue;
	bool is_websocket_upgrade; /* GET, Upgrade: websocket, Connection: upgrade */
};

enum http_parse_result {
	HTTP_PARSE_OK,
	HTTP_PARSE_MORE, /* no end of the head yet */
	HTTP_PARSE_BAD, /* 400 and close */
	HTTP_PARSE_TARGET_TOO_LONG, /* 414 */
	HTTP_PARSE_HEAD_TOO_LARGE, /* 431 */
	HTTP_PARSE_BAD_EXPECTATION, /* 417 */
	HTTP_PARSE_BAD_VERSION, /* 505 */
	HTTP_PARSE_BAD_CODING, /* 501: a transfer coding other than chunked */
};

/* On OK, *out_bytes is the length of the head including the empty line. out_head is filled on OK,
 * and as far as it came otherwise. scanned (0 at first) remembers how far an earlier MORE had
 * looked, so dripping costs nothing. */
enum http_parse_result http_parse_head(
	struct slice text, size_t *scanned, struct http_head *out_head, size_t *out_bytes);

/* A chunked body, piece by piece. */
struct http_chunks {
	int state;
	uint64_t left; /* of the current chunk */
	size_t line_bytes; /* of the current size line or trailers */
};
void http_chunks_init(struct http_chunks *chunks);
/* Decodes in place: moves the payload found in data[0..bytes) to its front, returns OK at the end
 * of the body, MORE or BAD; *out_payload bytes of payload were found, *out_consumed bytes of input
 * used. */
enum http_parse_result http_chunks_feed(struct http_chunks *chunks, char *data, size_t bytes,
	size_t *out_payload, size_t *out_consumed);
