/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the rtnetlink groups and passes on what the filter lets through. */
#include "distributor/monitor/netlink.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/monitor/rtnl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	NETLINK_RECEIVE_BYTES = 256 * 1024,
	NETLINK_READ_BYTES = 16384,
	NETLINK_READS_MAX = 64, /* before the rest of the loop has its turn */
};

struct netlink {
	struct ev_loop *loop;
	ev_io io;
	int fd;
	netlink_hinted_fn *hinted;
	void *ctx;
	struct netlink_filter filter;
};

static void netlink_take(struct netlink *netlink, const char *data, size_t bytes,
	unsigned *out_hints, bool *out_look_again) {
	size_t left;
	for (const struct nlmsghdr *message = rtnl_first(data, bytes, &left); message;
		 message = rtnl_next(message, &left)) {
		enum netlink_verdict verdict = netlink_filter_judge(&netlink->filter, message);
		if (verdict != NETLINK_IGNORE) {
			log_debug("network", "hint type=%u", message->nlmsg_type);
			(*out_hints)++;
		}
		*out_look_again |= verdict == NETLINK_HINT_TWICE;
	}
}

static void netlink_on_readable(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	struct netlink *netlink = io->data;
	_Alignas(struct nlmsghdr) char data[NETLINK_READ_BYTES];
	unsigned hints = 0;
	bool look_again = false;
	for (int i = 0; i < NETLINK_READS_MAX; i++) {
		struct sockaddr_nl sender = {0};
		socklen_t sender_bytes = sizeof sender;
		ssize_t bytes =
			recvfrom(netlink->fd, data, sizeof data, 0, (struct sockaddr *)&sender, &sender_bytes);
		if (bytes >= 0 && sender.nl_pid == 0) { /* the kernel, nobody else */
			netlink_take(netlink, data, (size_t)bytes, &hints, &look_again);
		} else if (bytes < 0 && errno == ENOBUFS) {
			log_debug("network", "messages of the kernel were lost");
			hints++;
		} else if (bytes < 0 && errno != EINTR) {
			break;
		}
	}
	if (hints > 0) {
		netlink->hinted(hints, look_again, netlink->ctx);
	}
}

int netlink_open(
	struct ev_loop *loop, netlink_hinted_fn *hinted, void *ctx, struct netlink **out_netlink) {
	int fd = rtnl_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR |
						 RTMGRP_IPV6_ROUTE);
	if (fd < 0) {
		return fd;
	}
	int receive_bytes = NETLINK_RECEIVE_BYTES;
	/* a smaller one only loses more, and lost messages are a hint too */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
	struct netlink *netlink = mem_zalloc(sizeof *netlink);
	netlink->loop = loop;
	netlink->fd = fd;
	netlink->hinted = hinted;
	netlink->ctx = ctx;
	ev_io_init(&netlink->io, netlink_on_readable, fd, EV_READ);
	netlink->io.data = netlink;
	ev_io_start(loop, &netlink->io);
	*out_netlink = netlink;
	return 0;
}

void netlink_close(struct netlink *netlink) {
	if (!netlink) {
		return;
	}
	ev_io_stop(netlink->loop, &netlink->io);
	(void)close(netlink->fd); /* nothing was written */
	free(netlink);
}

static void netlink_on_known(const struct nlmsghdr *message, void *ctx) {
	struct netlink *netlink = ctx;
	(void)netlink_filter_judge(&netlink->filter, message); /* old news; only learnt */
}

static void netlink_on_route(const struct nlmsghdr *message, void *ctx) {
	struct netlink *netlink = ctx;
	struct netlink_route route;
	if (netlink_route_read(message, &route)) {
		netlink_filter_note_route(&netlink->filter, &route);
	}
}

bool netlink_look(struct netlink *netlink) {
	struct netlink_filter *filter = &netlink->filter;
	netlink_filter_forget(filter);
	/* what fails is not known, and what is not known counts as news later */
	(void)rtnl_dump(RTM_GETLINK, AF_UNSPEC, netlink_on_known, netlink);
	(void)rtnl_dump(RTM_GETADDR, AF_UNSPEC, netlink_on_known, netlink);
	(void)rtnl_dump(RTM_GETROUTE, AF_INET, netlink_on_route, netlink);
	(void)rtnl_dump(RTM_GETROUTE, AF_INET6, netlink_on_route, netlink);
	for (unsigned i = 0; i < filter->route_count; i++) {
		if (netlink_filter_runs(filter, filter->routes[i].ifindex)) {
			return true;
		}
	}
	return false;
}

struct netlink_filter *netlink_filter(struct netlink *netlink) {
	return &netlink->filter;
}
