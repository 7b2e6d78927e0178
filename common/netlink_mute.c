/* SPDX-License-Identifier: Apache-2.0 */
/* Finds netlink sockets that belong to a library, and takes them out of their groups. */
#include "common/netlink_mute.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

enum { NETLINK_GROUPS = 32, NETLINK_READS_MAX = 10000 };

static int netlink_option(int fd, int option) {
	int value = -1;
	socklen_t bytes = sizeof value;
	return getsockopt(fd, SOL_SOCKET, option, &value, &bytes) == 0 ? value : -1;
}

/* One without groups, as getaddrinfo has in another thread, only hears answers. */
static bool netlink_is_listening(int fd) {
	struct sockaddr_nl address = {0};
	socklen_t bytes = sizeof address;
	return netlink_option(fd, SO_DOMAIN) == AF_NETLINK &&
		   netlink_option(fd, SO_PROTOCOL) == NETLINK_ROUTE &&
		   getsockname(fd, (struct sockaddr *)&address, &bytes) == 0 && address.nl_groups != 0;
}

static void netlink_leave(int fd) {
	char data[4096];
	for (int group = 1; group <= NETLINK_GROUPS; group++) {
		/* fails for those that it is not in */
		(void)setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group);
	}
	/* The table that was asked for arrives piece by piece, each when the last was read. */
	for (int i = 0; i < NETLINK_READS_MAX; i++) {
		if (recv(fd, data, sizeof data, MSG_DONTWAIT) < 0 && errno != EINTR && errno != ENOBUFS) {
			return;
		}
	}
}

void netlink_mute_begin(struct netlink_mute *mute) {
	memset(mute, 0, sizeof *mute);
	for (int fd = 0; fd < NETLINK_MUTE_FDS; fd++) {
		if (netlink_is_listening(fd)) {
			mute->were_there[fd / 8] |= (uint8_t)(1U << fd % 8);
		}
	}
}

void netlink_mute_end(const struct netlink_mute *mute) {
	for (int fd = 0; fd < NETLINK_MUTE_FDS; fd++) {
		if (!(mute->were_there[fd / 8] & 1U << fd % 8) && netlink_is_listening(fd)) {
			netlink_leave(fd);
		}
	}
}
