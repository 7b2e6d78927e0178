/* SPDX-License-Identifier: Apache-2.0 */
/* The libwebsockets vhost for device sockets: a callback of one-line cases, and what they do. */
#include "relay/device/websocket.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/netlink_mute.h"
#include "relay/device/websocket_internal.h"
#include <assert.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	WEBSOCKET_RX_BYTES = 256, /* libwebsockets holds it for the life of each connection */
	WEBSOCKET_TX_BYTES = 2 * WEBSOCKET_GATHER_BYTES, /* of one send; costs no memory */
	WEBSOCKET_FIRST_LIMIT = 65536,
};

/* What libwebsockets keeps for each connection: our object may go before it. */
struct websocket_slot {
	struct websocket *socket;
};

/* ---- ending -----------------------------------------------------------------------------------
 */

static void websocket_end(struct websocket *socket) {
	list_remove(&socket->link);
	websocket_forget_unsent(socket);
	free(socket->pieces);
	socket->pieces = NULL;
	socket->wsi = NULL;
	socket->is_ending = true;
}

static void websocket_on_lws_closed(struct websocket_slot *slot) {
	struct websocket *socket = slot ? slot->socket : NULL;
	if (!socket) {
		return;
	}
	slot->socket = NULL;
	const struct websocket_events *events = socket->host->events;
	websocket_end(socket);
	events->on_closed(socket);
}

/* libwebsockets may not free one connection inside the callback of another, so all ends come from
 * here. The shutdown makes the end visible to the peer, and to the TLS pump, even when unsent data
 * keeps libwebsockets waiting. */
static void websocket_on_sweep(struct ev_loop *loop, ev_async *watcher, int revents) {
	(void)loop;
	(void)revents;
	struct websocket_host *host = watcher->data;
	struct websocket *socket;
	while ((socket = list_first(&host->doomed, struct websocket, link))) {
		list_remove(&socket->link);
		struct lws *wsi = socket->wsi;
		(void)shutdown(lws_get_socket_fd(wsi), SHUT_RDWR);
		websocket_on_lws_closed(lws_wsi_user(wsi));
		lws_set_timeout(wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_SYNC);
	}
}

static void websocket_doom(struct websocket *socket) {
	list_remove(&socket->link);
	list_append(&socket->host->doomed, &socket->link);
	ev_feed_event(socket->host->loop, &socket->host->sweep, EV_CUSTOM);
}

static void websocket_on_linger(struct ev_loop *loop, ev_timer *timer, int revents) {
	(void)revents;
	struct websocket_host *host = timer->data;
	struct websocket *socket;
	while ((socket = list_first(&host->closed_before, struct websocket, link))) {
		websocket_doom(socket);
	}
	list_splice(&host->closed_before, &host->closed_now);
	if (list_is_empty(&host->closed_before)) {
		ev_timer_stop(loop, timer);
	}
}

static void websocket_write_close(struct websocket *socket, enum websocket_close_code code) {
	unsigned char frame[LWS_PRE + 4] = {0};
	frame[LWS_PRE] = 0x88; /* final, Close */
	frame[LWS_PRE + 1] = 2;
	frame[LWS_PRE + 2] = (unsigned char)((unsigned)code >> 8);
	frame[LWS_PRE + 3] = (unsigned char)code;
	/* It ends either way. */
	(void)lws_write(socket->wsi, frame + LWS_PRE, 4, LWS_WRITE_RAW);
}

/* libwebsockets begins to end a connection. When that is because the peer broke the framing, it
 * would send a Close and wait for the answer: we send it, and what it tries after that fails. */
static void websocket_on_lws_ending(struct websocket_slot *slot) {
	struct websocket *socket = slot->socket;
	if (!socket->is_ending && lws_get_close_length(socket->wsi) >= 2) {
		const unsigned char *reason = lws_get_close_payload(socket->wsi);
		enum websocket_close_code code = (enum websocket_close_code)(reason[0] << 8 | reason[1]);
		socket->host->events->on_broken(socket, code);
		if (!websocket_is_choked(socket)) {
			websocket_write_close(socket, code);
		}
		(void)shutdown(lws_get_socket_fd(socket->wsi), SHUT_RDWR);
	}
	websocket_on_lws_closed(slot);
}

void websocket_drop(struct websocket *socket) {
	if (!socket->is_ending) {
		socket->is_ending = true;
		websocket_doom(socket);
	}
}

/* Firefox does not answer a Close frame and stays until TCP ends: our half of it ends at once. The
 * other half is read for a moment more, since a reset, which unread bytes would cause, can overtake
 * the frame. */
void websocket_close(struct websocket *socket, enum websocket_close_code code) {
	struct websocket_host *host = socket->host;
	if (socket->is_ending) {
		return;
	}
	if (websocket_is_choked(socket)) {
		websocket_drop(socket);
		return;
	}
	websocket_write_close(socket, code);
	(void)shutdown(lws_get_socket_fd(socket->wsi), SHUT_WR);
	socket->is_ending = true;
	list_append(&host->closed_now, &socket->link);
	if (!ev_is_active(&host->linger)) {
		ev_timer_set(&host->linger, 1, 1);
		ev_timer_start(host->loop, &host->linger);
	}
}

/* ---- receiving --------------------------------------------------------------------------------
 */

static void websocket_break(struct websocket *socket, enum websocket_close_code code) {
	socket->host->events->on_broken(socket, code);
	websocket_close(socket, code);
}

static bool websocket_collect(struct websocket *socket, const char *data, size_t bytes) {
	if (socket->piece_bytes + bytes > socket->receive_limit) {
		return false;
	}
	if (bytes > 0) {
		socket->pieces = mem_realloc(socket->pieces, socket->piece_bytes + bytes);
		memcpy(socket->pieces + socket->piece_bytes, data, bytes);
		socket->piece_bytes += (uint32_t)bytes;
	}
	return true;
}

static void websocket_on_message(struct websocket *socket, const char *data, size_t bytes) {
	if (!socket->pieces) {
		if (bytes > socket->receive_limit) {
			websocket_break(socket, WEBSOCKET_CLOSE_TOO_BIG);
			return;
		}
		socket->host->events->on_text(socket, (struct slice){data, bytes});
		return;
	}
	if (!websocket_collect(socket, data, bytes)) {
		websocket_break(socket, WEBSOCKET_CLOSE_TOO_BIG);
		return;
	}
	char *pieces = socket->pieces;
	struct slice text = {pieces, socket->piece_bytes};
	socket->pieces = NULL;
	socket->piece_bytes = 0;
	socket->host->events->on_text(socket, text);
	free(pieces);
}

static void websocket_on_receive(struct websocket *socket, const char *data, size_t bytes) {
	struct lws *wsi = socket->wsi;
	if (socket->is_ending) {
		return;
	}
	if (lws_get_reserved_bits(wsi)) {
		websocket_break(socket, WEBSOCKET_CLOSE_PROTOCOL); /* we negotiate no extension */
	} else if (lws_frame_is_binary(wsi)) {
		websocket_break(socket, WEBSOCKET_CLOSE_NOT_TEXT);
	} else if (lws_remaining_packet_payload(wsi) > socket->receive_limit) {
		websocket_break(socket, WEBSOCKET_CLOSE_TOO_BIG); /* it will not fit: why wait for it */
	} else if (lws_is_final_fragment(wsi)) {
		websocket_on_message(socket, data, bytes);
	} else if (!websocket_collect(socket, data, bytes)) {
		websocket_break(socket, WEBSOCKET_CLOSE_TOO_BIG);
	}
}

void websocket_limit_receive(struct websocket *socket, uint32_t bytes) {
	socket->receive_limit = bytes;
}

/* ---- libwebsockets ----------------------------------------------------------------------------
 */

static int websocket_on_established(struct lws *wsi, struct websocket_slot *slot) {
	struct websocket_host *host = lws_context_user(lws_get_context(wsi));
	struct websocket *socket = host->adopting;
	slot->socket = socket;
	if (!socket) {
		return -1; /* its adoption was given up */
	}
	host->adopting = NULL;
	socket->wsi = wsi;
	host->events->on_open(socket);
	return 0;
}

static void websocket_on_alive(struct websocket *socket) {
	if (!socket->is_ending) {
		socket->host->events->on_alive(socket, true);
	}
}

static int websocket_callback(
	struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
	struct websocket_slot *slot = user;
	struct websocket *socket = slot ? slot->socket : NULL;
	if (reason == LWS_CALLBACK_ESTABLISHED) {
		return websocket_on_established(wsi, slot);
	}
	if (reason < LWS_CALLBACK_ESTABLISHED || !socket || socket->wsi != wsi) {
		return 0;
	}
	switch (reason) {
	case LWS_CALLBACK_RECEIVE:
		websocket_on_receive(socket, in, len);
		break;
	case LWS_CALLBACK_RECEIVE_PONG:
		websocket_on_alive(socket);
		break;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		websocket_send_on_writable(socket);
		break;
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
		websocket_on_lws_ending(slot);
		break;
	case LWS_CALLBACK_CLOSED:
		websocket_on_lws_closed(slot);
		break;
	default:
		break;
	}
	return 0;
}

/* Firefox offers the second name, the others none, which means the first. */
static const struct lws_protocols websocket_protocols[] = {
	{.name = "default",
		.callback = websocket_callback,
		.per_session_data_size = sizeof(struct websocket_slot),
		.rx_buffer_size = WEBSOCKET_RX_BYTES,
		.tx_packet_size = WEBSOCKET_TX_BYTES},
	{.name = "push-notification",
		.callback = websocket_callback,
		.per_session_data_size = sizeof(struct websocket_slot),
		.rx_buffer_size = WEBSOCKET_RX_BYTES,
		.tx_packet_size = WEBSOCKET_TX_BYTES},
	{.name = NULL},
};

/* Its "calling service" and the like come with each adoption, at the level of errors. */
static void websocket_on_log(int level, const char *line) {
	(void)level;
	if (!strstr(line, "calling service")) {
		log_debug("websocket", "libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
	}
}

struct websocket_host *websocket_host_create(
	struct ev_loop *loop, const struct websocket_events *events) {
	/* Zeroes: its own pings, kept in a list that every new socket walks, are off. */
	static const lws_retry_bo_t no_validity = {.retry_ms_table = NULL};
	struct websocket_host *host = mem_zalloc(sizeof *host);
	host->loop = loop;
	host->events = events;
	list_init(&host->doomed);
	list_init(&host->closed_now);
	list_init(&host->closed_before);
	ev_init(&host->linger, websocket_on_linger);
	host->linger.data = host;
	ev_async_init(&host->sweep, websocket_on_sweep);
	host->sweep.data = host;
	lws_set_log_level(LLL_ERR | LLL_WARN, websocket_on_log);
	void *loops[] = {loop};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME,
		.foreign_loops = loops,
		.protocols = websocket_protocols,
		.retry_and_idle_policy = &no_validity,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = host,
		.vhost_name = "devices",
	};
	struct netlink_mute mute;
	netlink_mute_begin(&mute);
	host->context = lws_create_context(&info);
	netlink_mute_end(&mute);
	host->vhost = host->context ? lws_create_vhost(host->context, &info) : NULL;
	if (!host->vhost) {
		websocket_host_destroy(host);
		return NULL;
	}
	return host;
}

void websocket_host_destroy(struct websocket_host *host) {
	if (!host) {
		return;
	}
	if (host->context) {
		lws_context_destroy(host->context);
	}
	ev_clear_pending(host->loop, &host->sweep);
	ev_timer_stop(host->loop, &host->linger);
	assert(list_is_empty(&host->doomed));
	free(host);
}

bool websocket_adopt(
	struct websocket_host *host, struct websocket *socket, int take_fd, struct slice request) {
	*socket = (struct websocket){.host = host, .receive_limit = WEBSOCKET_FIRST_LIMIT};
	list_init(&socket->link);
	assert(!host->adopting);
	host->adopting = socket;
	(void)lws_adopt_socket_vhost_readbuf(host->vhost, take_fd, request.data, request.len);
	/* The request is whole, so it was answered by now, or never will be. */
	bool was_opened = host->adopting == NULL;
	host->adopting = NULL;
	return was_opened;
}

void websocket_tune(int fd, uint32_t tcp_user_timeout_ms) {
	int on = 1;
	unsigned timeout = tcp_user_timeout_ms;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	if (timeout > 0) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
	}
}
