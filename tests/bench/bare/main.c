/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the bare server: bellwire-bare PORT [CERT KEY] */
#include "common/mem.h"
#include "tests/bench/bare/bare.h"
#include <err.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>

/* The settings that cost least, as measured; ours come to the same. */
enum { BARE_RX_BYTES = 256, BARE_TX_BYTES = 8192, BARE_KEEPALIVE_SEC = 3600 };

static const struct lws_protocols bare_protocols[] = {
	{.name = "http",
		.callback = bare_http,
		.per_session_data_size = sizeof(struct bare_request),
		.rx_buffer_size = BARE_BODY_MAX},
	{.name = "push-notification",
		.callback = bare_websocket,
		.per_session_data_size = sizeof(struct bare_session),
		.rx_buffer_size = BARE_RX_BYTES,
		.tx_packet_size = BARE_TX_BYTES},
	{.name = NULL},
};

/* Zeroes: no validity timers, whose sorted list every new socket would have to walk. */
static const lws_retry_bo_t bare_no_validity_checks = {.secs_since_valid_ping = 0};

static void bare_on_signal(struct ev_loop *loop, ev_signal *watcher, int events) {
	(void)watcher;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static struct lws_context *bare_context(struct bare *bare, struct ev_loop *loop, char **argv) {
	void *loops[1] = {loop};
	char *end;
	struct lws_context_creation_info info = {
		.port = (int)strtol(argv[1], &end, 10),
		.iface = "127.0.0.1",
		.protocols = bare_protocols,
		.options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_DISABLE_IPV6,
		.foreign_loops = loops,
		.keepalive_timeout = BARE_KEEPALIVE_SEC,
		.retry_and_idle_policy = &bare_no_validity_checks,
		.alpn = "http/1.1",
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = bare,
	};
	if (argv[2]) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = argv[2];
		info.ssl_private_key_filepath = argv[3];
	}
	if (end == argv[1] || *end != '\0') {
		errx(2, "not a port: %s", argv[1]);
	}
	return lws_create_context(&info);
}

int main(int argc, char **argv) {
	if (argc != 2 && argc != 4) {
		errx(2, "usage: bellwire-bare PORT [CERT KEY]");
	}
	lws_set_log_level(LLL_ERR, NULL);
	char *host_and_port = mem_printf("127.0.0.1:%s", argv[1]);
	struct bare bare = {.host_and_port = host_and_port};
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct lws_context *context = bare_context(&bare, loop, argv);
	if (!context) {
		errx(1, "libwebsockets did not start");
	}
	ev_signal term;
	ev_signal_init(&term, bare_on_signal, SIGTERM);
	ev_signal_start(loop, &term);
	ev_run(loop, 0);
	lws_context_destroy(context);
	free(bare.sockets);
	free(host_and_port);
	ev_signal_stop(loop, &term);
	ev_loop_destroy(loop);
	return 0;
}
