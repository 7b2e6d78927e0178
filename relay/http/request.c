/* SPDX-License-Identifier: Apache-2.0 */
/* The handler's view of a request, and the printing of answers. */
#include "relay/http/request.h"
#include "common/mem.h"
#include "relay/http/connection.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_HEAD_MAX = 4096 };

const struct http_head *http_request_head(const struct http_request *request) {
	return &request->head;
}

const struct http_peer *http_request_peer(const struct http_request *request) {
	return &request->peer;
}

const struct slice *http_request_header(
	const struct http_request *request, const char *name, size_t *out_count) {
	const struct slice *first = NULL;
	size_t count = 0, len = strlen(name);
	for (size_t i = 0; i < request->head.header_count; i++) {
		const struct http_header *header = &request->head.headers[i];
		if (header->name.len == len && strncasecmp(header->name.data, name, len) == 0) {
			first = first ? first : &header->value;
			count++;
		}
	}
	if (out_count) {
		*out_count = count;
	}
	return first;
}

bool http_request_is_orphan(const struct http_request *request) {
	return !request->connection;
}

void http_request_set_data(struct http_request *request, void *data) {
	request->data = data;
}

void *http_request_data(const struct http_request *request) {
	return request->data;
}

static void http_request_free(struct http_request *request) {
	buffer_finish(&request->body);
	free(request);
}

/* ---- body ---- */

void http_request_read_body(
	struct http_request *request, size_t limit_bytes, http_body_fn *done, void *ctx) {
	if (!request->connection) {
		done(request, HTTP_BODY_BROKEN, (struct slice){NULL, 0}, ctx);
		http_request_free(request);
		return;
	}
	if (request->head.has_content_length && request->head.content_length > limit_bytes) {
		done(request, HTTP_BODY_TOO_LARGE, (struct slice){NULL, 0}, ctx);
		return;
	}
	if (request->body_is_complete) {
		done(request, HTTP_BODY_OK, request->inline_body, ctx);
		return;
	}
	request->on_body = done;
	request->body_ctx = ctx;
	request->body_limit = limit_bytes;
	buffer_init(&request->body, limit_bytes);
	http_connection_start_body(request->connection);
}

/* ---- answers ---- */

static const char *http_reason(int status) {
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{201, "Created"},
		{200, "OK"},
		{204, "No Content"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{410, "Gone"},
		{413, "Payload Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		if (reasons[i].status == status) {
			return reasons[i].reason;
		}
	}
	return "Unknown";
}

/* Appends pieces to a head of bounded size; ours always fits. */
struct answer_text {
	char data[ANSWER_HEAD_MAX];
	size_t len;
};

static void answer_add(struct answer_text *text, const char *piece) {
	size_t len = strlen(piece);
	assert(text->len + len < sizeof text->data);
	memcpy(text->data + text->len, piece, len);
	text->len += len;
}

static void answer_print(
	struct answer_text *text, const struct http_answer *answer, bool keep_alive) {
	char number[40];
	text->len = (size_t)snprintf(text->data, sizeof text->data, "HTTP/1.1 %d ", answer->status);
	answer_add(text, http_reason(answer->status));
	for (size_t i = 0; i < answer->header_count; i++) {
		answer_add(text, "\r\n");
		answer_add(text, answer->headers[i].name);
		answer_add(text, ": ");
		answer_add(text, answer->headers[i].value);
	}
	if (answer->content_type) {
		answer_add(text, "\r\nContent-Type: ");
		answer_add(text, answer->content_type);
	}
	if (answer->status != 204) { /* RFC 9110 8.6 */
		(void)snprintf(number, sizeof number, "\r\nContent-Length: %zu", answer->body.len);
		answer_add(text, number);
	}
	answer_add(text, keep_alive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
}

void http_request_answer(struct http_request *request, const struct http_answer *answer) {
	struct http_connection *connection = request->connection;
	if (connection) {
		bool keep_alive =
			request->head.keep_alive && !answer->close && !connection->server->is_stopping;
		uint64_t unread = request->body_is_complete ? 0 : request->body_left;
		bool waits_for_continue = request->head.expects_continue && !request->continue_was_sent;
		if (!request->body_is_complete &&
			(request->head.is_chunked || waits_for_continue || unread > HTTP_DRAIN_MAX_BYTES)) {
			keep_alive = false;
		}
		struct answer_text text;
		answer_print(&text, answer, keep_alive);
		bool has_body = request->head.method != HTTP_HEAD;
		connection->drain_left = (size_t)(keep_alive ? unread : 0);
		connection->holds++;
		http_connection_send(
			connection, text.data, text.len, has_body ? answer->body : (struct slice){NULL, 0});
		connection->holds--;
		http_connection_finish_request(connection, request, !keep_alive);
	}
	http_request_free(request);
}

bool http_request_take_upgrade(
	struct http_request *request, int *out_fd, char **take_bytes, size_t *out_bytes) {
	bool taken = request->connection && http_connection_give_up(request->connection, request,
											out_fd, take_bytes, out_bytes);
	http_request_free(request);
	return taken;
}
