/* SPDX-License-Identifier: Apache-2.0 */
/* The client socket: libwebsockets' callbacks become three events. */
#include "distributor/ctl/websocket.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/ctl/tls_error.h"
#include <assert.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
	WEBSOCKET_MESSAGE_MAX = 4 << 20,
	WEBSOCKET_PING_SEC = 60, /* silence after which the peer is asked for a sign of life */
	WEBSOCKET_DEAD_SEC = 80,
	WEBSOCKET_SEND_MS = 30000, /* unacknowledged bytes after which the kernel gives up */
	WEBSOCKET_RX_BYTES = 4096,
};

struct websocket_frame {
	struct list link;
	size_t bytes;
	unsigned char data[]; /* LWS_PRE bytes, then the text */
};

struct websocket {
	struct ev_loop *loop;
	char *url_text, *path, *host_header;
	struct url url;
	bool insecure;
	const struct websocket_events *events;
	void *ctx;
	struct lws_context *context;
	struct lws *wsi; /* NULL when not connected */
	struct list frames; /* struct websocket_frame::link, to be sent */
	struct buffer received; /* pieces of one message */
	ev_timer start_failed; /* tells of a failure from outside websocket_connect */
	char *reason; /* why it will have ended */
	bool is_connecting, is_open, is_closing;
};

static void websocket_set_reason(struct websocket *websocket, char *take_reason) {
	if (websocket->reason) {
		free(take_reason); /* the first is the cause of the others */
	} else {
		websocket->reason = take_reason;
	}
}

static void websocket_drop_frames(struct websocket *websocket) {
	struct websocket_frame *frame;
	while ((frame = list_first(&websocket->frames, struct websocket_frame, link))) {
		list_remove(&frame->link);
		free(frame);
	}
}

static void websocket_ended(struct websocket *websocket) {
	if (!websocket->is_connecting && !websocket->is_open) {
		return;
	}
	websocket->wsi = NULL;
	websocket->is_connecting = websocket->is_open = websocket->is_closing = false;
	websocket_drop_frames(websocket);
	buffer_clear(&websocket->received);
	CLEANUP_FREE char *reason = steal(&websocket->reason);
	websocket->events->closed(reason ? reason : "the connection ended", websocket->ctx);
}

static void websocket_opened(struct websocket *websocket, struct lws *wsi) {
	int fd = lws_get_socket_fd(wsi);
	unsigned int limit_ms = WEBSOCKET_SEND_MS;
	/* without it a dead path is only noticed by the ping */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
	websocket->wsi = wsi;
	websocket->is_connecting = false;
	websocket->is_open = true;
	websocket->events->opened(websocket->ctx);
}

/* Joins the pieces of a message; negative ends the connection. */
static int websocket_received(
	struct websocket *websocket, struct lws *wsi, const void *data, size_t bytes) {
	if (!buffer_append(&websocket->received, data, bytes)) {
		websocket_set_reason(websocket, mem_strdup("the relay sent too long a message"));
		return -1;
	}
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0) {
		return 0;
	}
	if (!lws_frame_is_binary(wsi)) {
		struct slice text = {
			buffer_begin(&websocket->received), buffer_length(&websocket->received)};
		websocket->events->text(text, websocket->ctx);
	}
	buffer_clear(&websocket->received);
	return 0;
}

static int websocket_writable(struct websocket *websocket, struct lws *wsi) {
	struct websocket_frame *frame = list_first(&websocket->frames, struct websocket_frame, link);
	if (frame) {
		list_remove(&frame->link);
		int n = lws_write(wsi, frame->data + LWS_PRE, frame->bytes, LWS_WRITE_TEXT);
		bool ok = n >= 0 && (size_t)n >= frame->bytes;
		free(frame);
		if (!ok) {
			return -1;
		}
	}
	if (!list_is_empty(&websocket->frames)) {
		(void)lws_callback_on_writable(wsi);
	} else if (websocket->is_closing) {
		lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
		return -1;
	}
	return 0;
}

static void websocket_peer_closes(
	struct websocket *websocket, const unsigned char *data, size_t bytes) {
	if (bytes < 2) {
		websocket_set_reason(websocket, mem_strdup("the relay closed the connection"));
		return;
	}
	size_t len = bytes - 2 < 123 ? bytes - 2 : 123;
	char text[124];
	for (size_t i = 0; i < len; i++) {
		text[i] = data[2 + i] >= ' ' && data[2 + i] < 0x7f ? (char)data[2 + i] : '?';
	}
	websocket_set_reason(
		websocket, mem_printf("the relay closed the connection (%d%s%.*s)", data[0] << 8 | data[1],
					   len > 0 ? " " : "", (int)len, text));
}

static void websocket_failed(struct websocket *websocket, struct lws *wsi, const char *text) {
	unsigned int status = wsi ? lws_http_client_http_response(wsi) : 0;
	if (status > 0 && status != 101) {
		websocket_set_reason(websocket,
			mem_printf("%s answered the WebSocket request with status %u%s", websocket->url.host,
				status,
				status == 401 || status == 403 || status == 404 ? "; is the URL complete?" : ""));
	}
	websocket_set_reason(
		websocket, mem_printf("cannot connect to %s port %u: %s", websocket->url.host,
					   websocket->url.port, text ? text : "no reason given"));
	websocket_ended(websocket);
}

/* OpenSSL's verdict on one certificate of the chain. libwebsockets compares the host with names
 * only, so an address is compared here. 0 with X509_V_OK set overrules a refusal. */
static int websocket_check_certificate(
	struct websocket *websocket, X509_STORE_CTX *store, bool is_good) {
	int code = X509_STORE_CTX_get_error(store);
	X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	if (is_good || websocket->insecure) {
		return 0;
	}
	if (code == X509_V_ERR_HOSTNAME_MISMATCH && tls_host_is_address(websocket->url.host) &&
		X509_check_ip_asc(certificate, websocket->url.host, 0) == 1) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 0;
	}
	websocket_set_reason(websocket, tls_error_print(code, certificate, websocket->url.host));
	return 1;
}

static int websocket_on_event(
	struct lws *wsi, enum lws_callback_reasons event, void *user, void *in, size_t len) {
	struct lws_context *context = lws_get_context(wsi);
	struct websocket *websocket = context ? lws_context_user(context) : NULL;
	if (!websocket) {
		return 0;
	}
	switch (event) {
	case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
		return websocket_check_certificate(websocket, user, len != 0);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		websocket_failed(websocket, wsi, in);
		break;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		websocket_opened(websocket, wsi);
		break;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return websocket_received(websocket, wsi, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return websocket_writable(websocket, wsi);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		websocket_peer_closes(websocket, in, len);
		break;
	case LWS_CALLBACK_CLIENT_CLOSED:
		websocket_ended(websocket);
		break;
	default: /* the library's enum has a hundred members */
		break;
	}
	return 0;
}

static const struct lws_protocols websocket_protocols[] = {
	{.name = "push-notification",
		.callback = websocket_on_event,
		.rx_buffer_size = WEBSOCKET_RX_BYTES},
	{.name = NULL},
};

static const lws_retry_bo_t websocket_idle = {
	.secs_since_valid_ping = WEBSOCKET_PING_SEC,
	.secs_since_valid_hangup = WEBSOCKET_DEAD_SEC,
};

static void websocket_on_start_failed(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct websocket *websocket = timer->data;
	websocket_failed(websocket, NULL, "the address cannot be used");
}

static bool websocket_create_context(struct websocket *websocket, const char *ca_file) {
	void *loops[] = {websocket->loop};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = websocket_protocols,
		.options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.foreign_loops = loops,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = websocket,
		.retry_and_idle_policy = &websocket_idle,
		.client_ssl_ca_filepath = ca_file,
	};
	websocket->context = lws_create_context(&info);
	return websocket->context != NULL;
}

struct websocket *websocket_create(const struct websocket_options *options, char **out_error) {
	struct websocket *websocket = mem_zalloc(sizeof *websocket);
	websocket->loop = options->loop;
	websocket->url_text = mem_strdup(options->url);
	websocket->insecure = options->insecure;
	websocket->events = options->events;
	websocket->ctx = options->ctx;
	list_init(&websocket->frames);
	buffer_init(&websocket->received, WEBSOCKET_MESSAGE_MAX);
	ev_init(&websocket->start_failed, websocket_on_start_failed);
	websocket->start_failed.data = websocket;
	struct url *url = &websocket->url;
	if (!url_parse(slice_of(websocket->url_text), url)) {
		*out_error = mem_printf("%s is no ws, wss, http or https URL", options->url);
		websocket_destroy(websocket);
		return NULL;
	}
	websocket->path =
		mem_printf("%.*s%s%.*s", (int)url->path.len, url->path.data, url->query.len > 0 ? "?" : "",
			(int)url->query.len, url->query.len > 0 ? url->query.data : "");
	const char *open = url->host_is_ipv6 ? "[" : "", *close = url->host_is_ipv6 ? "]" : "";
	websocket->host_header = url->port == (url_is_secure(url) ? 443 : 80)
								 ? mem_printf("%s%s%s", open, url->host, close)
								 : mem_printf("%s%s%s:%u", open, url->host, close, url->port);
	lws_set_log_level(0, NULL); /* what matters arrives as events */
	if (!websocket_create_context(websocket, options->ca_file)) {
		*out_error =
			options->ca_file
				? mem_printf(
					  "libwebsockets cannot start; does %s hold certificates?", options->ca_file)
				: mem_strdup("libwebsockets cannot start (is its libev module installed?)");
		websocket_destroy(websocket);
		return NULL;
	}
	return websocket;
}

void websocket_destroy(struct websocket *websocket) {
	if (!websocket) {
		return;
	}
	ev_timer_stop(websocket->loop, &websocket->start_failed);
	websocket->is_connecting = websocket->is_open = false; /* no more events */
	if (websocket->context) {
		lws_context_destroy(websocket->context);
	}
	websocket_drop_frames(websocket);
	buffer_finish(&websocket->received);
	free(websocket->reason);
	free(websocket->host_header);
	free(websocket->path);
	free(websocket->url_text);
	free(websocket);
}

void websocket_connect(struct websocket *websocket) {
	assert(!websocket->is_connecting && !websocket->is_open);
	websocket->is_connecting = true;
	int tls = url_is_secure(&websocket->url) ? LCCSCF_USE_SSL : 0;
	if (tls && websocket->insecure) {
		tls |= LCCSCF_ALLOW_SELFSIGNED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK |
			   LCCSCF_ALLOW_EXPIRED | LCCSCF_ALLOW_INSECURE;
	}
	struct lws_client_connect_info info = {
		.context = websocket->context,
		.address = websocket->url.host,
		.port = websocket->url.port,
		.path = websocket->path,
		.host = websocket->host_header,
		.ssl_connection = tls,
		.local_protocol_name = websocket_protocols[0].name,
		.retry_and_idle_policy = &websocket_idle,
		.alpn = "http/1.1",
	};
	/* a failure here may or may not have been told by an event already */
	if (!lws_client_connect_via_info(&info) && websocket->is_connecting) {
		ev_timer_set(&websocket->start_failed, 0., 0.);
		ev_timer_start(websocket->loop, &websocket->start_failed);
	}
}

void websocket_send(struct websocket *websocket, struct slice text) {
	if (!websocket->is_open || websocket->is_closing) {
		return;
	}
	struct websocket_frame *frame = mem_alloc(sizeof *frame + LWS_PRE + text.len);
	frame->bytes = text.len;
	memcpy(frame->data + LWS_PRE, text.data, text.len);
	list_append(&websocket->frames, &frame->link);
	(void)lws_callback_on_writable(websocket->wsi);
}

void websocket_close(struct websocket *websocket) {
	if (websocket->is_open && !websocket->is_closing) {
		websocket->is_closing = true;
		(void)lws_callback_on_writable(websocket->wsi);
	}
}
