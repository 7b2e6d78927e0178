/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of one connection attempt, and the watch over the connection that came of it. */
#include "distributor/link/session.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <arpa/inet.h>
#include <assert.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

struct session {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct websocket_client *client;
	const struct proxy *proxy;
	struct race_memory *memory;
	struct network *network;
	const struct session_events *events;
	void *ctx;
	enum session_state state;
	struct race *race;
	struct proxy_check *check;
	struct websocket *websocket;
	struct alarm deadline; /* of opening and greeting */
	struct alarm pong; /* of the last ping */
	ev_timer end_soon; /* session_close() before there is a WebSocket */
	bool has_raced, looks_like_portal;
	struct race_memory found; /* becomes the memory when a session comes of it */
	struct network_path path;
	struct sockaddr_storage peer, local;
	uint64_t ping_number; /* of the last ping; 0: none */
	int64_t pinged_ms; /* monotonic; 0: its pong has come */
	bool ping_is_trial;
	int64_t round_trip_ms;
	int64_t started_ms, greeted_ms, sent_ms, heard_ms; /* boot clock; 0: never */
	int64_t opening_ms; /* monotonic; the library set out to connect */
	int64_t skew_ms; /* boot minus monotonic clock at the last byte */
};

/* The steps, in the order in which they run. */
static void session_race(struct session *session, bool must_try);
static void session_on_raced(struct race_result *result, void *ctx);
static void session_on_checked(int status, const char *reason, void *ctx);
static void session_open(struct session *session);
static void session_on_opened(void *ctx);

/* ---- the end -----------------------------------------------------------------------------------
 */

static void session_end(struct session *session, struct session_end *end) {
	end->looks_like_portal = end->looks_like_portal || session->looks_like_portal;
	session->events->ended(session, end, session->ctx);
}

void session_destroy(struct session *session) {
	if (!session) {
		return;
	}
	race_cancel(session->race);
	proxy_check_cancel(session->check);
	websocket_destroy(session->websocket);
	alarm_stop(&session->deadline);
	alarm_stop(&session->pong);
	ev_timer_stop(session->loop, &session->end_soon);
	free(session);
}

static void session_enter(struct session *session, enum session_state state) {
	session->state = state;
	session->events->entered(session, state, session->ctx);
}

/* ---- getting there -----------------------------------------------------------------------------
 */

static bool session_is_usable(const struct sockaddr *address, void *ctx) {
	struct session *session = ctx;
	struct network_path path;
	if (!session->network) {
		return true;
	}
	network_path_to(session->network, address, &path);
	return path.is_usable;
}

static void session_race(struct session *session, bool must_try) {
	const struct url *url = websocket_client_url(session->client);
	session->has_raced = must_try;
	struct race_options options = {
		.loop = session->loop,
		.host = session->proxy ? session->proxy->host : url->host,
		.port = session->proxy ? session->proxy->port : url->port,
		.memory = session->memory,
		.must_try = must_try,
		.is_usable = session_is_usable,
		.done = session_on_raced,
		.ctx = session,
	};
	session->race = race_start(&options);
}

/* A resolver that gives a private address for what had a public one is a login page's. */
static void session_note_addresses(struct session *session, const struct race_result *result) {
	const struct race_memory *memory = session->memory;
	struct race_memory *found = &session->found;
	for (unsigned int i = 0; i < result->resolved_count; i++) {
		found->addresses[i] = result->resolved[i];
		session->looks_like_portal =
			session->looks_like_portal ||
			(memory->winner.ss_family != AF_UNSPEC &&
				!race_address_is_private((const struct sockaddr *)&memory->winner) &&
				race_address_is_private((const struct sockaddr *)&result->resolved[i]));
	}
	found->count = result->resolved_count;
}

static void session_note_path(struct session *session) {
	struct network_path path;
	if (!session->network) {
		return;
	}
	network_path_to(session->network, (const struct sockaddr *)&session->peer, &path);
	if (session->path.ifindex == 0 ||
		(session->path.key[0] == '\0' &&
			network_path_is_same(session->network, &session->path, &path, NULL))) {
		session->path = path; /* else it has changed since, which the owner will be told */
	}
}

static void session_on_raced(struct race_result *result, void *ctx) {
	struct session *session = ctx;
	session->race = NULL;
	session_note_addresses(session, result);
	if (result->outcome != RACE_WON) {
		struct session_end end = {
			.class = result->outcome == RACE_NO_PATH ? RETRY_NO_PATH : RETRY_UNREACHABLE,
			.reason = result->reason,
		};
		session_end(session, &end);
		return;
	}
	session->has_raced = session->has_raced || result->fd >= 0;
	memcpy(&session->peer, result->address,
		result->address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
											   : sizeof(struct sockaddr_in));
	session_note_path(session);
	if (session->proxy) {
		assert(result->fd >= 0);
		session->check = proxy_check_start(session->loop, result->fd, session->proxy,
			websocket_client_url(session->client), session_on_checked, session);
		result->fd = -1;
		return;
	}
	session_open(session);
}

static void session_on_checked(int status, const char *reason, void *ctx) {
	struct session *session = ctx;
	session->check = NULL;
	if (reason) {
		struct session_end end = {
			.class = status == 407 ? RETRY_REFUSED : RETRY_UNREACHABLE,
			.reason = reason,
		};
		session_end(session, &end);
		return;
	}
	session_open(session);
}

static void session_on_deadline(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct session *session = ctx;
	CLEANUP_FREE char *reason = mem_printf("%s does not answer hello within %d s",
		websocket_client_url(session->client)->host, SESSION_OPEN_MS / 1000);
	session_fail(session, RETRY_UNREACHABLE, reason);
}

/* ---- the WebSocket -----------------------------------------------------------------------------
 */

static void session_note_activity(struct session *session, int64_t *which_ms) {
	*which_ms = clock_boot_ms();
	session->skew_ms = *which_ms - clock_mono_ms();
}

static void session_on_text(struct slice text, void *ctx) {
	struct session *session = ctx;
	session_note_activity(session, &session->heard_ms);
	session->events->text(session, text, session->ctx);
}

static void session_on_ponged(struct slice payload, void *ctx) {
	struct session *session = ctx;
	uint64_t number = 0;
	session_note_activity(session, &session->heard_ms);
	if (payload.len != sizeof number) {
		return;
	}
	memcpy(&number, payload.data, sizeof number);
	if (number != session->ping_number || session->pinged_ms == 0) {
		return; /* of an earlier ping, or one that nobody sent */
	}
	alarm_stop(&session->pong);
	session->round_trip_ms = clock_mono_ms() - session->pinged_ms;
	session->pinged_ms = 0;
	session->events->ponged(session, session->ping_is_trial, session->ctx);
}

static void session_on_pong_missed(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct session *session = ctx;
	session->events->pong_missed(session, session->ping_is_trial, session->ctx);
}

/* The status of a refused upgrade, as a class. */
static enum retry_class session_class_of_status(const struct websocket_end *end) {
	switch (end->status) {
	case 401:
	case 403:
		return RETRY_REFUSED;
	case 429:
	case 503:
		return end->retry_after_sec >= 0 ? RETRY_TOLD : RETRY_UNREACHABLE;
	case 404:
	case 410:
	case 511:
		return RETRY_TLS; /* no rush: a wrong URL, or a login page */
	default:
		return end->status < 400 ? RETRY_TLS : RETRY_UNREACHABLE;
	}
}

static enum retry_class session_class_of_code(unsigned int code, bool has_worked) {
	switch (code) {
	case 1008:
		return RETRY_REFUSED;
	case 4774:
		return RETRY_REPLACED;
	default: /* 1012 and 1013 too: they tell no time */
		return has_worked ? RETRY_GOODBYE : RETRY_UNREACHABLE;
	}
}

static bool session_has_worked(const struct session *session) {
	return session->state == SESSION_UP && session_age_ms(session) >= 60000;
}

/* The kernel's verdict on data that nobody acknowledged, as opposed to a relay that hung up. */
static bool session_has_timed_out(const struct session *session) {
	return session->sent_ms > session->heard_ms &&
		   clock_boot_ms() - session->sent_ms >= SESSION_TIMED_OUT_MS;
}

static enum retry_class session_class_of_end(
	const struct session *session, const struct websocket_end *end) {
	switch (end->how) {
	case WEBSOCKET_UNREACHABLE:
	case WEBSOCKET_TOO_SLOW:
	case WEBSOCKET_MISBEHAVED:
		return RETRY_UNREACHABLE;
	case WEBSOCKET_CERTIFICATE:
		return RETRY_TLS;
	case WEBSOCKET_REFUSED:
		return session_class_of_status(end);
	case WEBSOCKET_CLOSED:
		return session_class_of_code(end->code, session_has_worked(session));
	case WEBSOCKET_LOST:
		if (session_has_worked(session)) {
			return session_has_timed_out(session) ? RETRY_LOCAL : RETRY_GOODBYE;
		}
		return RETRY_UNREACHABLE;
	case WEBSOCKET_DONE:
		return RETRY_LOCAL;
	}
	return RETRY_UNREACHABLE;
}

/* The library does not say why TCP failed; a connect of our own does, when that can be quick. */
static void session_ask_why(struct session *session) {
	char address[RACE_ADDRESS_TEXT];
	const struct url *url = websocket_client_url(session->client);
	if (clock_mono_ms() - session->opening_ms >= SESSION_QUICK_MS) {
		race_address_print((const struct sockaddr *)&session->peer, address);
		CLEANUP_FREE char *reason = mem_printf(
			"%s port %u cannot be reached at %s: no answer", url->host, url->port, address);
		session_fail(session, RETRY_UNREACHABLE, reason);
		return;
	}
	websocket_destroy(session->websocket);
	session->websocket = NULL;
	alarm_stop(&session->deadline);
	session_race(session, true);
	session_enter(session, SESSION_CONNECTING);
}

static char *session_reason_dup(const struct session *session, const struct websocket_end *end) {
	if (end->how == WEBSOCKET_LOST && session_has_timed_out(session)) {
		return mem_strdup("the relay does not answer any more");
	}
	if (end->how == WEBSOCKET_CLOSED && session_class_of_code(end->code, true) == RETRY_REPLACED) {
		return mem_printf("%s: another machine uses our identity; if one has a copy of the other's "
						  "state directory, remove it there",
			end->reason);
	}
	return mem_strdup(end->reason);
}

static void session_on_closed(const struct websocket_end *end, void *ctx) {
	struct session *session = ctx;
	if (end->how == WEBSOCKET_UNREACHABLE && session->state == SESSION_OPENING &&
		!session->has_raced) {
		session_ask_why(session);
		return;
	}
	CLEANUP_FREE char *reason = session_reason_dup(session, end);
	struct session_end ours = {
		.class = session_class_of_end(session, end),
		.told_sec = end->retry_after_sec,
		.reason = reason,
		.is_clock_suspect = end->is_clock_suspect,
		.looks_like_portal =
			end->how == WEBSOCKET_REFUSED && (end->status == 511 || end->status < 400),
		.was_trial =
			end->how == WEBSOCKET_LOST && session->pinged_ms != 0 && session->ping_is_trial,
	};
	session_end(session, &ours);
}

static void session_open(struct session *session) {
	static const struct websocket_events events = {
		.opened = session_on_opened,
		.text = session_on_text,
		.ponged = session_on_ponged,
		.closed = session_on_closed,
	};
	char text[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in6 *in6 = (const void *)&session->peer;
	const struct sockaddr_in *in = (const void *)&session->peer;
	(void)inet_ntop(session->peer.ss_family,
		session->peer.ss_family == AF_INET6 ? (const void *)&in6->sin6_addr
											: (const void *)&in->sin_addr,
		text, sizeof text);
	char *proxy = session->proxy ? proxy_print(session->proxy, text) : NULL;
	struct websocket_options options = {
		.address = text,
		.proxy = proxy,
		.message_max = SESSION_MESSAGE_MAX,
		.events = &events,
		.ctx = session,
	};
	session->websocket = websocket_open(session->client, &options);
	if (proxy) {
		mem_wipe(proxy, strlen(proxy));
		free(proxy);
	}
	session->opening_ms = clock_mono_ms();
	alarm_set(&session->deadline, SESSION_OPEN_MS, ALARM_SLACK_DEADLINE_MS);
	session_enter(session, SESSION_OPENING);
}

static void session_on_opened(void *ctx) {
	struct session *session = ctx;
	socklen_t bytes = sizeof session->local;
	if (getsockname(websocket_fd(session->websocket), (struct sockaddr *)&session->local, &bytes) <
		0) {
		session->local.ss_family = AF_UNSPEC;
	}
	session_note_path(session); /* the gateway is known by now, and with it the network's name */
	if (session->found.count > 0) {
		*session->memory = session->found;
	}
	session->memory->winner = session->peer;
	session->state = SESSION_GREETING;
	session->events->opened(session, session->ctx);
}

/* ---- use ---------------------------------------------------------------------------------------
 */

static void session_on_end_soon(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct session_end end = {.class = RETRY_LOCAL, .reason = "stopped"};
	session_end(timer->data, &end);
}

struct session *session_start(const struct session_options *options) {
	struct session *session = mem_zalloc(sizeof *session);
	session->loop = options->loop;
	session->alarms = options->alarms;
	session->client = options->client;
	session->proxy = options->proxy;
	session->memory = options->memory;
	session->network = options->network;
	session->events = options->events;
	session->ctx = options->ctx;
	session->round_trip_ms = -1;
	session->started_ms = clock_boot_ms();
	alarm_init(&session->deadline, session->alarms, session_on_deadline, session);
	alarm_init(&session->pong, session->alarms, session_on_pong_missed, session);
	ev_timer_init(&session->end_soon, session_on_end_soon, 0., 0.);
	session->end_soon.data = session;
	session_race(session, session->proxy != NULL);
	return session;
}

enum session_state session_state(const struct session *session) {
	return session->state;
}

void session_send(struct session *session, struct slice text) {
	websocket_send(session->websocket, text);
	session_note_activity(session, &session->sent_ms);
}

void session_greeted(struct session *session) {
	alarm_stop(&session->deadline);
	session->greeted_ms = clock_boot_ms();
	session_enter(session, SESSION_UP);
}

void session_close(struct session *session) {
	alarm_stop(&session->deadline);
	alarm_stop(&session->pong);
	if (session->state == SESSION_GREETING || session->state == SESSION_UP) {
		websocket_close(session->websocket);
	} else {
		ev_timer_start(session->loop, &session->end_soon);
	}
}

void session_fail(struct session *session, enum retry_class class, const char *reason) {
	struct session_end end = {.class = class, .reason = reason};
	websocket_destroy(session->websocket);
	session->websocket = NULL;
	session_end(session, &end);
}

void session_ping(struct session *session, int64_t deadline_ms, bool is_trial) {
	uint8_t payload[WEBSOCKET_PING_BYTES];
	if (session_is_asked(session)) {
		if (alarm_left_ms(&session->pong) > deadline_ms) {
			alarm_set(&session->pong, deadline_ms, ALARM_SLACK_DEADLINE_MS);
			session->ping_is_trial = false; /* it was to have more time */
		}
		return;
	}
	session->ping_number++;
	memcpy(payload, &session->ping_number, sizeof payload);
	websocket_ping(session->websocket, payload);
	session->pinged_ms = clock_mono_ms();
	session->ping_is_trial = is_trial;
	alarm_set(&session->pong, deadline_ms, ALARM_SLACK_DEADLINE_MS);
	session_note_activity(session, &session->sent_ms);
}

void session_forget_ping(struct session *session) {
	alarm_stop(&session->pong);
	session->ping_is_trial = false;
}

bool session_is_asked(const struct session *session) {
	return alarm_is_set(&session->pong);
}

bool session_is_stuck(const struct session *session) {
	int fd = session->websocket ? websocket_fd(session->websocket) : -1;
	int bytes = 0;
	if (fd < 0 || session->sent_ms == 0) {
		return false;
	}
	int64_t patience_ms = session->round_trip_ms > 250 ? 4 * session->round_trip_ms : 1000;
	return clock_boot_ms() - session->sent_ms >= patience_ms && ioctl(fd, SIOCOUTQ, &bytes) == 0 &&
		   bytes > 0;
}

int64_t session_age_ms(const struct session *session) {
	return session->greeted_ms > 0 ? clock_boot_ms() - session->greeted_ms : 0;
}

int64_t session_silent_ms(const struct session *session) {
	int64_t last_ms = session->sent_ms > session->heard_ms ? session->sent_ms : session->heard_ms;
	return clock_boot_ms() - last_ms;
}

int64_t session_heard_ms(const struct session *session) {
	return session->heard_ms > 0 ? clock_boot_ms() - session->heard_ms : -1;
}

bool session_slept(const struct session *session) {
	return clock_boot_ms() - clock_mono_ms() - session->skew_ms > SESSION_SLEPT_MS;
}

int64_t session_round_trip_ms(const struct session *session) {
	return session->round_trip_ms;
}

uint64_t session_sent_bytes(const struct session *session) {
	return session->websocket ? websocket_sent_bytes(session->websocket) : 0;
}

uint64_t session_received_bytes(const struct session *session) {
	return session->websocket ? websocket_received_bytes(session->websocket) : 0;
}

const struct network_path *session_path(const struct session *session) {
	return &session->path;
}

const struct sockaddr *session_peer(const struct session *session) {
	return (const struct sockaddr *)&session->peer;
}

const struct sockaddr *session_local(const struct session *session) {
	return (const struct sockaddr *)&session->local;
}
