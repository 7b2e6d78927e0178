/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libwebsockets gets a loop of its own, embedded in ours: its context keeps a timer that fires each
 * 30 s for servers' sake, and inside that loop it rests until a socket stirs. What we need to
 * happen in time has timers of ours.
 */
#include "distributor/link/websocket_library.h"
#include "common/list.h"
#include "common/mem.h"
#include "common/netlink_mute.h"
#include "distributor/link/tls_client.h"
#include "distributor/link/websocket.h"
#include <assert.h>
#include <libwebsockets.h>

enum {
	WEBSOCKET_FDS = 64, /* the library's tables; by default they grow with RLIMIT_NOFILE */
	WEBSOCKET_PATIENCE_SEC =
		4 * WEBSOCKET_OPEN_MS / 1000, /* the library's: our deadlines end first */
	WEBSOCKET_QUIET_ROUNDS = 3,
	WEBSOCKET_ROUNDS_MAX = 32,
	WEBSOCKET_DESTROYS_MAX = 3,
};

/* One is never destroyed before the context: that takes the library a while, and connections that
 * were given up still point to it. */
struct websocket_vhost {
	struct list link; /* struct websocket_library::vhosts */
	struct lws_vhost *vhost;
	bool is_secure, is_taken;
};

struct websocket_library {
	struct ev_loop *loop, *inner;
	ev_embed embed;
	ev_timer serve; /* runs the inner loop soon */
	unsigned int callbacks; /* counts the library's, to see whether it came to rest */
	bool is_serving, insecure;
	char *ca_file;
	SSL_CTX *tls; /* NULL until a secure client comes */
	struct lws_context *context;
	struct list vhosts; /* struct websocket_vhost::link */
};

/* ---- the inner loop ----------------------------------------------------------------------------
 */

/* libwebsockets works in steps: what one round has read is dealt with in the next, when idle. */
static void websocket_library_serve(struct websocket_library *library) {
	if (library->is_serving) {
		return;
	}
	library->is_serving = true;
	int quiet = 0;
	for (int i = 0; i < WEBSOCKET_ROUNDS_MAX && quiet < WEBSOCKET_QUIET_ROUNDS; i++) {
		unsigned int before = library->callbacks;
		(void)ev_run(library->inner, EVRUN_NOWAIT);
		quiet = library->callbacks == before ? quiet + 1 : 0;
	}
	library->is_serving = false;
	if (quiet < WEBSOCKET_QUIET_ROUNDS) {
		ev_timer_start(library->loop, &library->serve); /* others get a turn */
	}
}

static void websocket_library_on_embed(struct ev_loop *loop, ev_embed *embed, int events) {
	(void)loop;
	(void)events;
	websocket_library_serve(embed->data);
}

static void websocket_library_on_serve(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	websocket_library_serve(timer->data);
}

void websocket_library_stir(struct websocket_library *library) {
	if (!ev_is_active(&library->serve)) {
		ev_timer_set(&library->serve, 0., 0.);
		ev_timer_start(library->loop, &library->serve);
	}
}

void websocket_library_heard(struct websocket_library *library) {
	library->callbacks++;
}

/* ---- vhosts ------------------------------------------------------------------------------------
 */

static const lws_retry_bo_t websocket_no_pings; /* zeroes: our owner asks for signs of life */

static struct websocket_vhost *websocket_vhost_create(struct websocket_library *library,
	bool is_secure, const struct lws_protocols *protocols, char **out_error) {
	if (is_secure && !library->tls) {
		library->tls = tls_client_create(library->ca_file, out_error);
		if (!library->tls) {
			return NULL;
		}
	}
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.vhost_name = "relay",
		.protocols = protocols,
		.options = is_secure ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
		.provided_client_ssl_ctx = is_secure ? library->tls : NULL,
		.retry_and_idle_policy = &websocket_no_pings,
		.connect_timeout_secs = WEBSOCKET_PATIENCE_SEC,
		.timeout_secs_ah_idle = WEBSOCKET_PATIENCE_SEC,
		.http_proxy_address = "none:0", /* or it takes $http_proxy by itself */
	};
	struct lws_vhost *made = lws_create_vhost(library->context, &info);
	if (!made) {
		*out_error = mem_strdup("libwebsockets cannot set up a connection");
		return NULL;
	}
	struct websocket_vhost *vhost = mem_zalloc(sizeof *vhost);
	vhost->vhost = made;
	vhost->is_secure = is_secure;
	list_append(&library->vhosts, &vhost->link);
	return vhost;
}

struct lws_vhost *websocket_library_take_vhost(struct websocket_library *library, bool is_secure,
	const struct lws_protocols *protocols, char **out_error) {
	struct websocket_vhost *vhost;
	LIST_FOREACH (vhost, &library->vhosts, link) {
		if (!vhost->is_taken && vhost->is_secure == is_secure) {
			vhost->is_taken = true;
			return vhost->vhost;
		}
	}
	vhost = websocket_vhost_create(library, is_secure, protocols, out_error);
	if (!vhost) {
		return NULL;
	}
	vhost->is_taken = true;
	return vhost->vhost;
}

void websocket_library_give_vhost(struct websocket_library *library, struct lws_vhost *vhost) {
	struct websocket_vhost *one;
	LIST_FOREACH (one, &library->vhosts, link) {
		if (one->vhost == vhost) {
			one->is_taken = false;
		}
	}
}

/* ---- create and destroy ------------------------------------------------------------------------
 */

static bool websocket_library_create_context(struct websocket_library *library) {
	void *loops[] = {library->inner};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.foreign_loops = loops,
		.pcontext = &library->context,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.retry_and_idle_policy = &websocket_no_pings,
		.timeout_secs = WEBSOCKET_PATIENCE_SEC,
		.fd_limit_per_thread = WEBSOCKET_FDS,
	};
	struct netlink_mute mute;
	netlink_mute_begin(&mute);
	library->context = lws_create_context(&info);
	netlink_mute_end(&mute);
	return library->context != NULL;
}

struct websocket_library *websocket_library_create(
	const struct websocket_library_options *options, char **out_error) {
	struct websocket_library *library = mem_zalloc(sizeof *library);
	list_init(&library->vhosts);
	library->loop = options->loop;
	library->insecure = options->insecure;
	library->ca_file = options->ca_file ? mem_strdup(options->ca_file) : NULL;
	ev_timer_init(&library->serve, websocket_library_on_serve, 0., 0.);
	library->serve.data = library;
	library->inner = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	lws_set_log_level(0, NULL); /* what matters arrives as events */
	if (!library->inner || !websocket_library_create_context(library)) {
		*out_error = mem_strdup("libwebsockets cannot start (is its libev module installed?)");
		websocket_library_destroy(library);
		return NULL;
	}
	ev_embed_init(&library->embed, websocket_library_on_embed, library->inner);
	library->embed.data = library;
	ev_embed_start(library->loop, &library->embed);
	websocket_library_stir(library);
	return library;
}

void websocket_library_destroy(struct websocket_library *library) {
	struct websocket_vhost *vhost;
	if (!library) {
		return;
	}
	ev_timer_stop(library->loop, &library->serve);
	if (ev_is_active(&library->embed)) {
		ev_embed_stop(library->loop, &library->embed);
	}
	/* newer libraries take two calls beside a loop of ours; the last one clears the pointer */
	for (int i = 0; library->context && i < WEBSOCKET_DESTROYS_MAX; i++) {
		lws_context_destroy(library->context);
	}
	while ((vhost = list_first(&library->vhosts, struct websocket_vhost, link))) {
		assert(!vhost->is_taken);
		list_remove(&vhost->link);
		free(vhost);
	}
	if (library->inner) {
		ev_loop_destroy(library->inner);
	}
	SSL_CTX_free(library->tls);
	free(library->ca_file);
	free(library);
}

struct lws_context *websocket_library_context(const struct websocket_library *library) {
	return library->context;
}

struct ev_loop *websocket_library_loop(const struct websocket_library *library) {
	return library->loop;
}

bool websocket_library_is_insecure(const struct websocket_library *library) {
	return library->insecure;
}
