/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rtnetlink socket that hears of links, addresses and routes of both families. Its messages are
 * hints, never state: what is true is asked for afterwards. One call for each run of messages.
 */
#pragma once
#include "distributor/monitor/netlink_filter.h"
#include <ev.h>

struct netlink;
/* `hints` messages of a run were worth a look (lost ones count as one); look_again: and once more
 * in a while. */
typedef void netlink_hinted_fn(unsigned hints, bool look_again, void *ctx);

/* 0 or negative errno. */
int netlink_open(
	struct ev_loop *loop, netlink_hinted_fn *hinted, void *ctx, struct netlink **out_netlink);
void netlink_close(struct netlink *netlink);
/* Asks for links, addresses and default routes afresh, so that the filter knows what is old. True
 * when a default route lies on an interface that carries. */
bool netlink_look(struct netlink *netlink);
struct netlink_filter *netlink_filter(struct netlink *netlink);
