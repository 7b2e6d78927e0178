/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets opened between begin and end fall silent, others do not. */
#include "common/netlink_mute.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int open_socket(unsigned groups) {
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static unsigned groups_of(int fd) {
	struct sockaddr_nl address = {0};
	socklen_t bytes = sizeof address;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	return address.nl_groups;
}

static void ask_for_links(int fd) {
	const struct {
		struct nlmsghdr head;
		struct ifinfomsg body;
	} request = {
		.head = {.nlmsg_len = sizeof request,
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	};
	assert_int_equal(send(fd, &request, sizeof request, 0), sizeof request);
}

static bool has_data(int fd) {
	char byte;
	ssize_t got = recv(fd, &byte, sizeof byte, MSG_DONTWAIT | MSG_PEEK);
	assert_true(got >= 0 || errno == EAGAIN);
	return got >= 0;
}

static void what_a_library_opened_hears_nothing_more(void **state) {
	(void)state;
	const unsigned groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
	struct netlink_mute mute;
	int ours = open_socket(groups);
	ask_for_links(ours);
	netlink_mute_begin(&mute);
	int theirs = open_socket(groups), asking = open_socket(0);
	ask_for_links(theirs);
	ask_for_links(asking);
	assert_true(has_data(theirs));
	netlink_mute_end(&mute);
	assert_int_equal(groups_of(theirs), 0);
	assert_false(has_data(theirs));
	assert_int_equal(groups_of(ours), groups);
	assert_true(has_data(ours));
	assert_true(has_data(asking));
	(void)close(ours);
	(void)close(theirs);
	(void)close(asking);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_a_library_opened_hears_nothing_more)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
