/* SPDX-License-Identifier: Apache-2.0 */
/* What passes over a connection: head, body and answer of one request after the other. */
#include "relay/http/exchange.h"
#include "common/mem.h"
#include "relay/http/connection.h"
#include <stdlib.h>
#include <time.h>

enum {
	EXCHANGE_ANSWER_BYTES = 2048, /* an answer up to this needs no memory of its own */
	EXCHANGE_BODY_BYTES = 4096, /* first memory of a body of its own */
};

/* ---- an end before the answer ---- */

void http_exchange_break_body(struct http_connection *connection) {
	struct http_request *request = connection->request;
	connection->request = NULL;
	(void)http_request_peer(request); /* while the connection still knows it */
	request->connection = NULL;
	request->is_broken = true;
	request->on_body(request, HTTP_BODY_BROKEN, (struct slice){NULL, 0}, request->on_body_ctx);
	http_request_release(request, connection->server);
}

void http_exchange_abandon(struct http_connection *connection) {
	struct http_request *request = connection->request;
	if (!request) {
		return;
	}
	if (connection->phase == HTTP_PHASE_BODY) {
		http_exchange_break_body(connection);
	} else if (connection->phase == HTTP_PHASE_HANDLING) {
		(void)http_request_peer(request);
		request->connection = NULL; /* its answer frees it */
		connection->request = NULL;
	} else {
		http_connection_drop_request(connection);
	}
}

/* ---- answers ---- */

static const char *exchange_date(struct http_server *server) {
	int64_t now = (int64_t)ev_now(server->loop);
	if (now != server->date_sec) {
		time_t seconds = (time_t)now;
		struct tm utc;
		if (!gmtime_r(&seconds, &utc) || strftime(server->date, sizeof server->date,
											 "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc) == 0) {
			server->date[0] = '\0';
		}
		server->date_sec = now;
	}
	return server->date;
}

static void exchange_print(struct http_connection *connection, const struct http_answer *answer,
	bool is_head_only, bool closes, bool names_keep_alive) {
	const struct http_answer_form form = {
		.is_head_only = is_head_only,
		.closes = closes,
		.names_keep_alive = names_keep_alive,
		.date = exchange_date(connection->server),
	};
	char small[EXCHANGE_ANSWER_BYTES];
	size_t bytes;
	char *text = http_answer_print(answer, &form, small, sizeof small, &bytes);
	http_connection_send(connection, text, bytes);
	if (text != small) {
		free(text);
	}
}

void http_exchange_refuse(struct http_connection *connection, int status) {
	char text[256];
	struct http_answer answer;
	http_answer_refusal(status, text, &answer);
	bool is_head = connection->request && connection->request->head.method == HTTP_HEAD;
	http_connection_drop_request(connection);
	connection->phase = HTTP_PHASE_CLOSING;
	http_connection_set_timer(connection, HTTP_TIMER_WRITE);
	connection->lingers = true;
	exchange_print(connection, &answer, is_head, true, false);
	if (connection->phase != HTTP_PHASE_CLOSED) {
		http_connection_end(connection);
	}
}

/* What becomes of a body that was not read to its end. */
enum exchange_rest { EXCHANGE_REST_NONE, EXCHANGE_REST_DRAIN, EXCHANGE_REST_CLOSE };

static enum exchange_rest exchange_rest_of_body(const struct http_request *request) {
	if (request->is_body_done) {
		return EXCHANGE_REST_NONE;
	}
	size_t buffered = request->used - request->input_at;
	if (request->head.expects_continue && !request->is_continue_sent && buffered == 0) {
		return EXCHANGE_REST_CLOSE; /* it may send the body or not */
	}
	if (request->head.is_chunked) {
		return request->body_bytes > 0 ? EXCHANGE_REST_CLOSE : EXCHANGE_REST_DRAIN;
	}
	uint64_t left = request->head.content_length - request->body_bytes;
	return left > HTTP_DRAIN_MAX_BYTES ? EXCHANGE_REST_CLOSE : EXCHANGE_REST_DRAIN;
}

/* The request is over and the connection stays. */
static void exchange_next(struct http_connection *connection) {
	struct http_request *request = connection->request;
	connection->phase = HTTP_PHASE_IDLE;
	if (request->used > request->input_at) {
		http_request_recycle(request);
	} else {
		http_connection_drop_request(connection);
	}
	http_connection_set_timer(connection, connection->out ? HTTP_TIMER_WRITE : HTTP_TIMER_IDLE);
}

static void exchange_begin_drain(struct http_connection *connection) {
	struct http_request *request = connection->request;
	request->drained = request->body_bytes;
	size_t behind = request->used - request->input_at;
	memmove(request->text, request->text + request->input_at, behind); /* the head is not needed */
	request->head_end = request->input_at = 0;
	request->used = behind;
	connection->phase = HTTP_PHASE_DRAIN;
	http_connection_set_timer(connection, HTTP_TIMER_BODY);
}

void http_exchange_answer(struct http_connection *connection, const struct http_answer *answer) {
	struct http_request *request = connection->request;
	bool was_running = connection->is_running;
	connection->is_running = true;
	enum exchange_rest rest = exchange_rest_of_body(request);
	bool closes = !request->head.keep_alive || answer->close || connection->server->is_stopping ||
				  rest == EXCHANGE_REST_CLOSE;
	connection->phase = HTTP_PHASE_DRAIN; /* no longer the handler's */
	exchange_print(connection, answer, request->head.method == HTTP_HEAD, closes,
		request->head.minor_version == 0);
	if (connection->phase != HTTP_PHASE_CLOSED) {
		if (closes) {
			connection->lingers = !request->is_body_done || request->used > request->input_at;
			http_connection_set_timer(connection, HTTP_TIMER_WRITE);
			http_connection_end(connection);
		} else if (rest == EXCHANGE_REST_DRAIN) {
			exchange_begin_drain(connection);
		} else {
			exchange_next(connection);
		}
	}
	if (!was_running) {
		http_exchange_process(connection);
		http_connection_leave(connection);
	}
}

/* ---- requests ---- */

static int exchange_status(enum http_parse_result result) {
	switch (result) {
	case HTTP_PARSE_TARGET_TOO_LONG:
		return 414;
	case HTTP_PARSE_HEAD_TOO_LARGE:
		return 431;
	case HTTP_PARSE_BAD_EXPECTATION:
		return 417;
	case HTTP_PARSE_BAD_VERSION:
		return 505;
	case HTTP_PARSE_BAD_CODING:
		return 501;
	case HTTP_PARSE_OK:
	case HTTP_PARSE_MORE:
	case HTTP_PARSE_BAD:
		break;
	}
	return 400;
}

static enum http_parse_result exchange_read_head(struct http_request *request) {
	return http_parse_head((struct slice){request->text, request->used}, &request->scanned,
		&request->head, &request->head_end);
}

static void exchange_grow_text(struct http_request *request) {
	request->text = mem_realloc(request->text, HTTP_TEXT_MAX_BYTES);
	request->capacity = HTTP_TEXT_MAX_BYTES;
}

/* A body will come in pieces, and there is next to no place for them behind the head. */
static bool exchange_lacks_room(const struct http_request *request) {
	size_t room = request->capacity - request->head_end;
	return room < 1024 && request->capacity < HTTP_TEXT_MAX_BYTES &&
		   (request->head.is_chunked || request->head.content_length > room);
}

/* Starts the next request if its head is there. False: nothing more to do now. */
static bool exchange_start(struct http_connection *connection) {
	struct http_request *request = connection->request;
	if (connection->out || !request || request->used == 0) {
		return false;
	}
	enum http_parse_result result = exchange_read_head(request);
	if (result == HTTP_PARSE_MORE) {
		if (connection->phase == HTTP_PHASE_IDLE) {
			connection->phase = HTTP_PHASE_HEAD;
			http_connection_set_timer(connection, HTTP_TIMER_HEAD);
		}
		if (request->used == request->capacity && request->capacity < HTTP_TEXT_MAX_BYTES) {
			exchange_grow_text(request);
		}
		return false;
	}
	if (result == HTTP_PARSE_OK && exchange_lacks_room(request)) {
		exchange_grow_text(request); /* the slices move */
		request->scanned = 0;
		result = exchange_read_head(request);
	}
	if (result != HTTP_PARSE_OK) {
		connection->server->stats.bad_requests++;
		http_exchange_refuse(connection, exchange_status(result));
		return false;
	}
	request->input_at = request->head_end;
	request->is_body_done = !request->head.is_chunked && request->head.content_length == 0;
	connection->phase = HTTP_PHASE_HANDLING;
	http_connection_set_timer(connection, HTTP_TIMER_NONE);
	http_routes_dispatch(connection->server->routes, request);
	return true;
}

static bool exchange_deliver(
	struct http_connection *connection, enum http_body_result result, struct slice body) {
	struct http_request *request = connection->request;
	connection->phase = HTTP_PHASE_HANDLING;
	http_connection_set_timer(connection, HTTP_TIMER_NONE);
	request->on_body(request, result, body, request->on_body_ctx);
	return true;
}

static void exchange_body_append(struct http_request *request, const char *data, size_t bytes) {
	if (request->body_bytes + bytes > request->body_capacity || !request->body) {
		size_t capacity =
			request->body_capacity ? request->body_capacity * 2 : (size_t)EXCHANGE_BODY_BYTES;
		while (capacity < request->body_bytes + bytes) {
			capacity *= 2;
		}
		request->body = mem_realloc(request->body, capacity);
		request->body_capacity = capacity;
	}
	memcpy(request->body + request->body_bytes, data, bytes);
	request->body_bytes += bytes;
}

static bool exchange_collect_chunks(struct http_connection *connection) {
	struct http_request *request = connection->request;
	char *input = request->text + request->input_at;
	size_t payload, consumed;
	enum http_parse_result result = http_chunks_feed(
		&request->chunks, input, request->used - request->input_at, &payload, &consumed);
	if (result == HTTP_PARSE_BAD) {
		connection->server->stats.bad_requests++;
		http_exchange_break_body(connection);
		http_exchange_refuse(connection, 400);
		return false;
	}
	bool is_too_large = payload > request->limit_bytes - request->body_bytes;
	if (payload > 0 && !is_too_large) {
		exchange_body_append(request, input, payload);
	}
	request->input_at += consumed;
	if (result == HTTP_PARSE_OK) {
		request->is_body_done = true;
	} else {
		request->used = request->input_at = request->head_end; /* all is taken */
	}
	if (is_too_large) {
		request->body_bytes += payload;
		request->is_body_done = false; /* begun and given up: the connection closes */
		return exchange_deliver(connection, HTTP_BODY_TOO_LARGE, (struct slice){NULL, 0});
	}
	return result == HTTP_PARSE_OK && exchange_deliver(connection, HTTP_BODY_OK,
										  (struct slice){request->body, request->body_bytes});
}

/* A body with a length: in text when it fits there, else in memory of its own that grows with what
 * really comes. */
static bool exchange_collect_counted(struct http_connection *connection) {
	struct http_request *request = connection->request;
	size_t length = (size_t)request->head.content_length;
	size_t there = request->used - request->input_at;
	if (!request->body && length <= request->capacity - request->head_end) {
		if (there < length) {
			return false;
		}
		request->input_at += length;
		request->is_body_done = true;
		return exchange_deliver(
			connection, HTTP_BODY_OK, (struct slice){request->text + request->head_end, length});
	}
	size_t wanted = length - request->body_bytes;
	size_t piece = there < wanted ? there : wanted;
	exchange_body_append(request, request->text + request->input_at, piece);
	request->input_at += piece;
	if (request->body_bytes < length) {
		request->used = request->input_at = request->head_end;
		return false;
	}
	request->is_body_done = true;
	return exchange_deliver(
		connection, HTTP_BODY_OK, (struct slice){request->body, request->body_bytes});
}

/* False: it needs more input. */
static bool exchange_collect(struct http_connection *connection) {
	struct http_request *request = connection->request;
	if (request->is_body_done) {
		return exchange_deliver(connection, HTTP_BODY_OK, (struct slice){NULL, 0});
	}
	if (request->head.content_length > request->limit_bytes) {
		return exchange_deliver(connection, HTTP_BODY_TOO_LARGE, (struct slice){NULL, 0});
	}
	if (request->head.expects_continue && !request->is_continue_sent) {
		request->is_continue_sent = true;
		if (request->used == request->input_at) {
			static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
			http_connection_send(connection, text, sizeof text - 1);
			if (connection->phase == HTTP_PHASE_CLOSED) {
				return false;
			}
		}
	}
	return request->head.is_chunked ? exchange_collect_chunks(connection)
									: exchange_collect_counted(connection);
}

/* Lets the rest of a body go by; the answer is out already. */
static bool exchange_drain(struct http_connection *connection) {
	struct http_request *request = connection->request;
	size_t there = request->used - request->input_at, consumed;
	bool is_done;
	if (request->head.is_chunked) {
		size_t payload;
		enum http_parse_result result = http_chunks_feed(
			&request->chunks, request->text + request->input_at, there, &payload, &consumed);
		is_done = result == HTTP_PARSE_OK;
		if (result == HTTP_PARSE_BAD || request->drained + consumed > HTTP_DRAIN_MAX_BYTES) {
			connection->lingers = true;
			http_connection_end(connection);
			return false;
		}
	} else {
		uint64_t left = request->head.content_length - request->drained;
		consumed = there < left ? there : (size_t)left;
		is_done = consumed == left;
	}
	request->drained += consumed;
	request->input_at += consumed;
	if (!is_done) {
		request->used = request->input_at = 0;
		return false;
	}
	exchange_next(connection);
	return true;
}

void http_exchange_process(struct http_connection *connection) {
	bool advanced = true;
	while (advanced) {
		switch ((enum http_phase)connection->phase) {
		case HTTP_PHASE_IDLE:
		case HTTP_PHASE_HEAD:
			advanced = exchange_start(connection);
			break;
		case HTTP_PHASE_BODY:
			advanced = exchange_collect(connection);
			break;
		case HTTP_PHASE_DRAIN:
			advanced = exchange_drain(connection);
			break;
		case HTTP_PHASE_HANDSHAKE:
		case HTTP_PHASE_HANDLING:
		case HTTP_PHASE_CLOSING:
		case HTTP_PHASE_LINGER:
		case HTTP_PHASE_CLOSED:
			advanced = false;
			break;
		}
	}
	if (connection->is_eof) {
		/* A client that shut its side still gets its answers. */
		if (connection->phase != HTTP_PHASE_HANDLING && connection->phase != HTTP_PHASE_CLOSING &&
			connection->phase != HTTP_PHASE_CLOSED) {
			if (connection->phase == HTTP_PHASE_BODY) {
				http_exchange_break_body(connection);
			}
			http_connection_end(connection);
		}
		return;
	}
	if (connection->phase != HTTP_PHASE_CLOSED && !ev_is_active(&connection->reader) &&
		(!connection->request || connection->request->used < connection->request->capacity)) {
		ev_io_start(connection->server->loop, &connection->reader);
		if (connection->ssl) {
			ev_feed_event(connection->server->loop, &connection->reader, EV_READ);
		}
	}
}

void http_exchange_begin_body(struct http_connection *connection) {
	connection->phase = HTTP_PHASE_BODY;
	http_connection_set_timer(connection, HTTP_TIMER_BODY);
	if (!connection->is_running) {
		connection->is_running = true;
		http_exchange_process(connection);
		http_connection_leave(connection);
	}
}
