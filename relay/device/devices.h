/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected here, by device id, and everything that happens on device sockets: the autopush
 * protocol, the sliding window, takeover, pings, slow readers. Sockets come from the HTTP front as
 * upgrades; messages from the push flow (devices_deliver) and from other nodes (devices_wake).
 */
#pragma once
#include "relay/http/request.h"
#include "relay/ops/limits.h"
#include "relay/ops/metrics.h"
#include "relay/push/token.h"
#include "storage/store.h"
#include <ev.h>

struct devices;

/* What an invite allows; all zero for open registration. */
struct device_invite {
	struct invite_id id;
	uint32_t devices, messages_per_day;
};

struct devices_options {
	struct ev_loop *loop;
	struct store *store;
	struct node_id node;
	const struct token_keys
		*keys; /* kept by pointer to the pointer's target; see devices_set_keys */
	const char *endpoint_base; /* kept by pointer; "https://push.example/p/": the push URL is this
								  and the token */
	struct metrics *metrics;
	double ping_sec; /* WS PING to a silent client: 300 */
	double pong_sec; /* 30 */
	double hello_sec; /* 30 */
	uint32_t hello_rate; /* hello answers a second; more wait in a queue */
	uint32_t window; /* 32 unacknowledged messages */
	uint32_t queue_messages; /* the store's limit for a device */
	double window_sec; /* 60: then one frees its place, but stays queued */
	size_t send_limit_bytes; /* unsent bytes after which a reader counts as slow: 256 KiB */
	double slow_sec; /* and for how long it may stay so: 60 */
	uint32_t tcp_user_timeout_ms;
	size_t max_sockets; /* beyond it upgrades get 503 */
	uint32_t client_sockets; /* of one client (see http/client.h), beyond it 429; 0: no limit */
	struct limits *limits; /* for what one client registers; NULL: no limit */
};

struct devices *devices_create(const struct devices_options *options);
void devices_destroy(struct devices *devices);

/* A route's handler for upgrades: checks the subprotocol (400 when only unknown ones are offered)
 * and the limits, takes the connection over, answers 101 through libwebsockets. Ends the request.
 */
void devices_accept(
	struct devices *devices, struct http_request *request, const struct device_invite *invite);

/* A message of this device was stored just now (or is transient: TTL 0) and the device is attached
 * here. Sent at once when nothing is queued before it and the window has room, else left to the
 * next fetch. True when it was written to a socket. */
bool devices_deliver(struct devices *devices, struct device_id device,
	const struct store_message *message, struct message_id previous, bool is_transient);
/* The store's wake-ups for attached devices. */
void devices_wake(struct devices *devices, const struct store_wake *wake);
/* Takes new token keys into use (SIGHUP). */
void devices_set_keys(struct devices *devices, const struct token_keys *keys);
/* Ends every socket of devices that came by this invite. */
void devices_drop_invited(struct devices *devices, struct invite_id invite);

/* Graceful end: no more hellos; sockets are dropped without a Close frame, evenly over drain_sec.
 * done when none is left. */
typedef void devices_drained_fn(void *ctx);
void devices_drain(struct devices *devices, double drain_sec, devices_drained_fn *done, void *ctx);

size_t devices_count(const struct devices *devices); /* sockets now */
