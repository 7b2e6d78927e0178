/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several relay processes on one port: forks a worker for each, starts one again that died, passes
 * SIGTERM, SIGINT and SIGHUP on, and says when all are ready. Workers share nothing but their
 * sockets' address and the pages of counters.
 */
#pragma once
#include "relay/server.h"

/* sockets[worker] are that worker's; they stay open here, so a dead worker's queue of connections
 * waits for the next. */
struct supervisor_options {
	unsigned workers;
	/* In the child: runs the worker until its end; the result is the exit status. */
	int (*run)(unsigned worker, void (*on_ready)(void *), void *ready_ctx, void *ctx);
	/* In the parent, once, when every worker is ready. */
	void (*on_ready)(void *ctx);
	void *ctx;
};
/* Returns the exit status of the whole: 0 after a graceful end. */
int supervisor_run(const struct supervisor_options *options);
