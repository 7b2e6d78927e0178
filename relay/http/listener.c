/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts connections and keeps their time limits. */
#include "relay/http/listener.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/http/connection.h"
#include "relay/http/trusted.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum { ACCEPT_BURST = 64 };

struct http_listener {
	struct list link; /* struct http_server::listeners */
	struct http_server *server;
	struct http_tls *tls;
	ev_io acceptor;
};

static void http_server_on_second(struct ev_loop *loop, ev_timer *timer, int events);

struct http_server *http_server_create(const struct http_server_options *options) {
	struct http_server *server = mem_zalloc(sizeof *server);
	server->options = *options;
	server->trusted = http_trusted_create(options->trusted_proxies);
	server->options.trusted_proxies = NULL;
	list_init(&server->connections);
	list_init(&server->listeners);
	ev_timer_init(&server->every_second, http_server_on_second, 1, 1);
	server->every_second.data = server;
	ev_timer_start(options->loop, &server->every_second);
	return server;
}

static void http_listener_refuse(int fd) {
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
								 "Content-Length: 0\r\nConnection: close\r\n\r\n";
	if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		/* then the close says it */
	}
	(void)close(fd);
}

static void http_listener_on_ready(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)events;
	struct http_listener *listener = watcher->data;
	struct http_server *server = listener->server;
	for (int i = 0; i < ACCEPT_BURST; i++) {
		struct sockaddr_storage address = {0};
		socklen_t bytes = sizeof address;
		int fd =
			accept4(watcher->fd, (struct sockaddr *)&address, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
				log_error("connections not accepted error=\"%s\" cure=\"raise LimitNOFILE\"",
					strerror(errno));
				ev_io_stop(loop, watcher); /* tried again each second */
			}
			return;
		}
		if (server->open >= server->options.limits.max_connections) {
			server->stats.refused++;
			http_listener_refuse(fd);
			continue;
		}
		server->stats.accepted++;
		const int on = 1;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* not on unix sockets */
		http_connection_open(server, fd, listener->tls, &address);
	}
}

void http_server_listen(struct http_server *server, int fd, struct http_tls *tls) {
	struct http_listener *listener = mem_zalloc(sizeof *listener);
	listener->server = server;
	listener->tls = tls;
	list_init(&listener->link);
	list_append(&server->listeners, &listener->link);
	ev_io_init(&listener->acceptor, http_listener_on_ready, fd, EV_READ);
	listener->acceptor.data = listener;
	ev_io_start(server->options.loop, &listener->acceptor);
}

static void http_server_on_second(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)events;
	struct http_server *server = timer->data;
	struct http_connection *connection, *tmp;
	double now = ev_now(loop);
	LIST_FOREACH_SAFE (connection, tmp, &server->connections, link) {
		http_connection_check_time(connection, now);
	}
	struct http_listener *listener;
	LIST_FOREACH (listener, &server->listeners, link) {
		ev_io_start(loop, &listener->acceptor);
	}
}

static void http_server_close_listeners(struct http_server *server) {
	struct http_listener *listener, *tmp;
	LIST_FOREACH_SAFE (listener, tmp, &server->listeners, link) {
		ev_io_stop(server->options.loop, &listener->acceptor);
		(void)close(listener->acceptor.fd);
		list_remove(&listener->link);
		free(listener);
	}
}

void http_server_stop(struct http_server *server) {
	server->is_stopping = true;
	http_server_close_listeners(server);
	struct http_connection *connection, *tmp;
	LIST_FOREACH_SAFE (connection, tmp, &server->connections, link) {
		if (connection->state == HTTP_HANDSHAKE ||
			(connection->state == HTTP_READ_HEAD && buffer_length(&connection->in) == 0 &&
				buffer_length(&connection->out) == 0)) {
			http_connection_close(connection);
		}
	}
}

bool http_server_is_idle(const struct http_server *server) {
	struct http_connection *connection;
	LIST_FOREACH (connection, &server->connections, link) {
		if (connection->request || buffer_length(&connection->out) > 0) {
			return false;
		}
	}
	return true;
}

void http_server_get_stats(const struct http_server *server, struct http_server_stats *out_stats) {
	*out_stats = server->stats;
	out_stats->open = server->open;
}

void http_server_destroy(struct http_server *server) {
	if (!server) {
		return;
	}
	http_server_close_listeners(server);
	struct http_connection *connection, *tmp;
	LIST_FOREACH_SAFE (connection, tmp, &server->connections, link) {
		http_connection_close(connection);
	}
	ev_timer_stop(server->options.loop, &server->every_second);
	http_trusted_destroy(server->trusted);
	free(server);
}
