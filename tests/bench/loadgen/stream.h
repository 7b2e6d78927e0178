/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's TCP connection to the server under test, with or without TLS. Owners embed it and get
 * three events: open, data, closed. After closed it may be opened again.
 */
#pragma once
#include "tests/bench/loadgen/loop.h"
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stddef.h>

struct stream;

struct stream_events {
	void (*on_open)(struct stream *stream);
	/* data is valid during the call alone. */
	void (*on_data)(struct stream *stream, const char *data, size_t bytes);
	/* error is an errno, or 0 when the server closed. Never called by stream_close(). */
	void (*on_closed)(struct stream *stream, int error);
};

/* Where all streams of one run connect to. */
struct stream_target {
	struct sockaddr_in address;
	SSL_CTX *tls; /* NULL: plain */
	uint32_t opened; /* counts sockets, to spread them over source addresses */
};

enum stream_state { STREAM_CLOSED, STREAM_CONNECTING, STREAM_HANDSHAKE, STREAM_OPEN };

struct stream {
	struct loop_watch watch; /* first member: events are cast back */
	enum stream_state state;
	const struct stream_events *events;
	int connect_error; /* of a connect() that failed at once */
	SSL *tls;
	char *unsent;
	size_t unsent_bytes;
};

void stream_target_init(struct stream_target *target, const char *address, uint16_t port, bool tls);
void stream_target_finish(struct stream_target *target);

void stream_open(struct stream *stream, struct loop *loop, struct stream_target *target,
	const struct stream_events *events);
/* Sends at once; what the socket does not take is kept and follows by itself. */
void stream_write(struct stream *stream, const void *data, size_t bytes);
void stream_close(struct stream *stream);
