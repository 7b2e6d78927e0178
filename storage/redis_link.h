/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to Redis that comes back by itself: resolves, connects, retries with growing
 * pauses, gives up on an attempt that is not set up in time. hiredis underneath, on our loop.
 */
#pragma once
#include "common/backoff.h"
#include "storage/redis_resolve.h"
#include "storage/redis_url.h"
#include <ev.h>
#include <stdbool.h>

struct redisAsyncContext;
struct redis_tls;

enum redis_link_state {
	REDIS_LINK_DOWN,
	REDIS_LINK_CONNECTING,
	REDIS_LINK_SETUP,
	REDIS_LINK_READY
};

struct redis_link {
	struct ev_loop *loop;
	const struct redis_url *url;
	struct redis_tls *tls; /* the owner's; NULL without TLS */
	/* Connected: send what sets it up, then call redis_link_set_ready or redis_link_drop. */
	void (*on_connected)(struct redis_link *link);
	/* An attempt failed or the connection ended; the next attempt is planned already. */
	void (*on_down)(struct redis_link *link, const char *reason);

	struct redisAsyncContext *ac; /* NULL while there is none; its data points back, or is NULL */
	enum redis_link_state state;
	struct backoff backoff;
	ev_timer timer; /* DOWN: the next attempt; CONNECTING, SETUP: patience */
	struct redis_resolver resolver;
};

/* The members above the gap are the caller's to set before. The first attempt is made from the
 * loop. */
void redis_link_start(struct redis_link *link);
void redis_link_finish(struct redis_link *link); /* without on_down */
void redis_link_set_ready(struct redis_link *link);
/* So many bytes of commands were given to hiredis: many are written before the turn ends, so that
 * Redis begins with them. */
void redis_link_appended(struct redis_link *link, size_t bytes);
/* Ends the connection, then calls on_down. */
void redis_link_drop(struct redis_link *link, const char *reason);
