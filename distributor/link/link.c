/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a link: states, attempts, what becomes of sessions. */
#include "distributor/link/link.h"
#include "common/autopush.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/link/link_internal.h"
#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char *const link_state_names[LINK_STATE_COUNT] = {
	[LINK_STOPPED] = "stopped",
	[LINK_OFFLINE] = "offline",
	[LINK_WAITING] = "waiting",
	[LINK_CONNECTING] = "connecting",
	[LINK_OPENING] = "opening",
	[LINK_GREETING] = "greeting",
	[LINK_UP] = "up",
	[LINK_REFUSED] = "refused",
};

const char *link_state_name(enum link_state state) {
	return link_state_names[state];
}

const char *link_host(const struct link *link) {
	return websocket_client_url(link->client)->host;
}

/* ---- states and the owner ----------------------------------------------------------------------
 */

static void link_free(struct link *link) {
	ev_timer_stop(link->loop, &link->tell);
	websocket_client_destroy(link->client);
	buffer_finish(&link->acks);
	mem_wipe(&link->proxy, sizeof link->proxy);
	free(link->proxy_error);
	free(link->reason);
	free(link->uaid);
	free(link);
}

void link_busy(struct link *link) {
	link->busy++;
}

bool link_leave(struct link *link) {
	bool is_gone = link->is_destroyed;
	if (--link->busy == 0 && is_gone) {
		ev_timer_start(
			link->loop, &link->tell); /* freed from there: sockets' events are above us */
	}
	return !is_gone;
}

void link_set_reason(struct link *link, const char *reason) {
	char *copy = mem_strdup(reason);
	free(link->reason);
	link->reason = copy;
}

void link_enter(struct link *link, enum link_state state) {
	if (state == LINK_UP) {
		link_set_reason(link, "");
	}
	link->wants_login = link->wants_login && state != LINK_UP && state != LINK_OFFLINE;
	if (link->state == state) {
		return;
	}
	log_info("link %s relay=%s before=%s%s%s", link_state_name(state), link_host(link),
		link_state_name(link->state), *link->reason ? " reason=" : "", link->reason);
	link->state = state;
	link->since_wall_ms = clock_wall_ms();
	link->since_ms = clock_boot_ms();
	ev_timer_start(link->loop, &link->tell);
}

bool link_tell(struct link *link) {
	ev_timer_stop(link->loop, &link->tell);
	if (link->told_state == link->state) {
		return true;
	}
	link->told_state = link->state;
	link_busy(link);
	if (link->events->entered) {
		link->events->entered(link->state, link->ctx);
	}
	return link_leave(link);
}

static void link_on_tell(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct link *link = timer->data;
	if (link->is_destroyed) {
		link_free(link);
	} else {
		(void)link_tell(link);
	}
}

/* ---- sessions ----------------------------------------------------------------------------------
 */

/* Ends a session without a word and keeps its sums. */
static void link_retire(struct link *link, struct session **session) {
	if (*session) {
		int64_t heard_ms = session_heard_ms(*session);
		if (heard_ms >= 0) {
			link->heard_ms = clock_boot_ms() - heard_ms;
		}
		link->sent_bytes += session_sent_bytes(*session);
		link->received_bytes += session_received_bytes(*session);
		session_destroy(*session);
		*session = NULL;
	}
}

/* Says goodbye, for a relay that still hears us. */
static void link_dismiss(struct link *link, struct session **session) {
	if (*session) {
		link_retire(link, &link->leaving);
		link->leaving = *session;
		*session = NULL;
		session_close(link->leaving);
	}
}

void link_drop_current(struct link *link) {
	alarm_stop(&link->beat);
	alarm_stop(&link->move);
	link->is_suspect = false;
	link_retire(link, &link->current);
}

void link_abandon_next(struct link *link) {
	link_retire(link, &link->next);
}

void link_enter_attempt(struct link *link) {
	switch (session_state(link->next)) {
	case SESSION_CONNECTING:
		link_enter(link, LINK_CONNECTING);
		break;
	case SESSION_OPENING:
		link_enter(link, LINK_OPENING);
		break;
	case SESSION_GREETING:
		link_enter(link, LINK_GREETING);
		break;
	case SESSION_UP: /* it is the current one then */
		break;
	}
}

static void link_on_session_entered(struct session *session, enum session_state state, void *ctx) {
	struct link *link = ctx;
	(void)state;
	if (session == link->next && link->state != LINK_UP) {
		link_enter_attempt(link);
	}
}

static void link_on_session_opened(struct session *session, void *ctx) {
	struct link *link = ctx;
	if (link->state != LINK_UP) {
		link_enter(link, LINK_GREETING);
	}
	link_send_hello(link, session);
}

void link_go_offline(struct link *link) {
	CLEANUP_FREE char *reason =
		mem_printf("there is no network with a route to %s", link_host(link));
	link_abandon_next(link);
	alarm_stop(&link->move);
	alarm_stop(&link->settle);
	alarm_stop(&link->beat); /* a session that is kept will be asked when there is a path again */
	link_set_reason(link, reason);
	link_enter(link, LINK_OFFLINE);
	alarm_set(&link->retry, LINK_POLL_MS, ALARM_SLACK_CARE_MS);
}

/* On a network that never carried a session a bad certificate is most likely a login page's. */
static bool link_is_tls_news(const struct link *link, const struct session_end *end) {
	return end->class == RETRY_TLS && strcmp(link->failed_path.key, link->worked_key) != 0;
}

static void link_explain(struct link *link, const struct session_end *end) {
	struct network_status status = {0};
	if (link->network) {
		network_status(link->network, &status);
	}
	const char *more = "";
	link->wants_login = false;
	if (clock_wall_ms() / 1000 < LINK_CLOCK_FLOOR_SEC && end->class == RETRY_TLS) {
		more = "; the clock of this machine is wrong";
	} else if (status.nm_connectivity == 2) {
		link->wants_login = true;
		more = "; this network wants a login in a browser first";
	} else if (end->looks_like_portal || (link->network && link_is_tls_news(link, end))) {
		link->wants_login = true;
		more = "; perhaps this network wants a login in a browser first";
	}
	CLEANUP_FREE char *reason = mem_printf("%s%s", end->reason, more);
	link_set_reason(link, reason);
	link->failed_connectivity = status.nm_connectivity;
}

/* There is no session and none on its way: when is the next attempt? */
static void link_failed(struct link *link, const struct session_end *end) {
	if (end->class == RETRY_NO_PATH || !link_has_path(link)) {
		link_go_offline(link);
		return;
	}
	enum retry_class class = end->class;
	if (class == RETRY_UNREACHABLE && end->looks_like_portal) {
		class = RETRY_TLS; /* no rush */
	}
	link_path(link, &link->failed_path);
	link_explain(link, end);
	link->failed_class = class;
	link->retries.is_hasty = link_is_hasty(link);
	int64_t delay_ms = retry_next_ms(&link->retries, class, end->told_sec);
	bool is_for_good = retry_is_for_good(&link->retries, class);
	log_info("link attempt failed relay=%s class=%s attempts=%u next_ms=%" PRId64 " reason=%s",
		link_host(link), retry_class_name(class), link->retries.attempts, delay_ms, link->reason);
	alarm_set(
		&link->retry, delay_ms, is_for_good ? ALARM_SLACK_CARE_MS : (uint32_t)(delay_ms / 20));
	link_enter(link, is_for_good ? LINK_REFUSED : LINK_WAITING);
}

static void link_on_current_ended(struct link *link, const struct session_end *end) {
	int64_t age_ms = session_age_ms(link->current);
	bool is_offline = link->state == LINK_OFFLINE;
	if (age_ms >= 60000) {
		retry_reset(&link->retries);
	}
	if (age_ms >= LINK_LASTING_MS) {
		link->retries.replacements = 0;
	}
	if (end->was_trial) {
		link->evidence.is_set = true;
		link->evidence.at_ms = clock_boot_ms();
	}
	link_drop_current(link);
	if (is_offline && !link_has_path(link)) {
		return;
	}
	if (link->next) {
		link_set_reason(link, end->reason);
		link_enter_attempt(link);
		return;
	}
	struct session_end local = *end;
	local.class = end->was_trial || is_offline ? RETRY_LOCAL : end->class;
	link_failed(link, &local);
}

static void link_on_next_ended(struct link *link, const struct session_end *end) {
	link->evidence.is_set = false; /* the trouble is not the silence alone */
	if (link->current && link->state == LINK_UP && !link->is_suspect) {
		link->retries.is_hasty = false;
		int64_t delay_ms = retry_next_ms(&link->retries, end->class, end->told_sec);
		log_info("link stays on its old path relay=%s reason=%s", link_host(link), end->reason);
		link_abandon_next(link);
		if (delay_ms >= 0) {
			alarm_set(&link->move, delay_ms, ALARM_SLACK_DEADLINE_MS);
		}
		return;
	}
	struct session_end copy = *end;
	CLEANUP_FREE char *reason = mem_strdup(end->reason);
	copy.reason = reason;
	link_abandon_next(link);
	link_drop_current(link);
	link_failed(link, &copy);
}

static void link_on_session_ended(
	struct session *session, const struct session_end *end, void *ctx) {
	struct link *link = ctx;
	if (session == link->leaving) {
		link_retire(link, &link->leaving);
	} else if (session == link->next) {
		link_on_next_ended(link, end);
	} else if (session == link->current) {
		struct session_end copy = *end;
		CLEANUP_FREE char *reason = mem_strdup(end->reason);
		copy.reason = reason;
		link_on_current_ended(link, &copy);
	}
}

void link_came_up(struct link *link, struct session *session, bool is_new, uint64_t missed) {
	if (session == link->next) {
		struct session *fresh = steal(&link->next);
		bool is_dead = link->is_suspect || (link->current && session_is_stuck(link->current));
		alarm_stop(&link->beat);
		alarm_stop(&link->move);
		if (is_dead) {
			link_drop_current(link);
		} else {
			link_dismiss(link, &link->current);
		}
		link->current = fresh;
		link->sessions++;
		link->nonsense = link->unacked = 0;
		session_greeted(fresh);
		link_judge_evidence(link);
	}
	link->is_suspect = false;
	(void)snprintf(link->worked_key, sizeof link->worked_key, "%s", link_network_key(link));
	alarm_stop(&link->retry);
	link_enter(link, LINK_UP);
	link_beat_set(link);
	link_send_leftovers(link);
	if (!link_tell(link) || link->current != session || !link->events->greeted) {
		return;
	}
	struct link_greeting greeting = {.uaid = link->uaid, .is_new = is_new, .missed = missed};
	link_busy(link);
	link->events->greeted(&greeting, link->ctx);
	(void)link_leave(link);
}

/* ---- attempts ----------------------------------------------------------------------------------
 */

void link_connect(struct link *link) {
	static const struct session_events events = {
		.entered = link_on_session_entered,
		.opened = link_on_session_opened,
		.text = link_on_text,
		.ponged = link_on_ponged,
		.pong_missed = link_on_pong_missed,
		.ended = link_on_session_ended,
	};
	link_abandon_next(link);
	alarm_stop(&link->retry);
	if (!link_has_path(link)) {
		link_go_offline(link);
		return;
	}
	if (link->proxy_error) {
		struct session_end end = {.class = RETRY_REFUSED, .reason = link->proxy_error};
		link_failed(link, &end);
		return;
	}
	struct session_options options = {
		.loop = link->loop,
		.alarms = link->alarms,
		.client = link->client,
		.proxy = link->has_proxy ? &link->proxy : NULL,
		.memory = &link->memory,
		.network = link->network,
		.events = &events,
		.ctx = link,
	};
	log_debug("link", "attempt relay=%s", link_host(link));
	link->next = session_start(&options);
	if (link->state != LINK_UP || !link->current) {
		link_enter(link, LINK_CONNECTING);
	}
}

void link_connect_soon(struct link *link) {
	retry_reset(&link->retries);
	struct retry fresh = {0};
	link_abandon_next(link);
	link_enter(link, LINK_WAITING);
	alarm_set(&link->retry, retry_next_ms(&fresh, RETRY_LOCAL, 0), 0);
}

static void link_on_retry(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct link *link = ctx;
	if (link->state == LINK_OFFLINE && link->current) {
		link_hint(link, LINK_HINT_NETWORK, 0); /* the session may have outlived the pause */
		if (link->state == LINK_OFFLINE && !link_has_path(link)) {
			alarm_set(&link->retry, LINK_POLL_MS, ALARM_SLACK_CARE_MS);
		}
		return;
	}
	link_connect(link);
}

/* ---- the owner's functions ---------------------------------------------------------------------
 */

static void link_choose_proxy(struct link *link) {
	link->has_proxy = proxy_from_environment(
		websocket_client_url(link->client), &link->proxy, &link->proxy_error);
	if (link->has_proxy) {
		log_info("link goes through a proxy relay=%s proxy=%s port=%u", link_host(link),
			link->proxy.host, link->proxy.port);
	}
}

/* As many bits as a number in JSON surely keeps; 0, which counts for nothing, when there is no
 * chance. */
static uint64_t link_make_instance(void) {
	uint64_t random = 0;
	return getrandom(&random, sizeof random, 0) == sizeof random ? random >> 11 : 0;
}

struct link *link_create(const struct link_options *options, char **out_error) {
	struct websocket_client *client =
		websocket_client_create(options->library, options->url, out_error);
	if (!client) {
		return NULL;
	}
	struct link *link = mem_zalloc(sizeof *link);
	link->loop = options->loop;
	link->alarms = options->alarms;
	link->network = options->network;
	link->heartbeats = options->heartbeats;
	link->events = options->events;
	link->ctx = options->ctx;
	link->client = client;
	link->uaid = options->uaid && *options->uaid ? mem_strdup(options->uaid) : NULL;
	link->instance = link_make_instance();
	link->reason = mem_strdup("not started");
	link->since_wall_ms = clock_wall_ms();
	link->since_ms = clock_boot_ms();
	link->thrift = LINK_BALANCED;
	link->on_mains = true;
	buffer_init(&link->acks, LINK_ACK_BYTES);
	ev_timer_init(&link->tell, link_on_tell, 0., 0.);
	link->tell.data = link;
	alarm_init(&link->retry, link->alarms, link_on_retry, link);
	alarm_init(&link->move, link->alarms, link_on_move, link);
	alarm_init(&link->settle, link->alarms, link_on_settled, link);
	alarm_init(&link->beat, link->alarms, link_on_beat, link);
	alarm_init(&link->ack, link->alarms, link_on_ack, link);
	if (options->use_proxy) {
		link_choose_proxy(link);
	}
	return link;
}

void link_destroy(struct link *link) {
	if (!link) {
		return;
	}
	link_retire(link, &link->next);
	link_retire(link, &link->current);
	link_retire(link, &link->leaving);
	alarm_stop(&link->retry);
	alarm_stop(&link->move);
	alarm_stop(&link->settle);
	alarm_stop(&link->beat);
	alarm_stop(&link->ack);
	ev_timer_stop(link->loop, &link->tell);
	link->is_destroyed = true;
	if (link->busy == 0) {
		link_free(link);
	}
}

void link_start(struct link *link) {
	if (link->state == LINK_STOPPED) {
		link_set_reason(link, "just started");
		link_connect(link);
	}
}

void link_stop(struct link *link) {
	if (link->state == LINK_STOPPED) {
		return;
	}
	if (link->state == LINK_UP) {
		link_flush_acks(link);
	}
	alarm_stop(&link->retry);
	alarm_stop(&link->move);
	alarm_stop(&link->settle);
	alarm_stop(&link->beat);
	link_abandon_next(link);
	link_dismiss(link, &link->current);
	link->is_suspect = false;
	link_set_reason(link, "stopped");
	link_enter(link, LINK_STOPPED);
}

bool link_is_up(const struct link *link) {
	return link->state == LINK_UP;
}

static const char *link_peer(const struct link *link, char *text, size_t max) {
	const struct session *session = link->current ? link->current : link->next;
	const struct sockaddr *peer = session ? session_peer(session) : NULL;
	char address[RACE_ADDRESS_TEXT];
	if (!peer || peer->sa_family == AF_UNSPEC) {
		return "";
	}
	race_address_print(peer, address);
	const struct sockaddr_in *in = (const void *)peer; /* the port lies in the same place */
	(void)snprintf(text, max, "%s port %u", address, ntohs(in->sin_port));
	return text;
}

static int64_t link_next_attempt_ms(const struct link *link) {
	if (link->state != LINK_UP && !link->next && alarm_is_set(&link->settle)) {
		return alarm_left_ms(&link->settle);
	}
	switch (link->state) {
	case LINK_WAITING:
	case LINK_REFUSED:
		return alarm_left_ms(&link->retry);
	case LINK_CONNECTING:
	case LINK_OPENING:
	case LINK_GREETING:
		return 0;
	case LINK_OFFLINE:
	case LINK_STOPPED:
	case LINK_UP:
	case LINK_STATE_COUNT:
		break;
	}
	return -1;
}

void link_status(const struct link *link, struct link_status *out) {
	static char peer[RACE_ADDRESS_TEXT + 16]; /* lives until the next call */
	const struct session *session = link->current;
	int64_t heard_ms = session ? session_heard_ms(session) : -1;
	if (heard_ms < 0 && link->heard_ms > 0) {
		heard_ms = clock_boot_ms() - link->heard_ms;
	}
	*out = (struct link_status){
		.state = link->state,
		.since_wall_ms = link->since_wall_ms,
		.next_attempt_ms = link_next_attempt_ms(link),
		.reason = link->reason,
		.wants_login = link->wants_login,
		.reconnects = link->sessions > 0 ? link->sessions - 1 : 0,
		.attempts = link->state == LINK_UP ? 0 : link->retries.attempts,
		.heartbeat_ms = (int64_t)link->interval_sec * 1000,
		.round_trip_ms = session ? session_round_trip_ms(session) : -1,
		.last_heard_ms = heard_ms,
		.peer = link_peer(link, peer, sizeof peer),
		.network_key = link_network_key(link),
		.sent_bytes = link->sent_bytes + (session ? session_sent_bytes(session) : 0),
		.received_bytes = link->received_bytes + (session ? session_received_bytes(session) : 0),
	};
}
