/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, parses, hands on and answers on one socket. */
#include "relay/http/connection.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/http/tls.h"
#include "relay/http/trusted.h"
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IO_AGAIN = 0, IO_ENDED = -1 };

static void http_connection_process(struct http_connection *connection);

/* ---- bytes in and out, plain or TLS: > 0, IO_AGAIN, IO_ENDED ---- */

static ssize_t http_tls_result(struct http_connection *connection, int result) {
	switch (SSL_get_error(connection->ssl, result)) {
	case SSL_ERROR_WANT_WRITE:
		ev_io_start(connection->server->options.loop, &connection->writer);
		return IO_AGAIN;
	case SSL_ERROR_WANT_READ:
		return IO_AGAIN;
	default:
		ERR_clear_error();
		return IO_ENDED;
	}
}

static ssize_t http_receive(struct http_connection *connection, char *data, size_t bytes) {
	if (connection->ssl) {
		int n = SSL_read(connection->ssl, data, (int)bytes);
		return n > 0 ? n : http_tls_result(connection, n);
	}
	ssize_t n = recv(connection->fd, data, bytes, 0);
	if (n > 0) {
		return n;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? IO_AGAIN : IO_ENDED;
}

static ssize_t http_transmit(struct http_connection *connection, const char *data, size_t bytes) {
	if (connection->ssl) {
		int n = SSL_write(connection->ssl, data, bytes > 1 << 20 ? 1 << 20 : (int)bytes);
		return n > 0 ? n : http_tls_result(connection, n);
	}
	ssize_t n = send(connection->fd, data, bytes, MSG_NOSIGNAL);
	if (n >= 0) {
		return n;
	}
	return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_ENDED;
}

/* ---- life ---- */

static void http_connection_enter(
	struct http_connection *connection, enum http_connection_state state) {
	connection->state = state;
	connection->since = ev_now(connection->server->options.loop);
}

static void http_connection_free_if_done(struct http_connection *connection) {
	if (connection->state == HTTP_CLOSED && connection->holds == 0) {
		free(connection);
	}
}

/* Whoever waits for the body learns that it does not come. */
static void http_connection_orphan(struct http_connection *connection) {
	struct http_request *request = connection->request;
	connection->request = NULL;
	if (!request) {
		return;
	}
	connection->server->busy--;
	request->connection = NULL;
	if (request->on_body) {
		http_body_fn *on_body = request->on_body;
		request->on_body = NULL;
		on_body(request, HTTP_BODY_BROKEN, (struct slice){NULL, 0}, request->body_ctx);
		buffer_finish(&request->body);
		free(request);
	}
}

/* Takes the socket from the loop and the lists; it is open still. */
static void http_connection_detach(struct http_connection *connection) {
	struct ev_loop *loop = connection->server->options.loop;
	ev_io_stop(loop, &connection->reader);
	ev_io_stop(loop, &connection->writer);
	list_remove(&connection->link);
	connection->server->open--;
	buffer_finish(&connection->in);
	buffer_finish(&connection->out);
	connection->state = HTTP_CLOSED;
}

void http_connection_close(struct http_connection *connection) {
	if (connection->state == HTTP_CLOSED) {
		return;
	}
	connection->holds++;
	http_connection_detach(connection);
	if (connection->ssl) {
		(void)SSL_shutdown(connection->ssl);
		ERR_clear_error();
		SSL_free(connection->ssl);
	}
	(void)close(connection->fd);
	http_connection_orphan(connection);
	connection->holds--;
	http_connection_free_if_done(connection);
}

/* Sends FIN and reads on for a moment: a close with unread input would destroy the answer on its
 * way. */
static void http_connection_linger(struct http_connection *connection) {
	if (connection->ssl) {
		(void)SSL_shutdown(connection->ssl);
		ERR_clear_error();
	}
	if (shutdown(connection->fd, SHUT_WR) < 0) {
		http_connection_close(connection);
		return;
	}
	http_connection_enter(connection, HTTP_LINGER);
	ev_io_start(connection->server->options.loop, &connection->reader);
}

/* ---- sending ---- */

static void http_connection_keep(
	struct http_connection *connection, const char *data, size_t bytes) {
	if (!buffer_append(&connection->out, data, bytes)) {
		http_connection_close(connection); /* it does not read its answers */
		return;
	}
	ev_io_start(connection->server->options.loop, &connection->writer);
}

void http_connection_send(
	struct http_connection *connection, const char *head, size_t head_bytes, struct slice body) {
	if (connection->state == HTTP_CLOSED) {
		return;
	}
	char joined[8192];
	const char *data = head;
	size_t bytes = head_bytes;
	if (body.len > 0 && head_bytes + body.len <= sizeof joined) {
		memcpy(joined, head, head_bytes);
		memcpy(joined + head_bytes, body.data, body.len);
		data = joined;
		bytes += body.len;
		body.len = 0;
	}
	ssize_t sent = 0;
	if (buffer_length(&connection->out) == 0) {
		sent = http_transmit(connection, data, bytes);
		if (sent == IO_ENDED) {
			http_connection_close(connection);
			return;
		}
	}
	if ((size_t)sent < bytes) {
		http_connection_keep(connection, data + sent, bytes - (size_t)sent);
	}
	if (body.len > 0 && connection->state != HTTP_CLOSED) {
		http_connection_keep(connection, body.data, body.len);
	}
}

static void http_connection_flush(struct http_connection *connection) {
	struct buffer *out = &connection->out;
	while (buffer_length(out) > 0) {
		ssize_t sent = http_transmit(connection, buffer_begin(out), buffer_length(out));
		if (sent == IO_ENDED) {
			http_connection_close(connection);
			return;
		}
		if (sent == IO_AGAIN) {
			return;
		}
		buffer_consume(out, (size_t)sent);
	}
	buffer_finish(out);
	ev_io_stop(connection->server->options.loop, &connection->writer);
	if (connection->state == HTTP_FLUSH) {
		http_connection_linger(connection);
	}
}

/* The front's own refusals, for what never becomes a request. */
static void http_connection_refuse(
	struct http_connection *connection, int status, const char *reason, const char *message) {
	char body[256], head[256];
	int body_len = snprintf(body, sizeof body,
		"{\"code\":%d,\"errno\":%d,\"error\":\"%s\",\"message\":\"%s\"}", status, status, reason,
		message);
	int head_len = snprintf(head, sizeof head,
		"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s"
		"Connection: close\r\n\r\n",
		status, reason, body_len, status == 503 ? "Retry-After: 5\r\n" : "");
	assert(body_len < (int)sizeof body && head_len < (int)sizeof head);
	connection->server->stats.bad_requests += status != 503 && status != 408;
	http_connection_send(
		connection, head, (size_t)head_len, (struct slice){body, (size_t)body_len});
	if (connection->state == HTTP_CLOSED) {
		return;
	}
	http_connection_orphan(connection);
	http_connection_enter(connection, HTTP_FLUSH);
	http_connection_flush(connection);
}

static void http_connection_refuse_parse(
	struct http_connection *connection, enum http_parse_result result) {
	switch (result) {
	case HTTP_PARSE_TARGET_TOO_LONG:
		http_connection_refuse(connection, 414, "URI Too Long", "the request target is too long");
		return;
	case HTTP_PARSE_HEAD_TOO_LARGE:
		http_connection_refuse(
			connection, 431, "Request Header Fields Too Large", "the headers are too large");
		return;
	case HTTP_PARSE_BAD_EXPECTATION:
		http_connection_refuse(
			connection, 417, "Expectation Failed", "only 100-continue can be expected");
		return;
	case HTTP_PARSE_BAD_VERSION:
		http_connection_refuse(
			connection, 505, "HTTP Version Not Supported", "HTTP/1.1 is spoken here");
		return;
	case HTTP_PARSE_BAD_CODING:
		http_connection_refuse(
			connection, 501, "Not Implemented", "the only transfer coding is chunked");
		return;
	case HTTP_PARSE_OK:
	case HTTP_PARSE_MORE:
	case HTTP_PARSE_BAD:
		break;
	}
	http_connection_refuse(connection, 400, "Bad Request", "this is no valid HTTP/1.1 request");
}

/* ---- one request ---- */

static void http_slice_move(struct slice *slice, const char *from, size_t bytes, const char *to) {
	if (slice->data >= from && slice->data <= from + bytes) {
		slice->data = to + (slice->data - from);
	}
}

/* Copies the head, and a body that came whole, so that they stay while the socket reads on. */
static struct http_request *http_request_make(struct http_connection *connection,
	const struct http_head *head, size_t head_bytes, struct slice input, size_t *out_used) {
	size_t body = 0;
	bool is_whole = !head->is_chunked && head->content_length <= input.len - head_bytes;
	if (is_whole) {
		body = (size_t)head->content_length;
	}
	struct http_request *request = mem_alloc(sizeof *request + head_bytes + body);
	/* The array of headers is large and mostly unused: only its used part is copied. */
	size_t array = offsetof(struct http_request, head) + offsetof(struct http_head, headers);
	size_t behind = offsetof(struct http_request, head) + offsetof(struct http_head, header_count);
	memset(request, 0, array);
	memset((char *)request + behind, 0, sizeof *request - behind);
	memcpy(&request->head, head,
		offsetof(struct http_head, headers) + head->header_count * sizeof head->headers[0]);
	memcpy(&request->head.header_count, &head->header_count,
		sizeof *head - offsetof(struct http_head, header_count));
	memcpy(request->text, input.data, head_bytes + body);
	http_slice_move(&request->head.target, input.data, head_bytes, request->text);
	http_slice_move(&request->head.path, input.data, head_bytes, request->text);
	http_slice_move(&request->head.query, input.data, head_bytes, request->text);
	for (size_t i = 0; i < head->header_count; i++) {
		http_slice_move(&request->head.headers[i].name, input.data, head_bytes, request->text);
		http_slice_move(&request->head.headers[i].value, input.data, head_bytes, request->text);
	}
	request->connection = connection;
	request->peer = connection->peer;
	request->head_bytes = head_bytes;
	request->body_is_complete = is_whole;
	request->inline_body = (struct slice){request->text + head_bytes, body};
	request->body_left = is_whole ? 0 : head->content_length;
	http_chunks_init(&request->chunks);
	http_trusted_resolve(connection->server->trusted, &request->head, &request->peer);
	*out_used = head_bytes + body;
	return request;
}

/* Parses one head at input; returns how many bytes are used up. */
static size_t http_connection_read_head(struct http_connection *connection, struct slice input) {
	struct http_head head;
	size_t bytes, used = 0;
	enum http_parse_result result = http_parse_head(input, &connection->scanned, &head, &bytes);
	if (result == HTTP_PARSE_MORE) {
		return 0;
	}
	connection->scanned = 0;
	if (result != HTTP_PARSE_OK) {
		http_connection_refuse_parse(connection, result);
		return input.len;
	}
	connection->request = http_request_make(connection, &head, bytes, input, &used);
	http_connection_enter(connection, HTTP_BUSY);
	connection->server->busy++;
	return used;
}

/* ---- bodies that come in pieces ---- */

void http_connection_start_body(struct http_connection *connection) {
	struct http_request *request = connection->request;
	http_connection_enter(connection, HTTP_READ_BODY);
	if (request->head.expects_continue && buffer_length(&connection->in) == 0) {
		static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
		request->continue_was_sent = true;
		http_connection_send(connection, proceed, sizeof proceed - 1, (struct slice){NULL, 0});
	}
	if (connection->state != HTTP_CLOSED) {
		http_connection_process(connection);
	}
}

static void http_connection_end_body(
	struct http_connection *connection, enum http_body_result result) {
	struct http_request *request = connection->request;
	http_body_fn *on_body = request->on_body;
	request->on_body = NULL;
	request->body_is_complete = result == HTTP_BODY_OK;
	http_connection_enter(connection, HTTP_BUSY);
	struct slice body = {buffer_begin(&request->body), buffer_length(&request->body)};
	on_body(request, result, body, request->body_ctx);
}

/* Chunks are decoded in place. The input is used up before the callback at the body's end, which
 * may end everything. */
static void http_connection_read_chunks(
	struct http_connection *connection, struct buffer *in, size_t bytes) {
	struct http_request *request = connection->request;
	char *data = buffer_begin(in);
	size_t payload, used;
	enum http_parse_result result =
		http_chunks_feed(&request->chunks, data, bytes, &payload, &used);
	bool fits = buffer_append(&request->body, data, payload);
	buffer_consume(in, used);
	if (result == HTTP_PARSE_BAD) {
		http_connection_refuse(connection, 400, "Bad Request", "the chunked body is malformed");
	} else if (!fits) {
		http_connection_end_body(connection, HTTP_BODY_TOO_LARGE);
	} else if (result == HTTP_PARSE_OK) {
		http_connection_end_body(connection, HTTP_BODY_OK);
	}
}

static void http_connection_read_body(
	struct http_connection *connection, struct buffer *in, size_t bytes) {
	struct http_request *request = connection->request;
	if (request->head.is_chunked) {
		http_connection_read_chunks(connection, in, bytes);
		return;
	}
	size_t take = bytes < request->body_left ? bytes : (size_t)request->body_left;
	bool fits = buffer_append(&request->body, buffer_begin(in), take);
	assert(fits); /* the length was compared with the limit */
	buffer_consume(in, take);
	request->body_left -= take;
	if (request->body_left == 0) {
		http_connection_end_body(connection, HTTP_BODY_OK);
	}
}

/* ---- the machine ---- */

static void http_connection_drain(struct http_connection *connection, size_t bytes) {
	size_t step = bytes < connection->drain_left ? bytes : connection->drain_left;
	buffer_consume(&connection->in, step);
	connection->drain_left -= step;
	if (connection->drain_left == 0) {
		http_connection_enter(connection, HTTP_READ_HEAD);
	}
}

/* One step of its state with the input at hand. False when nothing more can be done now. */
static bool http_connection_step(struct http_connection *connection) {
	struct buffer *in = &connection->in;
	size_t bytes = buffer_length(in), used;
	switch (connection->state) {
	case HTTP_READ_HEAD:
		if (bytes == 0) {
			return false;
		}
		used = http_connection_read_head(connection, (struct slice){buffer_begin(in), bytes});
		if (connection->state == HTTP_BUSY) {
			buffer_consume(in, used);
			http_routes_dispatch(connection->server->options.routes, connection->request);
		}
		return used > 0;
	case HTTP_READ_BODY:
		if (bytes == 0) {
			return false;
		}
		/* The callback at the body's end may end everything: consume before it. */
		http_connection_read_body(connection, in, bytes);
		return true;
	case HTTP_DRAIN:
		if (bytes == 0) {
			return false;
		}
		http_connection_drain(connection, bytes);
		return true;
	case HTTP_HANDSHAKE:
	case HTTP_BUSY:
	case HTTP_FLUSH:
	case HTTP_LINGER:
	case HTTP_CLOSED:
		return false;
	}
	return false;
}

/* Answers and body requests come back in here from within a step: the loop that runs already goes
 * on then. */
static void http_connection_process(struct http_connection *connection) {
	if (connection->is_processing) {
		return;
	}
	connection->is_processing = true;
	connection->holds++;
	while (http_connection_step(connection)) {
	}
	connection->is_processing = false;
	if (connection->state != HTTP_CLOSED && buffer_length(&connection->in) == 0) {
		buffer_finish(&connection->in);
	}
	connection->holds--;
	http_connection_free_if_done(connection);
}

/* Bytes that a TLS session holds already wake nobody by themselves. */
static void http_connection_read_on(struct http_connection *connection) {
	struct ev_loop *loop = connection->server->options.loop;
	ev_io_start(loop, &connection->reader);
	if (connection->ssl && SSL_has_pending(connection->ssl)) {
		ev_feed_event(loop, &connection->reader, EV_READ);
	}
}

void http_connection_finish_request(
	struct http_connection *connection, struct http_request *request, bool close) {
	if (connection->state == HTTP_CLOSED) {
		http_connection_free_if_done(connection);
		return;
	}
	assert(connection->request == request);
	connection->request = NULL;
	connection->server->busy--;
	if (close) {
		http_connection_enter(connection, HTTP_FLUSH);
		if (buffer_length(&connection->out) == 0) {
			http_connection_flush(connection);
		}
		return;
	}
	http_connection_enter(connection, connection->drain_left > 0 ? HTTP_DRAIN : HTTP_READ_HEAD);
	http_connection_read_on(connection);
	http_connection_process(connection);
}

bool http_connection_give_up(struct http_connection *connection, struct http_request *request,
	int *out_fd, char **take_bytes, size_t *out_bytes) {
	size_t behind = buffer_length(&connection->in);
	char *bytes = mem_alloc(request->head_bytes + behind);
	memcpy(bytes, request->text, request->head_bytes);
	if (behind > 0) {
		memcpy(bytes + request->head_bytes, buffer_begin(&connection->in), behind);
	}
	int fd = connection->fd;
	unsigned timeout_ms = connection->server->options.limits.tcp_user_timeout_ms;
	if (timeout_ms > 0) { /* fails on unix sockets, which need none */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
	}
	connection->holds++;
	http_connection_detach(connection);
	connection->server->busy--;
	connection->request = NULL;
	request->connection = NULL;
	int result = fd;
	if (connection->ssl) {
		result = http_tls_pump_start(connection->server->options.loop, connection->ssl, fd);
	}
	connection->holds--;
	http_connection_free_if_done(connection);
	if (result < 0) {
		free(bytes);
		return false;
	}
	*out_fd = result;
	*take_bytes = bytes;
	*out_bytes = request->head_bytes + behind;
	return true;
}

/* ---- events ---- */

static void http_connection_handshake(struct http_connection *connection) {
	int result = SSL_accept(connection->ssl);
	if (result == 1) {
		http_connection_enter(connection, HTTP_READ_HEAD);
	} else if (http_tls_result(connection, result) == IO_ENDED) {
		http_connection_close(connection);
	}
}

/* Enough input waits behind the request under way. */
static bool http_connection_is_flooded(const struct http_connection *connection) {
	return connection->state != HTTP_LINGER &&
		   buffer_length(&connection->in) > HTTP_INPUT_MAX_BYTES - HTTP_SCRATCH_BYTES;
}

/* Reads what is there. False when the connection is closed. */
static bool http_connection_fill(struct http_connection *connection) {
	struct http_server *server = connection->server;
	for (int reads = 0; reads < 16; reads++) {
		if (http_connection_is_flooded(connection)) {
			return true; /* the rest waits in the socket */
		}
		ssize_t n = http_receive(connection, server->scratch, sizeof server->scratch);
		if (n == IO_ENDED) {
			http_connection_close(connection);
			return false;
		}
		if (n == IO_AGAIN) {
			return true;
		}
		if (connection->state == HTTP_LINGER) {
			continue;
		}
		if (connection->state == HTTP_READ_HEAD && buffer_length(&connection->in) == 0) {
			connection->since = ev_now(server->options.loop); /* a head's first byte */
		}
		if (!buffer_append(&connection->in, server->scratch, (size_t)n)) {
			http_connection_close(connection); /* a flood behind a request under way */
			return false;
		}
		if (!connection->ssl && (size_t)n < sizeof server->scratch) {
			return true; /* a full read is the only sign of more */
		}
	}
	http_connection_read_on(connection);
	return true;
}

static void http_connection_on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)events;
	struct http_connection *connection = watcher->data;
	connection->holds++;
	if (connection->state == HTTP_HANDSHAKE) {
		http_connection_handshake(connection);
	}
	if (connection->state != HTTP_CLOSED && connection->state != HTTP_HANDSHAKE &&
		http_connection_fill(connection)) {
		http_connection_process(connection);
		if (connection->state != HTTP_CLOSED && http_connection_is_flooded(connection)) {
			ev_io_stop(loop, &connection->reader); /* until the answer is out */
		}
	}
	connection->holds--;
	http_connection_free_if_done(connection);
}

static void http_connection_on_writable(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)events;
	struct http_connection *connection = watcher->data;
	connection->holds++;
	if (connection->state == HTTP_HANDSHAKE) {
		ev_io_stop(loop, watcher);
		http_connection_handshake(connection);
	} else {
		http_connection_flush(connection);
	}
	connection->holds--;
	http_connection_free_if_done(connection);
}

void http_connection_open(struct http_server *server, int fd, struct http_tls *tls,
	const struct sockaddr_storage *address) {
	struct http_connection *connection = mem_zalloc(sizeof *connection);
	connection->server = server;
	connection->fd = fd;
	connection->peer.address = *address;
	connection->peer.is_secure = tls != NULL;
	if (address->ss_family == AF_UNIX) {
		connection->peer.address.ss_family = AF_UNSPEC;
	}
	buffer_init(&connection->in, HTTP_INPUT_MAX_BYTES);
	buffer_init(&connection->out, HTTP_OUTPUT_MAX_BYTES);
	list_init(&connection->link);
	list_append(&server->connections, &connection->link);
	server->open++;
	http_connection_enter(connection, tls ? HTTP_HANDSHAKE : HTTP_READ_HEAD);
	ev_io_init(&connection->reader, http_connection_on_readable, fd, EV_READ);
	ev_io_init(&connection->writer, http_connection_on_writable, fd, EV_WRITE);
	connection->reader.data = connection->writer.data = connection;
	ev_io_start(server->options.loop, &connection->reader);
	if (tls) {
		connection->ssl = http_tls_new_session(tls);
		if (!connection->ssl || SSL_set_fd(connection->ssl, fd) != 1) {
			http_connection_close(connection);
		}
	}
}

void http_connection_check_time(struct http_connection *connection, double now) {
	const struct http_limits *limits = &connection->server->options.limits;
	double age = now - connection->since;
	bool has_output = buffer_length(&connection->out) > 0;
	switch (connection->state) {
	case HTTP_HANDSHAKE:
		if (age > limits->head_sec) {
			connection->server->stats.timed_out++;
			http_connection_close(connection);
		}
		return;
	case HTTP_READ_HEAD:
		if (has_output ? age > limits->body_sec
					   : age > limits->idle_sec && buffer_length(&connection->in) == 0) {
			http_connection_close(connection);
		} else if (buffer_length(&connection->in) > 0 && age > limits->head_sec) {
			connection->server->stats.timed_out++;
			http_connection_refuse(
				connection, 408, "Request Timeout", "the headers came too slowly");
		}
		return;
	case HTTP_READ_BODY:
	case HTTP_DRAIN:
		if (age > limits->body_sec) {
			connection->server->stats.timed_out++;
			http_connection_refuse(connection, 408, "Request Timeout", "the body came too slowly");
		}
		return;
	case HTTP_FLUSH:
		if (age > limits->body_sec) {
			http_connection_close(connection);
		}
		return;
	case HTTP_LINGER:
		if (age > HTTP_LINGER_SEC) {
			http_connection_close(connection);
		}
		return;
	case HTTP_BUSY:
	case HTTP_CLOSED:
		return;
	}
}
