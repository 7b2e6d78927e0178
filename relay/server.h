/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One relay process: owns the loop, the store, the HTTP front and the device sockets, from start to
 * graceful end. With several workers each is a process of its own, and the supervisor
 * (supervisor.h) keeps them.
 */
#pragma once
#include "relay/config.h"
#include "relay/ops/metrics.h"

struct server_socket {
	int fd; /* listening; the server takes it over */
	bool is_tls, is_admin;
};

struct server_options {
	struct config *config; /* may be read again on SIGHUP */
	const struct server_socket *sockets;
	size_t socket_count;
	struct metrics *metrics; /* of all workers */
	unsigned worker, workers;
	/* Runs once, when the relay answers requests and its store is usable for the first time. */
	void (*on_ready)(void *ctx);
	/* Reads the settings anew (SIGHUP); false, with the trouble logged, when they are no good. */
	bool (*reload)(struct config *config, void *ctx);
	void *ctx;
};

/* Runs until SIGTERM or SIGINT; returns the exit status: 0 after a graceful end, 1 when it could
 * not start (logged). */
int server_run(const struct server_options *options);
