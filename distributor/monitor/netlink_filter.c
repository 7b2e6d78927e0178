/* SPDX-License-Identifier: Apache-2.0 */
/* Passes over the rtnetlink messages that cannot matter. */
#include "distributor/monitor/netlink_filter.h"
#include "distributor/monitor/address.h"
#include "distributor/monitor/rtnl.h"
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000 /* linux/if.h has it, but quarrels with net/if.h */
#endif
enum {
	NETLINK_FLAGS = IFF_UP | IFF_RUNNING | IFF_LOWER_UP,
	NETLINK_HOST_BITS_V6 = 64, /* routes this long belong to one link */
};

static bool netlink_is_way(const struct netlink_filter *filter, int ifindex) {
	for (unsigned i = 0; i < filter->route_count; i++) {
		if (filter->routes[i].ifindex == ifindex) {
			return true;
		}
	}
	for (unsigned i = 0; i < filter->peer_count; i++) {
		if (filter->ways[i] == ifindex) {
			return true;
		}
	}
	return filter->is_lenient;
}

static struct netlink_link *netlink_find_link(struct netlink_filter *filter, int ifindex) {
	for (unsigned i = 0; i < filter->link_count; i++) {
		if (filter->links[i].ifindex == ifindex) {
			return &filter->links[i];
		}
	}
	return NULL;
}

bool netlink_filter_runs(const struct netlink_filter *filter, int ifindex) {
	for (unsigned i = 0; i < filter->link_count; i++) {
		if (filter->links[i].ifindex == ifindex) {
			return filter->links[i].flags & IFF_RUNNING;
		}
	}
	return false;
}

/* Did what is known of the link change? One that the table has no room for always does. */
static bool netlink_learn_link(struct netlink_filter *filter, int ifindex, unsigned flags) {
	struct netlink_link *link = netlink_find_link(filter, ifindex);
	if (link) {
		bool is_news = link->flags != flags;
		link->flags = flags;
		return is_news;
	}
	if (filter->link_count < NETLINK_LINKS_MAX) {
		filter->links[filter->link_count++] = (struct netlink_link){ifindex, flags};
	}
	return true;
}

static enum netlink_verdict netlink_judge_link(
	struct netlink_filter *filter, const struct nlmsghdr *message) {
	const struct ifinfomsg *info = rtnl_body(message, sizeof *info);
	if (!info || info->ifi_index == NETLINK_LOOPBACK || info->ifi_family == AF_BRIDGE) {
		return NETLINK_IGNORE;
	}
	bool is_news = true;
	if (message->nlmsg_type == RTM_DELLINK) {
		struct netlink_link *link = netlink_find_link(filter, info->ifi_index);
		if (link) {
			*link = filter->links[--filter->link_count];
		}
	} else {
		is_news =
			netlink_learn_link(filter, info->ifi_index, info->ifi_flags & (unsigned)NETLINK_FLAGS);
	}
	return is_news && netlink_is_way(filter, info->ifi_index) ? NETLINK_HINT : NETLINK_IGNORE;
}

static struct netlink_address *netlink_find_address(
	struct netlink_filter *filter, int ifindex, const struct sockaddr_storage *address) {
	for (unsigned i = 0; i < filter->address_count; i++) {
		struct netlink_address *known = &filter->addresses[i];
		if (known->ifindex == ifindex && address_equals((const struct sockaddr *)&known->address,
											 (const struct sockaddr *)address)) {
			return known;
		}
	}
	return NULL;
}

/* A new address or changed flags; a refreshed lifetime is no news. */
static bool netlink_learn_address(struct netlink_filter *filter, int ifindex,
	const struct sockaddr_storage *address, uint32_t flags) {
	struct netlink_address *known = netlink_find_address(filter, ifindex, address);
	if (known) {
		bool is_news = known->flags != flags;
		known->flags = flags;
		return is_news;
	}
	if (filter->address_count < NETLINK_ADDRESSES_MAX) {
		filter->addresses[filter->address_count++] =
			(struct netlink_address){ifindex, *address, flags};
	}
	return true;
}

static enum netlink_verdict netlink_judge_address(
	struct netlink_filter *filter, const struct nlmsghdr *message) {
	const struct ifaddrmsg *info = rtnl_body(message, sizeof *info);
	if (!info || (int)info->ifa_index == NETLINK_LOOPBACK) {
		return NETLINK_IGNORE;
	}
	/* on a point-to-point link ADDRESS is the far end */
	const struct rtattr *local = rtnl_attribute(message, sizeof *info, IFA_LOCAL);
	const struct rtattr *flags = rtnl_attribute(message, sizeof *info, IFA_FLAGS);
	struct sockaddr_storage address = rtnl_address(
		info->ifa_family, local ? local : rtnl_attribute(message, sizeof *info, IFA_ADDRESS));
	if (info->ifa_family == AF_INET6 && address_is_link_local((const struct sockaddr *)&address)) {
		return NETLINK_IGNORE; /* each join brings one, and no packet to a relay leaves with it */
	}
	uint32_t address_flags = flags ? rtnl_u32(flags) : info->ifa_flags;
	int ifindex = (int)info->ifa_index;
	bool is_news = true;
	if (message->nlmsg_type == RTM_DELADDR) {
		struct netlink_address *known = netlink_find_address(filter, ifindex, &address);
		if (known) {
			*known = filter->addresses[--filter->address_count];
		}
	} else {
		is_news = netlink_learn_address(filter, ifindex, &address, address_flags);
	}
	if (!is_news || !netlink_is_way(filter, ifindex)) {
		return NETLINK_IGNORE;
	}
	bool is_unready = message->nlmsg_type == RTM_NEWADDR && address_flags & IFA_F_TENTATIVE;
	return is_unready ? NETLINK_HINT_TWICE : NETLINK_HINT;
}

static bool netlink_carries(const struct rtmsg *info) {
	return info->rtm_type != RTN_LOCAL && info->rtm_type != RTN_BROADCAST &&
		   info->rtm_type != RTN_ANYCAST && info->rtm_type != RTN_MULTICAST &&
		   !(info->rtm_flags & RTM_F_CLONED);
}

/* The first hop of a route with several. */
static int netlink_first_hop(const struct rtattr *hops) {
	const struct rtnexthop *hop = hops ? RTA_DATA(hops) : NULL;
	return hop && RTA_PAYLOAD(hops) >= sizeof *hop ? hop->rtnh_ifindex : 0;
}

bool netlink_route_read(const struct nlmsghdr *message, struct netlink_route *out_route) {
	const struct rtmsg *info = rtnl_body(message, sizeof *info);
	if (!info || info->rtm_dst_len != 0 || info->rtm_type != RTN_UNICAST ||
		!netlink_carries(info) || (info->rtm_family != AF_INET && info->rtm_family != AF_INET6)) {
		return false;
	}
	const struct rtattr *table = rtnl_attribute(message, sizeof *info, RTA_TABLE);
	const struct rtattr *oif = rtnl_attribute(message, sizeof *info, RTA_OIF);
	*out_route = (struct netlink_route){
		.ifindex = oif ? (int)rtnl_u32(oif)
					   : netlink_first_hop(rtnl_attribute(message, sizeof *info, RTA_MULTIPATH)),
		.family = info->rtm_family,
		.table = table ? rtnl_u32(table) : info->rtm_table,
		.priority = rtnl_u32(rtnl_attribute(message, sizeof *info, RTA_PRIORITY)),
		.gateway =
			rtnl_address(info->rtm_family, rtnl_attribute(message, sizeof *info, RTA_GATEWAY)),
	};
	return true;
}

static bool netlink_knows_route(
	const struct netlink_filter *filter, const struct netlink_route *route) {
	for (unsigned i = 0; i < filter->route_count; i++) {
		const struct netlink_route *known = &filter->routes[i];
		if (known->ifindex == route->ifindex && known->family == route->family &&
			known->table == route->table && known->priority == route->priority &&
			address_equals((const struct sockaddr *)&known->gateway,
				(const struct sockaddr *)&route->gateway)) {
			return true;
		}
	}
	return false;
}

static bool netlink_covers_peer(
	const struct netlink_filter *filter, const struct nlmsghdr *message, const struct rtmsg *info) {
	struct sockaddr_storage prefix =
		rtnl_address(info->rtm_family, rtnl_attribute(message, sizeof *info, RTA_DST));
	for (unsigned i = 0; i < filter->peer_count; i++) {
		if (address_is_within((const struct sockaddr *)&filter->peers[i],
				(const struct sockaddr *)&prefix, info->rtm_dst_len)) {
			return true;
		}
	}
	return false;
}

static enum netlink_verdict netlink_judge_route(
	struct netlink_filter *filter, const struct nlmsghdr *message) {
	const struct rtmsg *info = rtnl_body(message, sizeof *info);
	if (!info || !netlink_carries(info)) {
		return NETLINK_IGNORE;
	}
	if (info->rtm_dst_len == 0) {
		/* routers announce themselves again and again, and user space adds the same route anew.
		 * What the last look saw may have vanished silently since, but then some hint came. */
		struct netlink_route route;
		bool is_repeated = message->nlmsg_type == RTM_NEWROUTE &&
						   netlink_route_read(message, &route) &&
						   netlink_knows_route(filter, &route);
		return is_repeated ? NETLINK_IGNORE : NETLINK_HINT;
	}
	if (netlink_covers_peer(filter, message, info)) {
		return NETLINK_HINT;
	}
	bool is_one_link = info->rtm_family == AF_INET6 && info->rtm_dst_len >= NETLINK_HOST_BITS_V6;
	return filter->is_lenient && !is_one_link ? NETLINK_HINT : NETLINK_IGNORE;
}

enum netlink_verdict netlink_filter_judge(
	struct netlink_filter *filter, const struct nlmsghdr *message) {
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return netlink_judge_link(filter, message);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return netlink_judge_address(filter, message);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return netlink_judge_route(filter, message);
	default:
		return NETLINK_IGNORE;
	}
}

void netlink_filter_forget(struct netlink_filter *filter) {
	filter->link_count = filter->address_count = filter->route_count = 0;
}

void netlink_filter_note_route(struct netlink_filter *filter, const struct netlink_route *route) {
	if (filter->route_count < NETLINK_ROUTES_MAX) {
		filter->routes[filter->route_count++] = *route;
	}
}

void netlink_filter_note_peer(
	struct netlink_filter *filter, const struct sockaddr *peer, int ifindex) {
	unsigned at = 0;
	while (at < filter->peer_count &&
		   !address_equals((const struct sockaddr *)&filter->peers[at], peer)) {
		at++;
	}
	if (at == filter->peer_count) {
		filter->peer_count += filter->peer_count < NETLINK_PEERS_MAX;
		at = filter->peer_count - 1;
	}
	memmove(filter->peers + 1, filter->peers, at * sizeof filter->peers[0]);
	memmove(filter->ways + 1, filter->ways, at * sizeof filter->ways[0]);
	filter->peers[0] = address_plain(peer);
	filter->ways[0] = ifindex;
}
