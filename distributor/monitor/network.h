/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's network: rtnetlink always, NetworkManager and logind when the system bus has them,
 * and the clocks. No source is trusted: each only hints that something may have changed, hints are
 * gathered for 300 ms (at most 1 s), and whoever is told looks at his own path (network_path_to).
 * device-network-and-power.md sections 2 to 9.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/bus/bus.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct network;

enum network_news {
	NETWORK_CHANGED, /* an address, route, carrier, or NetworkManager's view of them */
	NETWORK_SLEEPING, /* the machine goes to sleep; sleep waits for the callback and 250 ms more, in
						 which what was written leaves the sockets */
	NETWORK_RESUMED, /* `slept_ms` long, told by logind or seen on the clocks */
	NETWORK_CLOCK_JUMPED, /* the wall clock alone */
};
typedef void network_news_fn(enum network_news news, int64_t slept_ms, void *ctx);

struct clock_reading; /* monitor/clock_watch.h */
struct network_options {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct bus *system_bus; /* NULL: none */
	network_news_fn *news;
	void *ctx;
	struct clock_reading (*clock)(void); /* NULL: the machine's; tests give others */
};

/* NULL with a sentence in *out_error when even rtnetlink cannot be had; the daemon then goes on
 * without. */
struct network *network_open(const struct network_options *options, char **out_error);
void network_close(struct network *network); /* not from within `news`; NULL is fine */
/* The system bus came (again), or is lost (NULL). A bus that is lost may be closed only after this
 * call, as after network_close(). */
void network_set_bus(struct network *network, struct bus *system_bus);

/* How a packet would leave now: the fingerprint of section 5. */
struct network_path {
	bool is_usable; /* there is a route, and its interface carries */
	int ifindex;
	struct sockaddr_storage source, gateway; /* ss_family AF_UNSPEC: none */
	uint8_t gateway_mac[8]; /* zero when the neighbour is not known */
	/* Names the network for learning: "nm:" and NetworkManager's UUID, else "net:" and a salted
	 * hash. "" while the gateway's link address is not known: ask again when packets went through
	 * it. */
	char key[64];
	bool is_cellular;
};
/* Asks the kernel; takes microseconds, never blocks. The peer is remembered: news that concern only
 * other ways than to peers and default routes (containers, scans of Wi-Fi) are passed over. */
void network_path_to(
	struct network *network, const struct sockaddr *peer, struct network_path *out_path);
/* Would a session built on `then` from local address `local` still work on `now`? A rotated IPv6
 * privacy address does not count as a change while `local` is still on the machine. local NULL: the
 * source of `then`. */
bool network_path_is_same(struct network *network, const struct network_path *then,
	const struct network_path *now, const struct sockaddr *local);
/* Any default route of either family on an interface that carries. */
bool network_has_route(struct network *network);

/* Since the last hint, from whatever source. */
int64_t network_quiet_ms(const struct network *network);

enum network_metered { NETWORK_METERED_UNKNOWN, NETWORK_METERED_YES, NETWORK_METERED_NO };
struct network_status {
	enum network_metered metered; /* NetworkManager's word, else YES on a cellular default route */
	uint32_t nm_state, nm_connectivity; /* 0: unknown or no NetworkManager; portal is 2 */
	bool has_logind, has_network_manager;
	uint64_t hints; /* single hints since start, before gathering */
	uint64_t news; /* what was told */
};
void network_status(const struct network *network, struct network_status *out_status);
