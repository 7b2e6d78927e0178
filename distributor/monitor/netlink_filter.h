/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rtnetlink messages are worth a look. A laptop with containers, or Wi-Fi that scans, gets
 * them constantly; what changes neither a path that was asked about nor a default route is passed
 * over. Pure: no socket, no clock.
 */
#pragma once
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	NETLINK_LINKS_MAX = 256,
	NETLINK_ADDRESSES_MAX = 256,
	NETLINK_ROUTES_MAX = 32,
	NETLINK_PEERS_MAX = 16,
	NETLINK_LOOPBACK = 1, /* the kernel's fixed index, in each namespace */
};

struct netlink_link {
	int ifindex;
	unsigned flags; /* those that matter */
};
struct netlink_address {
	int ifindex;
	struct sockaddr_storage address;
	uint32_t flags;
};
/* A default route of any table. */
struct netlink_route {
	int ifindex; /* the first hop's when it has several */
	uint8_t family;
	uint32_t table, priority;
	struct sockaddr_storage gateway;
};

struct netlink_filter {
	struct netlink_link links[NETLINK_LINKS_MAX];
	struct netlink_address addresses[NETLINK_ADDRESSES_MAX];
	struct netlink_route routes[NETLINK_ROUTES_MAX];
	struct sockaddr_storage peers[NETLINK_PEERS_MAX]; /* who was asked about, the latest first */
	int ways[NETLINK_PEERS_MAX]; /* the interface towards each peer at the last look; 0: none */
	unsigned link_count, address_count, route_count, peer_count;
	bool is_lenient; /* there is no usable path: anything may bring one */
};

enum netlink_verdict {
	NETLINK_IGNORE,
	NETLINK_HINT,
	NETLINK_HINT_TWICE, /* and look again later: a new IPv6 address, still tentative */
};
/* What a message from the groups means; learns from it. */
enum netlink_verdict netlink_filter_judge(
	struct netlink_filter *filter, const struct nlmsghdr *message);

/* A fresh start from dumps: forget, then judge every link and address, and note every default
 * route. */
void netlink_filter_forget(struct netlink_filter *filter);
/* Reads a default route that carries packets; false for every other message. */
bool netlink_route_read(const struct nlmsghdr *message, struct netlink_route *out_route);
void netlink_filter_note_route(struct netlink_filter *filter, const struct netlink_route *route);
/* Remembers a peer; the one asked about longest ago makes room. */
void netlink_filter_note_peer(
	struct netlink_filter *filter, const struct sockaddr *peer, int ifindex);
bool netlink_filter_runs(const struct netlink_filter *filter, int ifindex);
