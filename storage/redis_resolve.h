/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses on a thread of its own, because hiredis would resolve them on the loop.
 * Numeric addresses are answered without a thread. Embedded; one look-up at a time. */
#pragma once
#include <ev.h>
#include <netinet/in.h>
#include <stddef.h>

enum { REDIS_RESOLVE_MAX = 8 };

struct redis_addresses {
	size_t count; /* 0: failed */
	const char *error; /* why */
	char texts[REDIS_RESOLVE_MAX][INET6_ADDRSTRLEN];
};
typedef void redis_resolved_fn(const struct redis_addresses *addresses, void *ctx);

struct redis_lookup;
struct redis_resolver {
	struct ev_loop *loop;
	ev_async watcher;
	ev_timer turn; /* numeric addresses: the answer comes later too */
	struct redis_lookup *lookup; /* under way; NULL */
	redis_resolved_fn *resolved;
	void *ctx;
};

void redis_resolver_init(
	struct redis_resolver *resolver, struct ev_loop *loop, redis_resolved_fn *resolved, void *ctx);
void redis_resolver_finish(struct redis_resolver *resolver);
/* Answers later from the loop, unless cancelled. */
void redis_resolver_start(struct redis_resolver *resolver, const char *host);
void redis_resolver_cancel(struct redis_resolver *resolver);
