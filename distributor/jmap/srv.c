/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver library blocks, so it does so in a thread, which may outlive whoever asked. */
#include "distributor/jmap/srv.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SRV_ANSWER_MAX = 16384, SRV_FIXED_BYTES = 6 };

struct srv {
	struct ev_loop *loop; /* NULL: nobody waits any more */
	ev_async answered;
	pthread_mutex_t lock; /* for loop and users */
	int users; /* the thread, and whoever asked */
	char name[URL_HOST_MAX + 1];
	struct srv_result result;
	srv_done_fn *done;
	void *ctx;
};

static void srv_unref(struct srv *srv) {
	(void)pthread_mutex_lock(&srv->lock);
	int users = --srv->users;
	(void)pthread_mutex_unlock(&srv->lock);
	if (users == 0) {
		(void)pthread_mutex_destroy(&srv->lock);
		free(srv);
	}
}

/* Takes the record if it has a lower priority than the best so far. */
static void srv_consider(
	const ns_msg *message, const ns_rr *record, struct srv_result *result, unsigned *best) {
	const unsigned char *data = ns_rr_rdata(*record);
	char host[NS_MAXDNAME];
	struct url url;
	if (ns_rr_type(*record) != ns_t_srv || ns_rr_rdlen(*record) <= SRV_FIXED_BYTES) {
		return;
	}
	unsigned priority = ns_get16(data), port = ns_get16(data + 4);
	if (dn_expand(ns_msg_base(*message), ns_msg_end(*message), data + SRV_FIXED_BYTES, host,
			sizeof host) < 0 ||
		host[0] == '\0' || strcmp(host, ".") == 0 || strlen(host) >= sizeof result->host ||
		port == 0 || priority >= *best) {
		return;
	}
	/* any bytes may stand in a name */
	CLEANUP_FREE char *place = mem_printf("https://%s:%u/", host, port);
	if (!url_parse(slice_of(place), &url) || strcasecmp(url.host, host) != 0) {
		return;
	}
	*best = priority;
	result->is_found = true;
	result->port = (uint16_t)port;
	memcpy(result->host, url.host, strlen(url.host) + 1);
}

void srv_read(struct slice answer, struct srv_result *out_result) {
	ns_msg message;
	ns_rr record;
	unsigned best = UINT16_MAX + 1U;
	*out_result = (struct srv_result){0};
	if (answer.len > SRV_ANSWER_MAX ||
		ns_initparse((const unsigned char *)answer.data, (int)answer.len, &message) != 0) {
		return;
	}
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
		if (ns_parserr(&message, ns_s_an, i, &record) == 0) {
			srv_consider(&message, &record, out_result, &best);
		}
	}
}

static void srv_ask(const char *name, struct srv_result *result) {
	unsigned char answer[SRV_ANSWER_MAX];
	struct __res_state state = {0};
	if (res_ninit(&state) != 0) {
		return;
	}
	int bytes = res_nquery(&state, name, ns_c_in, ns_t_srv, answer, sizeof answer);
	if (bytes > 0 && bytes <= (int)sizeof answer) {
		srv_read((struct slice){(const char *)answer, (size_t)bytes}, result);
	}
	res_nclose(&state);
}

static void *srv_work(void *arg) {
	struct srv *srv = arg;
	srv_ask(srv->name, &srv->result);
	(void)pthread_mutex_lock(&srv->lock);
	if (srv->loop) {
		ev_async_send(srv->loop, &srv->answered);
	}
	(void)pthread_mutex_unlock(&srv->lock);
	srv_unref(srv);
	return NULL;
}

static void srv_on_answered(struct ev_loop *loop, ev_async *async, int events) {
	(void)events;
	struct srv *srv = async->data;
	ev_async_stop(loop, async);
	srv->done(&srv->result, srv->ctx);
	srv_unref(srv);
}

static void srv_start_thread(struct srv *srv) {
	sigset_t all, before;
	pthread_t thread;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	int result = pthread_create(&thread, NULL, srv_work, srv);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result != 0) {
		log_fatal("no thread can be started error=%s", strerror(result));
	}
	(void)pthread_detach(thread);
}

struct srv *srv_start(struct ev_loop *loop, const char *name, srv_done_fn *done, void *ctx) {
	struct srv *srv = mem_zalloc(sizeof *srv);
	srv->loop = loop;
	srv->users = 2;
	srv->done = done;
	srv->ctx = ctx;
	(void)snprintf(srv->name, sizeof srv->name, "%s", name);
	(void)pthread_mutex_init(&srv->lock, NULL);
	ev_async_init(&srv->answered, srv_on_answered);
	srv->answered.data = srv;
	ev_async_start(loop, &srv->answered);
	srv_start_thread(srv);
	return srv;
}

void srv_cancel(struct srv *srv) {
	ev_async_stop(srv->loop, &srv->answered);
	(void)pthread_mutex_lock(&srv->lock);
	srv->loop = NULL;
	(void)pthread_mutex_unlock(&srv->lock);
	srv_unref(srv);
}
