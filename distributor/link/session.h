/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a link, from the name to the end: resolve, race, ask the proxy, open the
 * WebSocket, then carry text and pings and watch the clock. What the text means and whether there
 * will be another connection is the link's business.
 */
#pragma once
#include "common/slice.h"
#include "distributor/alarm.h"
#include "distributor/link/proxy.h"
#include "distributor/link/race.h"
#include "distributor/link/retry.h"
#include "distributor/link/websocket.h"
#include "distributor/monitor/network.h"
#include <ev.h>

enum session_state { SESSION_CONNECTING, SESSION_OPENING, SESSION_GREETING, SESSION_UP };

enum {
	SESSION_OPEN_MS = 15000, /* from TCP to the answer to hello */
	SESSION_PONG_MS = 10000,
	SESSION_SLOW_PONG_MS = 30000, /* where round trips take over SESSION_SLOW_MS */
	SESSION_SLOW_MS = 3000,
	SESSION_QUICK_MS = 5000, /* a connect that took so long failed for want of an answer */
	SESSION_MESSAGE_MAX = 1 << 20,
	SESSION_SLEPT_MS = 2000, /* a gap of the boot clock against the monotonic one: we slept */
	SESSION_TIMED_OUT_MS = 15000, /* unanswered for so long: the kernel gave up, not the relay */
};

struct session;
struct session_end {
	enum retry_class class;
	int64_t told_sec; /* with RETRY_TOLD */
	const char *reason; /* a sentence */
	bool is_clock_suspect, looks_like_portal;
	bool was_trial; /* lost while the answer to a trial's ping was awaited */
};

/* From the loop, never within a call of this header but session_fail(). session_destroy() is
 * allowed in all of them. */
struct session_events {
	void (*entered)(struct session *session, enum session_state state, void *ctx);
	void (*opened)(struct session *session, void *ctx); /* time to say hello */
	void (*text)(struct session *session, struct slice text, void *ctx);
	void (*ponged)(struct session *session, bool was_trial, void *ctx);
	/* The deadline of a ping has passed; the session stands on. */
	void (*pong_missed)(struct session *session, bool was_trial, void *ctx);
	void (*ended)(struct session *session, const struct session_end *end, void *ctx);
};

struct session_options {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct websocket_client *client;
	const struct proxy *proxy; /* NULL: none; outlives the session */
	struct race_memory *memory; /* of the relay, or of the proxy; outlives the session */
	struct network *network; /* or NULL */
	const struct session_events *events;
	void *ctx;
};
struct session *session_start(const struct session_options *options);
void session_destroy(struct session *session); /* NULL is fine */

enum session_state session_state(const struct session *session);
void session_send(struct session *session, struct slice text);
void session_greeted(struct session *session); /* the relay has answered hello */
/* Sends what is queued and a Close frame; `ended` follows, whatever the state. */
void session_close(struct session *session);
/* Ends at once with `ended`, for a relay that does not keep to the protocol. */
void session_fail(struct session *session, enum retry_class class, const char *reason);

/* Asks for a sign of life. trial: the silence before it was a trial of the heartbeat. While an
 * answer is awaited there is no other ping: the deadline comes forward when this one is sooner. */
void session_ping(struct session *session, int64_t deadline_ms, bool is_trial);
void session_forget_ping(struct session *session); /* no deadline any more */
bool session_is_asked(const struct session *session); /* a pong is awaited in time */
/* Data is on its way for longer than max(1 s, 4 round trips), and the peer's kernel is silent. */
bool session_is_stuck(const struct session *session);

int64_t session_age_ms(const struct session *session); /* since greeted */
int64_t session_silent_ms(const struct session *session); /* both ways, boot clock */
int64_t session_heard_ms(const struct session *session); /* ago; -1 never */
bool session_slept(const struct session *session); /* the machine did, since the last byte */
int64_t session_round_trip_ms(const struct session *session); /* -1: none yet */
uint64_t session_sent_bytes(const struct session *session);
uint64_t session_received_bytes(const struct session *session);
/* What it was built on; ss_family AF_UNSPEC while not known. */
const struct network_path *session_path(const struct session *session);
const struct sockaddr *session_peer(const struct session *session);
const struct sockaddr *session_local(const struct session *session);
