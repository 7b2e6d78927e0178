/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel messages are passed over. The messages are built here as the kernel builds them. */
#include "distributor/monitor/netlink_filter.h"
#include "distributor/monitor/rtnl.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

enum { ETH = 2, WLAN = 3, DOCKER = 7, RUNS = IFF_UP | IFF_RUNNING | 0x10000 };

static struct netlink_filter filter;

static enum netlink_verdict judge_link(uint16_t type, int ifindex, unsigned flags) {
	struct rtnl_request message;
	struct ifinfomsg *body = rtnl_request_init(&message, type, 0, sizeof *body);
	body->ifi_index = ifindex;
	body->ifi_flags = flags;
	return netlink_filter_judge(&filter, &message.header);
}

static enum netlink_verdict judge_address(
	uint16_t type, int ifindex, int family, const char *text, uint32_t flags) {
	struct rtnl_request message;
	struct ifaddrmsg *body = rtnl_request_init(&message, type, 0, sizeof *body);
	unsigned char data[16];
	assert_int_equal(inet_pton(family, text, data), 1);
	body->ifa_family = (unsigned char)family;
	body->ifa_index = (unsigned)ifindex;
	rtnl_request_add(&message, IFA_ADDRESS, data, family == AF_INET ? 4 : 16);
	rtnl_request_add(&message, IFA_FLAGS, &flags, sizeof flags);
	return netlink_filter_judge(&filter, &message.header);
}

struct route {
	uint16_t type;
	int family;
	const char *prefix;
	unsigned char bits, kind;
	int ifindex;
	const char *gateway;
};

static void build_route(const struct route *route, struct rtnl_request *message) {
	struct rtmsg *body = rtnl_request_init(message, route->type, 0, sizeof *body);
	unsigned char data[16];
	size_t bytes = route->family == AF_INET ? 4 : 16;
	body->rtm_family = (unsigned char)route->family;
	body->rtm_dst_len = route->bits;
	body->rtm_type = route->kind ? route->kind : RTN_UNICAST;
	body->rtm_table = RT_TABLE_MAIN;
	if (route->bits > 0) {
		assert_int_equal(inet_pton(route->family, route->prefix, data), 1);
		rtnl_request_add(message, RTA_DST, data, bytes);
	}
	if (route->gateway) {
		assert_int_equal(inet_pton(route->family, route->gateway, data), 1);
		rtnl_request_add(message, RTA_GATEWAY, data, bytes);
	}
	rtnl_request_add(message, RTA_OIF, &route->ifindex, sizeof route->ifindex);
}

static enum netlink_verdict judge_route(struct route route) {
	struct rtnl_request message;
	build_route(&route, &message);
	return netlink_filter_judge(&filter, &message.header);
}

/* A laptop: default route on ETH, a relay at 198.51.100.5, and containers. */
static int set_up(void **state) {
	(void)state;
	memset(&filter, 0, sizeof filter);
	struct rtnl_request message;
	struct netlink_route known;
	build_route(&(struct route){RTM_NEWROUTE, AF_INET, NULL, 0, 0, ETH, "10.0.0.1"}, &message);
	assert_true(netlink_route_read(&message.header, &known));
	netlink_filter_note_route(&filter, &known);
	struct sockaddr_in peer = {.sin_family = AF_INET};
	assert_int_equal(inet_pton(AF_INET, "198.51.100.5", &peer.sin_addr), 1);
	netlink_filter_note_peer(&filter, (struct sockaddr *)&peer, ETH);
	(void)judge_link(RTM_NEWLINK, ETH, RUNS);
	(void)judge_link(RTM_NEWLINK, WLAN, IFF_UP);
	return 0;
}

static void carrier_of_the_way(void **state) {
	(void)state;
	assert_int_equal(judge_link(RTM_NEWLINK, ETH, RUNS), NETLINK_IGNORE); /* a scan */
	assert_int_equal(judge_link(RTM_NEWLINK, ETH, RUNS | IFF_PROMISC), NETLINK_IGNORE);
	assert_int_equal(judge_link(RTM_NEWLINK, ETH, IFF_UP), NETLINK_HINT);
	assert_int_equal(judge_link(RTM_NEWLINK, ETH, IFF_UP), NETLINK_IGNORE);
	assert_int_equal(judge_link(RTM_NEWLINK, ETH, RUNS), NETLINK_HINT);
	assert_int_equal(judge_link(RTM_DELLINK, ETH, 0), NETLINK_HINT);
	assert_int_equal(judge_link(RTM_NEWLINK, NETLINK_LOOPBACK, 0), NETLINK_IGNORE);
}

static void containers_are_passed_over(void **state) {
	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(judge_link(RTM_NEWLINK, DOCKER + i, RUNS), NETLINK_IGNORE);
		assert_int_equal(
			judge_address(RTM_NEWADDR, DOCKER + i, AF_INET6, "fe80::1", 0x40), NETLINK_IGNORE);
		assert_int_equal(judge_route((struct route){
							 RTM_NEWROUTE, AF_INET, "172.17.0.0", 16, 0, DOCKER + i, NULL}),
			NETLINK_IGNORE);
		assert_int_equal(judge_link(RTM_DELLINK, DOCKER + i, 0), NETLINK_IGNORE);
	}
}

static void without_a_way_everything_counts(void **state) {
	(void)state;
	filter.is_lenient = true;
	assert_int_equal(judge_link(RTM_NEWLINK, WLAN, RUNS), NETLINK_HINT);
	assert_int_equal(judge_address(RTM_NEWADDR, WLAN, AF_INET, "192.168.1.2", 0x80), NETLINK_HINT);
	assert_int_equal(
		judge_route((struct route){RTM_NEWROUTE, AF_INET, "192.168.1.0", 24, 0, WLAN, NULL}),
		NETLINK_HINT);
}

static void addresses(void **state) {
	(void)state;
	assert_int_equal(judge_address(RTM_NEWADDR, ETH, AF_INET, "10.0.0.2", 0x80), NETLINK_HINT);
	/* a lease that is renewed */
	assert_int_equal(judge_address(RTM_NEWADDR, ETH, AF_INET, "10.0.0.2", 0x80), NETLINK_IGNORE);
	assert_int_equal(judge_address(RTM_DELADDR, ETH, AF_INET, "10.0.0.2", 0x80), NETLINK_HINT);
	assert_int_equal(judge_address(RTM_NEWADDR, ETH, AF_INET, "10.0.0.2", 0x80), NETLINK_HINT);
	/* tentative, then usable, then its lifetime refreshed */
	assert_int_equal(
		judge_address(RTM_NEWADDR, ETH, AF_INET6, "2001:db8::2", 0x40), NETLINK_HINT_TWICE);
	assert_int_equal(judge_address(RTM_NEWADDR, ETH, AF_INET6, "2001:db8::2", 0), NETLINK_HINT);
	assert_int_equal(judge_address(RTM_NEWADDR, ETH, AF_INET6, "2001:db8::2", 0), NETLINK_IGNORE);
	assert_int_equal(judge_address(RTM_NEWADDR, ETH, AF_INET6, "fe80::2", 0x40), NETLINK_IGNORE);
	assert_int_equal(
		judge_address(RTM_NEWADDR, NETLINK_LOOPBACK, AF_INET, "127.0.0.2", 0), NETLINK_IGNORE);
}

static void routes(void **state) {
	(void)state;
	static const struct {
		struct route route;
		enum netlink_verdict verdict;
	} cases[] = {
		{{RTM_NEWROUTE, AF_INET, NULL, 0, 0, WLAN, "10.1.0.1"}, NETLINK_HINT},
		{{RTM_NEWROUTE, AF_INET, NULL, 0, 0, ETH, "10.0.0.9"}, NETLINK_HINT},
		{{RTM_NEWROUTE, AF_INET, NULL, 0, 0, ETH, "10.0.0.1"}, NETLINK_IGNORE}, /* repeated */
		{{RTM_DELROUTE, AF_INET, NULL, 0, 0, ETH, "10.0.0.1"}, NETLINK_HINT},
		{{RTM_NEWROUTE, AF_INET, NULL, 0, RTN_BLACKHOLE, ETH, NULL}, NETLINK_HINT},
		{{RTM_NEWROUTE, AF_INET, "198.51.100.5", 32, RTN_BLACKHOLE, 0, NULL}, NETLINK_HINT},
		{{RTM_NEWROUTE, AF_INET, "128.0.0.0", 1, 0, 9, NULL}, NETLINK_HINT}, /* a VPN's half */
		{{RTM_NEWROUTE, AF_INET, "64.0.0.0", 2, 0, 9, NULL}, NETLINK_IGNORE},
		{{RTM_NEWROUTE, AF_INET, "10.0.0.2", 32, RTN_LOCAL, ETH, NULL}, NETLINK_IGNORE},
		{{RTM_NEWROUTE, AF_INET6, NULL, 0, 0, ETH, "fe80::1"}, NETLINK_HINT},
		{{RTM_NEWROUTE, AF_INET6, "2001:db8::", 64, 0, ETH, NULL}, NETLINK_IGNORE},
		{{RTM_NEWROUTE, AF_INET6, "ff00::", 8, RTN_MULTICAST, ETH, NULL}, NETLINK_IGNORE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(judge_route(cases[i].route), cases[i].verdict);
	}
}

static void short_messages_are_nothing(void **state) {
	(void)state;
	for (uint16_t type = RTM_NEWLINK; type < RTM_NEWNEIGH; type++) {
		struct nlmsghdr message = {.nlmsg_len = sizeof message, .nlmsg_type = type};
		assert_int_equal(netlink_filter_judge(&filter, &message), NETLINK_IGNORE);
	}
}

static void the_oldest_peer_makes_room(void **state) {
	(void)state;
	struct sockaddr_in peer = {.sin_family = AF_INET};
	for (uint32_t i = 0; i < NETLINK_PEERS_MAX + 3; i++) {
		peer.sin_addr.s_addr = htonl(0xc0000200 + i);
		netlink_filter_note_peer(&filter, (struct sockaddr *)&peer, (int)i + 1);
	}
	assert_int_equal(filter.peer_count, NETLINK_PEERS_MAX);
	assert_int_equal(filter.ways[0], NETLINK_PEERS_MAX + 3);
	peer.sin_addr.s_addr = htonl(0xc0000200 + NETLINK_PEERS_MAX);
	netlink_filter_note_peer(&filter, (struct sockaddr *)&peer, 99);
	assert_int_equal(filter.peer_count, NETLINK_PEERS_MAX);
	assert_int_equal(filter.ways[0], 99);
	assert_int_equal(filter.ways[1], NETLINK_PEERS_MAX + 3);
	assert_int_equal(filter.ways[2], NETLINK_PEERS_MAX + 2);
	assert_int_equal(filter.ways[3], NETLINK_PEERS_MAX);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(carrier_of_the_way, set_up),
		cmocka_unit_test_setup(containers_are_passed_over, set_up),
		cmocka_unit_test_setup(without_a_way_everything_counts, set_up),
		cmocka_unit_test_setup(addresses, set_up),
		cmocka_unit_test_setup(routes, set_up),
		cmocka_unit_test_setup(short_messages_are_nothing, set_up),
		cmocka_unit_test_setup(the_oldest_peer_makes_room, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
