/* SPDX-License-Identifier: Apache-2.0 */
/* The client's WebSockets: libwebsockets' callbacks become four events. */
#include "distributor/link/websocket.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "common/mem.h"
#include "distributor/link/tls_error.h"
#include <assert.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
	WEBSOCKET_RX_BYTES = 4096,
	WEBSOCKET_KEEP_BYTES = 16384, /* a receive buffer that grew beyond is given back */
};

struct websocket_frame {
	struct list link;
	enum lws_write_protocol kind;
	size_t bytes;
	unsigned char data[]; /* LWS_PRE bytes, then the payload */
};

struct websocket_client {
	struct websocket_library *library;
	struct ev_loop *loop;
	struct lws_vhost *vhost;
	char *url_text, *path, *host_header;
	char *proxied_host; /* an IPv6 address in brackets, as CONNECT wants it */
	struct url url;
	struct list websockets; /* struct websocket::link */
};

struct websocket {
	struct list link; /* client->websockets */
	struct websocket_client *client;
	const struct websocket_events *events;
	void *ctx;
	struct lws *wsi; /* NULL when the library has freed it */
	struct list frames; /* struct websocket_frame::link, to be sent */
	struct buffer received; /* pieces of one message */
	ev_timer deadline; /* of opening, later of closing */
	struct websocket_end end;
	char *reason; /* why it will have ended */
	uint64_t sent_bytes, received_bytes;
	unsigned int busy; /* calls of events under way: it is not freed within */
	bool is_starting, is_open, is_closing, is_ended, is_destroyed;
};

/* ---- the end -----------------------------------------------------------------------------------
 */

static void websocket_set_end(
	struct websocket *websocket, enum websocket_ending how, char *take_reason) {
	if (websocket->reason) {
		free(take_reason); /* the first is the cause of the others */
	} else {
		websocket->reason = take_reason;
		websocket->end.how = how;
	}
}

static void websocket_drop_frames(struct websocket *websocket) {
	struct websocket_frame *frame;
	while ((frame = list_first(&websocket->frames, struct websocket_frame, link))) {
		list_remove(&frame->link);
		free(frame);
	}
}

static void websocket_free(struct websocket *websocket) {
	list_remove(&websocket->link);
	ev_timer_stop(websocket->client->loop, &websocket->deadline);
	websocket_drop_frames(websocket);
	buffer_finish(&websocket->received);
	free(websocket->reason);
	free(websocket);
}

/* The library's connection goes as soon as it may, and tells us nothing more. */
static void websocket_kill(struct websocket *websocket) {
	if (websocket->wsi) {
		lws_set_opaque_user_data(websocket->wsi, NULL);
		lws_set_timeout(websocket->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
		websocket->wsi = NULL;
		/* it looks at its timers after an event only */
		lws_cancel_service(websocket_library_context(websocket->client->library));
		websocket_library_stir(websocket->client->library);
	}
}

static void websocket_leave(struct websocket *websocket) {
	if (--websocket->busy == 0 && websocket->is_destroyed) {
		websocket_free(websocket);
	}
}

static void websocket_tell_end(struct websocket *websocket) {
	if (websocket->is_ended) {
		return;
	}
	websocket->is_ended = true;
	websocket->is_open = false;
	ev_timer_stop(websocket->client->loop, &websocket->deadline);
	websocket_drop_frames(websocket);
	buffer_finish(&websocket->received);
	websocket_set_end(websocket, websocket->is_closing ? WEBSOCKET_DONE : WEBSOCKET_LOST,
		mem_strdup("the connection ended"));
	websocket->end.reason = websocket->reason;
	websocket->busy++;
	websocket->events->closed(&websocket->end, websocket->ctx);
	websocket_leave(websocket);
}

/* The library is done with it; while it is still starting, the event waits for the loop. */
static void websocket_gone(struct websocket *websocket, struct lws *wsi) {
	if (wsi) {
		lws_set_opaque_user_data(wsi, NULL);
	}
	websocket->wsi = NULL;
	if (websocket->is_starting) {
		ev_timer_stop(websocket->client->loop, &websocket->deadline);
		ev_timer_set(&websocket->deadline, 0., 0.);
		ev_timer_start(websocket->client->loop, &websocket->deadline);
		return;
	}
	websocket_tell_end(websocket);
}

static void websocket_on_deadline(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct websocket *websocket = timer->data;
	if (websocket->wsi && !websocket->is_open) {
		websocket_set_end(websocket, WEBSOCKET_TOO_SLOW,
			mem_printf("%s port %u does not open a WebSocket within %d s",
				websocket->client->url.host, websocket->client->url.port,
				WEBSOCKET_OPEN_MS / 1000));
	}
	websocket_kill(websocket);
	websocket_tell_end(websocket);
}

/* ---- the library's callbacks -------------------------------------------------------------------
 */

static void websocket_limit_silence(struct lws *wsi, unsigned int limit_ms) {
	int fd = lws_get_socket_fd(wsi), on = 1;
	/* without it a dead path is noticed by the next ping only */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int websocket_opened(struct websocket *websocket, struct lws *wsi) {
	websocket->wsi = wsi;
	websocket_limit_silence(wsi, WEBSOCKET_SEND_MS);
	websocket->is_open = true;
	ev_timer_stop(websocket->client->loop, &websocket->deadline);
	websocket->busy++;
	websocket->events->opened(websocket->ctx);
	bool is_destroyed = websocket->is_destroyed;
	websocket_leave(websocket);
	return is_destroyed ? -1 : 0;
}

/* Joins the pieces of a message; negative ends the connection. */
static int websocket_received(
	struct websocket *websocket, struct lws *wsi, const void *data, size_t bytes) {
	struct buffer *received = &websocket->received;
	websocket->received_bytes += bytes;
	/* what is announced and will not fit need not be waited for */
	if (lws_remaining_packet_payload(wsi) > websocket->received.limit_bytes ||
		!buffer_append(received, data, bytes)) {
		websocket_set_end(websocket, WEBSOCKET_MISBEHAVED,
			mem_printf("the relay sent too long a message; %zu bytes are the limit",
				websocket->received.limit_bytes));
		return -1;
	}
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0) {
		return 0;
	}
	struct slice text = {buffer_begin(received), buffer_length(received)};
	websocket->busy++;
	if (!lws_frame_is_binary(wsi)) { /* the protocol has no binary messages */
		websocket->events->text(text, websocket->ctx);
	}
	bool is_destroyed = websocket->is_destroyed;
	if (received->capacity > WEBSOCKET_KEEP_BYTES) {
		buffer_finish(received);
	} else {
		buffer_clear(received);
	}
	websocket_leave(websocket);
	return is_destroyed ? -1 : 0;
}

static int websocket_ponged(struct websocket *websocket, const void *data, size_t bytes) {
	websocket->received_bytes += bytes;
	if (!websocket->events->ponged) {
		return 0;
	}
	websocket->busy++;
	websocket->events->ponged((struct slice){data, bytes}, websocket->ctx);
	bool is_destroyed = websocket->is_destroyed;
	websocket_leave(websocket);
	return is_destroyed ? -1 : 0;
}

static int websocket_writable(struct websocket *websocket, struct lws *wsi) {
	struct websocket_frame *frame = list_first(&websocket->frames, struct websocket_frame, link);
	if (frame) {
		list_remove(&frame->link);
		int n = lws_write(wsi, frame->data + LWS_PRE, frame->bytes, frame->kind);
		bool ok = n >= 0 && (size_t)n >= frame->bytes;
		websocket->sent_bytes += ok ? frame->bytes : 0;
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
		websocket_set_end(
			websocket, WEBSOCKET_CLOSED, mem_strdup("the relay closed the connection"));
		return;
	}
	size_t len = bytes - 2 < 123 ? bytes - 2 : 123;
	char text[124];
	for (size_t i = 0; i < len; i++) {
		text[i] = data[2 + i] >= ' ' && data[2 + i] < 0x7f ? (char)data[2 + i] : '?';
	}
	unsigned int code = (unsigned int)(data[0] << 8 | data[1]);
	if (!websocket->reason) {
		websocket->end.code = code;
	}
	websocket_set_end(websocket, WEBSOCKET_CLOSED,
		mem_printf("the relay closed the connection (%u%s%.*s)", code, len > 0 ? " " : "", (int)len,
			text));
}

/* Retry-After in seconds; a date counts as not given. */
static int64_t websocket_retry_after(struct lws *wsi) {
	char text[16];
	int len = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_RETRY_AFTER);
	int64_t value = 0;
	for (int i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || i > 8) {
			return -1;
		}
		value = value * 10 + (text[i] - '0');
	}
	return len > 0 ? value : -1;
}

/* What looks like a login page is the link's to explain. */
static const char *websocket_status_advice(unsigned int status) {
	return status == 401 || status == 403 ? "; does it want the URL of an invite?"
		   : status == 404				  ? "; is the URL complete?"
										  : "";
}

/* libwebsockets keeps what the kernel said to itself. */
static const char *websocket_why(const char *text) {
	if (!text || !*text) {
		return "no reason given";
	}
	return strcmp(text, "Unable to connect") == 0 ? "connection refused, or no way there" : text;
}

static void websocket_failed(struct websocket *websocket, struct lws *wsi, const char *text) {
	const struct url *url = &websocket->client->url;
	unsigned int status = wsi ? lws_http_client_http_response(wsi) : 0;
	if (status > 0 && status != 101) {
		if (!websocket->reason) {
			websocket->end.status = status;
			websocket->end.retry_after_sec = websocket_retry_after(wsi);
		}
		websocket_set_end(websocket, WEBSOCKET_REFUSED,
			mem_printf("%s answered the WebSocket request with status %u%s", url->host, status,
				websocket_status_advice(status)));
	}
	websocket_set_end(websocket, WEBSOCKET_UNREACHABLE,
		mem_printf("cannot connect to %s port %u: %s", url->host, url->port, websocket_why(text)));
	websocket_gone(websocket, wsi);
}

/* OpenSSL's verdict on one certificate of the chain. libwebsockets compares the host with names
 * only, so an address is compared here. 0 with X509_V_OK set overrules a refusal. */
static int websocket_check_certificate(
	struct websocket *websocket, X509_STORE_CTX *store, bool is_good) {
	int code = X509_STORE_CTX_get_error(store);
	X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	const char *host = websocket->client->url.host;
	if (is_good || websocket_library_is_insecure(websocket->client->library)) {
		return 0;
	}
	if (code == X509_V_ERR_HOSTNAME_MISMATCH && tls_host_is_address(host) &&
		X509_check_ip_asc(certificate, host, 0) == 1) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 0;
	}
	websocket->end.is_clock_suspect = code == X509_V_ERR_CERT_NOT_YET_VALID;
	websocket_set_end(websocket, WEBSOCKET_CERTIFICATE, tls_error_print(code, certificate, host));
	return 1;
}

static int websocket_on_event(
	struct lws *wsi, enum lws_callback_reasons event, void *user, void *in, size_t len) {
	struct websocket *websocket = wsi ? lws_get_opaque_user_data(wsi) : NULL;
	if (!websocket) {
		return event == LWS_CALLBACK_CLIENT_WRITEABLE || event == LWS_CALLBACK_CLIENT_RECEIVE ? -1
																							  : 0;
	}
	websocket_library_heard(websocket->client->library);
	switch (event) {
	case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
		return websocket_check_certificate(websocket, user, len != 0);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		websocket_failed(websocket, wsi, in);
		break;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		return websocket_opened(websocket, wsi);
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return websocket_received(websocket, wsi, in, len);
	case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
		return websocket_ponged(websocket, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return websocket_writable(websocket, wsi);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		websocket_peer_closes(websocket, in, len);
		break;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY: /* comes alone when it was given up while half open */
		websocket_gone(websocket, wsi);
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

static const lws_retry_bo_t websocket_no_pings; /* zeroes: our owner asks for signs of life */

/* ---- create and destroy ------------------------------------------------------------------------
 */

static void websocket_client_prepare(struct websocket_client *client) {
	const struct url *url = &client->url;
	client->path =
		mem_printf("%.*s%s%.*s", (int)url->path.len, url->path.data, url->query.len > 0 ? "?" : "",
			(int)url->query.len, url->query.len > 0 ? url->query.data : "");
	const char *open = url->host_is_ipv6 ? "[" : "", *close = url->host_is_ipv6 ? "]" : "";
	client->host_header = url->port == (url_is_secure(url) ? 443 : 80)
							  ? mem_printf("%s%s%s", open, url->host, close)
							  : mem_printf("%s%s%s:%u", open, url->host, close, url->port);
	client->proxied_host = mem_printf("%s%s%s", open, url->host, close);
}

struct websocket_client *websocket_client_create(
	struct websocket_library *library, const char *url, char **out_error) {
	struct websocket_client *client = mem_zalloc(sizeof *client);
	list_init(&client->websockets);
	client->library = library;
	client->loop = websocket_library_loop(library);
	client->url_text = mem_strdup(url);
	if (!url_parse(slice_of(client->url_text), &client->url)) {
		*out_error = mem_printf("%s is no ws, wss, http or https URL", url);
		websocket_client_destroy(client);
		return NULL;
	}
	client->vhost = websocket_library_take_vhost(
		library, url_is_secure(&client->url), websocket_protocols, out_error);
	if (!client->vhost) {
		websocket_client_destroy(client);
		return NULL;
	}
	websocket_client_prepare(client);
	return client;
}

void websocket_client_destroy(struct websocket_client *client) {
	if (!client) {
		return;
	}
	assert(list_is_empty(&client->websockets));
	websocket_library_give_vhost(client->library, client->vhost);
	free(client->proxied_host);
	free(client->host_header);
	free(client->path);
	free(client->url_text);
	free(client);
}

const struct url *websocket_client_url(const struct websocket_client *client) {
	return &client->url;
}

static void websocket_connect(struct websocket *websocket, const char *address) {
	const struct websocket_client *client = websocket->client;
	int flags = url_is_secure(&client->url) ? LCCSCF_USE_SSL : 0;
	if (flags && websocket_library_is_insecure(client->library)) {
		flags |= LCCSCF_ALLOW_SELFSIGNED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK |
				 LCCSCF_ALLOW_EXPIRED | LCCSCF_ALLOW_INSECURE;
	}
	struct lws_client_connect_info info = {
		.context = websocket_library_context(client->library),
		.vhost = client->vhost,
		.address = address,
		.port = client->url.port,
		.path = client->path,
		.host = client->host_header,
		.ssl_connection = flags | LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
		.local_protocol_name = websocket_protocols[0].name,
		.retry_and_idle_policy = &websocket_no_pings,
		.alpn = "http/1.1",
		.opaque_user_data = websocket,
		.pwsi = &websocket->wsi,
	};
	if (!lws_client_connect_via_info(&info)) {
		websocket->wsi = NULL;
	} else if (websocket->wsi && lws_get_socket_fd(websocket->wsi) >= 0) {
		websocket_limit_silence(websocket->wsi, WEBSOCKET_CONNECT_MS);
	}
}

struct websocket *websocket_open(
	struct websocket_client *client, const struct websocket_options *options) {
	struct websocket *websocket = mem_zalloc(sizeof *websocket);
	websocket->client = client;
	websocket->events = options->events;
	websocket->ctx = options->ctx;
	websocket->end.retry_after_sec = -1;
	list_append(&client->websockets, &websocket->link);
	list_init(&websocket->frames);
	buffer_init(&websocket->received, options->message_max);
	ev_timer_init(&websocket->deadline, websocket_on_deadline, WEBSOCKET_OPEN_MS / 1000., 0.);
	websocket->deadline.data = websocket;
	ev_now_update(client->loop);
	ev_timer_start(client->loop, &websocket->deadline);
	websocket->is_starting = true;
	if (lws_set_proxy(client->vhost, options->proxy ? options->proxy : "none:0") != 0 &&
		options->proxy) {
		websocket_failed(websocket, NULL, "name and password for the proxy are too long");
	} else {
		websocket_connect(websocket, options->proxy		? client->proxied_host
									 : options->address ? options->address
														: client->url.host);
	}
	if (!websocket->wsi && !websocket->reason) {
		websocket_failed(websocket, NULL, "the address cannot be used");
	}
	websocket->is_starting = false;
	websocket_library_stir(client->library);
	return websocket;
}

void websocket_destroy(struct websocket *websocket) {
	if (!websocket) {
		return;
	}
	websocket->is_ended = true;
	websocket->is_open = false;
	websocket_kill(websocket);
	websocket->is_destroyed = true;
	if (websocket->busy == 0) {
		websocket_free(websocket);
	}
}

/* ---- use ---------------------------------------------------------------------------------------
 */

static void websocket_queue(
	struct websocket *websocket, enum lws_write_protocol kind, const void *data, size_t bytes) {
	if (!websocket->is_open || websocket->is_closing) {
		return;
	}
	struct websocket_frame *frame = mem_alloc(sizeof *frame + LWS_PRE + bytes);
	frame->kind = kind;
	frame->bytes = bytes;
	memcpy(frame->data + LWS_PRE, data, bytes);
	list_append(&websocket->frames, &frame->link);
	(void)lws_callback_on_writable(websocket->wsi);
	websocket_library_stir(websocket->client->library);
}

void websocket_send(struct websocket *websocket, struct slice text) {
	websocket_queue(websocket, LWS_WRITE_TEXT, text.data, text.len);
}

void websocket_ping(struct websocket *websocket, const uint8_t payload[WEBSOCKET_PING_BYTES]) {
	websocket_queue(websocket, LWS_WRITE_PING, payload, WEBSOCKET_PING_BYTES);
}

void websocket_close(struct websocket *websocket) {
	if (!websocket || !websocket->is_open || websocket->is_closing) {
		return;
	}
	websocket->is_closing = true;
	(void)lws_callback_on_writable(websocket->wsi);
	websocket_library_stir(websocket->client->library);
	ev_timer_set(&websocket->deadline, WEBSOCKET_CLOSE_MS / 1000., 0.);
	ev_now_update(websocket->client->loop);
	ev_timer_start(websocket->client->loop, &websocket->deadline);
}

int websocket_fd(const struct websocket *websocket) {
	return websocket->wsi && websocket->is_open ? lws_get_socket_fd(websocket->wsi) : -1;
}

uint64_t websocket_sent_bytes(const struct websocket *websocket) {
	return websocket->sent_bytes;
}

uint64_t websocket_received_bytes(const struct websocket *websocket) {
	return websocket->received_bytes;
}

bool websocket_has_unsent(const struct websocket *websocket) {
	return !list_is_empty(&websocket->frames) ||
		   (websocket->wsi && websocket->is_open && lws_partial_buffered(websocket->wsi));
}
