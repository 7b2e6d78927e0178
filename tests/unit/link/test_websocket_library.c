/* SPDX-License-Identifier: Apache-2.0 */
/* Several relays through one library: each has its own proxy, all have the same certificates. */
#include "distributor/link/websocket.h"
#include <arpa/inet.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

enum { LIMIT_SEC = 20 };

struct world {
	struct ev_loop *loop;
	struct websocket_library *library;
	ev_timer limit;
};

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)timer;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void begin(struct world *world, const char *ca_file) {
	char *error = NULL;
	world->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct websocket_library_options options = {.loop = world->loop, .ca_file = ca_file};
	world->library = websocket_library_create(&options, &error);
	assert_non_null(world->library);
	ev_timer_init(&world->limit, on_limit, LIMIT_SEC, 0.);
	ev_timer_start(world->loop, &world->limit);
}

static void end(struct world *world) {
	websocket_library_destroy(world->library);
	ev_loop_destroy(world->loop);
}

static struct websocket_client *client_of(struct world *world, const char *url) {
	char *error = NULL;
	struct websocket_client *client = websocket_client_create(world->library, url, &error);
	assert_non_null(client);
	return client;
}

/* ---- a peer that reads the first line of who comes ---- */

struct peer {
	ev_io accepting, reading;
	int fd, port;
	char said[512];
	size_t length;
	size_t *waiting; /* peers that have not read theirs */
};

static void on_said(struct ev_loop *loop, ev_io *io, int events) {
	struct peer *peer = io->data;
	(void)events;
	ssize_t got =
		recv(peer->fd, peer->said + peer->length, sizeof peer->said - 1 - peer->length, 0);
	assert_true(got > 0);
	peer->length += (size_t)got;
	if (strstr(peer->said, "\r\n")) {
		ev_io_stop(loop, io);
		if (--*peer->waiting == 0) {
			ev_break(loop, EVBREAK_ALL);
		}
	}
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events) {
	struct peer *peer = io->data;
	(void)events;
	peer->fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(peer->fd >= 0);
	ev_io_stop(loop, io);
	ev_io_init(&peer->reading, on_said, peer->fd, EV_READ);
	peer->reading.data = peer;
	ev_io_start(loop, &peer->reading);
}

static void peer_open(struct peer *peer, struct world *world, size_t *waiting) {
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	*peer = (struct peer){.fd = -1, .waiting = waiting};
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &bytes), 0);
	peer->port = ntohs(in.sin_port);
	ev_io_init(&peer->accepting, on_accept, fd, EV_READ);
	peer->accepting.data = peer;
	ev_io_start(world->loop, &peer->accepting);
	++*waiting;
}

static void peer_close(struct peer *peer) {
	(void)close(peer->accepting.fd);
	(void)close(peer->fd);
}

static void on_closed(const struct websocket_end *ending, void *ctx) {
	(void)ctx;
	fail_msg("%s", ending->reason);
}

static void a_proxy_is_one_relays_own(void **state) {
	(void)state;
	static const struct websocket_events events = {.closed = on_closed};
	struct world world;
	struct peer proxy, direct;
	size_t waiting = 0;
	char through[40], url[64];
	begin(&world, NULL);
	peer_open(&proxy, &world, &waiting);
	peer_open(&direct, &world, &waiting);
	(void)snprintf(through, sizeof through, "127.0.0.1:%d", proxy.port);
	(void)snprintf(url, sizeof url, "ws://127.0.0.1:%d/direct", direct.port);
	struct websocket_client *far = client_of(&world, "ws://relay.example/far");
	struct websocket_client *near = client_of(&world, url);
	struct websocket_options options = {.proxy = through, .message_max = 1000, .events = &events};
	struct websocket *one = websocket_open(far, &options);
	options.proxy = NULL; /* before the first is connected */
	struct websocket *other = websocket_open(near, &options);
	(void)ev_run(world.loop, 0);
	assert_int_equal(waiting, 0);
	assert_non_null(strstr(proxy.said, "CONNECT relay.example:80 "));
	assert_non_null(strstr(direct.said, "GET /direct "));
	websocket_destroy(one);
	websocket_destroy(other);
	websocket_client_destroy(far);
	websocket_client_destroy(near);
	peer_close(&proxy);
	peer_close(&direct);
	end(&world);
}

static int on_nothing(
	struct lws *wsi, enum lws_callback_reasons event, void *user, void *in, size_t len) {
	(void)wsi;
	(void)event;
	(void)user;
	(void)in;
	(void)len;
	return 0;
}

static void what_is_given_back_serves_again(void **state) {
	(void)state;
	static const struct lws_protocols protocols[] = {
		{.name = "x", .callback = on_nothing}, {.name = NULL}};
	struct world world;
	char *error = NULL;
	begin(&world, NULL);
	struct lws_vhost *plain = websocket_library_take_vhost(world.library, false, protocols, &error);
	struct lws_vhost *secure = websocket_library_take_vhost(world.library, true, protocols, &error);
	struct lws_vhost *second = websocket_library_take_vhost(world.library, true, protocols, &error);
	assert_true(plain && secure && second && plain != secure && secure != second);
	websocket_library_give_vhost(world.library, plain);
	websocket_library_give_vhost(world.library, second);
	assert_ptr_equal(websocket_library_take_vhost(world.library, true, protocols, &error), second);
	assert_ptr_equal(websocket_library_take_vhost(world.library, false, protocols, &error), plain);
	websocket_library_give_vhost(world.library, plain);
	websocket_library_give_vhost(world.library, secure);
	websocket_library_give_vhost(world.library, second);
	end(&world);
}

static void certificates_that_are_none_are_said(void **state) {
	(void)state;
	struct world world;
	char path[] = "/tmp/bellwire-ca-XXXXXX", *error = NULL;
	int fd = mkstemp(path);
	assert_int_equal(write(fd, "nothing\n", 8), 8);
	(void)close(fd);
	begin(&world, path);
	struct websocket_client *plain = client_of(&world, "ws://127.0.0.1:1/"); /* needs none */
	assert_null(websocket_client_create(world.library, "wss://relay.example/", &error));
	assert_non_null(strstr(error, path));
	free(error);
	websocket_client_destroy(plain);
	end(&world);
	(void)unlink(path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_proxy_is_one_relays_own),
		cmocka_unit_test(what_is_given_back_serves_again),
		cmocka_unit_test(certificates_that_are_none_are_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
