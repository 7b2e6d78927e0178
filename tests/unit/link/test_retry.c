/* SPDX-License-Identifier: Apache-2.0 */
/* The retry classes: bounds of each delay, and that they spread. */
#include "distributor/link/retry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 2000 };

struct bounds {
	struct retry before;
	enum retry_class class;
	int64_t told_sec, low_ms, high_ms;
};

static void test_each_class_stays_within_its_bounds(void **state) {
	(void)state;
	static const struct bounds table[] = {
		{{0}, RETRY_LOCAL, 0, 0, 300},
		{{.attempts = 9}, RETRY_LOCAL, 0, 0, 300},
		{{0}, RETRY_UNREACHABLE, 0, 500, 2500},
		{{.attempts = 1}, RETRY_UNREACHABLE, 0, 500, 4500},
		{{.attempts = 4}, RETRY_UNREACHABLE, 0, 500, 32500},
		{{.attempts = 20}, RETRY_UNREACHABLE, 0, 500, 300500},
		{{.attempts = 4000000000U, .on_battery = true}, RETRY_UNREACHABLE, 0, 500, 900500},
		{{.is_hasty = true}, RETRY_UNREACHABLE, 0, 250, 500},
		{{.attempts = 1, .is_hasty = true}, RETRY_UNREACHABLE, 0, 500, 1000},
		{{.attempts = 9, .is_hasty = true}, RETRY_UNREACHABLE, 0, 2000, 4000},
		{{0}, RETRY_GOODBYE, 0, 0, 15000},
		{{0}, RETRY_TOLD, 10, 10000, 13000},
		{{0}, RETRY_TOLD, 0, 1000, 1300},
		{{0}, RETRY_TOLD, -1, 1000, 1300},
		{{0}, RETRY_TOLD, 3000, 3000000, 3600000},
		{{0}, RETRY_TOLD, INT64_MAX, 3600000, 3600000},
		{{0}, RETRY_REFUSED, 0, 3240000, 3960000},
		{{.refusals = 24}, RETRY_REFUSED, 0, 77760000, 95040000},
		{{0}, RETRY_TLS, 0, 30000, 32000},
		{{.attempts = 20}, RETRY_TLS, 0, 30000, 330000},
		{{.is_hasty = true}, RETRY_TLS, 0, 30000, 32000},
		{{0}, RETRY_NO_PATH, 0, -1, -1},
		{{0}, RETRY_REPLACED, 0, 60000, 60000},
		{{.replacements = 1}, RETRY_REPLACED, 0, 3240000, 3960000},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		for (int round = 0; round < ROUNDS; round++) {
			struct retry retry = table[i].before;
			int64_t delay_ms = retry_next_ms(&retry, table[i].class, table[i].told_sec);
			if (delay_ms < table[i].low_ms || delay_ms > table[i].high_ms) {
				fail_msg("row %zu: %lld", i, (long long)delay_ms);
			}
		}
	}
}

/* A herd that a restarting relay lost comes back evenly over 15 s. */
static void test_a_herd_is_spread_evenly(void **state) {
	(void)state;
	enum { DEVICES = 15000, BINS = 15 };
	unsigned int bins[BINS] = {0};
	for (int i = 0; i < DEVICES; i++) {
		struct retry retry = {0};
		int64_t delay_ms = retry_next_ms(&retry, RETRY_GOODBYE, 0);
		bins[delay_ms / 1000 < BINS ? delay_ms / 1000 : BINS - 1]++;
	}
	double chi = 0;
	for (int i = 0; i < BINS; i++) {
		double off = bins[i] - (double)DEVICES / BINS;
		chi += off * off / ((double)DEVICES / BINS);
	}
	assert_true(chi < 50); /* 14 degrees of freedom: one in 100,000 exceeds it */
}

static void test_the_mean_of_many_failures_is_half_the_cap(void **state) {
	(void)state;
	double sum = 0;
	struct retry retry = {.attempts = 20};
	for (int i = 0; i < ROUNDS; i++) {
		sum += (double)retry_next_ms(&retry, RETRY_UNREACHABLE, 0);
	}
	assert_in_range((int)(sum / ROUNDS / 1000), 130, 170);
}

static void test_refusals_are_tried_hourly_for_a_day(void **state) {
	(void)state;
	struct retry retry = {0};
	int64_t sum_ms = 0;
	for (int i = 0; i < 24; i++) {
		sum_ms += retry_next_ms(&retry, RETRY_REFUSED, 0);
	}
	assert_in_range(sum_ms, 22 * 3600000LL, 26 * 3600000LL);
	assert_true(retry_next_ms(&retry, RETRY_REFUSED, 0) > 20 * 3600000LL);
	retry_reset(&retry);
	assert_true(retry_next_ms(&retry, RETRY_REFUSED, 0) < 2 * 3600000LL);
}

static void test_only_refused_and_the_second_replacement_are_for_good(void **state) {
	(void)state;
	struct retry retry = {0};
	assert_true(retry_is_for_good(&retry, RETRY_REFUSED));
	assert_false(retry_is_for_good(&retry, RETRY_TLS));
	(void)retry_next_ms(&retry, RETRY_REPLACED, 0);
	assert_false(retry_is_for_good(&retry, RETRY_REPLACED));
	retry_reset(&retry);
	(void)retry_next_ms(&retry, RETRY_REPLACED, 0);
	assert_true(retry_is_for_good(&retry, RETRY_REPLACED));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_class_stays_within_its_bounds),
		cmocka_unit_test(test_a_herd_is_spread_evenly),
		cmocka_unit_test(test_the_mean_of_many_failures_is_half_the_cap),
		cmocka_unit_test(test_refusals_are_tried_hourly_for_a_day),
		cmocka_unit_test(test_only_refused_and_the_second_replacement_are_for_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
