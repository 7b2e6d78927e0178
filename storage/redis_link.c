/* SPDX-License-Identifier: Apache-2.0 */
/* A reconnecting hiredis connection. */
#include "storage/redis_link.h"
#include "common/mem.h"
#include "storage/redis_tls.h"
#include <assert.h>
#include <errno.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_BASE_MS = 100, RETRY_CAP_MS = 3000, PATIENCE_SEC = 5, EARLY_BYTES = 8192 };

/* ---- hiredis on libev: its own header gives warnings ---- */

/* Lives as long as the hiredis context, which may end after the link let go of it. What is to be
 * written is written at the end of the turn, for it fits nearly always; only what did not waits for
 * the socket. */
struct redis_watch {
	struct ev_loop *loop;
	redisAsyncContext *ac;
	ev_io readable, writable;
	ev_prepare before_sleep;
	size_t unwritten; /* bytes, since the turn began or the last early write */
};

static void redis_watch_on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)loop;
	(void)events;
	redisAsyncHandleRead(((struct redis_watch *)watcher->data)->ac);
}

static void redis_watch_on_writable(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)loop;
	(void)events;
	redisAsyncHandleWrite(((struct redis_watch *)watcher->data)->ac);
}

static void redis_watch_on_before_sleep(struct ev_loop *loop, ev_prepare *watcher, int events) {
	(void)events;
	struct redis_watch *watch = watcher->data;
	watch->unwritten = 0;
	ev_io_start(loop, &watch->writable); /* stopped again when all could be written */
	ev_prepare_stop(loop, watcher);
	redisAsyncHandleWrite(watch->ac);
}

static void redis_watch_add_read(void *data) {
	struct redis_watch *watch = data;
	ev_io_start(watch->loop, &watch->readable);
}

static void redis_watch_del_read(void *data) {
	struct redis_watch *watch = data;
	ev_io_stop(watch->loop, &watch->readable);
}

static void redis_watch_add_write(void *data) {
	struct redis_watch *watch = data;
	if (watch->ac->c.flags & REDIS_CONNECTED && !ev_is_active(&watch->writable)) {
		ev_prepare_start(watch->loop, &watch->before_sleep);
	} else {
		ev_io_start(watch->loop, &watch->writable);
	}
}

static void redis_watch_del_write(void *data) {
	struct redis_watch *watch = data;
	ev_io_stop(watch->loop, &watch->writable);
}

static void redis_watch_cleanup(void *data) {
	redis_watch_del_read(data);
	redis_watch_del_write(data);
	ev_prepare_stop(
		((struct redis_watch *)data)->loop, &((struct redis_watch *)data)->before_sleep);
	free(data);
}

static void redis_watch_attach(struct ev_loop *loop, redisAsyncContext *ac) {
	struct redis_watch *watch = mem_zalloc(sizeof *watch);
	watch->loop = loop;
	watch->ac = ac;
	ev_io_init(&watch->readable, redis_watch_on_readable, ac->c.fd, EV_READ);
	ev_io_init(&watch->writable, redis_watch_on_writable, ac->c.fd, EV_WRITE);
	ev_prepare_init(&watch->before_sleep, redis_watch_on_before_sleep);
	ev_set_priority(&watch->before_sleep, EV_MINPRI); /* behind all that may still send */
	watch->readable.data = watch->writable.data = watch->before_sleep.data = watch;
	ac->ev.data = watch;
	ac->ev.addRead = redis_watch_add_read;
	ac->ev.delRead = redis_watch_del_read;
	ac->ev.addWrite = redis_watch_add_write;
	ac->ev.delWrite = redis_watch_del_write;
	ac->ev.cleanup = redis_watch_cleanup;
}

void redis_link_appended(struct redis_link *link, size_t bytes) {
	struct redis_watch *watch = link->ac->ev.data;
	watch->unwritten += bytes;
	if (watch->unwritten >= EARLY_BYTES && ev_is_active(&watch->before_sleep)) {
		int is_done;
		watch->unwritten = 0;
		/* what goes wrong is found at the end of the turn */
		(void)redisBufferWrite(&link->ac->c, &is_done);
	}
}

/* ---- attempts ---- */

static void redis_link_set_timer(struct redis_link *link, double after_sec) {
	ev_timer_stop(link->loop, &link->timer);
	ev_timer_set(&link->timer, after_sec, 0);
	ev_timer_start(link->loop, &link->timer);
}

static void redis_link_fail(struct redis_link *link, const char *reason) {
	link->ac = NULL;
	link->state = REDIS_LINK_DOWN;
	redis_resolver_cancel(&link->resolver);
	redis_link_set_timer(link, backoff_next_ms(&link->backoff) / 1000.0);
	link->on_down(link, reason);
}

/* hiredis' words for it, if it has any. */
static void redis_link_fail_of(
	struct redis_link *link, const redisAsyncContext *ac, const char *otherwise) {
	const char *refusal = redis_tls_refusal(link->tls);
	bool has_words = ac->errstr && ac->errstr[0];
	char *reason = refusal ? mem_printf("its certificate: %s", refusal)
						   : mem_strdup(has_words ? ac->errstr : otherwise);
	redis_link_fail(link, reason);
	free(reason);
}

static void redis_link_on_connect(const redisAsyncContext *ac, int status) {
	struct redis_link *link = ac->data;
	if (!link) {
		return;
	}
	if (status != REDIS_OK) {
		link->ac->data = NULL; /* hiredis frees it behind this callback */
		redis_link_fail_of(link, ac, "connecting failed");
		return;
	}
	if (!link->url->path) {
		(void)redisEnableKeepAlive(&link->ac->c); /* only finds a dead peer sooner */
	}
	link->state = REDIS_LINK_SETUP;
	link->on_connected(link);
}

static void redis_link_on_disconnect(const redisAsyncContext *ac, int status) {
	(void)status;
	struct redis_link *link = ac->data;
	if (link) {
		link->ac->data = NULL;
		redis_link_fail_of(link, ac, "the connection was closed");
	}
}

static void redis_link_connect(struct redis_link *link, const char *address) {
	redisAsyncContext *ac = link->url->path ? redisAsyncConnectUnix(link->url->path)
											: redisAsyncConnect(address, link->url->port);
	if (!ac || ac->err || (link->tls && !redis_tls_begin(link->tls, ac, link->url->host))) {
		char *reason =
			mem_strdup(ac && ac->errstr && ac->errstr[0] ? ac->errstr : "connecting failed");
		if (ac) {
			redisAsyncFree(ac);
		}
		redis_link_fail(link, reason);
		free(reason);
		return;
	}
	link->ac = ac;
	ac->data = link;
	redis_watch_attach(link->loop, ac);
	(void)redisAsyncSetDisconnectCallback(ac, redis_link_on_disconnect);
	(void)redisAsyncSetConnectCallback(ac, redis_link_on_connect);
}

static void redis_link_on_resolved(const struct redis_addresses *addresses, void *ctx) {
	struct redis_link *link = ctx;
	if (addresses->count == 0) {
		redis_link_fail(link, addresses->error);
		return;
	}
	redis_link_connect(link, addresses->texts[link->backoff.tries % addresses->count]);
}

static void redis_link_on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct redis_link *link = timer->data;
	if (link->state != REDIS_LINK_DOWN) {
		redis_link_drop(link, "no answer in time");
		return;
	}
	link->state = REDIS_LINK_CONNECTING;
	redis_link_set_timer(link, PATIENCE_SEC);
	if (link->url->path) {
		redis_link_connect(link, NULL);
	} else {
		redis_resolver_start(&link->resolver, link->url->host);
	}
}

void redis_link_start(struct redis_link *link) {
	link->ac = NULL;
	link->state = REDIS_LINK_DOWN;
	backoff_init(&link->backoff, RETRY_BASE_MS, RETRY_CAP_MS);
	redis_resolver_init(&link->resolver, link->loop, redis_link_on_resolved, link);
	ev_timer_init(&link->timer, redis_link_on_timer, 0, 0);
	link->timer.data = link;
	redis_link_set_timer(link, 0);
}

void redis_link_set_ready(struct redis_link *link) {
	assert(link->state == REDIS_LINK_SETUP);
	link->state = REDIS_LINK_READY;
	ev_timer_stop(link->loop, &link->timer);
	backoff_reset(&link->backoff);
}

/* Lets go of the hiredis context; commands on it end with a NULL reply, now or, inside one of their
 * callbacks, right behind it. */
static void redis_link_release(struct redis_link *link) {
	redisAsyncContext *ac = link->ac;
	link->state = REDIS_LINK_DOWN;
	if (ac) {
		link->ac = NULL;
		ac->data = NULL;
		redisAsyncFree(ac);
	}
}

void redis_link_drop(struct redis_link *link, const char *reason) {
	char *copy = mem_strdup(reason); /* it may lie in a reply that is about to go */
	redis_link_release(link);
	redis_link_fail(link, copy);
	free(copy);
}

void redis_link_finish(struct redis_link *link) {
	redis_link_release(link);
	ev_timer_stop(link->loop, &link->timer);
	redis_resolver_finish(&link->resolver);
}
