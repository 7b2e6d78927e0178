/* SPDX-License-Identifier: Apache-2.0 */
/* One lookup a thread; what loop and thread share is freed by whoever lets go last. */
#include "distributor/link/resolve.h"
#include "common/mem.h"
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { RESOLVE_STACK_BYTES = 256 * 1024 };

struct resolve {
	struct ev_loop *loop;
	ev_async done;
	char *host;
	int family;
	resolved_fn *resolved;
	void *ctx;
	pthread_mutex_t lock; /* of what follows */
	int holders;
	bool is_cancelled;
	struct resolve_result result;
};

/* Of the process, for threads that hang outlive whoever started them. */
static atomic_int resolve_threads;

static void resolve_let_go(struct resolve *resolve) {
	(void)pthread_mutex_lock(&resolve->lock);
	bool is_last = --resolve->holders == 0;
	(void)pthread_mutex_unlock(&resolve->lock);
	if (is_last) {
		(void)pthread_mutex_destroy(&resolve->lock);
		free(resolve->host);
		free(resolve);
	}
}

static void resolve_ask(const struct resolve *resolve, struct resolve_result *result) {
	struct addrinfo hints = {.ai_family = resolve->family, .ai_socktype = SOCK_STREAM},
					*found = NULL;
	result->error = getaddrinfo(resolve->host, NULL, &hints, &found);
	result->error_number = errno;
	if (result->error != 0) {
		return;
	}
	for (struct addrinfo *at = found; at && result->count < RESOLVE_ADDRESSES_MAX;
		 at = at->ai_next) {
		if (at->ai_addrlen <= sizeof result->addresses[0]) {
			memcpy(&result->addresses[result->count++], at->ai_addr, at->ai_addrlen);
		}
	}
	freeaddrinfo(found);
}

static void *resolve_run(void *arg) {
	struct resolve *resolve = arg;
	struct resolve_result result = {0};
	resolve_ask(resolve, &result);
	(void)pthread_mutex_lock(&resolve->lock);
	resolve->result = result;
	if (!resolve->is_cancelled) {
		ev_async_send(resolve->loop, &resolve->done);
	}
	(void)pthread_mutex_unlock(&resolve->lock);
	resolve_let_go(resolve);
	atomic_fetch_sub(&resolve_threads, 1);
	return NULL;
}

static bool resolve_start_thread(struct resolve *resolve) {
	if (atomic_fetch_add(&resolve_threads, 1) >= RESOLVE_THREADS_MAX) {
		atomic_fetch_sub(&resolve_threads, 1);
		return false;
	}
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, RESOLVE_STACK_BYTES);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	/* signals are the main thread's: libev's, and sd-bus' */
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	int error = pthread_create(&thread, &attributes, resolve_run, resolve);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	if (error != 0) {
		atomic_fetch_sub(&resolve_threads, 1);
	}
	return error == 0;
}

static void resolve_on_done(struct ev_loop *loop, ev_async *async, int events) {
	(void)events;
	struct resolve *resolve = async->data;
	ev_async_stop(loop, async);
	(void)pthread_mutex_lock(&resolve->lock);
	struct resolve_result result = resolve->result;
	(void)pthread_mutex_unlock(&resolve->lock);
	resolved_fn *resolved = resolve->resolved;
	void *ctx = resolve->ctx;
	resolve_let_go(resolve);
	resolved(&result, ctx);
}

struct resolve *resolve_start(
	struct ev_loop *loop, const char *host, int family, resolved_fn *resolved, void *ctx) {
	struct resolve *resolve = mem_zalloc(sizeof *resolve);
	resolve->loop = loop;
	resolve->host = mem_strdup(host);
	resolve->family = family;
	resolve->resolved = resolved;
	resolve->ctx = ctx;
	resolve->holders = 2;
	(void)pthread_mutex_init(&resolve->lock, NULL);
	ev_async_init(&resolve->done, resolve_on_done);
	resolve->done.data = resolve;
	ev_async_start(loop, &resolve->done);
	if (!resolve_start_thread(resolve)) {
		resolve->holders = 1;
		resolve->result.error = EAI_AGAIN;
		ev_async_send(loop, &resolve->done);
	}
	return resolve;
}

void resolve_cancel(struct resolve *resolve) {
	if (!resolve) {
		return;
	}
	(void)pthread_mutex_lock(&resolve->lock);
	resolve->is_cancelled = true;
	(void)pthread_mutex_unlock(&resolve->lock);
	ev_async_stop(resolve->loop, &resolve->done);
	resolve_let_go(resolve);
}
