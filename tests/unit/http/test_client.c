/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of client addresses, and their counts against a plain list. */
#include "relay/http/client.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t key_of(const char *text) {
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		return client_key((const struct sockaddr *)&v4);
	}
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
	return client_key((const struct sockaddr *)&v6);
}

static void a_client_is_an_ipv4_address_or_a_64(void **state) {
	(void)state;
	assert_true(key_of("192.0.2.1") != key_of("192.0.2.2"));
	assert_true(key_of("192.0.2.1") == key_of("::ffff:192.0.2.1"));
	assert_true(key_of("2001:db8::1") == key_of("2001:db8::ffff:1"));
	assert_true(key_of("2001:db8:0:1::1") != key_of("2001:db8::1"));
	assert_true(key_of("2001:db8::1") != key_of("192.0.2.1"));
}

static void loopback_and_what_has_no_address_are_exempt(void **state) {
	(void)state;
	assert_true(key_of("127.0.0.1") == 0 && key_of("127.9.9.9") == 0);
	assert_true(key_of("::1") == 0 && key_of("::ffff:127.0.0.1") == 0);
	const struct sockaddr unnamed = {.sa_family = AF_UNIX}, none = {.sa_family = AF_UNSPEC};
	assert_true(client_key(&unnamed) == 0 && client_key(&none) == 0 && client_key(NULL) == 0);
	/* old forms of IPv6 addresses are not */
	assert_true(key_of("::192.0.2.1") != 0 && key_of("::2") != 0 && key_of("128.0.0.1") != 0);
}

static void keys_print_as_addresses(void **state) {
	(void)state;
	char text[CLIENT_TEXT_BYTES];
	assert_string_equal(client_print(key_of("192.0.2.1"), text), "192.0.2.1");
	assert_string_equal(client_print(key_of("255.255.255.255"), text), "255.255.255.255");
	assert_string_equal(client_print(key_of("2001:db8:1:2:3::4"), text), "2001:db8:1:2::/64");
}

static void a_client_has_so_many_and_no_more(void **state) {
	(void)state;
	struct client_counts counts;
	client_counts_init(&counts);
	for (int i = 0; i < 3; i++) {
		assert_true(client_counts_enter(&counts, 7, 3));
		assert_true(client_counts_enter(&counts, 0, 3));
	}
	assert_false(client_counts_enter(&counts, 7, 3));
	assert_int_equal(client_counts_get(&counts, 7), 3);
	assert_true(client_counts_enter(&counts, 0, 3));
	assert_true(client_counts_enter(&counts, 8, 3));
	client_counts_leave(&counts, 7);
	client_counts_leave(&counts, 0);
	assert_true(client_counts_enter(&counts, 7, 3));
	assert_false(client_counts_enter(&counts, 7, 3));
	client_counts_finish(&counts);
}

static void without_a_limit_nothing_is_counted(void **state) {
	(void)state;
	struct client_counts counts;
	client_counts_init(&counts);
	for (int i = 0; i < 1000; i++) {
		assert_true(client_counts_enter(&counts, 7, 0));
	}
	assert_int_equal(client_counts_get(&counts, 7), 0);
	client_counts_leave(&counts, 7);
	assert_null(counts.clients);
	client_counts_finish(&counts);
}

enum { CLIENTS = 5000, LIMIT = 4 };

static void check(const struct client_counts *counts, const uint32_t *wanted) {
	size_t used = 0;
	for (uint64_t client = 1; client < CLIENTS; client++) {
		assert_int_equal(client_counts_get(counts, client), wanted[client]);
		used += wanted[client] > 0;
	}
	assert_int_equal(counts->used, used);
	/* what a table costs is told in the header */
	assert_true(counts->places <= 16 || used * 4 >= counts->places);
}

/* They come until most are there, go until few are, and come again. */
static void counts_are_those_of_a_plain_list(void **state) {
	(void)state;
	struct client_counts counts;
	client_counts_init(&counts);
	uint32_t wanted[CLIENTS] = {0};
	unsigned short seed[3] = {1, 2, 3};
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < 4 * CLIENTS; i++) {
			uint64_t client = 1 + (uint64_t)nrand48(seed) % (CLIENTS - 1);
			bool comes = nrand48(seed) % 8 < (round % 2 ? 1 : 7);
			if (comes) {
				assert_int_equal(
					client_counts_enter(&counts, client, LIMIT), wanted[client] < LIMIT);
				wanted[client] += wanted[client] < LIMIT;
			} else if (wanted[client] > 0) {
				client_counts_leave(&counts, client);
				wanted[client]--;
			}
		}
		check(&counts, wanted);
	}
	for (uint64_t client = 1; client < CLIENTS; client++) {
		for (; wanted[client] > 0; wanted[client]--) {
			client_counts_leave(&counts, client);
		}
	}
	check(&counts, wanted);
	assert_int_equal(counts.places, 16);
	client_counts_finish(&counts);
}

static void a_growing_table_is_seldom_empty(void **state) {
	(void)state;
	struct client_counts counts;
	client_counts_init(&counts);
	for (uint64_t client = 1; client < 100000; client++) {
		assert_true(client_counts_enter(&counts, client << 32, 1));
		if (client > 1000) {
			size_t bytes = counts.places * (sizeof *counts.clients + sizeof *counts.counts);
			assert_true(bytes / client < 18);
		}
	}
	client_counts_finish(&counts);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_an_ipv4_address_or_a_64),
		cmocka_unit_test(loopback_and_what_has_no_address_are_exempt),
		cmocka_unit_test(keys_print_as_addresses),
		cmocka_unit_test(a_client_has_so_many_and_no_more),
		cmocka_unit_test(without_a_limit_nothing_is_counted),
		cmocka_unit_test(counts_are_those_of_a_plain_list),
		cmocka_unit_test(a_growing_table_is_seldom_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
