/* SPDX-License-Identifier: Apache-2.0 */
/* What to make of news: does the way to the relay look as before, is the session alive, is it time
 * to move? And the heartbeat that asks without news. */
#include "common/log.h"
#include "distributor/link/link_internal.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- the path ----------------------------------------------------------------------------------
 */

static const char *link_target_host(const struct link *link) {
	return link->has_proxy ? link->proxy.host : link_host(link);
}

static bool link_parse_address(const char *host, struct sockaddr_storage *out) {
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		out->ss_family = AF_INET6;
	} else if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		out->ss_family = AF_INET;
	}
	return out->ss_family != AF_UNSPEC;
}

static bool link_is_reachable(struct link *link, const struct sockaddr_storage *address) {
	struct network_path path;
	network_path_to(link->network, (const struct sockaddr *)address, &path);
	return path.is_usable;
}

bool link_has_path(struct link *link) {
	struct sockaddr_storage literal;
	if (!link->network) {
		return true;
	}
	if (link_parse_address(link_target_host(link), &literal)) {
		return link_is_reachable(link, &literal);
	}
	for (unsigned int i = 0; i < link->memory.count; i++) {
		if (link_is_reachable(link, &link->memory.addresses[i])) {
			return true;
		}
	}
	return network_has_route(link->network) ||
		   (!link->has_proxy && url_is_loopback(websocket_client_url(link->client)));
}

/* The way to the relay as far as its address is known, else the way out. */
void link_path(struct link *link, struct network_path *out) {
	struct sockaddr_storage somewhere;
	const struct sockaddr *peer = link->current ? session_peer(link->current) : NULL;
	memset(out, 0, sizeof *out);
	if (!link->network) {
		out->is_usable = true;
		return;
	}
	if (!peer || peer->sa_family == AF_UNSPEC) {
		peer = (const struct sockaddr *)&link->memory.winner;
	}
	if (peer->sa_family == AF_UNSPEC) {
		if (!link_parse_address(link_target_host(link), &somewhere)) {
			(void)link_parse_address("198.51.100.1", &somewhere); /* any; nothing is sent there */
		}
		peer = (const struct sockaddr *)&somewhere;
	}
	network_path_to(link->network, peer, out);
}

static bool link_path_is_same(
	struct link *link, const struct network_path *then, const struct sockaddr *local) {
	struct network_path now;
	if (!link->network) {
		return true;
	}
	link_path(link, &now);
	return network_path_is_same(link->network, then, &now, local);
}

const char *link_network_key(const struct link *link) {
	const struct session *session = link->current ? link->current : link->next;
	return session ? session_path(session)->key : "";
}

/* May the old path still carry: is the address on the machine, has the interface a carrier? */
static bool link_old_path_works(const struct session *session) {
	struct ifreq request = {0};
	const struct sockaddr *local = session_local(session);
	if (local->sa_family == AF_UNSPEC ||
		!if_indextoname((unsigned int)session_path(session)->ifindex, request.ifr_name)) {
		return false;
	}
	int fd = socket(local->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return false;
	}
	struct sockaddr_storage address = {0};
	socklen_t bytes =
		local->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	memcpy(&address, local, bytes);
	((struct sockaddr_in *)&address)->sin_port = 0; /* in the same place for both families */
	bool works = bind(fd, (struct sockaddr *)&address, bytes) == 0 &&
				 ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
	(void)close(fd);
	return works;
}

/* ---- asking and moving -------------------------------------------------------------------------
 */

bool link_is_hasty(const struct link *link) {
	return clock_boot_ms() < link->hasty_until_ms;
}

int64_t link_pong_ms(const struct link *link) {
	bool is_slow = session_round_trip_ms(link->current) > SESSION_SLOW_MS ||
				   link->timeouts >= LINK_TIMEOUTS_MAX;
	return is_slow ? SESSION_SLOW_PONG_MS : SESSION_PONG_MS;
}

static void link_probe(struct link *link, int64_t deadline_ms) {
	int64_t slow_ms = link_pong_ms(link);
	session_ping(link->current, slow_ms > SESSION_PONG_MS ? slow_ms : deadline_ms, false);
}

/* Looks at the forced reconnects so far; when was the last? 0: never. */
static int64_t link_judge_flapping(struct link *link, int64_t now_ms) {
	int64_t last_ms = 0, oldest_ms = now_ms;
	for (unsigned int i = 0; i < LINK_FLAPS_MAX; i++) {
		last_ms = link->forced_ms[i] > last_ms ? link->forced_ms[i] : last_ms;
		oldest_ms = link->forced_ms[i] < oldest_ms ? link->forced_ms[i] : oldest_ms;
	}
	if (last_ms == 0 || now_ms - last_ms >= LINK_FLAP_MS) {
		link->is_flapping = false;
		link->settles = 0;
	} else if (oldest_ms > 0 && now_ms - oldest_ms < LINK_FLAP_MS) {
		link->is_flapping = true;
	}
	return last_ms;
}

/* While the network flaps, a reconnect waits until that has been quiet for a while, each time for
 * longer, or until the last one is long ago. */
static int64_t link_settle_ms(const struct link *link, int64_t since_last_ms) {
	if (!link->is_flapping || !link->network) {
		return 0;
	}
	int64_t quiet_ms = ((int64_t)LINK_SETTLE_MS << link->settles) - network_quiet_ms(link->network);
	int64_t step_ms = LINK_FLAP_STEP_MS - since_last_ms;
	return quiet_ms < step_ms ? quiet_ms : step_ms;
}

/* False when this reconnect has to wait; then it is planned. */
static bool link_may_move(struct link *link) {
	int64_t now_ms = clock_boot_ms();
	int64_t wait_ms = link_settle_ms(link, now_ms - link_judge_flapping(link, now_ms));
	if (wait_ms > 0) {
		log_debug("link", "waits for the network to settle relay=%s", link_host(link));
		if (link->state != LINK_UP && !link->next) {
			link_set_reason(link, "the network does not hold still");
		}
		alarm_set(&link->settle, wait_ms, 0);
		return false;
	}
	link->settles += link->is_flapping && link->settles < LINK_SETTLES_MAX;
	link->forced_ms[link->forced_next] = now_ms;
	link->forced_next = (link->forced_next + 1) % LINK_FLAPS_MAX;
	return true;
}

/* Another path: a session on it, the present one kept until that stands if it may live. */
static void link_move(struct link *link, const char *why) {
	retry_reset(&link->retries);
	if (!link_may_move(link)) {
		return;
	}
	log_info("link reconnects relay=%s reason=%s", link_host(link), why);
	alarm_stop(&link->move);
	if (link->current && link->network && !link_old_path_works(link->current)) {
		link_drop_current(link);
	}
	if (link->state != LINK_UP || !link->current) {
		link_set_reason(link, why);
	}
	link_connect(link);
}

void link_on_move(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct link *link = ctx;
	if (link->current && link->state == LINK_UP && !link->next &&
		!link_path_is_same(link, session_path(link->current), session_local(link->current))) {
		link_move(link, "the network changed");
	}
}

/* The better path of a dock is taken when it lasts; a metered one never from the battery. */
static bool link_should_wait_for_dock(struct link *link) {
	struct network_path now;
	struct network_status status;
	link_path(link, &now);
	if (now.ifindex == session_path(link->current)->ifindex ||
		!link_old_path_works(link->current)) {
		return false;
	}
	network_status(link->network, &status);
	if (link->on_mains || status.metered != NETWORK_METERED_YES) {
		if (!alarm_is_set(&link->move)) {
			alarm_set(&link->move, LINK_DOCK_MS, ALARM_SLACK_DEADLINE_MS);
		}
	}
	return true;
}

/* A path is there, and a session that may not be. */
static void link_judge_session(struct link *link) {
	struct session *session = link->current;
	bool was_offline = link->state == LINK_OFFLINE;
	bool was_long = was_offline && clock_boot_ms() - link->since_ms >= LINK_LONG_SLEEP_MS;
	if (was_offline) {
		alarm_stop(&link->retry);
	}
	if (!link_path_is_same(link, session_path(session), session_local(session))) {
		if (!was_offline && link_should_wait_for_dock(link)) {
			link_probe(link, LINK_PROBE_MS);
			return;
		}
		if (link->next && link_path_is_same(link, session_path(link->next), NULL)) {
			return; /* on its way already */
		}
		link_move(link, "the network changed");
		return;
	}
	alarm_stop(&link->move);
	if (session_is_stuck(session) || was_long) {
		link_probe(link, LINK_PROBE_MS);
		link_move(link, was_long ? "the network was away" : "what was sent does not arrive");
	} else if (was_offline) {
		/* what was written meanwhile waits for TCP's next retransmission, perhaps for seconds: a
		 * new session beside this one is sooner, and costs little where pongs are late */
		int64_t patience_ms = 4 * session_round_trip_ms(session);
		patience_ms = patience_ms > LINK_RETURN_PROBE_MS ? patience_ms : LINK_RETURN_PROBE_MS;
		session_ping(session, patience_ms, false);
	} else if (session_heard_ms(session) > LINK_FRESH_MS) {
		link_probe(link, LINK_PROBE_MS);
	}
}

static void link_on_network(struct link *link) {
	if (!link_has_path(link)) {
		if (link->state != LINK_OFFLINE && link->state != LINK_REFUSED) {
			link_go_offline(link);
		}
		return;
	}
	if (link->current) {
		link_judge_session(link);
	} else if (link->next) {
		const struct network_path *path = session_path(link->next);
		if (path->source.ss_family != AF_UNSPEC && !link_path_is_same(link, path, NULL)) {
			link_move(link, "the network changed");
		}
	} else if (link->state == LINK_OFFLINE) {
		link_move(link, "the network is back");
	} else if (link->state == LINK_WAITING) {
		struct network_status status = {0};
		if (link->network) {
			network_status(link->network, &status);
		}
		if (link_is_hasty(link) || !link_path_is_same(link, &link->failed_path, NULL) ||
			status.nm_connectivity != link->failed_connectivity) {
			link_move(link, "the network changed");
		}
	}
}

void link_on_settled(struct alarm *alarm, void *ctx) {
	(void)alarm;
	link_on_network(ctx);
}

static void link_on_resumed(struct link *link, int64_t slept_ms) {
	link->hasty_until_ms = clock_boot_ms() + LINK_HASTE_MS;
	retry_reset(&link->retries);
	if (link->state == LINK_REFUSED) {
		return;
	}
	if (!link_has_path(link)) {
		if (link->state != LINK_OFFLINE) {
			link_go_offline(link);
		}
		return;
	}
	if (!link->current) {
		link_move(link, "the machine woke up");
	} else if (slept_ms >= LINK_LONG_SLEEP_MS) {
		link_probe(link, LINK_RESUME_PROBE_MS);
		link_move(link, "the machine slept");
	} else {
		link_probe(link, LINK_RESUME_PROBE_MS);
	}
}

static void link_on_now(struct link *link) {
	if (link->current) {
		link_probe(link, LINK_PROBE_MS);
	} else if (!link->next) {
		link_connect(link);
	}
}

static void link_on_sleeping(struct link *link) {
	if (link->current && link->state == LINK_UP) {
		link_flush_acks(link);
		session_forget_ping(link->current);
	}
}

void link_hint(struct link *link, enum link_hint hint, int64_t slept_ms) {
	if (link->state == LINK_STOPPED) {
		return;
	}
	bool is_up = link->current && link->state == LINK_UP;
	switch (hint) {
	case LINK_HINT_NETWORK:
		link_on_network(link);
		break;
	case LINK_HINT_RESUMED:
		link_on_resumed(link, slept_ms);
		break;
	case LINK_HINT_SLEEPING:
		link_on_sleeping(link);
		break;
	case LINK_HINT_CLOCK:
		if (is_up) {
			link_probe(link, LINK_PROBE_MS);
		} else if (link->state == LINK_WAITING && link->failed_class == RETRY_TLS) {
			link_connect(link);
		}
		break;
	case LINK_HINT_POWER:
		if (link->state == LINK_WAITING) {
			link_connect_soon(link);
		}
		break;
	case LINK_HINT_USED:
		if (is_up && session_silent_ms(link->current) > LINK_USED_MS) {
			link_probe(link, LINK_PROBE_MS);
		}
		break;
	case LINK_HINT_NOW:
		link_on_now(link);
		break;
	}
}

/* ---- the heartbeat -----------------------------------------------------------------------------
 */

uint32_t link_ceiling_sec(const struct link *link, const struct session *session) {
	switch (link->thrift) {
	case LINK_RELIABLE:
		return HEARTBEAT_MAINS_SEC;
	case LINK_BALANCED:
		return HEARTBEAT_CEILING_SEC;
	case LINK_THRIFTY:
		break;
	}
	return session_path(session)->is_cellular ? HEARTBEAT_CEILING_CELLULAR_SEC
											  : HEARTBEAT_CEILING_SEC;
}

static void link_beat_arm(struct link *link, int64_t after_ms) {
	/* early within the slack, so that the line is never silent for longer than the interval */
	int64_t slack_ms = (int64_t)link->interval_sec * 1000 / 8;
	slack_ms = slack_ms < ALARM_SLACK_HEARTBEAT_MS ? slack_ms : ALARM_SLACK_HEARTBEAT_MS;
	slack_ms = slack_ms < after_ms ? slack_ms : 0;
	alarm_set(&link->beat, after_ms - slack_ms, (uint32_t)slack_ms);
}

void link_beat_set(struct link *link) {
	uint32_t interval_sec = HEARTBEAT_START_SEC;
	if (link->heartbeats) {
		interval_sec = heartbeats_interval_sec(link->heartbeats, link_network_key(link),
			link_ceiling_sec(link, link->current), clock_wall_ms() / 1000);
	}
	if (link->on_mains && interval_sec > HEARTBEAT_MAINS_SEC) {
		interval_sec = HEARTBEAT_MAINS_SEC;
	}
	link->interval_sec = interval_sec;
	link_beat_arm(link, (int64_t)interval_sec * 1000);
}

void link_on_beat(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct link *link = ctx;
	if (!link->current || link->state != LINK_UP) {
		return;
	}
	int64_t interval_ms = (int64_t)link->interval_sec * 1000;
	int64_t silent_ms = session_silent_ms(link->current);
	if (silent_ms < interval_ms - interval_ms / 8 - 1000) {
		link_beat_arm(link, interval_ms - silent_ms); /* it was not silent */
		return;
	}
	bool is_trial = silent_ms >= interval_ms - 2000 && !session_slept(link->current);
	if (session_is_asked(link->current)) {
		return;
	}
	session_ping(link->current, link_pong_ms(link), is_trial);
	link->evidence.is_set = false;
	link->evidence.interval_sec = link->interval_sec;
	memcpy(link->evidence.key, link_network_key(link), sizeof link->evidence.key);
	link_beat_arm(link, interval_ms);
}

void link_on_ponged(struct session *session, bool was_trial, void *ctx) {
	struct link *link = ctx;
	if (session != link->current) {
		return;
	}
	if (link->is_suspect && link->next &&
		link_path_is_same(link, session_path(session), session_local(session))) {
		link_abandon_next(link); /* it was slow, not dead */
	}
	link->is_suspect = false;
	link->timeouts = 0;
	if (was_trial && link->heartbeats) {
		heartbeats_held(link->heartbeats, link_network_key(link), link->interval_sec,
			link_ceiling_sec(link, link->current), clock_wall_ms() / 1000);
	}
	if (link->state != LINK_UP && link_has_path(link)) {
		link_came_up(link, session, false, 0);
		return;
	}
	link_beat_set(link);
}

void link_on_pong_missed(struct session *session, bool was_trial, void *ctx) {
	struct link *link = ctx;
	if (session != link->current) {
		return;
	}
	/* after long silence a forgetful router is more likely than load, and so is a lost packet after
	 * the route was away */
	link->timeouts += !was_trial && link->state == LINK_UP;
	link->is_suspect = true;
	if (was_trial && link->state == LINK_UP) {
		link->evidence.is_set = true;
		link->evidence.at_ms = clock_boot_ms();
	}
	log_info("link is not answered relay=%s silent_ms=%lld", link_host(link),
		(long long)session_heard_ms(session));
	if (link->state == LINK_STOPPED) {
		return;
	}
	link_set_reason(link, "the relay does not answer");
	if (!link->next) {
		link_connect(link);
	}
	if (link->next && link->state == LINK_UP) {
		link_enter_attempt(link); /* a late answer would lead back */
	}
}

void link_judge_evidence(struct link *link) {
	bool counts = link->evidence.is_set && link->heartbeats &&
				  clock_boot_ms() - link->evidence.at_ms <= LINK_EVIDENCE_MS &&
				  strcmp(link->evidence.key, link_network_key(link)) == 0;
	link->evidence.is_set = false;
	if (counts) {
		heartbeats_failed(link->heartbeats, link->evidence.key, link->evidence.interval_sec,
			clock_wall_ms() / 1000);
	}
}

void link_set_thrift(struct link *link, enum link_thrift thrift, bool on_mains) {
	link->thrift = thrift;
	link->on_mains = on_mains;
	link->retries.on_battery = !on_mains;
	if (link->state == LINK_UP) {
		uint32_t before_sec = link->interval_sec;
		int64_t silent_ms = session_silent_ms(link->current);
		link_beat_set(link);
		if (link->interval_sec != before_sec) {
			int64_t left_ms = (int64_t)link->interval_sec * 1000 - silent_ms;
			link_beat_arm(link, left_ms > 0 ? left_ms : 0);
		}
	}
}
