/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps libwebsockets from judging by the kernel's routes. From 4.2 on its context listens to their
 * changes, ends each connection whose route goes, though it may be back at once, and connects to
 * nobody for whom its copy of the table has no route. It has no setting for that, so the socket it
 * listens with is found, and hears nothing more. Without effect where it has none.
 *
 *     struct netlink_mute mute;
 *     netlink_mute_begin(&mute);
 *     context = lws_create_context(&info);
 *     netlink_mute_end(&mute);
 */
#pragma once
#include <stdint.h>

enum { NETLINK_MUTE_FDS = 1024 }; /* it is looked for among so many descriptors */

struct netlink_mute {
	uint8_t were_there[NETLINK_MUTE_FDS / 8];
};

void netlink_mute_begin(struct netlink_mute *mute);
/* Every socket opened since that listens to the kernel's network leaves its groups, and what waits
 * in it is thrown away. */
void netlink_mute_end(const struct netlink_mute *mute);
