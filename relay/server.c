/* SPDX-License-Identifier: Apache-2.0 */
/* Starts, wires and ends the parts of one relay process. */
#include "relay/server.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "relay/server_parts.h"
#include <limits.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
	SERVER_VAPID_CACHE = 10000,
	SERVER_LIMIT_ENTRIES = 100000,
	SERVER_INVITE_POLL_SEC = 3,
	SERVER_FEW_FILES = 10000,
	SERVER_SPARE_FILES = 128,
	SERVER_TLS_DEVICE_FILES = 3, /* its socket and a pair to libwebsockets */
	SERVER_TWICE_SEC = 1,
	SERVER_GRACE_SEC = 6, /* for requests under way, beyond drain_seconds */
};

static const char *server_state_name(enum server_state state) {
	static const char *const names[SERVER_STATE_COUNT] = {"starting", "running", "stopping"};
	return names[state];
}

static void server_enter(struct server *server, enum server_state state) {
	log_info("relay %s worker=%u", server_state_name(state), server->options.worker);
	server->state = state;
}

/* ---- what others tell the server ---- */

static void server_on_woken(const struct store_wake *wake, void *ctx) {
	struct server *server = ctx;
	if (server->devices) {
		devices_wake(server->devices, wake);
	}
}

static void server_on_store_state(bool available, const char *reason, void *ctx) {
	struct server *server = ctx;
	free(server->store_trouble);
	server->store_trouble = available ? NULL : mem_strdup(reason ? reason : "the store is away");
	metrics_set(server->metrics, METRIC_STORE_AVAILABLE, available);
	if (available) {
		log_info("store available");
		if (server->state == SERVER_STARTING) {
			server_enter(server, SERVER_RUNNING);
			server->options.on_ready(server->options.ctx);
		}
	} else {
		log_error("store unavailable, senders get 503 until it is back reason=\"%s\"",
			server->store_trouble);
	}
}

static void server_on_invite_removed(enum store_outcome outcome, void *ctx) {
	struct server *server = ctx;
	if (outcome != STORE_OK && server->state != SERVER_STOPPING) {
		log_warn("devices of a revoked invite not removed yet outcome=%s again_sec=%d",
			store_outcome_name(outcome), SERVER_INVITE_POLL_SEC);
		invites_tell_again(server->invites);
	}
}

static void server_on_invite_revoked(struct invite_id invite, void *ctx) {
	struct server *server = ctx;
	devices_drop_invited(server->devices, invite);
	store_remove_invited(server->store, invite, server_on_invite_removed, server);
}

/* ---- start ---- */

static bool server_open_secrets(struct server *server) {
	const struct config *config = server->config;
	CLEANUP_FREE char *error = NULL;
	CLEANUP_FREE char *keys_path = mem_printf("%s/keys", config->state_dir);
	server->keys = token_keys_open(keys_path, true, &error);
	if (!server->keys) {
		log_error("%s", error);
		return false;
	}
	CLEANUP_FREE char *invites_path = mem_printf("%s/invites", config->state_dir);
	server->invites = invites_open(invites_path, server_on_invite_revoked, server, &error);
	if (!server->invites) {
		log_error("%s", error);
		return false;
	}
	if (config->tls_cert) {
		uint8_t ticket_key[HTTP_TLS_TICKET_KEY_BYTES];
		token_keys_derive(server->keys, "tls tickets", ticket_key, sizeof ticket_key);
		server->tls = http_tls_create(config->tls_cert, config->tls_key, ticket_key, &error);
		mem_wipe(ticket_key, sizeof ticket_key);
		if (!server->tls) {
			log_error("%s", error);
			return false;
		}
	}
	return true;
}

static bool server_open_store(struct server *server) {
	const struct config *config = server->config;
	const struct store_options options = {
		.url = config->store,
		.loop = server->loop,
		.node = server->node,
		.limits =
			{
				.queue_messages = (uint32_t)config->queue_messages,
				.queue_bytes = (uint64_t)config->queue_bytes,
				.subscriptions = (uint32_t)config->subscriptions,
				.device_sec = (uint32_t)config->device_days * 86400,
				.tombstone_sec = (uint32_t)config->tombstone_days * 86400,
			},
		.redis_wait = (uint32_t)config->redis_wait,
		.redis_user = config->redis_user,
		.redis_password = config->redis_password,
		.redis_ca_file = config->redis_ca_file,
		.is_quiet = server->options.worker > 0,
		.on_woken = server_on_woken,
		.on_state = server_on_store_state,
		.ctx = server,
	};
	CLEANUP_FREE char *error = NULL;
	server->store = store_open(&options, &error);
	if (!server->store) {
		log_error("%s", error);
		return false;
	}
	if (!store_is_available(server->store) && !server->store_trouble) {
		server->store_trouble = mem_strdup("the store is not there yet");
	}
	return true;
}

static void server_make_limits(struct server *server) {
	const struct config *config = server->config;
	if (!config->rate_limits) {
		return;
	}
	const struct limit_rate rates[LIMIT_KIND_COUNT] = {
		[LIMIT_ENDPOINT] = {(double)config->endpoint_rate / 60, (double)config->endpoint_burst},
		[LIMIT_SENDER] = {(double)config->sender_rate / 60, (double)config->sender_burst},
		[LIMIT_ADDRESS] = {(double)config->address_rate / 60, (double)config->address_burst},
		[LIMIT_REGISTER] = {(double)config->address_registers / 60,
			(double)config->address_register_burst},
	};
	server->limits = limits_create(rates, SERVER_LIMIT_ENTRIES);
}

static bool server_make_devices(struct server *server) {
	const struct config *config = server->config;
	server->endpoint_base = mem_printf("%s/p/", config->public_url.items[0]);
	const struct devices_options options = {
		.loop = server->loop,
		.store = server->store,
		.node = server->node,
		.keys = server->keys,
		.endpoint_base = server->endpoint_base,
		.metrics = server->metrics,
		.ping_sec = (double)config->ping_interval,
		.pong_sec = 30,
		.hello_sec = 30,
		.hello_rate = (uint32_t)config->hello_rate,
		.window = 32,
		.window_sec = 60,
		.queue_messages = (uint32_t)config->queue_messages,
		.send_limit_bytes = 256 << 10,
		.slow_sec = 60,
		.tcp_user_timeout_ms = 60000,
		.max_sockets = (size_t)config->max_devices,
		.limits = server->limits,
		.client_sockets = config->rate_limits ? (uint32_t)config->address_devices : 0,
	};
	server->devices = devices_create(&options);
	return server->devices != NULL;
}

/* A NULL-terminated copy of a list's pointers; the caller frees the array. */
static const char **server_texts(const struct settings_list *list) {
	const char **texts = mem_zalloc((list->count + 1) * sizeof *texts);
	for (size_t i = 0; i < list->count; i++) {
		texts[i] = list->items[i];
	}
	return texts;
}

static void server_make_push(struct server *server) {
	const struct config *config = server->config;
	CLEANUP_FREE const char **origins = server_texts(&config->public_url);
	server->vapid = vapid_create(origins, SERVER_VAPID_CACHE);
	const struct push_options options = {
		.loop = server->loop,
		.store = server->store,
		.devices = server->devices,
		.vapid = server->vapid,
		.limits = server->limits,
		.metrics = server->metrics,
		.public_url = config->public_url.items[0],
		.body_limit = (size_t)config->body_limit,
		.missing_ttl_sec = config->missing_ttl_sec,
		.max_ttl_sec = (uint32_t)config->max_ttl,
		.strict_encryption = config->strict_encryption,
		.verify_vapid = config->verify_vapid,
		.cors = config->cors,
		.max_pending = (size_t)config->max_pushes,
	};
	server->push = push_service_create(&options, server->keys);
}

/* What sockets leave free for files and the store. */
static int server_spare_files(int files) {
	return files / 4 < SERVER_SPARE_FILES ? files / 4 : SERVER_SPARE_FILES;
}

static struct http_server *server_make_http(
	struct server *server, const struct http_routes *routes, int max_fd) {
	const struct config *config = server->config;
	CLEANUP_FREE const char **proxies = server_texts(&config->trusted_proxies);
	const struct http_server_options options = {
		.loop = server->loop,
		.routes = routes,
		.limits =
			{
				.head_sec = 15,
				.body_sec = 60,
				.idle_sec = 75,
				.tcp_user_timeout_ms = 60000,
				.max_connections = (size_t)config->max_connections,
				.client_connections =
					config->rate_limits ? (uint32_t)config->address_connections : 0,
				.max_fd = max_fd,
				.spare_fds = server_spare_files(server->files) / 2,
			},
		.trusted_proxies = proxies,
	};
	return http_server_create(&options);
}

static void server_listen(struct server *server) {
	int max_fd = server->files - server_spare_files(server->files);
	server->http = server_make_http(server, &server->route_table, max_fd);
	server->admin_http = server_make_http(server, &server->admin_route_table, 0);
	for (size_t i = 0; i < server->options.socket_count; i++) {
		const struct server_socket *socket = &server->options.sockets[i];
		http_server_listen(socket->is_admin ? server->admin_http : server->http, socket->fd,
			socket->is_tls ? server->tls : NULL);
	}
}

/* ---- while it runs, and its end ---- */

static void server_check_drained(struct server *server) {
	if (server->is_drained && push_service_pending(server->push) == 0 &&
		http_server_is_idle(server->http)) {
		ev_break(server->loop, EVBREAK_ALL);
	}
}

static void server_on_second(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct server *server = timer->data;
	if (server->state == SERVER_STOPPING) {
		server_check_drained(server);
		return;
	}
	store_sweep(server->store);
	if (server->seconds++ % SERVER_INVITE_POLL_SEC == 0 && store_is_available(server->store)) {
		invites_poll(server->invites);
	}
	push_service_tick(server->push);
	server_refresh_metrics(server);
}

static void server_on_drained(void *ctx) {
	struct server *server = ctx;
	server->is_drained = true;
	server_check_drained(server);
}

static void server_on_deadline(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)events;
	struct server *server = timer->data;
	log_warn("requests cut off at the end count=%zu", push_service_pending(server->push));
	ev_break(loop, EVBREAK_ALL);
}

static void server_stop(struct server *server, double drain_sec) {
	if (server->state == SERVER_STOPPING) {
		/* Asked twice. A Ctrl-C comes twice by itself: from the terminal and from the supervisor.
		 */
		if (ev_now(server->loop) - server->stopping_since > SERVER_TWICE_SEC) {
			ev_break(server->loop, EVBREAK_ALL);
		}
		return;
	}
	server->stopping_since = ev_now(server->loop);
	server_enter(server, SERVER_STOPPING);
	push_service_stop(server->push);
	http_server_stop(server->http);
	ev_timer_stop(server->loop, &server->every_second);
	ev_timer_set(&server->every_second, 0.02, 0.02);
	ev_timer_start(server->loop, &server->every_second);
	ev_timer_set(&server->at_deadline, drain_sec + SERVER_GRACE_SEC, 0);
	ev_timer_start(server->loop, &server->at_deadline);
	devices_drain(server->devices, drain_sec, server_on_drained, server);
}

static void server_on_term(struct ev_loop *loop, ev_signal *watcher, int events) {
	(void)loop;
	(void)events;
	struct server *server = watcher->data;
	server_stop(server, (double)server->config->drain_seconds);
}

/* Ctrl-C: a person waits. */
static void server_on_int(struct ev_loop *loop, ev_signal *watcher, int events) {
	(void)loop;
	(void)events;
	server_stop(watcher->data, 0);
}

static void server_reload_keys(struct server *server) {
	CLEANUP_FREE char *error = NULL;
	CLEANUP_FREE char *path = mem_printf("%s/keys", server->config->state_dir);
	struct token_keys *fresh = token_keys_open(path, false, &error);
	if (!fresh) {
		log_error("keys not read, the old ones stay error=\"%s\"", error);
		return;
	}
	devices_set_keys(server->devices, fresh);
	push_service_set_keys(server->push, fresh);
	token_keys_destroy(server->keys);
	server->keys = fresh;
}

static void server_on_hup(struct ev_loop *loop, ev_signal *watcher, int events) {
	(void)loop;
	(void)events;
	struct server *server = watcher->data;
	if (!server->options.reload(server->config, server->options.ctx)) {
		log_error("settings not read again, the old ones stay");
	}
	CLEANUP_FREE char *error = NULL;
	if (server->tls && http_tls_reload(server->tls, &error) < 0) {
		log_error("certificate not read again, the old one stays error=\"%s\"", error);
	}
	server_reload_keys(server);
	invites_poll(server->invites);
	log_info("reloaded worker=%u keys=%zu", server->options.worker, token_keys_count(server->keys));
}

static void server_watch(struct server *server) {
	struct {
		ev_signal *watcher;
		void (*handle)(struct ev_loop *, ev_signal *, int);
		int number;
	} signals[] = {
		{&server->on_term, server_on_term, SIGTERM},
		{&server->on_int, server_on_int, SIGINT},
		{&server->on_hup, server_on_hup, SIGHUP},
	};
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		ev_signal_init(signals[i].watcher, signals[i].handle, signals[i].number);
		signals[i].watcher->data = server;
		ev_signal_start(server->loop, signals[i].watcher);
	}
	ev_timer_init(&server->every_second, server_on_second, 1, 1);
	server->every_second.data = server;
	ev_timer_start(server->loop, &server->every_second);
	ev_timer_init(&server->at_deadline, server_on_deadline, 0, 0);
	server->at_deadline.data = server;
}

static void server_unwatch(struct server *server) {
	ev_signal_stop(server->loop, &server->on_term);
	ev_signal_stop(server->loop, &server->on_int);
	ev_signal_stop(server->loop, &server->on_hup);
	ev_timer_stop(server->loop, &server->every_second);
	ev_timer_stop(server->loop, &server->at_deadline);
}

static bool server_start(struct server *server) {
	if (RAND_bytes(server->node.bytes, sizeof server->node.bytes) != 1) {
		log_error("no random numbers to be had");
		return false;
	}
	server->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!server->loop || !server_open_secrets(server) || !server_open_store(server)) {
		return false;
	}
	struct url url;
	(void)url_parse(slice_of(server->config->public_url.items[0]), &url); /* config_check did */
	server->prefix = mem_strndup(url.path.data, url.path.len > 1 ? url.path.len : 0);
	server_make_limits(server);
	if (!server_make_devices(server)) {
		return false;
	}
	server_make_push(server);
	server_make_routes(server);
	server_listen(server);
	server_watch(server);
	return true;
}

/* In the order that lets each part end its operations while those it needs still stand. */
static void server_destroy(struct server *server) {
	if (server->loop) {
		server_unwatch(server);
	}
	struct devices *devices = server->devices;
	server->devices = NULL;
	if (server->push) {
		push_service_forget_devices(server->push);
	}
	devices_destroy(devices);
	store_close(server->store); /* ends the pushes that wait for it */
	http_server_destroy(server->http); /* … and those that wait for their body */
	http_server_destroy(server->admin_http);
	push_service_destroy(server->push);
	if (server->loop) {
		ev_run(server->loop, EVRUN_NOWAIT); /* TLS pumps see that their other end is closed */
	}
	http_tls_destroy(server->tls);
	vapid_destroy(server->vapid);
	limits_destroy(server->limits);
	invites_destroy(server->invites);
	token_keys_destroy(server->keys);
	for (size_t i = 0; i < server->route_table.count; i++) {
		free(server->paths[i]);
	}
	free(server->endpoint_base);
	free(server->prefix);
	free(server->store_trouble);
	if (server->loop) {
		ev_loop_destroy(server->loop);
	}
}

/* Raises the limit of open files as far as we may; returns it. */
static int server_raise_file_limit(void) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return 0;
	}
	rlim_t old = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	if (old < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		limit.rlim_cur = old;
	}
	return limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}

static void server_tell_file_limit(const struct server *server) {
	if (server->options.worker == 0 && server->files < SERVER_FEW_FILES) {
		int sockets = server->files - server_spare_files(server->files);
		log_warn("few open files are allowed limit=%d devices=%d devices_over_tls=%d cure=\"raise "
				 "it: LimitNOFILE= in the unit, or ulimit -n\"",
			server->files, sockets, sockets / SERVER_TLS_DEVICE_FILES);
	}
}

int server_run(const struct server_options *options) {
	struct server server = {
		.options = *options,
		.config = options->config,
		.metrics = &options->metrics[options->worker],
	};
	(void)signal(SIGPIPE, SIG_IGN);
	server.files = server_raise_file_limit();
	server_tell_file_limit(&server);
	int status = 1;
	if (server_start(&server)) {
		if (store_is_available(server.store) && server.state == SERVER_STARTING) {
			server_on_store_state(true, NULL, &server);
		}
		ev_run(server.loop, 0);
		log_info("relay stopped worker=%u", options->worker);
		status = 0;
	}
	server_destroy(&server);
	return status;
}
