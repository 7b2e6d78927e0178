/* SPDX-License-Identifier: Apache-2.0 */
/* A POST is read and answered with 201, and forwarded if its path says so. */
#include "tests/bench/bare/bare.h"
#include <stdlib.h>
#include <string.h>

static int bare_http_answer(struct lws *wsi) {
	unsigned char buffer[LWS_PRE + 256];
	unsigned char *start = buffer + LWS_PRE;
	unsigned char *at = start;
	unsigned char *end = buffer + sizeof buffer - 1;
	if (lws_add_http_header_status(wsi, 201, &at, end) ||
		lws_add_http_header_content_length(wsi, 0, &at, end) ||
		lws_finalize_http_header(wsi, &at, end)) {
		return -1;
	}
	size_t bytes = (size_t)(at - start);
	if (lws_write(wsi, start, bytes, LWS_WRITE_HTTP_HEADERS | LWS_WRITE_H2_STREAM_END) !=
		(int)bytes) {
		return -1;
	}
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static void bare_http_begin(struct bare_request *request, const char *path) {
	request->body_bytes = 0;
	request->target = 0;
	if (strncmp(path, "/p/", 3) == 0) {
		request->target = (unsigned)strtoul(path + 3, NULL, 10) + 1;
	}
}

static void bare_http_collect(struct bare_request *request, const char *data, size_t bytes) {
	if (bytes <= sizeof request->body - request->body_bytes) {
		memcpy(request->body + request->body_bytes, data, bytes);
		request->body_bytes += bytes;
	}
}

static void bare_http_forward(struct lws *wsi, const struct bare_request *request) {
	struct bare *bare = lws_context_user(lws_get_context(wsi));
	if (request->target > 0) {
		bare_send(bare, request->target - 1, LWS_WRITE_BINARY, request->body, request->body_bytes);
	}
}

int bare_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
	switch (reason) {
	case LWS_CALLBACK_HTTP:
		bare_http_begin(user, in);
		return 0;
	case LWS_CALLBACK_HTTP_BODY:
		bare_http_collect(user, in, len);
		return 0;
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		bare_http_forward(wsi, user);
		return bare_http_answer(wsi);
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}
