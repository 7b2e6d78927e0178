/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts connections on the loop, keeps their number and their time in bounds, ends them. */
#include "relay/http/listener.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/http/connection.h"
#include "relay/http/trusted.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SERVER_ACCEPTS_MAX = 32, /* a turn of the loop */
	SERVER_LAST_ACCEPTS_MAX = 1024, /* at the stop */
	SERVER_REFUSED_MAX = 64, /* connections over the limit that are told so */
};
static const double server_pause_sec = 0.2;
static const double server_linger_sec = 3;
static const double server_shortage_sec = 60;
static const double server_too_many_sec = 60;

struct http_listener {
	struct list link;
	struct http_server *server;
	ev_io readable;
	struct http_tls *tls;
};

/* ---- shortage ---- */

static void server_pause(struct http_server *server) {
	server->is_paused = true;
	struct http_listener *listener;
	LIST_FOREACH (listener, &server->listeners, link) {
		ev_io_stop(server->loop, &listener->readable);
	}
	ev_timer_stop(server->loop, &server->resume);
	ev_timer_set(&server->resume, server_pause_sec, 0);
	ev_timer_start(server->loop, &server->resume);
}

bool http_server_is_short(const struct http_server *server, int fd) {
	return server->limits.max_fd > 0 && fd >= server->limits.max_fd;
}

void http_server_note_shortage(struct http_server *server, int error) {
	if (log_limit_pass(&server->shortage, ev_now(server->loop))) {
		log_warn(
			"%s error=\"%s\" cure=\"raise the limit of open files: LimitNOFILE= in the unit, or "
			"ulimit -n\"",
			server->shortage.event, strerror(error));
	}
}

static bool server_is_full(const struct http_server *server) {
	size_t max = server->limits.max_connections;
	return max > 0 && server->open[HTTP_ADMITTED] >= max;
}

/* So full that not even a refusal is sent. */
static bool server_is_crowded(const struct http_server *server) {
	return server_is_full(server) && server->open[HTTP_REFUSED_FULL] >= SERVER_REFUSED_MAX;
}

static void server_on_resume(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)events;
	struct http_server *server = timer->data;
	if (server_is_crowded(server)) {
		ev_timer_start(loop, timer);
		return;
	}
	server->is_paused = false;
	struct http_listener *listener;
	LIST_FOREACH (listener, &server->listeners, link) {
		ev_io_start(loop, &listener->readable);
	}
}

/* ---- accepting ---- */

/* An admitted client has one connection more in server->clients. */
static enum http_admission server_admit(struct http_server *server, int fd, uint64_t client) {
	if (!client_counts_enter(&server->clients, client, server->limits.client_connections)) {
		return HTTP_REFUSED_CLIENT;
	}
	bool is_short = http_server_is_short(server, fd);
	if (is_short) {
		http_server_note_shortage(server, EMFILE);
	}
	if (is_short || server_is_full(server)) {
		client_counts_leave(&server->clients, client);
		return HTTP_REFUSED_FULL;
	}
	return HTTP_ADMITTED;
}

static void server_note_refusal(
	struct http_server *server, uint64_t client, enum http_admission admission) {
	if (admission == HTTP_REFUSED_FULL) {
		server->stats.refused++;
		return;
	}
	char text[CLIENT_TEXT_BYTES];
	server->stats.client_refused++;
	if (log_limit_pass(&server->too_many, ev_now(server->loop))) {
		log_warn("%s address=%s connections=%u cure=\"a proxy belongs into trusted_proxies\"",
			server->too_many.event, client_print(client, text), server->limits.client_connections);
	}
}

static void server_adopt(struct http_listener *listener, int fd, const union http_address *peer) {
	struct http_server *server = listener->server;
	uint64_t client = http_trusted_holds(server->trusted, &peer->any) ? 0 : client_key(&peer->any);
	enum http_admission admission = server_admit(server, fd, client);
	SSL *ssl = NULL;
	server->stats.accepted++;
	if (admission != HTTP_ADMITTED) {
		server_note_refusal(server, client, admission);
		client = 0;
	}
	if (listener->tls && admission == HTTP_ADMITTED) {
		ssl = http_tls_new_session(listener->tls);
	}
	bool is_mute =
		admission == HTTP_REFUSED_CLIENT && server->open[HTTP_REFUSED_CLIENT] >= SERVER_REFUSED_MAX;
	if (is_mute || (listener->tls && (!ssl || SSL_set_fd(ssl, fd) != 1))) {
		client_counts_leave(&server->clients, client);
		SSL_free(ssl);
		(void)close(fd);
		return;
	}
	http_connection_create(server, fd, ssl, peer, client, admission);
	http_server_need_sweep(server);
}

/* False: no more for now. */
static bool server_accept(struct http_listener *listener) {
	struct http_server *server = listener->server;
	if (server_is_crowded(server)) {
		server_pause(server);
		return false;
	}
	union http_address peer = {.any.sa_family = AF_UNSPEC};
	socklen_t bytes = sizeof peer; /* a Unix peer's name does not fit and is not needed */
	int fd = accept4(listener->readable.fd, &peer.any, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && http_server_is_short(server, fd - server->limits.spare_fds)) {
		(void)close(fd);
		fd = -1;
		errno = EMFILE;
	}
	if (fd >= 0) {
		server_adopt(listener, fd, &peer);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		http_server_note_shortage(server, errno);
		server_pause(server);
		return false;
	default:
		return true; /* that connection is gone already */
	}
}

static void server_on_acceptable(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	for (int i = 0; i < SERVER_ACCEPTS_MAX && server_accept(io->data); i++) {
	}
}

void http_server_listen(struct http_server *server, int fd, struct http_tls *tls) {
	int on = 1;
	(void)setsockopt(
		fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
	struct http_listener *listener = mem_zalloc(sizeof *listener);
	listener->server = server;
	listener->tls = tls;
	list_init(&listener->link);
	list_append(&server->listeners, &listener->link);
	ev_io_init(&listener->readable, server_on_acceptable, fd, EV_READ);
	listener->readable.data = listener;
	ev_io_start(server->loop, &listener->readable);
}

static void server_close_listeners(struct http_server *server) {
	struct http_listener *listener, *tmp;
	LIST_FOREACH_SAFE (listener, tmp, &server->listeners, link) {
		ev_io_stop(server->loop, &listener->readable);
		(void)close(listener->readable.fd);
		list_remove(&listener->link);
		free(listener);
	}
	ev_timer_stop(server->loop, &server->resume);
}

/* ---- time limits ---- */

void http_server_need_sweep(struct http_server *server) {
	if (!ev_is_active(&server->sweep)) {
		ev_timer_again(server->loop, &server->sweep);
	}
}

static void server_on_sweep(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)events;
	struct http_server *server = timer->data;
	double now = ev_now(loop);
	log_limit_tick(&server->shortage, now);
	log_limit_tick(&server->too_many, now);
	for (int kind = 0; kind < HTTP_TIMER_COUNT; kind++) {
		struct http_connection *connection;
		while ((connection = list_first(&server->timers[kind], struct http_connection, timed)) &&
			   connection->timed_since + server->timer_sec[kind] <= now) {
			http_connection_expire(connection); /* takes it off this list */
		}
	}
	tls_pumps_sweep(server);
	if (list_is_empty(&server->connections) && list_is_empty(&server->blocked_pumps)) {
		ev_timer_stop(loop, timer);
	}
}

void http_server_on_connection_closed(struct http_server *server) {
	if (server->is_paused && !server_is_full(server) && !ev_is_pending(&server->resume)) {
		ev_feed_event(server->loop, &server->resume, EV_TIMER);
	}
}

/* ---- life ---- */

static void server_set_timers(struct http_server *server) {
	const struct http_limits *limits = &server->limits;
	server->timer_sec[HTTP_TIMER_HANDSHAKE] = limits->head_sec;
	server->timer_sec[HTTP_TIMER_HEAD] = limits->head_sec;
	server->timer_sec[HTTP_TIMER_BODY] = limits->body_sec;
	server->timer_sec[HTTP_TIMER_IDLE] = limits->idle_sec;
	server->timer_sec[HTTP_TIMER_WRITE] = limits->body_sec;
	server->timer_sec[HTTP_TIMER_LINGER] = server_linger_sec;
	double sweep_sec = 8;
	for (int kind = 0; kind < HTTP_TIMER_COUNT; kind++) {
		list_init(&server->timers[kind]);
		sweep_sec = server->timer_sec[kind] < sweep_sec ? server->timer_sec[kind] : sweep_sec;
	}
	sweep_sec = sweep_sec / 8 < 0.01 ? 0.01 : sweep_sec / 8;
	ev_timer_init(&server->sweep, server_on_sweep, 0, sweep_sec);
	ev_timer_init(&server->resume, server_on_resume, server_pause_sec, 0);
	server->sweep.data = server->resume.data = server;
}

struct http_server *http_server_create(const struct http_server_options *options) {
	struct http_server *server = mem_zalloc(sizeof *server);
	server->loop = options->loop;
	server->routes = options->routes;
	server->limits = options->limits;
	server->shortage =
		(struct log_limit){.event = "too few files or sockets, connections are refused",
			.period_sec = server_shortage_sec,
			.lines = 1};
	server->too_many =
		(struct log_limit){.event = "one address has too many connections, more are refused "
									"setting=address_connections",
			.period_sec = server_too_many_sec,
			.lines = 1};
	server->trusted = http_trusted_create(options->trusted_proxies);
	client_counts_init(&server->clients);
	list_init(&server->listeners);
	list_init(&server->connections);
	list_init(&server->pumps);
	list_init(&server->blocked_pumps);
	server_set_timers(server);
	return server;
}

void http_server_stop(struct http_server *server) {
	if (server->is_stopping) {
		return;
	}
	struct http_listener *listener;
	LIST_FOREACH (listener, &server->listeners, link) {
		/* Those in the queue were told that they are connected; serve them too. */
		for (int i = 0; i < SERVER_LAST_ACCEPTS_MAX && server_accept(listener); i++) {
		}
	}
	server->is_stopping = true;
	server_close_listeners(server);
	struct http_connection *connection, *tmp;
	LIST_FOREACH_SAFE (connection, tmp, &server->connections, link) {
		http_connection_stop(connection);
	}
}

bool http_server_is_idle(const struct http_server *server) {
	const struct http_connection *connection;
	LIST_FOREACH (connection, &server->connections, link) {
		if (connection->phase != HTTP_PHASE_IDLE && connection->phase != HTTP_PHASE_LINGER &&
			connection->phase != HTTP_PHASE_HANDSHAKE) {
			return false;
		}
	}
	return true;
}

void http_server_get_stats(const struct http_server *server, struct http_server_stats *out_stats) {
	*out_stats = server->stats;
}

void http_server_destroy(struct http_server *server) {
	if (!server) {
		return;
	}
	server_close_listeners(server);
	server->is_paused = false;
	while (!list_is_empty(&server->connections)) {
		http_connection_close(list_first(&server->connections, struct http_connection, link));
	}
	tls_pumps_destroy(server);
	ev_timer_stop(server->loop, &server->sweep);
	while (server->spare) {
		struct http_request *request = server->spare;
		server->spare = request->next_spare;
		free(request->text);
		free(request);
	}
	http_trusted_destroy(server->trusted);
	client_counts_finish(&server->clients);
	free(server);
}
