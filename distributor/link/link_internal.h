/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link from inside. link.c: its life, its states and attempts. link_path.c: what to make of
 * news from the network, and the heartbeat. link_messages.c: the push protocol.
 */
#pragma once
#include "common/buffer.h"
#include "distributor/link/heartbeat.h"
#include "distributor/link/link.h"
#include "distributor/link/session.h"
#include <jansson.h>

enum {
	LINK_POLL_MS = 15 * 60 * 1000, /* without a route: ask the kernel again, coarsely */
	LINK_HASTE_MS = 30000, /* after a resume every hint counts */
	LINK_LONG_SLEEP_MS = 30000, /* what was connected before is most likely gone */
	LINK_PROBE_MS = 5000, /* for the answer to a ping after a hint */
	LINK_RESUME_PROBE_MS = 3000,
	LINK_RETURN_PROBE_MS = 300, /* with the route back, if four round trips are not longer */
	LINK_FRESH_MS = 300, /* heard so lately: no probe needed */
	LINK_USED_MS = 60000, /* silence after which use of an app is worth a probe */
	LINK_DOCK_MS = 5000, /* a better path must last so long when the old one works */
	LINK_FLAPS_MAX = 5, /* forced reconnects in LINK_FLAP_MS */
	LINK_FLAP_MS = 60000,
	LINK_FLAP_STEP_MS = 10000,
	LINK_SETTLE_MS = 500, /* of quiet, while the network flaps; doubled … */
	LINK_SETTLES_MAX = 5, /* … so often */
	LINK_EVIDENCE_MS = 30000, /* a fresh session within: the path works, so the NAT forgot us */
	LINK_LASTING_MS = 3600 * 1000, /* a session that ended a fight over the identity */
	LINK_TIMEOUTS_MAX = 3, /* in a row, with sessions that stood at once: it is load */
	LINK_ACK_MS = 100, /* and as much slack */
	LINK_ACKS_MAX = 16, /* more are not waited for */
	LINK_ACK_BYTES = 64 * 1024,
	LINK_NONSENSE_MAX = 100, /* messages without meaning, a session */
	LINK_UNACKED_MAX = 4096, /* notifications, a session */
	LINK_VERSION_MAX = 100,
	LINK_CHANNEL_MAX = 64,
	LINK_ENDPOINT_MAX = 4096, /* apps take less, which is not ours to judge */
	LINK_CLOCK_FLOOR_SEC = 1767225600, /* 2026: an earlier clock was never set */
};

struct link {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct network *network;
	struct heartbeats *heartbeats;
	const struct link_events *events;
	void *ctx;
	struct websocket_client *client;
	struct proxy proxy;
	bool has_proxy;
	char *proxy_error; /* why the environment's cannot be used, or NULL */
	char *uaid; /* NULL: none yet */
	uint64_t instance; /* random: tells this run from one on another machine with our files */
	struct race_memory memory;

	enum link_state state, told_state;
	int64_t since_wall_ms, since_ms; /* the state; wall and boot clock */
	char *reason; /* why it is not up */
	bool wants_login;
	ev_timer tell; /* `entered`, soon */
	unsigned int busy; /* calls to the owner under way */
	bool is_destroyed;

	struct session *current; /* greeted; kept in LINK_OFFLINE too */
	struct session *next; /* on its way */
	struct session *leaving; /* saying goodbye */
	bool is_suspect; /* current did not answer in time; next will show */
	struct alarm retry; /* the next attempt; in LINK_OFFLINE the poll */
	struct alarm move; /* to a better path, when it lasts */
	struct alarm beat; /* the line may have been silent for the heartbeat's interval */
	struct alarm ack;
	struct retry retries;
	enum retry_class failed_class;
	struct network_path failed_path; /* how things were when an attempt failed */
	uint32_t failed_connectivity;
	int64_t hasty_until_ms;
	int64_t forced_ms[LINK_FLAPS_MAX]; /* the latest forced reconnects, a ring */
	unsigned int forced_next;
	bool is_flapping;
	unsigned int settles; /* reconnects while it flaps */
	struct alarm settle; /* the next of them */
	unsigned int timeouts; /* pongs missed in a row */
	struct {
		bool is_set;
		uint32_t interval_sec;
		int64_t at_ms;
		char key[sizeof((struct network_path *)0)->key];
	} evidence; /* a trial failed; was it the NAT? */
	char worked_key[sizeof((struct network_path *)0)->key]; /* where a session stood last */

	enum link_thrift thrift;
	bool on_mains;
	uint32_t interval_sec; /* in force */

	enum urgency min_urgency;
	bool has_urgency;
	struct buffer acks; /* items of the next frame, comma-separated */
	unsigned int ack_count, unacked, nonsense;

	uint32_t sessions;
	int64_t heard_ms; /* of earlier sessions; boot clock, 0 never */
	uint64_t sent_bytes, received_bytes; /* of ended sessions */
};

/* link.c */
const char *link_host(const struct link *link);
void link_enter(struct link *link, enum link_state state);
void link_enter_attempt(struct link *link); /* the state of `next`, which is on its way */
void link_set_reason(struct link *link, const char *reason);
/* Tells the owner now what is to be told. False when the link is gone or stopped afterwards. */
bool link_tell(struct link *link);
void link_connect(struct link *link); /* beside the current session, if there is one */
void link_connect_soon(struct link *link); /* within 300 ms, attempts forgotten */
void link_drop_current(struct link *link);
void link_abandon_next(struct link *link);
void link_go_offline(struct link *link);
/* The relay answered hello on `next` or, after a pause without route, the old session is back. */
void link_came_up(struct link *link, struct session *session, bool is_new, uint64_t missed);
/* Around every call to the owner. link_leave() is false when the link is gone. */
void link_busy(struct link *link);
bool link_leave(struct link *link);

/* link_path.c */
bool link_has_path(struct link *link);
void link_path(struct link *link, struct network_path *out);
bool link_is_hasty(const struct link *link);
int64_t link_pong_ms(const struct link *link);
/* The longest heartbeat on the session's network; the relay was told it with hello. */
uint32_t link_ceiling_sec(const struct link *link, const struct session *session);
const char *link_network_key(const struct link *link);
void link_beat_set(struct link *link); /* from now */
void link_on_beat(struct alarm *alarm, void *ctx);
void link_on_move(struct alarm *alarm, void *ctx);
void link_on_settled(struct alarm *alarm, void *ctx);
void link_on_ponged(struct session *session, bool was_trial, void *ctx);
void link_on_pong_missed(struct session *session, bool was_trial, void *ctx);
void link_judge_evidence(struct link *link);

/* link_messages.c */
void link_send_hello(struct link *link, struct session *session);
void link_on_text(struct session *session, struct slice text, void *ctx);
void link_send_leftovers(struct link *link); /* urgency and acks, after a greeting */
void link_flush_acks(struct link *link);
void link_on_ack(struct alarm *alarm, void *ctx);
