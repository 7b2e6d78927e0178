/* SPDX-License-Identifier: Apache-2.0 */
/* One client connection: read, parse, route, answer, keep-alive, time limits. */
#include "relay/http/connection.h"
#include "common/mem.h"
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTION_READS_MAX = 8, /* of TLS records, a turn of the loop */
	CONNECTION_ANSWER_BYTES = 2048, /* an answer up to this needs no memory of its own */
	CONNECTION_BODY_BYTES = 4096, /* first memory of a body of its own */
};

static void connection_process(struct http_connection *connection);
static void connection_read(struct http_connection *connection);

/* ---- time ---- */

static void connection_set_timer(struct http_connection *connection, enum http_timer timer) {
	list_remove(&connection->timed);
	connection->timer = (uint8_t)timer;
	if (timer != HTTP_TIMER_NONE) {
		connection->timed_since = ev_now(connection->server->loop);
		list_append(&connection->server->timers[timer], &connection->timed);
	}
}

/* ---- the end ---- */

static void connection_drop_request(struct http_connection *connection) {
	if (connection->request) {
		http_request_release(connection->request, connection->server);
		connection->request = NULL;
	}
}

/* The handler waits for a body that will not come. */
static void connection_break_body(struct http_connection *connection) {
	struct http_request *request = connection->request;
	connection->request = NULL;
	(void)http_request_peer(request); /* while the connection still knows it */
	request->connection = NULL;
	request->is_broken = true;
	request->on_body(request, HTTP_BODY_BROKEN, (struct slice){NULL, 0}, request->on_body_ctx);
	http_request_release(request, connection->server);
}

static void connection_leave_request(struct http_connection *connection) {
	struct http_request *request = connection->request;
	if (!request) {
		return;
	}
	if (connection->phase == HTTP_PHASE_BODY) {
		connection_break_body(connection);
	} else if (connection->phase == HTTP_PHASE_HANDLING) {
		(void)http_request_peer(request);
		request->connection = NULL; /* its answer frees it */
		connection->request = NULL;
	} else {
		connection_drop_request(connection);
	}
}

void http_connection_close(struct http_connection *connection) {
	if (connection->phase == HTTP_PHASE_CLOSED) {
		return;
	}
	struct http_server *server = connection->server;
	int fd = connection->reader.fd;
	ev_io_stop(server->loop, &connection->reader);
	ev_io_stop(server->loop, &connection->writer);
	connection_set_timer(connection, HTTP_TIMER_NONE);
	list_remove(&connection->link);
	bool was_running = connection->is_running;
	connection->is_running = true; /* the handler may answer while it learns of the end */
	connection_leave_request(connection);
	connection->is_running = was_running;
	connection->phase = HTTP_PHASE_CLOSED;
	if (connection->ssl) {
		http_tls_end_session(connection->ssl);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	free(connection->out);
	connection->out = NULL;
	server->stats.open--;
	server->refused_open -= connection->is_refused;
	if (!was_running) {
		free(connection);
	}
	http_server_on_connection_closed(server);
}

static void connection_leave(struct http_connection *connection) {
	connection->is_running = false;
	if (connection->phase == HTTP_PHASE_CLOSED) {
		free(connection);
	}
}

/* A close() while the client still sends would make its kernel throw our answer away; so only our
 * side is shut, and the rest is read for a while. RFC 9112 9.6. */
static void connection_linger(struct http_connection *connection) {
	connection_drop_request(connection);
	connection->phase = HTTP_PHASE_LINGER;
	if (connection->ssl) {
		http_tls_shut(connection->ssl);
	}
	if (shutdown(connection->reader.fd, SHUT_WR) < 0) {
		http_connection_close(connection);
		return;
	}
	connection_set_timer(connection, HTTP_TIMER_LINGER);
	ev_io_start(connection->server->loop, &connection->reader);
	if (connection->ssl) {
		ev_feed_event(connection->server->loop, &connection->reader, EV_READ);
	}
}

static void connection_end(struct http_connection *connection) {
	if (connection->out) {
		connection->phase = HTTP_PHASE_CLOSING;
		connection_drop_request(connection);
	} else if (connection->lingers && !connection->is_eof) {
		connection_linger(connection);
	} else {
		http_connection_close(connection);
	}
}

/* ---- sending ---- */

/* Bytes taken, -EAGAIN, or another negative errno at the end of the connection. */
static ssize_t connection_transmit(
	struct http_connection *connection, const char *data, size_t bytes) {
	if (connection->ssl) {
		return http_tls_send(connection->ssl, data, bytes);
	}
	ssize_t sent = send(connection->reader.fd, data, bytes, MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

static void connection_keep_rest(
	struct http_connection *connection, const char *data, size_t bytes) {
	connection->out = mem_realloc(connection->out, connection->out_bytes + bytes);
	memcpy(connection->out + connection->out_bytes, data, bytes);
	connection->out_bytes += bytes;
	ev_io_start(connection->server->loop, &connection->writer);
}

static void connection_send(struct http_connection *connection, const char *data, size_t bytes) {
	if (connection->out) {
		connection_keep_rest(connection, data, bytes);
		return;
	}
	size_t done = 0;
	while (done < bytes) {
		ssize_t sent = connection_transmit(connection, data + done, bytes - done);
		if (sent == -EAGAIN) {
			connection_keep_rest(connection, data + done, bytes - done);
			return;
		}
		if (sent == -EINTR) {
			continue;
		}
		if (sent < 0) {
			http_connection_close(connection);
			return;
		}
		done += (size_t)sent;
	}
}

static void connection_flush(struct http_connection *connection) {
	while (connection->out_sent < connection->out_bytes) {
		ssize_t sent = connection_transmit(connection, connection->out + connection->out_sent,
			connection->out_bytes - connection->out_sent);
		if (sent == -EAGAIN || sent == -EINTR) {
			return;
		}
		if (sent < 0) {
			http_connection_close(connection);
			return;
		}
		connection->out_sent += (size_t)sent;
	}
	free(connection->out);
	connection->out = NULL;
	connection->out_bytes = connection->out_sent = 0;
	ev_io_stop(connection->server->loop, &connection->writer);
	if (connection->phase == HTTP_PHASE_CLOSING) {
		connection_end(connection);
		return;
	}
	if (connection->phase == HTTP_PHASE_IDLE) {
		connection_set_timer(connection, HTTP_TIMER_IDLE);
	}
	connection_process(connection);
}

static void connection_on_writable(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	struct http_connection *connection = io->data;
	connection->is_running = true;
	if (connection->phase == HTTP_PHASE_HANDSHAKE) {
		connection_read(connection);
	} else {
		connection_flush(connection);
	}
	connection_leave(connection);
}

/* ---- answers ---- */

static const char *connection_date(struct http_server *server) {
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

static void connection_print(struct http_connection *connection, const struct http_answer *answer,
	bool is_head_only, bool closes, bool names_keep_alive) {
	const struct http_answer_form form = {
		.is_head_only = is_head_only,
		.closes = closes,
		.names_keep_alive = names_keep_alive,
		.date = connection_date(connection->server),
	};
	char small[CONNECTION_ANSWER_BYTES];
	size_t bytes;
	char *text = http_answer_print(answer, &form, small, sizeof small, &bytes);
	connection_send(connection, text, bytes);
	if (text != small) {
		free(text);
	}
}

/* The front itself answers, and ends the connection. */
static void connection_refuse(struct http_connection *connection, int status) {
	char text[256];
	struct http_answer answer;
	http_answer_refusal(status, text, &answer);
	bool is_head = connection->request && connection->request->head.method == HTTP_HEAD;
	connection_drop_request(connection);
	connection->phase = HTTP_PHASE_CLOSING;
	connection_set_timer(connection, HTTP_TIMER_WRITE);
	connection->lingers = true;
	connection_print(connection, &answer, is_head, true, false);
	if (connection->phase != HTTP_PHASE_CLOSED) {
		connection_end(connection);
	}
}

/* What becomes of a body that was not read to its end. */
enum connection_rest { CONNECTION_REST_NONE, CONNECTION_REST_DRAIN, CONNECTION_REST_CLOSE };

static enum connection_rest connection_rest_of_body(const struct http_request *request) {
	if (request->is_body_done) {
		return CONNECTION_REST_NONE;
	}
	size_t buffered = request->used - request->input_at;
	if (request->head.expects_continue && !request->is_continue_sent && buffered == 0) {
		return CONNECTION_REST_CLOSE; /* it may send the body or not */
	}
	if (request->head.is_chunked) {
		return request->body_bytes > 0 ? CONNECTION_REST_CLOSE : CONNECTION_REST_DRAIN;
	}
	uint64_t left = request->head.content_length - request->body_bytes;
	return left > HTTP_DRAIN_MAX_BYTES ? CONNECTION_REST_CLOSE : CONNECTION_REST_DRAIN;
}

/* The request is over and the connection stays. */
static void connection_next(struct http_connection *connection) {
	struct http_request *request = connection->request;
	connection->phase = HTTP_PHASE_IDLE;
	if (request->used > request->input_at) {
		http_request_recycle(request);
	} else {
		connection_drop_request(connection);
	}
	connection_set_timer(connection, connection->out ? HTTP_TIMER_WRITE : HTTP_TIMER_IDLE);
}

static void connection_begin_drain(struct http_connection *connection) {
	struct http_request *request = connection->request;
	request->drained = request->body_bytes;
	size_t behind = request->used - request->input_at;
	memmove(request->text, request->text + request->input_at, behind); /* the head is not needed */
	request->head_end = request->input_at = 0;
	request->used = behind;
	connection->phase = HTTP_PHASE_DRAIN;
	connection_set_timer(connection, HTTP_TIMER_BODY);
}

void http_connection_answer(struct http_connection *connection, const struct http_answer *answer) {
	struct http_request *request = connection->request;
	bool was_running = connection->is_running;
	connection->is_running = true;
	enum connection_rest rest = connection_rest_of_body(request);
	bool closes = !request->head.keep_alive || answer->close || connection->server->is_stopping ||
				  rest == CONNECTION_REST_CLOSE;
	connection->phase = HTTP_PHASE_DRAIN; /* no longer the handler's */
	connection_print(connection, answer, request->head.method == HTTP_HEAD, closes,
		request->head.minor_version == 0);
	if (connection->phase != HTTP_PHASE_CLOSED) {
		if (closes) {
			connection->lingers = !request->is_body_done || request->used > request->input_at;
			connection_set_timer(connection, HTTP_TIMER_WRITE);
			connection_end(connection);
		} else if (rest == CONNECTION_REST_DRAIN) {
			connection_begin_drain(connection);
		} else {
			connection_next(connection);
		}
	}
	if (!was_running) {
		connection_process(connection);
		connection_leave(connection);
	}
}

/* ---- requests ---- */

static int connection_status(enum http_parse_result result) {
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

static enum http_parse_result connection_read_head(struct http_request *request) {
	return http_parse_head((struct slice){request->text, request->used}, &request->scanned,
		&request->head, &request->head_end);
}

static void connection_grow_text(struct http_request *request) {
	request->text = mem_realloc(request->text, HTTP_TEXT_MAX_BYTES);
	request->capacity = HTTP_TEXT_MAX_BYTES;
}

/* A body will come in pieces, and there is next to no place for them behind the head. */
static bool connection_lacks_room(const struct http_request *request) {
	size_t room = request->capacity - request->head_end;
	return room < 1024 && request->capacity < HTTP_TEXT_MAX_BYTES &&
		   (request->head.is_chunked || request->head.content_length > room);
}

/* Starts the next request if its head is there. False: nothing more to do now. */
static bool connection_start(struct http_connection *connection) {
	struct http_request *request = connection->request;
	if (connection->out || !request || request->used == 0) {
		return false;
	}
	enum http_parse_result result = connection_read_head(request);
	if (result == HTTP_PARSE_MORE) {
		if (connection->phase == HTTP_PHASE_IDLE) {
			connection->phase = HTTP_PHASE_HEAD;
			connection_set_timer(connection, HTTP_TIMER_HEAD);
		}
		if (request->used == request->capacity && request->capacity < HTTP_TEXT_MAX_BYTES) {
			connection_grow_text(request);
		}
		return false;
	}
	if (result == HTTP_PARSE_OK && connection_lacks_room(request)) {
		connection_grow_text(request); /* the slices move */
		request->scanned = 0;
		result = connection_read_head(request);
	}
	if (result != HTTP_PARSE_OK) {
		connection->server->stats.bad_requests++;
		connection_refuse(connection, connection_status(result));
		return false;
	}
	request->input_at = request->head_end;
	request->is_body_done = !request->head.is_chunked && request->head.content_length == 0;
	connection->phase = HTTP_PHASE_HANDLING;
	connection_set_timer(connection, HTTP_TIMER_NONE);
	http_routes_dispatch(connection->server->routes, request);
	return true;
}

static bool connection_deliver(
	struct http_connection *connection, enum http_body_result result, struct slice body) {
	struct http_request *request = connection->request;
	connection->phase = HTTP_PHASE_HANDLING;
	connection_set_timer(connection, HTTP_TIMER_NONE);
	request->on_body(request, result, body, request->on_body_ctx);
	return true;
}

static void connection_body_append(struct http_request *request, const char *data, size_t bytes) {
	if (request->body_bytes + bytes > request->body_capacity || !request->body) {
		size_t capacity =
			request->body_capacity ? request->body_capacity * 2 : (size_t)CONNECTION_BODY_BYTES;
		while (capacity < request->body_bytes + bytes) {
			capacity *= 2;
		}
		request->body = mem_realloc(request->body, capacity);
		request->body_capacity = capacity;
	}
	memcpy(request->body + request->body_bytes, data, bytes);
	request->body_bytes += bytes;
}

static bool connection_collect_chunks(struct http_connection *connection) {
	struct http_request *request = connection->request;
	char *input = request->text + request->input_at;
	size_t payload, consumed;
	enum http_parse_result result = http_chunks_feed(
		&request->chunks, input, request->used - request->input_at, &payload, &consumed);
	if (result == HTTP_PARSE_BAD) {
		connection->server->stats.bad_requests++;
		connection_break_body(connection);
		connection_refuse(connection, 400);
		return false;
	}
	bool is_too_large = payload > request->limit_bytes - request->body_bytes;
	if (payload > 0 && !is_too_large) {
		connection_body_append(request, input, payload);
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
		return connection_deliver(connection, HTTP_BODY_TOO_LARGE, (struct slice){NULL, 0});
	}
	return result == HTTP_PARSE_OK && connection_deliver(connection, HTTP_BODY_OK,
										  (struct slice){request->body, request->body_bytes});
}

/* A body with a length: in text when it fits there, else in memory of its own that grows with what
 * really comes. */
static bool connection_collect_counted(struct http_connection *connection) {
	struct http_request *request = connection->request;
	size_t length = (size_t)request->head.content_length;
	size_t there = request->used - request->input_at;
	if (!request->body && length <= request->capacity - request->head_end) {
		if (there < length) {
			return false;
		}
		request->input_at += length;
		request->is_body_done = true;
		return connection_deliver(
			connection, HTTP_BODY_OK, (struct slice){request->text + request->head_end, length});
	}
	size_t wanted = length - request->body_bytes;
	size_t piece = there < wanted ? there : wanted;
	connection_body_append(request, request->text + request->input_at, piece);
	request->input_at += piece;
	if (request->body_bytes < length) {
		request->used = request->input_at = request->head_end;
		return false;
	}
	request->is_body_done = true;
	return connection_deliver(
		connection, HTTP_BODY_OK, (struct slice){request->body, request->body_bytes});
}

/* False: it needs more input. */
static bool connection_collect(struct http_connection *connection) {
	struct http_request *request = connection->request;
	if (request->is_body_done) {
		return connection_deliver(connection, HTTP_BODY_OK, (struct slice){NULL, 0});
	}
	if (request->head.content_length > request->limit_bytes) {
		return connection_deliver(connection, HTTP_BODY_TOO_LARGE, (struct slice){NULL, 0});
	}
	if (request->head.expects_continue && !request->is_continue_sent) {
		request->is_continue_sent = true;
		if (request->used == request->input_at) {
			static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
			connection_send(connection, text, sizeof text - 1);
			if (connection->phase == HTTP_PHASE_CLOSED) {
				return false;
			}
		}
	}
	return request->head.is_chunked ? connection_collect_chunks(connection)
									: connection_collect_counted(connection);
}

/* Lets the rest of a body go by; the answer is out already. */
static bool connection_drain(struct http_connection *connection) {
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
			connection_end(connection);
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
	connection_next(connection);
	return true;
}

/* Does all that can be done with the bytes that are there. */
static void connection_process(struct http_connection *connection) {
	bool advanced = true;
	while (advanced) {
		switch ((enum http_phase)connection->phase) {
		case HTTP_PHASE_IDLE:
		case HTTP_PHASE_HEAD:
			advanced = connection_start(connection);
			break;
		case HTTP_PHASE_BODY:
			advanced = connection_collect(connection);
			break;
		case HTTP_PHASE_DRAIN:
			advanced = connection_drain(connection);
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
				connection_break_body(connection);
			}
			connection_end(connection);
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

void http_connection_begin_body(struct http_connection *connection) {
	connection->phase = HTTP_PHASE_BODY;
	connection_set_timer(connection, HTTP_TIMER_BODY);
	if (!connection->is_running) {
		connection->is_running = true;
		connection_process(connection);
		connection_leave(connection);
	}
}

int http_connection_detach(struct http_connection *connection) {
	int fd = connection->reader.fd, pair[2];
	struct http_server *server = connection->server;
	int result = connection->ssl ? tls_pump_pair(server, pair) : 0;
	if (result < 0) {
		server->stats.refused++;
		http_server_note_shortage(server, -result);
		return result;
	}
	ev_io_stop(server->loop, &connection->reader);
	ev_io_stop(server->loop, &connection->writer);
	unsigned timeout_ms = server->limits.tcp_user_timeout_ms;
	if (timeout_ms > 0) { /* fails on unix sockets, which need none */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
	}
	if (connection->ssl) {
		SSL *ssl = connection->ssl;
		connection->ssl = NULL;
		tls_pump_create(server, ssl, fd, pair);
		fd = pair[1];
	}
	ev_io_set(&connection->reader, -1, EV_READ);
	connection->request = NULL; /* the caller's */
	connection->phase = HTTP_PHASE_CLOSING;
	http_connection_close(connection);
	return fd;
}

/* ---- receiving ---- */

/* Bytes, 0 at the end of the stream, -EAGAIN, or another negative errno. */
static ssize_t connection_receive(struct http_connection *connection, char *data, size_t room) {
	if (connection->ssl) {
		return http_tls_receive(connection->ssl, data, room);
	}
	ssize_t bytes = recv(connection->reader.fd, data, room, 0);
	return bytes < 0 ? -errno : bytes;
}

static void connection_read_linger(struct http_connection *connection) {
	char waste[4096];
	ssize_t bytes = connection_receive(connection, waste, sizeof waste);
	if (bytes == -EAGAIN || bytes == -EINTR) {
		return;
	}
	connection->lingered += bytes > 0 ? (size_t)bytes : 0;
	if (bytes <= 0 || connection->lingered > HTTP_LINGER_MAX_BYTES) {
		http_connection_close(connection);
	}
}

/* One read. False: no more to be had now. */
static bool connection_read_once(struct http_connection *connection) {
	if (!connection->request) {
		connection->request = http_request_create(connection->server);
		connection->request->connection = connection;
	}
	struct http_request *request = connection->request;
	if (request->used == request->capacity) {
		ev_io_stop(connection->server->loop, &connection->reader); /* until there is room */
		return false;
	}
	ssize_t bytes = connection_receive(
		connection, request->text + request->used, request->capacity - request->used);
	if (bytes > 0) {
		request->used += (size_t)bytes;
		connection_process(connection);
		return true;
	}
	if (bytes == -EAGAIN || bytes == -EINTR) {
		if (connection->phase == HTTP_PHASE_IDLE && request->used == 0) {
			connection_drop_request(connection);
		}
		return false;
	}
	if (bytes < 0) {
		http_connection_close(connection);
		return false;
	}
	connection->is_eof = true;
	ev_io_stop(connection->server->loop, &connection->reader);
	connection_process(connection);
	return false;
}

static bool connection_handshake(struct http_connection *connection) {
	bool wants_write = false;
	int result = http_tls_handshake(connection->ssl, &wants_write);
	if (wants_write) {
		ev_io_start(connection->server->loop, &connection->writer);
	} else {
		ev_io_stop(connection->server->loop, &connection->writer);
	}
	if (result == -EAGAIN) {
		return false;
	}
	if (result < 0) {
		http_connection_close(connection);
		return false;
	}
	connection->phase = HTTP_PHASE_IDLE;
	connection_set_timer(connection, HTTP_TIMER_IDLE);
	return true;
}

static void connection_read(struct http_connection *connection) {
	if (connection->phase == HTTP_PHASE_HANDSHAKE && !connection_handshake(connection)) {
		return;
	}
	for (int i = 0; i < CONNECTION_READS_MAX; i++) {
		if (connection->phase == HTTP_PHASE_LINGER) {
			connection_read_linger(connection);
			return;
		}
		if (connection->phase == HTTP_PHASE_CLOSED || !connection_read_once(connection) ||
			!connection->ssl) {
			return;
		}
	}
	if (connection->phase != HTTP_PHASE_CLOSED && connection->ssl &&
		SSL_has_pending(connection->ssl)) {
		ev_feed_event(connection->server->loop, &connection->reader, EV_READ);
	}
}

static void connection_on_readable(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	struct http_connection *connection = io->data;
	connection->is_running = true;
	connection_read(connection);
	connection_leave(connection);
}

/* ---- beginning, time-out, stop ---- */

void http_connection_create(
	struct http_server *server, int fd, SSL *ssl, const union http_address *peer, bool is_refused) {
	struct http_connection *connection = mem_zalloc(sizeof *connection);
	connection->server = server;
	connection->ssl = ssl;
	connection->peer = *peer;
	connection->is_refused = is_refused;
	connection->phase = ssl ? HTTP_PHASE_HANDSHAKE : HTTP_PHASE_IDLE;
	list_init(&connection->timed);
	list_init(&connection->link);
	list_append(&server->connections, &connection->link);
	ev_io_init(&connection->reader, connection_on_readable, fd, EV_READ);
	ev_io_init(&connection->writer, connection_on_writable, fd, EV_WRITE);
	connection->reader.data = connection->writer.data = connection;
	server->stats.open++;
	server->refused_open += is_refused;
	connection_set_timer(connection, ssl ? HTTP_TIMER_HANDSHAKE : HTTP_TIMER_IDLE);
	if (is_refused) {
		connection->is_running = true;
		connection_refuse(connection, 503);
		connection_leave(connection);
	} else {
		ev_io_start(server->loop, &connection->reader);
	}
}

void http_connection_expire(struct http_connection *connection) {
	connection->is_running = true;
	switch ((enum http_timer)connection->timer) {
	case HTTP_TIMER_HEAD:
		connection->server->stats.timed_out++;
		connection_refuse(connection, 408);
		break;
	case HTTP_TIMER_BODY:
		connection->server->stats.timed_out++;
		if (connection->phase == HTTP_PHASE_BODY) {
			connection_break_body(connection);
			connection_refuse(connection, 408);
		} else {
			http_connection_close(connection);
		}
		break;
	case HTTP_TIMER_HANDSHAKE:
	case HTTP_TIMER_WRITE:
		connection->server->stats.timed_out++;
		http_connection_close(connection);
		break;
	case HTTP_TIMER_IDLE:
	case HTTP_TIMER_LINGER:
		http_connection_close(connection);
		break;
	case HTTP_TIMER_COUNT:
		assert(false);
		break;
	}
	connection_leave(connection);
}

void http_connection_stop(struct http_connection *connection) {
	connection->is_running = true;
	if (connection->phase == HTTP_PHASE_IDLE) {
		connection_read(connection); /* a request may just have come */
	}
	if (connection->phase == HTTP_PHASE_IDLE || connection->phase == HTTP_PHASE_HANDSHAKE) {
		connection_end(connection);
	}
	connection_leave(connection);
}
