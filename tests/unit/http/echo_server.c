/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small server on the real front, for the socket tests: prints its ports, serves until SIGTERM.
 *
 *   /now      answers at once, 201 without body, the request body unread
 *   /post     reads the body (limit 16384), 201; 413 above
 *   /echo     reads the body (limit 65536), gives it back; method and peer as headers
 *   /later    reads the body, answers 0.2 s later
 *   /latest   the same, 3 s later
 *   /large    answers 4 MiB
 *   /upgrade  hands the socket over: "taken " + what was read, then echoes until the end
 *   /drop     hands the socket over and closes it at once
 *   /stats    open, accepted, refused, timed_out, bad_requests
 */
#include "common/mem.h"
#include "relay/http/listener.h"
#include "relay/http/tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LARGE_BYTES = 4 << 20 };

static struct ev_loop *loop;
static struct http_server *server;
static struct http_tls *tls;

static void answer_status(struct http_request *request, int status) {
	http_request_answer(request, &(struct http_answer){.status = status});
}

static void handle_now(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	(void)ctx;
	answer_status(request, 201);
}

static void post_on_body(
	struct http_request *request, enum http_body_result result, struct slice body, void *ctx) {
	(void)body;
	(void)ctx;
	if (result == HTTP_BODY_BROKEN) {
		printf("broken\n");
		(void)fflush(stdout);
		return;
	}
	answer_status(request, result == HTTP_BODY_OK ? 201 : 413);
}

static void handle_post(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	(void)ctx;
	http_request_read_body(request, 16384, post_on_body, NULL);
}

static void echo_on_body(
	struct http_request *request, enum http_body_result result, struct slice body, void *ctx) {
	(void)ctx;
	if (result == HTTP_BODY_BROKEN) {
		return;
	}
	if (result == HTTP_BODY_TOO_LARGE) {
		answer_status(request, 413);
		return;
	}
	const struct http_peer *peer = http_request_peer(request);
	char text[INET6_ADDRSTRLEN] = "none";
	const void *address = &peer->address;
	if (peer->address.ss_family == AF_INET) {
		(void)inet_ntop(
			AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
	} else if (peer->address.ss_family == AF_INET6) {
		(void)inet_ntop(
			AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, sizeof text);
	}
	const struct http_answer_header headers[] = {
		{"Peer", text}, {"Secure", peer->is_secure ? "yes" : "no"}};
	http_request_answer(request, &(struct http_answer){.status = 200,
									 .content_type = "application/octet-stream",
									 .body = body,
									 .headers = headers,
									 .header_count = 2});
}

static void handle_echo(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	(void)ctx;
	http_request_read_body(request, 65536, echo_on_body, NULL);
}

static void later_on_time(struct ev_loop *on, ev_timer *timer, int events) {
	(void)on;
	(void)events;
	struct http_request *request = timer->data;
	printf(http_request_is_orphan(request) ? "orphan\n" : "later\n");
	(void)fflush(stdout);
	free(timer);
	answer_status(request, 201);
}

static void later_on_body(
	struct http_request *request, enum http_body_result result, struct slice body, void *ctx) {
	const double *sec = ctx;
	(void)body;
	if (result == HTTP_BODY_BROKEN) {
		return;
	}
	ev_timer *timer = mem_alloc(sizeof *timer);
	ev_timer_init(timer, later_on_time, *sec, 0);
	timer->data = request;
	ev_timer_start(loop, timer);
}

static void handle_later(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	http_request_read_body(request, 65536, later_on_body, ctx);
}

static void handle_large(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	(void)ctx;
	static char large[LARGE_BYTES];
	http_request_answer(request, &(struct http_answer){.status = 200,
									 .content_type = "application/octet-stream",
									 .body = {large, sizeof large}});
}

static void upgraded_close(ev_io *io) {
	ev_io_stop(loop, io);
	(void)close(io->fd);
	free(io);
}

/* Echoes while the other side reads; a blocked echo ends it. */
static void upgraded_on_readable(struct ev_loop *on, ev_io *io, int events) {
	(void)on;
	(void)events;
	char piece[4096];
	ssize_t bytes = recv(io->fd, piece, sizeof piece, 0);
	if (bytes < 0 && errno == EAGAIN) {
		return;
	}
	if (bytes <= 0) {
		printf("upgraded end\n");
		(void)fflush(stdout);
		upgraded_close(io);
	} else if (send(io->fd, piece, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
		upgraded_close(io);
	}
}

static void handle_upgrade(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	int fd;
	char *read_so_far;
	size_t bytes;
	if (!http_request_take_upgrade(request, &fd, &read_so_far, &bytes)) {
		return;
	}
	if (ctx) {
		(void)close(fd);
	} else {
		(void)send(fd, "taken ", 6, MSG_NOSIGNAL);
		(void)send(fd, read_so_far, bytes, MSG_NOSIGNAL);
		ev_io *io = mem_alloc(sizeof *io);
		ev_io_init(io, upgraded_on_readable, fd, EV_READ);
		ev_io_start(loop, io);
	}
	free(read_so_far);
}

static void handle_stats(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	(void)ctx;
	struct http_server_stats stats;
	http_server_get_stats(server, &stats);
	char text[128];
	int bytes = snprintf(text, sizeof text, "%zu %llu %llu %llu %llu", stats.open,
		(unsigned long long)stats.accepted, (unsigned long long)stats.refused,
		(unsigned long long)stats.timed_out, (unsigned long long)stats.bad_requests);
	http_request_answer(
		request, &(struct http_answer){
					 .status = 200, .content_type = "text/plain", .body = {text, (size_t)bytes}});
}

static void handle_unknown(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	(void)ctx;
	answer_status(request, 404);
}

static void on_term(struct ev_loop *on, ev_signal *watcher, int events) {
	(void)watcher;
	(void)events;
	http_server_stop(server);
	ev_break(on, EVBREAK_ALL);
}

static void on_hup(struct ev_loop *on, ev_signal *watcher, int events) {
	(void)on;
	(void)watcher;
	(void)events;
	char *error = NULL;
	printf("reload %d\n", tls ? http_tls_reload(tls, &error) : 0);
	(void)fflush(stdout);
	free(error);
}

static int bind_any(const char *text) {
	struct http_listener_address address;
	char *error = NULL;
	if (http_listener_address_parse(text, &address, &error) < 0) {
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	int fd = http_listener_bind(&address, false, &error);
	if (fd < 0) {
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	http_listener_address_finish(&address);
	struct sockaddr_in bound = {0};
	socklen_t bytes = sizeof bound;
	(void)getsockname(fd, (struct sockaddr *)&bound, &bytes);
	printf("port %d\n", ntohs(bound.sin_port));
	return fd;
}

/* echo_server HEAD_SEC BODY_SEC IDLE_SEC MAX_CONNECTIONS [CERT KEY] */
int main(int argc, char **argv) {
	if (argc < 5) {
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	static int drops;
	static double later_sec = 0.2, latest_sec = 3;
	static const struct http_route table[] = {
		{.path = "/now", .handle = handle_now},
		{.path = "/post", .handle = handle_post},
		{.path = "/echo", .handle = handle_echo},
		{.path = "/later", .handle = handle_later, .ctx = &later_sec},
		{.path = "/latest", .handle = handle_later, .ctx = &latest_sec},
		{.path = "/large", .handle = handle_large},
		{.path = "/upgrade", .handle = handle_upgrade, .upgrades_only = true},
		{.path = "/drop", .handle = handle_upgrade, .upgrades_only = true, .ctx = &drops},
		{.path = "/stats", .handle = handle_stats},
	};
	static const struct http_routes routes = {
		table, sizeof table / sizeof table[0], handle_unknown, NULL};
	static const char *const proxies[] = {"127.0.0.2", "10.0.0.0/8", NULL};
	const struct http_server_options options = {
		.loop = loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV),
		.routes = &routes,
		.limits = {strtod(argv[1], NULL), strtod(argv[2], NULL), strtod(argv[3], NULL),
			.max_connections = strtoul(argv[4], NULL, 10)},
		.trusted_proxies = proxies,
	};
	server = http_server_create(&options);
	http_server_listen(server, bind_any("127.0.0.1:0"), NULL);
	if (argc > 6) {
		static const uint8_t key[HTTP_TLS_TICKET_KEY_BYTES] = {1, 2, 3};
		char *error = NULL;
		tls = http_tls_create(argv[5], argv[6], key, &error);
		if (!tls) {
			fprintf(stderr, "%s\n", error);
			return 1;
		}
		http_server_listen(server, bind_any("tls:127.0.0.1:0"), tls);
	}
	ev_signal term, hup;
	ev_signal_init(&term, on_term, SIGTERM);
	ev_signal_start(loop, &term);
	ev_signal_init(&hup, on_hup, SIGHUP);
	ev_signal_start(loop, &hup);
	printf("ready\n");
	(void)fflush(stdout);
	ev_run(loop, 0);
	http_server_destroy(server);
	http_tls_destroy(tls);
	ev_loop_destroy(loop);
	return 0;
}
