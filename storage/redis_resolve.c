/* SPDX-License-Identifier: Apache-2.0 */
/* A detached thread for each look-up; whoever of thread and resolver comes last frees it. */
#include "storage/redis_resolve.h"
#include "common/mem.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct redis_lookup {
	pthread_mutex_t mutex;
	struct redis_resolver *resolver; /* NULL: nobody waits any more */
	bool is_done;
	char *host;
	struct redis_addresses addresses;
};

static void redis_lookup_free(struct redis_lookup *lookup) {
	(void)pthread_mutex_destroy(&lookup->mutex);
	free(lookup->host);
	free(lookup);
}

static void redis_lookup_do(const char *host, int flags, struct redis_addresses *out) {
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
	struct addrinfo *found = NULL;
	int error = getaddrinfo(host, NULL, &hints, &found);
	if (error) {
		out->error = gai_strerror(error);
		return;
	}
	for (struct addrinfo *at = found; at && out->count < REDIS_RESOLVE_MAX; at = at->ai_next) {
		if (getnameinfo(at->ai_addr, at->ai_addrlen, out->texts[out->count],
				sizeof out->texts[out->count], NULL, 0, NI_NUMERICHOST) == 0) {
			out->count++;
		}
	}
	out->error = out->count > 0 ? NULL : "no address";
	freeaddrinfo(found);
}

static void *redis_lookup_thread(void *ctx) {
	struct redis_lookup *lookup = ctx;
	redis_lookup_do(lookup->host, AI_ADDRCONFIG, &lookup->addresses);
	(void)pthread_mutex_lock(&lookup->mutex);
	lookup->is_done = true;
	struct redis_resolver *resolver = lookup->resolver;
	if (resolver) {
		ev_async_send(resolver->loop, &resolver->watcher);
	}
	(void)pthread_mutex_unlock(&lookup->mutex);
	if (!resolver) {
		redis_lookup_free(lookup);
	}
	return NULL;
}

static void redis_resolver_answer(struct redis_resolver *resolver) {
	struct redis_lookup *lookup = resolver->lookup;
	if (!lookup) {
		return;
	}
	(void)pthread_mutex_lock(&lookup->mutex);
	bool is_done = lookup->is_done;
	(void)pthread_mutex_unlock(&lookup->mutex);
	if (is_done) {
		resolver->lookup = NULL;
		struct redis_addresses addresses = lookup->addresses;
		redis_lookup_free(lookup);
		resolver->resolved(&addresses, resolver->ctx);
	}
}

static void redis_resolver_on_async(struct ev_loop *loop, ev_async *watcher, int events) {
	(void)loop;
	(void)events;
	redis_resolver_answer(watcher->data);
}

static void redis_resolver_on_turn(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	redis_resolver_answer(timer->data);
}

void redis_resolver_init(
	struct redis_resolver *resolver, struct ev_loop *loop, redis_resolved_fn *resolved, void *ctx) {
	*resolver = (struct redis_resolver){.loop = loop, .resolved = resolved, .ctx = ctx};
	ev_async_init(&resolver->watcher, redis_resolver_on_async);
	resolver->watcher.data = resolver;
	ev_async_start(loop, &resolver->watcher);
	ev_timer_init(&resolver->turn, redis_resolver_on_turn, 0, 0);
	resolver->turn.data = resolver;
}

void redis_resolver_finish(struct redis_resolver *resolver) {
	redis_resolver_cancel(resolver);
	ev_async_stop(resolver->loop, &resolver->watcher);
}

void redis_resolver_cancel(struct redis_resolver *resolver) {
	ev_timer_stop(resolver->loop, &resolver->turn);
	struct redis_lookup *lookup = resolver->lookup;
	if (!lookup) {
		return;
	}
	resolver->lookup = NULL;
	(void)pthread_mutex_lock(&lookup->mutex);
	lookup->resolver = NULL;
	bool is_done = lookup->is_done;
	(void)pthread_mutex_unlock(&lookup->mutex);
	if (is_done) {
		redis_lookup_free(lookup);
	}
}

/* The thread must not take signals that the program waits for. */
static bool redis_lookup_spawn(struct redis_lookup *lookup) {
	pthread_attr_t attributes;
	sigset_t all, old;
	pthread_t thread;
	if (pthread_attr_init(&attributes) != 0) {
		return false;
	}
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(&thread, &attributes, redis_lookup_thread, lookup);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attributes);
	return error == 0;
}

void redis_resolver_start(struct redis_resolver *resolver, const char *host) {
	redis_resolver_cancel(resolver);
	struct redis_lookup *lookup = mem_zalloc(sizeof *lookup);
	(void)pthread_mutex_init(&lookup->mutex, NULL);
	lookup->resolver = resolver;
	lookup->host = mem_strdup(host);
	resolver->lookup = lookup;
	redis_lookup_do(host, AI_NUMERICHOST, &lookup->addresses);
	if (lookup->addresses.count == 0) {
		lookup->addresses.error = NULL;
		if (redis_lookup_spawn(lookup)) {
			return;
		}
		lookup->addresses.error = "no thread to look it up";
	}
	lookup->is_done = true;
	ev_timer_set(&resolver->turn, 0, 0);
	ev_timer_start(resolver->loop, &resolver->turn);
}
