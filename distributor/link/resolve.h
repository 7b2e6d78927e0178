/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns a host name into addresses of one family without blocking the loop: getaddrinfo in a thread
 * that ends with the answer. At most RESOLVE_THREADS_MAX run at a time, for a resolver may hang.
 */
#pragma once
#include <ev.h>
#include <sys/socket.h>

enum { RESOLVE_ADDRESSES_MAX = 8, RESOLVE_THREADS_MAX = 8 };

struct resolve_result {
	int error; /* 0 or an EAI_ code */
	int error_number; /* errno with EAI_SYSTEM */
	struct sockaddr_storage addresses[RESOLVE_ADDRESSES_MAX]; /* without port */
	unsigned int count;
};

struct resolve;
/* Once, later, from the loop; the resolve is gone then. */
typedef void resolved_fn(const struct resolve_result *result, void *ctx);
struct resolve *resolve_start(
	struct ev_loop *loop, const char *host, int family, resolved_fn *resolved, void *ctx);
/* No event any more; the thread ends by itself. NULL is fine. */
void resolve_cancel(struct resolve *resolve);
