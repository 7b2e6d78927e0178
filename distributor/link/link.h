/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to one relay as a device: one WebSocket that speaks Mozilla's push protocol with
 * our hello extension (docs/protocol.md), comes back by itself, and finds out when it is dead. It
 * holds no queue: what was sent and not answered when the connection ends is the owner's to send
 * again after the next `greeted`. Its owner feeds it news of the network (link_hint); the link
 * looks at its own path and decides whether to probe, reconnect or leave things alone (whatever the
 * source of the news).
 */
#pragma once
#include "common/slice.h"
#include "distributor/alarm.h"
#include "storage/ids.h"
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum link_state {
	LINK_STOPPED, /* told to: link_stop, or never started */
	LINK_OFFLINE, /* no route to the relay; waits for news, asks the kernel rarely */
	LINK_WAITING, /* the next attempt is due at `next_attempt` */
	LINK_CONNECTING, /* names and addresses: resolving, racing */
	LINK_OPENING, /* TCP stands; TLS and WebSocket upgrade */
	LINK_GREETING, /* hello is sent */
	LINK_UP,
	LINK_REFUSED, /* refused for good: the user must act; tried again hourly, then daily */
	LINK_STATE_COUNT
};
const char *link_state_name(enum link_state state); /* "waiting" */

enum link_hint {
	LINK_HINT_NETWORK, /* an address, route or carrier changed */
	LINK_HINT_RESUMED, /* `slept_ms` says how long */
	LINK_HINT_SLEEPING, /* the machine goes to sleep: acks go out now, timers rest */
	LINK_HINT_CLOCK, /* the wall clock jumped */
	LINK_HINT_POWER, /* plugged in: a good moment to try */
	LINK_HINT_USED, /* an app registered or the user asked: probes when silent for over 60 s */
	LINK_HINT_NOW, /* the user wants an attempt now, whatever is waiting */
};

/* How eager the heartbeat is; device-network-and-power.md 11.3. */
enum link_thrift { LINK_RELIABLE, LINK_BALANCED, LINK_THRIFTY };

struct link;
struct network; /* monitor/network.h */
struct websocket_library; /* link/websocket_library.h: whom to trust */
struct heartbeats; /* link/heartbeat.h: intervals learned per network, shared by all links */

struct link_greeting {
	const char *uaid; /* to be kept; 32 hexadecimal digits */
	bool is_new; /* the relay does not know the UAID that was offered: every channel is gone */
	uint64_t missed; /* messages that expired or were dropped since it was told last */
};

struct link_notification {
	struct slice channel; /* text of a UUID */
	struct slice version; /* opaque, at most 100 bytes */
	struct slice body; /* decoded bytes; may be empty */
	struct slice encoding, encryption, crypto_key; /* empty when absent */
	struct slice topic; /* from our extension, else empty */
	enum urgency urgency; /* from our extension, else URGENCY_NORMAL */
	int64_t ttl_sec; /* left when it was sent; from our extension, else -1 */
};

/* All from the loop, never within a call of this header. link_destroy() and every other function
 * may be called from within them. Slices live during the call. */
struct link_events {
	void (*entered)(enum link_state state, void *ctx); /* after every change of state */
	void (*greeted)(const struct link_greeting *greeting, void *ctx);
	/* status 200 with the endpoint, else the relay's status and an empty endpoint. */
	void (*registered)(struct slice channel, int status, struct slice endpoint, void *ctx);
	void (*unregistered)(struct slice channel, int status, void *ctx);
	void (*notified)(const struct link_notification *notification, void *ctx);
};

struct link_options {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct websocket_library *library; /* on the same loop; outlives the link */
	const char *url; /* ws, wss, http, https, with an invite's path or without; copied */
	const char *uaid; /* NULL: a new device; copied */
	bool use_proxy; /* https_proxy, http_proxy, all_proxy, no_proxy of the environment */
	struct network *network; /* NULL: no view of the machine's paths (every attempt is made) */
	struct heartbeats *heartbeats;
	const struct link_events *events;
	void *ctx;
};

/* NULL with a sentence in *out_error (malformed URL, unreadable ca_file). */
struct link *link_create(const struct link_options *options, char **out_error);
void link_destroy(struct link *link); /* no event any more; NULL is fine */

void link_start(struct link *link);
/* Ends the connection with what is queued sent and a Close frame, and makes no further attempt. */
void link_stop(struct link *link);
void link_hint(struct link *link, enum link_hint hint, int64_t slept_ms);
void link_set_thrift(struct link *link, enum link_thrift thrift, bool on_mains);

/* These do nothing, and return false, unless the link is up; link_ack() also serves a session that
 * is kept while there is no route. Acks are collected for up to 200 ms into one frame. vapid_key:
 * base64url or NULL. key_later: the channel is for an app whose key is not known yet; a later
 * register with a key keeps its endpoint (docs/protocol.md). */
bool link_register(struct link *link, const char *channel, const char *vapid_key, bool key_later,
	uint32_t max_body);
bool link_unregister(struct link *link, const char *channel);
bool link_ack(struct link *link, struct slice channel, struct slice version);
/* Kept and told after each greeting. */
void link_set_urgency(struct link *link, enum urgency min);

/* For `status`. Pointers live until the link's next event. */
struct link_status {
	enum link_state state;
	int64_t since_wall_ms; /* when the state was entered */
	int64_t next_attempt_ms; /* until the next attempt; 0: under way; -1: none is planned */
	const char *reason; /* why it is not up, a sentence; "" when up */
	bool wants_login; /* a login page seems to stand before the relay */
	uint32_t reconnects; /* sessions since start beyond the first */
	uint32_t attempts; /* failed ones in a row */
	int64_t heartbeat_ms; /* the interval in force */
	int64_t round_trip_ms; /* of the last ping; -1 when none yet */
	int64_t last_heard_ms; /* ago; -1 never */
	const char *peer; /* "192.0.2.1 port 443", "" when there is none */
	const char *network_key; /* which network the heartbeat is learned for */
	uint64_t sent_bytes, received_bytes; /* payload of the WebSocket since start */
};
void link_status(const struct link *link, struct link_status *out);
bool link_is_up(const struct link *link);
