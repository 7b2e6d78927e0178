/* SPDX-License-Identifier: Apache-2.0 */
/* Carries an upgraded TLS connection to a plain socket; holds no buffer unless a side is slow. */
#include "common/mem.h"
#include "relay/http/connection.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PUMP_PIECE_BYTES = 16384, /* a TLS record */
	PUMP_READS_MAX = 8, /* a turn of the loop */
	PUMP_SOCKET_BYTES = 16384, /* of the socketpair */
};

/* What the receiving side did not take. */
struct pump_rest {
	char *data; /* NULL: nothing waits */
	size_t bytes, sent;
};

struct tls_pump {
	struct http_server *server;
	struct list link;
	SSL *ssl;
	ev_io client_in, client_out, pair_in, pair_out;
	struct pump_rest to_client, to_pair;
};

/* One loop a process, and nothing stays here between two calls. */
static char pump_piece[PUMP_PIECE_BYTES];

static void pump_destroy(struct tls_pump *pump) {
	struct ev_loop *loop = pump->server->loop;
	ev_io_stop(loop, &pump->client_in);
	ev_io_stop(loop, &pump->client_out);
	ev_io_stop(loop, &pump->pair_in);
	ev_io_stop(loop, &pump->pair_out);
	list_remove(&pump->link);
	http_tls_end_session(pump->ssl);
	(void)close(pump->client_in.fd);
	(void)close(pump->pair_in.fd);
	free(pump->to_client.data);
	free(pump->to_pair.data);
	free(pump);
}

static ssize_t pump_send_pair(struct tls_pump *pump, const char *data, size_t bytes) {
	ssize_t sent = send(pump->pair_in.fd, data, bytes, MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

static ssize_t pump_send_client(struct tls_pump *pump, const char *data, size_t bytes) {
	return http_tls_send(pump->ssl, data, bytes);
}

typedef ssize_t pump_send_fn(struct tls_pump *pump, const char *data, size_t bytes);

/* Sends until all is gone or the side blocks; 0, -EAGAIN, or the error that ends the pump. */
static ssize_t pump_push(struct tls_pump *pump, pump_send_fn *send_piece, const char *data,
	size_t bytes, size_t *out_sent) {
	size_t done = 0;
	ssize_t result = 0;
	while (done < bytes) {
		ssize_t sent = send_piece(pump, data + done, bytes - done);
		if (sent == -EINTR) {
			continue;
		}
		if (sent < 0) {
			result = sent;
			break;
		}
		done += (size_t)sent;
	}
	*out_sent = done;
	return result;
}

static void pump_keep(struct pump_rest *rest, const char *data, size_t bytes) {
	*rest = (struct pump_rest){mem_dup(data, bytes), bytes, 0};
}

/* Sends what waits. 0 when nothing waits any more. */
static ssize_t pump_flush(struct tls_pump *pump, pump_send_fn *send_piece, struct pump_rest *rest) {
	size_t sent;
	ssize_t result =
		pump_push(pump, send_piece, rest->data + rest->sent, rest->bytes - rest->sent, &sent);
	rest->sent += sent;
	if (result == 0) {
		free(rest->data);
		*rest = (struct pump_rest){0};
	}
	return result;
}

/* From the client to the pair. */
static void pump_on_client_readable(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct tls_pump *pump = io->data;
	for (int i = 0; i < PUMP_READS_MAX; i++) {
		ssize_t bytes = http_tls_receive(pump->ssl, pump_piece, sizeof pump_piece);
		if (bytes == -EAGAIN) {
			return;
		}
		if (bytes <= 0) {
			pump_destroy(pump);
			return;
		}
		size_t sent;
		ssize_t result = pump_push(pump, pump_send_pair, pump_piece, (size_t)bytes, &sent);
		if (result == -EAGAIN) {
			pump_keep(&pump->to_pair, pump_piece + sent, (size_t)bytes - sent);
			ev_io_stop(loop, &pump->client_in);
			ev_io_start(loop, &pump->pair_out);
			return;
		}
		if (result < 0) {
			pump_destroy(pump);
			return;
		}
	}
	if (SSL_has_pending(pump->ssl)) {
		ev_feed_event(loop, &pump->client_in, EV_READ);
	}
}

static void pump_on_pair_writable(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct tls_pump *pump = io->data;
	ssize_t result = pump_flush(pump, pump_send_pair, &pump->to_pair);
	if (result == -EAGAIN) {
		return;
	}
	if (result < 0) {
		pump_destroy(pump);
		return;
	}
	ev_io_stop(loop, &pump->pair_out);
	ev_io_start(loop, &pump->client_in);
	ev_feed_event(loop, &pump->client_in, EV_READ); /* the session may hold records already */
}

/* From the pair to the client. */
static void pump_on_pair_readable(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct tls_pump *pump = io->data;
	ssize_t bytes = recv(pump->pair_in.fd, pump_piece, sizeof pump_piece, 0);
	if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (bytes <= 0) {
		pump_destroy(pump);
		return;
	}
	size_t sent;
	ssize_t result = pump_push(pump, pump_send_client, pump_piece, (size_t)bytes, &sent);
	if (result == -EAGAIN) {
		pump_keep(&pump->to_client, pump_piece + sent, (size_t)bytes - sent);
		ev_io_stop(loop, &pump->pair_in);
		ev_io_start(loop, &pump->client_out);
		list_remove(&pump->link);
		list_append(&pump->server->blocked_pumps, &pump->link);
		http_server_need_sweep(pump->server);
	} else if (result < 0) {
		pump_destroy(pump);
	}
}

static void pump_on_client_writable(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct tls_pump *pump = io->data;
	ssize_t result = pump_flush(pump, pump_send_client, &pump->to_client);
	if (result == -EAGAIN) {
		return;
	}
	if (result < 0) {
		pump_destroy(pump);
		return;
	}
	ev_io_stop(loop, &pump->client_out);
	ev_io_start(loop, &pump->pair_in);
	list_remove(&pump->link);
	list_append(&pump->server->pumps, &pump->link);
}

/* A slow client shall be felt at the other end soon; without it the pump works all the same. */
static void pump_tune(const int pair[2]) {
	int bytes = PUMP_SOCKET_BYTES;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

int tls_pump_pair(const struct http_server *server, int out_pair[2]) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	if (http_server_is_short(server, pair[1])) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		return -EMFILE;
	}
	pump_tune(pair);
	out_pair[0] = pair[0];
	out_pair[1] = pair[1];
	return 0;
}

void tls_pump_create(struct http_server *server, SSL *ssl, int fd, const int pair[2]) {
	struct tls_pump *pump = mem_zalloc(sizeof *pump);
	pump->server = server;
	pump->ssl = ssl;
	list_init(&pump->link);
	list_append(&server->pumps, &pump->link);
	ev_io_init(&pump->client_in, pump_on_client_readable, fd, EV_READ);
	ev_io_init(&pump->client_out, pump_on_client_writable, fd, EV_WRITE);
	ev_io_init(&pump->pair_in, pump_on_pair_readable, pair[0], EV_READ);
	ev_io_init(&pump->pair_out, pump_on_pair_writable, pair[0], EV_WRITE);
	pump->client_in.data = pump->client_out.data = pump;
	pump->pair_in.data = pump->pair_out.data = pump;
	ev_io_start(server->loop, &pump->client_in);
	ev_io_start(server->loop, &pump->pair_in);
	ev_feed_event(server->loop, &pump->client_in, EV_READ); /* what the session holds already */
}

/* The pair's other end may close while we wait for the client and do not read it. */
void tls_pumps_sweep(struct http_server *server) {
	struct tls_pump *pump, *tmp;
	LIST_FOREACH_SAFE (pump, tmp, &server->blocked_pumps, link) {
		struct pollfd ask = {.fd = pump->pair_in.fd, .events = POLLRDHUP};
		if (poll(&ask, 1, 0) > 0) {
			(void)pump_flush(pump, pump_send_client, &pump->to_client);
			pump_destroy(pump);
		}
	}
}

void tls_pumps_destroy(struct http_server *server) {
	list_splice(&server->pumps, &server->blocked_pumps);
	struct tls_pump *pump, *tmp;
	LIST_FOREACH_SAFE (pump, tmp, &server->pumps, link) {
		pump_destroy(pump);
	}
}
