/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers the hints of all sources into news, and answers questions about paths. */
#include "distributor/monitor/network.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/monitor/bus_object.h"
#include "distributor/monitor/netlink.h"
#include "distributor/monitor/networkmanager.h"
#include "distributor/monitor/path.h"
#include "distributor/monitor/sleep_watch.h"
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
	NETWORK_GATHER_MS = 300, /* after each hint */
	NETWORK_GATHER_MAX_MS = 1000, /* after the first */
	NETWORK_AFTER_RESUME_MS = 30000, /* so long hints are not gathered */
	NETWORK_LOOK_AGAIN_MS = 2500, /* duplicate detection of IPv6 addresses is over by then */
};

struct network {
	struct ev_loop *loop;
	struct alarms *alarms;
	network_news_fn *news_fn;
	void *ctx;
	struct rtnl rtnl;
	struct netlink *netlink;
	struct sleep_watch *sleep;
	struct networkmanager *nm;
	struct bus_object *resolved;
	ev_signal continued;
	struct alarm gather, look_again;
	int64_t first_hint_ms; /* boot clock, of those that are gathered */
	int64_t last_hint_ms; /* boot clock; 0: never */
	int64_t resumed_ms; /* boot clock */
	bool has_default; /* at the last look */
	bool is_described; /* what there is was logged */
	bool is_logind_settled, is_nm_settled, is_resolved_settled;
	uint64_t hints, news;
};

static void network_tell(struct network *network, enum network_news news, int64_t slept_ms) {
	network->news++;
	network->news_fn(news, slept_ms, network->ctx);
}

/* Makes the filter know what is on the way to anyone. */
static void network_look(struct network *network) {
	struct netlink_filter *filter = netlink_filter(network->netlink);
	network->has_default = netlink_look(network->netlink);
	bool has_way = network->has_default;
	for (unsigned i = 0; i < filter->peer_count; i++) {
		struct network_path path;
		path_look(&network->rtnl, (struct sockaddr *)&filter->peers[i], &path);
		filter->ways[i] = path.ifindex;
		has_way |= path.is_usable;
	}
	filter->is_lenient = !has_way;
}

static void network_on_gathered(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct network *network = ctx;
	network_look(network);
	log_debug("network", "changed hints=%llu default_route=%d", (unsigned long long)network->hints,
		network->has_default);
	network_tell(network, NETWORK_CHANGED, 0);
}

static void network_hint(struct network *network, unsigned hints) {
	int64_t now_ms = clock_boot_ms();
	network->hints += hints;
	network->last_hint_ms = now_ms;
	if (!alarm_is_set(&network->gather)) {
		network->first_hint_ms = now_ms;
	}
	bool is_fresh =
		network->resumed_ms > 0 && now_ms - network->resumed_ms < NETWORK_AFTER_RESUME_MS;
	int64_t left_ms = network->first_hint_ms + NETWORK_GATHER_MAX_MS - now_ms;
	int64_t delay_ms = is_fresh ? 0 : NETWORK_GATHER_MS;
	alarm_set(&network->gather, delay_ms < left_ms ? delay_ms : left_ms, 0);
}

static void network_on_netlink(unsigned hints, bool look_again, void *ctx) {
	struct network *network = ctx;
	network_hint(network, hints);
	if (look_again) {
		alarm_set(&network->look_again, NETWORK_LOOK_AGAIN_MS, ALARM_SLACK_DEADLINE_MS);
	}
}

static void network_on_nm_changed(void *ctx) {
	network_hint(ctx, 1);
}

/* One line about what there is, when that is known. */
static void network_describe(struct network *network) {
	if (network->is_described || !network->is_logind_settled || !network->is_nm_settled) {
		return;
	}
	network->is_described = true;
	log_info("watching the network logind=%s networkmanager=%s",
		sleep_watch_has_logind(network->sleep) ? "yes" : "no",
		networkmanager_is_there(network->nm) ? "yes" : "no");
}

static void network_on_sleep_settled(void *ctx) {
	struct network *network = ctx;
	network->is_logind_settled = true;
	network_describe(network);
}

static void network_on_nm_settled(void *ctx) {
	struct network *network = ctx;
	network->is_nm_settled = true;
	network_describe(network);
}

static void network_on_resolved_property(
	const char *name, const struct bus_value *value, void *ctx) {
	(void)name; /* which servers does not matter */
	(void)value;
	(void)ctx;
}

/* Other DNS servers: names may resolve only now, seconds after the route came. */
static void network_on_resolved_settled(bool is_there, void *ctx) {
	struct network *network = ctx;
	if (is_there && network->is_resolved_settled) {
		network_hint(network, 1);
	}
	network->is_resolved_settled = true;
}

static const struct bus_object_class network_resolved = {
	.service = "org.freedesktop.resolve1",
	.interface = "org.freedesktop.resolve1.Manager",
	.property = network_on_resolved_property,
	.settled = network_on_resolved_settled,
};

static void network_on_sleep(enum network_news news, int64_t slept_ms, void *ctx) {
	struct network *network = ctx;
	network->hints++;
	if (news == NETWORK_RESUMED) {
		network->resumed_ms = clock_boot_ms();
		network_look(network);
	}
	network_tell(network, news, slept_ms);
}

/* Stopped and continued: what happened meanwhile was missed. */
static void network_on_continued(struct ev_loop *loop, ev_signal *watcher, int events) {
	(void)loop;
	(void)events;
	network_hint(watcher->data, 1);
}

static const struct networkmanager_events network_nm_events = {
	.changed = network_on_nm_changed,
	.settled = network_on_nm_settled,
};

void network_set_bus(struct network *network, struct bus *system_bus) {
	struct sd_bus *sd = system_bus ? bus_get(system_bus) : NULL;
	networkmanager_unfollow(network->nm);
	bus_object_unfollow(network->resolved);
	network->nm = NULL;
	network->resolved = NULL;
	network->is_resolved_settled = false;
	network->is_logind_settled = network->is_nm_settled = !sd;
	network->is_described = false;
	sleep_watch_set_bus(network->sleep, sd, network_on_sleep_settled);
	if (sd) {
		network->nm = networkmanager_follow(sd, network->alarms, &network_nm_events, network);
		network->resolved =
			bus_object_follow(sd, &network_resolved, "/org/freedesktop/resolve1", network);
	} else {
		network_describe(network);
	}
}

struct network *network_open(const struct network_options *options, char **out_error) {
	struct network *network = mem_zalloc(sizeof *network);
	network->loop = options->loop;
	network->alarms = options->alarms;
	network->news_fn = options->news;
	network->ctx = options->ctx;
	alarm_init(&network->gather, options->alarms, network_on_gathered, network);
	alarm_init(&network->look_again, options->alarms, network_on_gathered, network);
	ev_signal_init(&network->continued, network_on_continued, SIGCONT);
	network->continued.data = network;
	ev_signal_start(options->loop, &network->continued);
	network->rtnl.fd = rtnl_socket(0);
	int result = network->rtnl.fd;
	if (result >= 0) {
		result = netlink_open(options->loop, network_on_netlink, network, &network->netlink);
	}
	if (result < 0) {
		*out_error = mem_printf("no rtnetlink socket: %s", strerror(-result));
		network_close(network);
		return NULL;
	}
	network_look(network);
	network->sleep = sleep_watch_open(options->loop, options->alarms,
		options->clock ? options->clock : clock_reading_now, network_on_sleep, network);
	network_set_bus(network, options->system_bus);
	return network;
}

void network_close(struct network *network) {
	if (!network) {
		return;
	}
	networkmanager_unfollow(network->nm);
	bus_object_unfollow(network->resolved);
	sleep_watch_close(network->sleep);
	netlink_close(network->netlink);
	ev_signal_stop(network->loop, &network->continued);
	alarm_stop(&network->gather);
	alarm_stop(&network->look_again);
	if (network->rtnl.fd >= 0) {
		(void)close(network->rtnl.fd); /* nothing was written */
	}
	free(network);
}

/* Does NetworkManager's word about its primary connection concern this interface? */
static bool network_nm_names(const struct networkmanager_view *view, int ifindex) {
	return view->uuid[0] != '\0' &&
		   (view->interface[0] == '\0' || (int)if_nametoindex(view->interface) == ifindex);
}

void network_path_to(
	struct network *network, const struct sockaddr *peer, struct network_path *out_path) {
	path_look(&network->rtnl, peer, out_path);
	netlink_filter_note_peer(netlink_filter(network->netlink), peer, out_path->ifindex);
	const struct networkmanager_view *view = network->nm ? networkmanager_view(network->nm) : NULL;
	if (view && network_nm_names(view, out_path->ifindex)) {
		path_key_of_uuid(view->uuid, out_path->key, sizeof out_path->key);
		out_path->is_cellular |= view->is_cellular;
	}
}

bool network_path_is_same(struct network *network, const struct network_path *then,
	const struct network_path *now, const struct sockaddr *local) {
	if (!local) {
		local = (const struct sockaddr *)&then->source;
	}
	return path_is_same(then, now, path_is_local(&network->rtnl, local));
}

bool network_has_route(struct network *network) {
	network_look(network);
	return network->has_default;
}

int64_t network_quiet_ms(const struct network *network) {
	return clock_boot_ms() - network->last_hint_ms;
}

static bool network_is_cellular(struct network *network) {
	const struct netlink_filter *filter = netlink_filter(network->netlink);
	for (unsigned i = 0; i < filter->route_count; i++) {
		char name[IF_NAMESIZE];
		if (netlink_filter_runs(filter, filter->routes[i].ifindex) &&
			if_indextoname((unsigned)filter->routes[i].ifindex, name)) {
			/* the one that is preferred comes first in each table */
			return path_is_cellular(name, 0);
		}
	}
	return false;
}

void network_status(const struct network *network, struct network_status *out_status) {
	struct network_status status = {
		.has_logind = sleep_watch_has_logind(network->sleep),
		.has_network_manager = networkmanager_is_there(network->nm),
		.hints = network->hints,
		.news = network->news,
	};
	if (network->nm) {
		const struct networkmanager_view *view = networkmanager_view(network->nm);
		status.metered = view->metered;
		status.nm_state = view->state;
		status.nm_connectivity = view->connectivity;
	}
	if (status.metered == NETWORK_METERED_UNKNOWN &&
		network_is_cellular((struct network *)network)) {
		status.metered = NETWORK_METERED_YES;
	}
	*out_status = status;
}
