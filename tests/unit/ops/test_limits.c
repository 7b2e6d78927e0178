/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets, with a clock of the test's own. */
#include "relay/http/client.h"
#include "relay/ops/limits.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct limit_rate rates[LIMIT_KIND_COUNT] = {
	[LIMIT_ENDPOINT] = {.per_sec = 1, .burst = 5},
	[LIMIT_SENDER] = {.per_sec = 10, .burst = 20},
	[LIMIT_ADDRESS] = {.per_sec = 10, .burst = 20},
};

static const struct subscription_id endpoint = {{1}};

static struct sockaddr_storage address(const char *text) {
	struct sockaddr_storage out = {0};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		memcpy(&out, &v4, sizeof v4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
		memcpy(&out, &v6, sizeof v6);
	}
	return out;
}

static unsigned taken(struct limits *limits, double now, unsigned tries) {
	unsigned count = 0;
	while (tries-- > 0) {
		count += limits_take(limits, now, &endpoint, NULL, NULL) == 0;
	}
	return count;
}

static void the_first_ten_are_free_then_the_burst(void **state) {
	(void)state;
	struct limits *limits = limits_create(rates, 100);
	assert_int_equal(taken(limits, 100, 30), LIMITS_EXEMPT + 5);
	limits_destroy(limits);
}

static void tokens_come_back_with_time_and_the_wait_is_honest(void **state) {
	(void)state;
	struct limits *limits = limits_create(rates, 100);
	(void)taken(limits, 100, 30);
	assert_int_equal(limits_take(limits, 100.2, &endpoint, NULL, NULL), 1);
	assert_int_equal(limits_take(limits, 101.3, &endpoint, NULL, NULL), 0);
	assert_int_equal(taken(limits, 1000, 30), 5); /* no more than the burst */
	limits_destroy(limits);
}

static void an_address_is_limited_over_all_its_endpoints(void **state) {
	(void)state;
	struct limits *limits = limits_create(rates, 1000);
	struct sockaddr_storage one = address("2001:db8::1"), neighbour = address("2001:db8::ffff");
	struct sockaddr_storage other = address("2001:db8:1::1"), local = address("127.0.0.1");
	unsigned good = 0;
	for (int i = 0; i < 40; i++) {
		struct subscription_id id = {{2, (uint8_t)(i / 4)}};
		for (int k = 0; k < LIMITS_EXEMPT && i % 4 == 0; k++) {
			(void)limits_take(limits, 5, &id, NULL, &one);
		}
		good += limits_take(limits, 5, &id, NULL, i % 2 ? &one : &neighbour) == 0;
	}
	assert_int_equal(good, 20); /* one /64 is one address */
	struct subscription_id last = {{2, 9}};
	assert_int_equal(limits_take(limits, 5, &last, NULL, &one), 1);
	assert_int_equal(limits_take(limits, 5, &last, NULL, &other), 0);
	assert_int_equal(limits_take(limits, 5, &endpoint, NULL, &local), 0);
	limits_destroy(limits);
}

static void checks_cost_the_address_and_ten_go_on_credit(void **state) {
	(void)state;
	struct limits *limits = limits_create(rates, 100);
	struct sockaddr_storage bad = address("192.0.2.1"), other = address("192.0.2.2");
	struct sockaddr_storage local = address("::1");
	unsigned good = 0;
	for (int i = 0; i < 100; i++) {
		good += limits_take_check(limits, 5, &endpoint, &bad) == 0;
	}
	assert_int_equal(good, 20 + LIMITS_EXEMPT);
	assert_int_equal(limits_take_check(limits, 5, &endpoint, &bad), 1);
	assert_int_equal(limits_take_check(limits, 5.2, &endpoint, &bad), 0);
	/* nobody else pays */
	assert_int_equal(limits_take_check(limits, 5, &endpoint, &other), 0);
	assert_int_equal(limits_take_check(limits, 5, &endpoint, &local), 0);
	assert_int_equal(limits_take_check(limits, 5, &endpoint, NULL), 0);
	struct subscription_id fresh = {{3}};
	assert_int_equal(limits_take_check(limits, 5.2, &fresh, &bad), 0);
	/* nor is the endpoint's rate touched, or its first ten messages */
	assert_int_equal(taken(limits, 5, 30), LIMITS_EXEMPT + 5);
	/* one that had its first messages has no credit */
	for (int i = 0; i < LIMITS_EXEMPT; i++) {
		assert_int_equal(limits_take(limits, 5.2, &fresh, NULL, &bad), 0);
	}
	(void)limits_take_check(limits, 5.2, &fresh, &bad);
	assert_int_equal(limits_take_check(limits, 5.2, &fresh, &bad), 1);
	limits_destroy(limits);
}

static void memory_is_bounded_and_the_oldest_goes(void **state) {
	(void)state;
	struct limits *limits = limits_create(rates, 2);
	(void)taken(limits, 1, 30);
	for (uint8_t i = 10; i < 20; i++) {
		struct subscription_id id = {{i}};
		assert_int_equal(limits_take(limits, 1, &id, NULL, NULL), 0);
	}
	assert_int_equal(taken(limits, 1, 30), LIMITS_EXEMPT + 5); /* forgotten, so it starts anew */
	limits_destroy(limits);
}

static unsigned registered(struct limits *limits, double now, uint64_t client, unsigned tries) {
	unsigned count = 0;
	while (tries-- > 0) {
		count += limits_take_register(limits, now, client);
	}
	return count;
}

static const struct limit_rate register_rates[LIMIT_KIND_COUNT] = {
	[LIMIT_ENDPOINT] = {.per_sec = 1, .burst = 5},
	[LIMIT_ADDRESS] = {.per_sec = 1, .burst = 1},
	[LIMIT_REGISTER] = {.per_sec = 10, .burst = 30},
};

static void a_client_registers_its_burst_and_then_by_the_second(void **state) {
	(void)state;
	struct limits *limits = limits_create(register_rates, 100);
	assert_int_equal(registered(limits, 100, 7, 50), 30);
	assert_int_equal(registered(limits, 101, 7, 50), 10);
	assert_int_equal(registered(limits, 101, 8, 50), 30);
	assert_int_equal(registered(limits, 102.05, 7, 50), 10);
	assert_int_equal(registered(limits, 5000, 7, 50), 30); /* no more than the burst */
	assert_int_equal(registered(limits, 4000, 7, 50), 0); /* a clock that goes back earns nothing */
	assert_int_equal(registered(limits, 5000, 0, 500), 500);
	limits_destroy(limits);
}

static void registers_and_messages_have_buckets_of_their_own(void **state) {
	(void)state;
	struct limits *limits = limits_create(register_rates, 100);
	struct sockaddr_storage one = address("192.0.2.1");
	uint64_t client = client_key((const struct sockaddr *)&one);
	assert_int_equal(registered(limits, 5, client, 50), 30);
	assert_int_equal(limits_take_check(limits, 5, &endpoint, &one), 0);
	for (int i = 0; i < LIMITS_EXEMPT; i++) {
		assert_int_equal(limits_take(limits, 5, &endpoint, NULL, &one), 0);
	}
	assert_int_equal(limits_take(limits, 5, &endpoint, NULL, &one), 1);
	assert_int_equal(registered(limits, 6, client, 50), 10);
	limits_destroy(limits);
}

static void without_a_rate_everybody_registers(void **state) {
	(void)state;
	struct limits *limits = limits_create(rates, 2);
	assert_int_equal(registered(limits, 5, 7, 5000), 5000);
	limits_destroy(limits);
}

static void buckets_of_registers_are_bounded_and_the_full_ones_go(void **state) {
	(void)state;
	struct limits *limits = limits_create(register_rates, 2);
	assert_int_equal(registered(limits, 5, 7, 50), 30);
	assert_int_equal(registered(limits, 5, 8, 50), 30);
	assert_int_equal(registered(limits, 5, 9, 1), 1); /* 7 goes for it, full or not */
	assert_int_equal(registered(limits, 5, 8, 50), 0);
	assert_int_equal(registered(limits, 5, 7, 50), 30);
	/* 9 and 8 were forgotten when 7 came and 10 comes, which changes nothing for them */
	assert_int_equal(registered(limits, 1000, 10, 50), 30);
	assert_int_equal(registered(limits, 1000, 8, 50), 30);
	assert_int_equal(registered(limits, 1000, 10, 50), 0);
	limits_destroy(limits);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_ten_are_free_then_the_burst),
		cmocka_unit_test(tokens_come_back_with_time_and_the_wait_is_honest),
		cmocka_unit_test(an_address_is_limited_over_all_its_endpoints),
		cmocka_unit_test(checks_cost_the_address_and_ten_go_on_credit),
		cmocka_unit_test(memory_is_bounded_and_the_oldest_goes),
		cmocka_unit_test(a_client_registers_its_burst_and_then_by_the_second),
		cmocka_unit_test(registers_and_messages_have_buckets_of_their_own),
		cmocka_unit_test(without_a_rate_everybody_registers),
		cmocka_unit_test(buckets_of_registers_are_bounded_and_the_full_ones_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
