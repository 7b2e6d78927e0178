/* SPDX-License-Identifier: Apache-2.0 */
/* Retry delays stay in their range, spread, and never overflow. */
#include "common/backoff.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void stays_in_range(void **state) {
	(void)state;
	struct backoff backoff;
	for (int run = 0; run < 200; run++) {
		backoff_init(&backoff, 100, 5000);
		for (uint32_t n = 0; n < 40; n++) {
			uint64_t high = n < 6 ? (uint64_t)100 << n : 5000;
			uint32_t delay = backoff_next_ms(&backoff);
			assert_true(delay >= 50 && delay <= high);
		}
		backoff_reset(&backoff);
		assert_true(backoff_next_ms(&backoff) <= 100);
	}
}

static void spreads_a_herd(void **state) {
	(void)state;
	bool low = false, high = false;
	for (int run = 0; run < 200; run++) {
		struct backoff backoff;
		backoff_init(&backoff, 1000, 60000);
		backoff.tries = 10;
		uint32_t delay = backoff_next_ms(&backoff);
		low |= delay < 20000;
		high |= delay > 40000;
	}
	assert_true(low && high);
}

static void bears_odd_numbers(void **state) {
	(void)state;
	static const struct {
		uint32_t base, cap, tries;
	} cases[] = {{0, 0, 0}, {0, 1000, UINT32_MAX}, {1, 1, 5}, {1000, 10, 3},
		{UINT32_MAX, UINT32_MAX, UINT32_MAX}, {UINT32_MAX, UINT32_MAX, 0}, {1, UINT32_MAX, 31}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct backoff backoff;
		backoff_init(&backoff, cases[i].base, cases[i].cap);
		backoff.tries = cases[i].tries;
		for (int n = 0; n < 10; n++) {
			assert_true(backoff_next_ms(&backoff) <= cases[i].cap);
		}
		assert_true(backoff.tries >= cases[i].tries);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays_in_range),
		cmocka_unit_test(spreads_a_herd),
		cmocka_unit_test(bears_odd_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
