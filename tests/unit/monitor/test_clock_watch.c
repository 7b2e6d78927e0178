/* SPDX-License-Identifier: Apache-2.0 */
/* Sleep and a set wall clock, with given clock values. */
#include "distributor/monitor/clock_watch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static const struct clock_reading start = {
	.boot_ms = 500000, .mono_ms = 400000, .wall_ms = 1700000000000};

static void awake_is_nothing(void **state) {
	(void)state;
	struct clock_reading last = start;
	/* an idle hour, with the millisecond that rounding costs */
	struct clock_change change =
		clock_watch_look(&last, (struct clock_reading){4100001, 4000000, 1700003600000});
	assert_int_equal(change.slept_ms, 0);
	assert_false(change.has_jumped);
}

static void an_hour_of_sleep(void **state) {
	(void)state;
	struct clock_reading last = start;
	struct clock_change change =
		clock_watch_look(&last, (struct clock_reading){4101000, 401000, 1700003601000});
	assert_int_equal(change.slept_ms, 3600000);
	assert_false(change.has_jumped);
	/* told once */
	change = clock_watch_look(&last, (struct clock_reading){4101005, 401005, 1700003601005});
	assert_int_equal(change.slept_ms, 0);
}

static void two_seconds_are_the_limit(void **state) {
	(void)state;
	struct clock_reading last = start;
	struct clock_change change =
		clock_watch_look(&last, (struct clock_reading){502000, 400000, 1700000002000});
	assert_int_equal(change.slept_ms, 0);
	change = clock_watch_look(&last, (struct clock_reading){504001, 400000, 1700000004001});
	assert_int_equal(change.slept_ms, 2001);
}

static void the_wall_clock_is_set(void **state) {
	(void)state;
	static const struct {
		int64_t by_ms;
		bool has_jumped;
	} cases[] = {{59000, false}, {-59000, false}, {61000, true}, {-61000, true},
		{-31536000000, true}, {0, false}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct clock_reading last = start;
		struct clock_change change = clock_watch_look(
			&last, (struct clock_reading){501000, 401000, 1700000001000 + cases[i].by_ms});
		assert_int_equal(change.has_jumped, cases[i].has_jumped);
		assert_int_equal(change.slept_ms, 0);
	}
}

static void slept_between_two_readings(void **state) {
	(void)state;
	struct clock_reading later = {502500, 401000, 1700000002500};
	assert_int_equal(clock_reading_slept_ms(start, later), 1500);
	assert_int_equal(clock_reading_slept_ms(later, start), 0);
	struct clock_reading now = clock_reading_now();
	assert_true(now.boot_ms >= now.mono_ms && now.wall_ms > now.boot_ms);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(awake_is_nothing),
		cmocka_unit_test(an_hour_of_sleep),
		cmocka_unit_test(two_seconds_are_the_limit),
		cmocka_unit_test(the_wall_clock_is_set),
		cmocka_unit_test(slept_between_two_readings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
