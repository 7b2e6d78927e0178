/* SPDX-License-Identifier: Apache-2.0 */
/* A client's TCP connection to the server under test, with or without TLS. */
#include "tests/bench/loadgen/stream.h"
#include "common/mem.h"
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	STREAM_READ_BYTES = 256 * 1024,
	/* Below the number of ephemeral ports, so that no address runs out. */
	STREAM_SOCKETS_AN_ADDRESS = 24000,
};

/* One buffer for all: what it holds is consumed before the next read. */
static char stream_buffer[STREAM_READ_BYTES];

void stream_target_init(
	struct stream_target *target, const char *address, uint16_t port, bool tls) {
	*target = (struct stream_target){.address = {.sin_family = AF_INET, .sin_port = htons(port)}};
	if (inet_pton(AF_INET, address, &target->address.sin_addr) != 1) {
		errx(2, "not an IPv4 address: %s", address);
	}
	if (tls) {
		target->tls = SSL_CTX_new(TLS_client_method());
		if (!target->tls) {
			errx(1, "SSL_CTX_new failed");
		}
		SSL_CTX_set_verify(target->tls, SSL_VERIFY_NONE, NULL);
		SSL_CTX_set_mode(target->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY |
										  SSL_MODE_ENABLE_PARTIAL_WRITE |
										  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		SSL_CTX_set_session_cache_mode(target->tls, SSL_SESS_CACHE_OFF);
	}
}

void stream_target_finish(struct stream_target *target) {
	SSL_CTX_free(target->tls);
}

/* The source is bound only when one address does not have ports enough: 127.0.0.2, .3 and so on. */
static void stream_bind_source(struct stream_target *target, int fd) {
	uint32_t number = target->opened++ / STREAM_SOCKETS_AN_ADDRESS;
	if (number == 0) {
		return;
	}
	struct sockaddr_in source = {
		.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK + number)}};
	int on = 1;
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0) {
		err(1, "bind to a loopback address");
	}
}

void stream_close(struct stream *stream) {
	if (stream->state == STREAM_CLOSED) {
		return;
	}
	stream->state = STREAM_CLOSED;
	close(stream->watch.fd);
	stream->watch.fd = -1;
	SSL_free(stream->tls);
	stream->tls = NULL;
	free(stream->unsent);
	stream->unsent = NULL;
	stream->unsent_bytes = 0;
}

static void stream_fail(struct stream *stream, int error) {
	stream_close(stream);
	stream->events->on_closed(stream, error);
}

/* Bytes moved, 0 when the peer has closed, or -errno; -EAGAIN: later. */
static ssize_t stream_recv(struct stream *stream) {
	if (!stream->tls) {
		ssize_t got = recv(stream->watch.fd, stream_buffer, sizeof stream_buffer, 0);
		return got < 0 ? -errno : got;
	}
	int got = SSL_read(stream->tls, stream_buffer, sizeof stream_buffer);
	if (got > 0) {
		return got;
	}
	int reason = SSL_get_error(stream->tls, got);
	return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? -EAGAIN
		   : reason == SSL_ERROR_ZERO_RETURN							   ? 0
																		   : -ECONNRESET;
}

static ssize_t stream_send(struct stream *stream, const char *data, size_t bytes) {
	if (!stream->tls) {
		ssize_t sent = send(stream->watch.fd, data, bytes, MSG_NOSIGNAL);
		return sent < 0 ? -errno : sent;
	}
	int sent = SSL_write(stream->tls, data, (int)bytes);
	if (sent > 0) {
		return sent;
	}
	int reason = SSL_get_error(stream->tls, sent);
	return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? -EAGAIN : -ECONNRESET;
}

static void stream_keep_unsent(struct stream *stream, const char *data, size_t bytes) {
	stream->unsent = mem_realloc(stream->unsent, stream->unsent_bytes + bytes);
	memcpy(stream->unsent + stream->unsent_bytes, data, bytes);
	stream->unsent_bytes += bytes;
}

void stream_write(struct stream *stream, const void *data, size_t bytes) {
	const char *next = data;
	/* A failed send is reported by the read side soon after; the rest is dropped here. */
	while (bytes > 0 && stream->state == STREAM_OPEN && stream->unsent_bytes == 0) {
		ssize_t sent = stream_send(stream, next, bytes);
		if (sent == -EAGAIN) {
			break;
		}
		if (sent < 0) {
			return;
		}
		next += sent;
		bytes -= (size_t)sent;
	}
	if (bytes > 0 && stream->state == STREAM_OPEN) {
		stream_keep_unsent(stream, next, bytes);
	}
}

static void stream_flush(struct stream *stream) {
	if (stream->unsent_bytes == 0) {
		return;
	}
	char *data = stream->unsent;
	size_t bytes = stream->unsent_bytes;
	stream->unsent = NULL;
	stream->unsent_bytes = 0;
	stream_write(stream, data, bytes);
	free(data);
}

/* Until a read comes back short: with edges, a full buffer would not be announced again. */
static void stream_read(struct stream *stream) {
	while (stream->state == STREAM_OPEN) {
		ssize_t got = stream_recv(stream);
		if (got == -EAGAIN) {
			return;
		}
		if (got <= 0) {
			stream_fail(stream, (int)-got);
			return;
		}
		stream->events->on_data(stream, stream_buffer, (size_t)got);
		if (!stream->tls && (size_t)got < sizeof stream_buffer) {
			return;
		}
	}
}

static void stream_opened(struct stream *stream) {
	stream->state = STREAM_OPEN;
	stream->events->on_open(stream);
}

static void stream_handshake(struct stream *stream) {
	int done = SSL_connect(stream->tls);
	if (done == 1) {
		stream_opened(stream);
		return;
	}
	int reason = SSL_get_error(stream->tls, done);
	if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
		stream_fail(stream, ECONNRESET);
	}
}

static void stream_connected(struct stream *stream) {
	int error = 0;
	socklen_t size = sizeof error;
	(void)getsockopt(stream->watch.fd, SOL_SOCKET, SO_ERROR, &error, &size);
	error = stream->connect_error ? stream->connect_error : error;
	if (error != 0) {
		stream_fail(stream, error);
	} else if (stream->tls) {
		stream->state = STREAM_HANDSHAKE;
		stream_handshake(stream);
	} else {
		stream_opened(stream);
	}
}

static void stream_on_event(struct loop_watch *watch, uint32_t events) {
	struct stream *stream = (struct stream *)(void *)watch;
	/* Closed by an earlier event of the same round; or a socket that is not connected yet. */
	if (stream->state == STREAM_CLOSED || events == 0) {
		return;
	}
	if (stream->state == STREAM_CONNECTING) {
		if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
			return;
		}
		stream_connected(stream);
	} else if (stream->state == STREAM_HANDSHAKE) {
		stream_handshake(stream);
	}
	if (stream->state == STREAM_OPEN && (events & EPOLLOUT)) {
		stream_flush(stream);
	}
	if (stream->state == STREAM_OPEN && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
		stream_read(stream);
	}
	/* What the server said before it closed has been read by now. */
	if (stream->state == STREAM_OPEN && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
		stream_fail(stream, 0);
	}
}

void stream_open(struct stream *stream, struct loop *loop, struct stream_target *target,
	const struct stream_events *events) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		err(1, "socket");
	}
	int on = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	stream_bind_source(target, fd);
	*stream = (struct stream){.state = STREAM_CONNECTING, .events = events};
	if (target->tls) {
		stream->tls = SSL_new(target->tls);
		SSL_set_fd(stream->tls, fd);
	}
	int failed = connect(fd, (struct sockaddr *)&target->address, sizeof target->address);
	if (failed && errno != EINPROGRESS && errno != ECONNREFUSED) {
		err(1, "connect");
	}
	stream->connect_error = failed && errno != EINPROGRESS ? errno : 0;
	loop_watch_start(loop, &stream->watch, fd, stream_on_event);
}
