/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, and which differences make another path. */
#include "distributor/monitor/address.h"
#include "distributor/monitor/path.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static struct sockaddr_storage address(const char *text) {
	struct sockaddr_storage made = {.ss_family = AF_UNSPEC};
	struct sockaddr_in *in = (struct sockaddr_in *)&made;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&made;
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
	} else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
	} else {
		memset(&made, 0, sizeof made);
	}
	return made;
}

static struct network_path path_example(void) {
	return (struct network_path){.is_usable = true,
		.ifindex = 3,
		.source = address("192.168.1.7"),
		.gateway = address("192.168.1.1"),
		.gateway_mac = {2, 0, 0, 0, 0, 1},
		.key = "nm:aaaa"};
}

static void compares_paths(void **state) {
	(void)state;
	struct network_path then = path_example(), now = then;
	assert_true(path_is_same(&then, &now, true));
	assert_false(path_is_same(&then, &now, false)); /* the session's address is gone */
	now.is_usable = false; /* the carrier is */
	assert_false(path_is_same(&then, &now, true));
	now = then;
	now.ifindex = 4;
	assert_false(path_is_same(&then, &now, true));
	now = then;
	now.gateway = address("192.168.1.2");
	assert_false(path_is_same(&then, &now, true));
	now.gateway = address("");
	assert_false(path_is_same(&then, &now, true));
}

static void another_network_that_looks_alike(void **state) {
	(void)state;
	struct network_path then = path_example(), now = then;
	now.gateway_mac[5] = 9;
	assert_false(path_is_same(&then, &now, true));
	now = then;
	memset(now.gateway_mac, 0, sizeof now.gateway_mac); /* not known is not another */
	assert_true(path_is_same(&then, &now, true));
	(void)snprintf(now.key, sizeof now.key, "%s", "nm:bbbb");
	assert_false(path_is_same(&then, &now, true));
	(void)snprintf(
		now.key, sizeof now.key, "%s", "net:0123"); /* NetworkManager is being restarted */
	assert_true(path_is_same(&then, &now, true));
	(void)snprintf(now.key, sizeof now.key, "%s", "");
	assert_true(path_is_same(&then, &now, true));
}

static void a_rotated_source_is_the_same_path(void **state) {
	(void)state;
	struct network_path then = path_example(), now;
	then.source = address("2001:db8::aaaa");
	then.gateway = address("fe80::1");
	now = then;
	now.source = address("2001:db8::bbbb");
	assert_true(path_is_same(&then, &now, true));
}

static void prefixes(void **state) {
	(void)state;
	static const struct {
		const char *address, *prefix;
		unsigned bits;
		bool is_within;
	} cases[] = {
		{"10.1.2.3", "10.0.0.0", 8, true},
		{"11.1.2.3", "10.0.0.0", 8, false},
		{"10.1.2.3", "10.1.2.2", 31, true},
		{"10.1.2.3", "10.1.2.2", 32, false},
		{"10.1.2.3", "0.0.0.0", 0, true},
		{"10.1.2.3", "::", 0, false},
		{"200.0.0.1", "128.0.0.0", 1, true},
		{"100.0.0.1", "128.0.0.0", 1, false},
		{"10.1.2.3", "10.1.2.3", 33, false},
		{"2001:db8:1::1", "2001:db8::", 32, true},
		{"2001:db8:1::1", "2001:db8::", 47, true},
		{"2001:db8:1::1", "2001:db8::", 48, false},
		{"2001:db8::1", "10.0.0.0", 8, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sockaddr_storage a = address(cases[i].address), p = address(cases[i].prefix);
		assert_int_equal(
			address_is_within((struct sockaddr *)&a, (struct sockaddr *)&p, cases[i].bits),
			cases[i].is_within);
	}
}

static void plain_addresses(void **state) {
	(void)state;
	struct sockaddr_storage mapped = address("::ffff:192.0.2.1"), v4 = address("192.0.2.1");
	struct sockaddr_storage v6 = address("2001:db8::1"), ll = address("fe80::1");
	struct sockaddr_storage plain = address_plain((struct sockaddr *)&mapped);
	assert_true(address_equals((struct sockaddr *)&plain, (struct sockaddr *)&v4));
	plain = address_plain((struct sockaddr *)&v6);
	assert_true(address_equals((struct sockaddr *)&plain, (struct sockaddr *)&v6));
	assert_true(address_is_link_local((struct sockaddr *)&ll));
	assert_false(address_is_link_local((struct sockaddr *)&v6));
	struct sockaddr_storage lo = address("127.0.0.9"), lo6 = address("::1");
	assert_true(address_is_loopback((struct sockaddr *)&lo));
	assert_true(address_is_loopback((struct sockaddr *)&lo6));
	assert_false(address_is_loopback((struct sockaddr *)&v6));
	char text[INET6_ADDRSTRLEN];
	address_print((struct sockaddr *)&v6, text);
	assert_string_equal(text, "2001:db8::1");
}

static void mobile_interfaces(void **state) {
	(void)state;
	assert_true(path_is_cellular("wwan0", 1) && path_is_cellular("wwp0s20u4", 1));
	assert_true(path_is_cellular("mhi0", 519));
	assert_false(path_is_cellular("wlan0", 1) || path_is_cellular("eth0", 1));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares_paths),
		cmocka_unit_test(another_network_that_looks_alike),
		cmocka_unit_test(a_rotated_source_is_the_same_path),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(plain_addresses),
		cmocka_unit_test(mobile_interfaces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
