/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NetworkManager says: state, connectivity, metered, and which connection is the primary one.
 * Hints and names only: "unknown" is not offline, and an absent or restarted NetworkManager is no
 * news about the network.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/monitor/network.h"
#include <systemd/sd-bus.h>

struct networkmanager;

struct networkmanager_view {
	uint32_t state, connectivity; /* as it numbers them; 0: unknown */
	enum network_metered metered;
	char uuid[40]; /* of the primary connection; "": none or not known */
	char interface[16]; /* which carries it; "": not known */
	bool is_cellular;
};

struct networkmanager_events {
	void (*changed)(void *ctx); /* the view did */
	void (*settled)(void *ctx); /* it is known whether there is a NetworkManager */
};
struct networkmanager *networkmanager_follow(struct sd_bus *bus, struct alarms *alarms,
	const struct networkmanager_events *events, void *ctx);
void networkmanager_unfollow(struct networkmanager *nm); /* NULL is fine */
bool networkmanager_is_there(const struct networkmanager *nm);
const struct networkmanager_view *networkmanager_view(const struct networkmanager *nm);
