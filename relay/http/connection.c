/* SPDX-License-Identifier: Apache-2.0 */
/* One client connection as a socket: its beginning and end, bytes in and out, time limits. */
#include "relay/http/connection.h"
#include "common/mem.h"
#include "relay/http/exchange.h"
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CONNECTION_READS_MAX = 8, /* of TLS records, a turn of the loop */
};

static void connection_read(struct http_connection *connection);

/* ---- time ---- */

void http_connection_set_timer(struct http_connection *connection, enum http_timer timer) {
	list_remove(&connection->timed);
	connection->timer = (uint8_t)timer;
	if (timer != HTTP_TIMER_NONE) {
		connection->timed_since = ev_now(connection->server->loop);
		list_append(&connection->server->timers[timer], &connection->timed);
	}
}

/* ---- the end ---- */

void http_connection_drop_request(struct http_connection *connection) {
	if (connection->request) {
		http_request_release(connection->request, connection->server);
		connection->request = NULL;
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
	http_connection_set_timer(connection, HTTP_TIMER_NONE);
	list_remove(&connection->link);
	bool was_running = connection->is_running;
	connection->is_running = true; /* the handler may answer while it learns of the end */
	http_exchange_abandon(connection);
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
	server->open[connection->admission]--;
	client_counts_leave(&server->clients, connection->client);
	if (!was_running) {
		free(connection);
	}
	http_server_on_connection_closed(server);
}

void http_connection_leave(struct http_connection *connection) {
	connection->is_running = false;
	if (connection->phase == HTTP_PHASE_CLOSED) {
		free(connection);
	}
}

/* A close() while the client still sends would make its kernel throw our answer away; so only our
 * side is shut, and the rest is read for a while. RFC 9112 9.6. */
static void connection_linger(struct http_connection *connection) {
	http_connection_drop_request(connection);
	connection->phase = HTTP_PHASE_LINGER;
	if (connection->ssl) {
		http_tls_shut(connection->ssl);
	}
	if (shutdown(connection->reader.fd, SHUT_WR) < 0) {
		http_connection_close(connection);
		return;
	}
	http_connection_set_timer(connection, HTTP_TIMER_LINGER);
	ev_io_start(connection->server->loop, &connection->reader);
	if (connection->ssl) {
		ev_feed_event(connection->server->loop, &connection->reader, EV_READ);
	}
}

void http_connection_end(struct http_connection *connection) {
	if (connection->out) {
		connection->phase = HTTP_PHASE_CLOSING;
		http_connection_drop_request(connection);
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

void http_connection_send(struct http_connection *connection, const char *data, size_t bytes) {
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
		http_connection_end(connection);
		return;
	}
	if (connection->phase == HTTP_PHASE_IDLE) {
		http_connection_set_timer(connection, HTTP_TIMER_IDLE);
	}
	http_exchange_process(connection);
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
	http_connection_leave(connection);
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
		http_exchange_process(connection);
		return true;
	}
	if (bytes == -EAGAIN || bytes == -EINTR) {
		if (connection->phase == HTTP_PHASE_IDLE && request->used == 0) {
			http_connection_drop_request(connection);
		}
		return false;
	}
	if (bytes < 0) {
		http_connection_close(connection);
		return false;
	}
	connection->is_eof = true;
	ev_io_stop(connection->server->loop, &connection->reader);
	http_exchange_process(connection);
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
	http_connection_set_timer(connection, HTTP_TIMER_IDLE);
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
	http_connection_leave(connection);
}

/* ---- beginning, time-out, stop ---- */

void http_connection_create(struct http_server *server, int fd, SSL *ssl,
	const union http_address *peer, uint64_t client, enum http_admission admission) {
	struct http_connection *connection = mem_zalloc(sizeof *connection);
	connection->server = server;
	connection->ssl = ssl;
	connection->peer = *peer;
	connection->client = client;
	connection->admission = (uint8_t)admission;
	connection->phase = ssl ? HTTP_PHASE_HANDSHAKE : HTTP_PHASE_IDLE;
	list_init(&connection->timed);
	list_init(&connection->link);
	list_append(&server->connections, &connection->link);
	ev_io_init(&connection->reader, connection_on_readable, fd, EV_READ);
	ev_io_init(&connection->writer, connection_on_writable, fd, EV_WRITE);
	connection->reader.data = connection->writer.data = connection;
	server->stats.open++;
	server->open[admission]++;
	http_connection_set_timer(connection, ssl ? HTTP_TIMER_HANDSHAKE : HTTP_TIMER_IDLE);
	if (admission != HTTP_ADMITTED) {
		connection->is_running = true;
		http_exchange_refuse(connection, 503);
		http_connection_leave(connection);
	} else {
		ev_io_start(server->loop, &connection->reader);
	}
}

void http_connection_expire(struct http_connection *connection) {
	connection->is_running = true;
	switch ((enum http_timer)connection->timer) {
	case HTTP_TIMER_HEAD:
		connection->server->stats.timed_out++;
		http_exchange_refuse(connection, 408);
		break;
	case HTTP_TIMER_BODY:
		connection->server->stats.timed_out++;
		if (connection->phase == HTTP_PHASE_BODY) {
			http_exchange_break_body(connection);
			http_exchange_refuse(connection, 408);
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
	http_connection_leave(connection);
}

void http_connection_stop(struct http_connection *connection) {
	connection->is_running = true;
	if (connection->phase == HTTP_PHASE_IDLE) {
		connection_read(connection); /* a request may just have come */
	}
	if (connection->phase == HTTP_PHASE_IDLE || connection->phase == HTTP_PHASE_HANDSHAKE) {
		http_connection_end(connection);
	}
	http_connection_leave(connection);
}
