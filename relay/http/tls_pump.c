/* SPDX-License-Identifier: Apache-2.0 */
/* Carries an upgraded TLS connection between its session and one end of a socketpair, whose other
 * end speaks plain text. */
#include "common/buffer.h"
#include "common/mem.h"
#include "relay/http/connection.h"
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PUMP_PIECE_BYTES = 16384, PUMP_HELD_MAX_BYTES = 65536 };

/* Idle it holds no buffers: what one side has and the other cannot take is kept, and the side not
 * read meanwhile. */
struct tls_pump {
	struct ev_loop *loop;
	SSL *ssl;
	int tls_fd, plain_fd;
	ev_io tls_reader, tls_writer, plain_reader, plain_writer;
	struct buffer to_plain, to_tls;
};

static void tls_pump_close(struct tls_pump *pump) {
	ev_io *const watchers[] = {
		&pump->tls_reader, &pump->tls_writer, &pump->plain_reader, &pump->plain_writer};
	for (size_t i = 0; i < sizeof watchers / sizeof watchers[0]; i++) {
		ev_io_stop(pump->loop, watchers[i]);
	}
	(void)SSL_shutdown(pump->ssl);
	ERR_clear_error();
	SSL_free(pump->ssl);
	(void)close(pump->tls_fd);
	(void)close(pump->plain_fd);
	buffer_finish(&pump->to_plain);
	buffer_finish(&pump->to_tls);
	free(pump);
}

static void tls_pump_watch(struct tls_pump *pump, ev_io *watcher, bool wanted) {
	if (wanted) {
		ev_io_start(pump->loop, watcher);
	} else {
		ev_io_stop(pump->loop, watcher);
	}
}

/* Sends what is held for the plain side. False when that side has gone. */
static bool tls_pump_flush_plain(struct tls_pump *pump) {
	struct buffer *held = &pump->to_plain;
	while (buffer_length(held) > 0) {
		ssize_t n = send(pump->plain_fd, buffer_begin(held), buffer_length(held), MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			return false;
		}
		if (n < 0) {
			break;
		}
		buffer_consume(held, (size_t)n);
	}
	if (buffer_length(held) == 0) {
		buffer_finish(held);
	}
	tls_pump_watch(pump, &pump->plain_writer, buffer_length(held) > 0);
	tls_pump_watch(pump, &pump->tls_reader, buffer_length(held) == 0);
	return true;
}

/* What a TLS call that did no work waits for. False when the session is over. */
static bool tls_pump_goes_on(struct tls_pump *pump, int result) {
	switch (SSL_get_error(pump->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return true;
	case SSL_ERROR_WANT_WRITE:
		ev_io_start(pump->loop, &pump->tls_writer);
		return true;
	default:
		ERR_clear_error();
		return false;
	}
}

static bool tls_pump_flush_tls(struct tls_pump *pump) {
	struct buffer *held = &pump->to_tls;
	ev_io_stop(pump->loop, &pump->tls_writer);
	while (buffer_length(held) > 0) {
		int n = SSL_write(pump->ssl, buffer_begin(held), (int)buffer_length(held));
		if (n <= 0) {
			if (!tls_pump_goes_on(pump, n)) {
				return false;
			}
			break;
		}
		buffer_consume(held, (size_t)n);
	}
	if (buffer_length(held) == 0) {
		buffer_finish(held);
	}
	tls_pump_watch(pump, &pump->plain_reader, buffer_length(held) == 0);
	return true;
}

static bool tls_pump_read_tls(struct tls_pump *pump) {
	char piece[PUMP_PIECE_BYTES];
	while (buffer_length(&pump->to_plain) == 0) {
		int n = SSL_read(pump->ssl, piece, sizeof piece);
		if (n <= 0) {
			return tls_pump_goes_on(pump, n);
		}
		if (!buffer_append(&pump->to_plain, piece, (size_t)n) || !tls_pump_flush_plain(pump)) {
			return false;
		}
	}
	return true;
}

static bool tls_pump_read_plain(struct tls_pump *pump) {
	char piece[PUMP_PIECE_BYTES];
	ssize_t n = recv(pump->plain_fd, piece, sizeof piece, 0);
	if (n < 0) {
		return errno == EAGAIN || errno == EINTR;
	}
	return n > 0 && buffer_append(&pump->to_tls, piece, (size_t)n) && tls_pump_flush_tls(pump);
}

static void tls_pump_on_tls_readable(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)loop;
	(void)events;
	struct tls_pump *pump = watcher->data;
	if (!tls_pump_read_tls(pump)) {
		tls_pump_close(pump);
	}
}

static void tls_pump_on_tls_writable(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)loop;
	(void)events;
	struct tls_pump *pump = watcher->data;
	if (!tls_pump_flush_tls(pump) || !tls_pump_read_tls(pump)) {
		tls_pump_close(pump);
	}
}

static void tls_pump_on_plain_readable(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)loop;
	(void)events;
	struct tls_pump *pump = watcher->data;
	if (!tls_pump_read_plain(pump)) {
		tls_pump_close(pump);
	}
}

static void tls_pump_on_plain_writable(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)loop;
	(void)events;
	struct tls_pump *pump = watcher->data;
	/* Bytes may wait inside the session, of which the socket says nothing. */
	if (!tls_pump_flush_plain(pump) || !tls_pump_read_tls(pump)) {
		tls_pump_close(pump);
	}
}

int http_tls_pump_start(struct ev_loop *loop, SSL *ssl, int fd) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		int error = -errno;
		SSL_free(ssl);
		(void)close(fd);
		return error;
	}
	struct tls_pump *pump = mem_zalloc(sizeof *pump);
	pump->loop = loop;
	pump->ssl = ssl;
	pump->tls_fd = fd;
	pump->plain_fd = pair[0];
	buffer_init(&pump->to_plain, PUMP_HELD_MAX_BYTES);
	buffer_init(&pump->to_tls, PUMP_HELD_MAX_BYTES);
	ev_io_init(&pump->tls_reader, tls_pump_on_tls_readable, fd, EV_READ);
	ev_io_init(&pump->tls_writer, tls_pump_on_tls_writable, fd, EV_WRITE);
	ev_io_init(&pump->plain_reader, tls_pump_on_plain_readable, pair[0], EV_READ);
	ev_io_init(&pump->plain_writer, tls_pump_on_plain_writable, pair[0], EV_WRITE);
	pump->tls_reader.data = pump->tls_writer.data = pump;
	pump->plain_reader.data = pump->plain_writer.data = pump;
	ev_io_start(loop, &pump->tls_reader);
	ev_io_start(loop, &pump->plain_reader);
	return pair[1];
}
