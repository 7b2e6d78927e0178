/* SPDX-License-Identifier: Apache-2.0 */
/* The table of power and urgency, and when a change is told. */
#include "distributor/monitor/power_policy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void the_table(void **state) {
	(void)state;
	static const struct {
		struct power_state state;
		enum urgency min;
	} cases[] = {
		{{.on_mains = true}, URGENCY_VERY_LOW},
		{{.on_mains = true, .is_metered = true}, URGENCY_LOW},
		{{.on_mains = false}, URGENCY_LOW},
		{{.on_mains = false, .is_metered = true}, URGENCY_NORMAL},
		{{.on_mains = false, .is_low = true}, URGENCY_HIGH},
		{{.on_mains = false, .is_low = true, .is_metered = true}, URGENCY_HIGH},
		{{.on_mains = false, .is_saving = true}, URGENCY_HIGH},
		{{.on_mains = true, .is_saving = true}, URGENCY_HIGH},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(power_min_urgency(&cases[i].state), cases[i].min);
	}
}

static const struct power_state mains = {.on_mains = true};
static const struct power_state battery = {.on_mains = false};
static const struct power_state low = {.is_low = true};
static const struct power_state mains_metered = {.on_mains = true, .is_metered = true};

static void the_first_word_is_told_at_once(void **state) {
	(void)state;
	struct power_policy policy = {0};
	assert_int_equal(power_policy_judge(&policy, &low), POWER_STEP_TELL);
	assert_int_equal(power_policy_judge(&policy, &battery), POWER_STEP_TELL);
	/* whoever listens believes in mains anyway */
	assert_int_equal(power_policy_judge(&policy, &mains), POWER_STEP_NONE);
}

static void tightening_waits_and_easing_does_not(void **state) {
	(void)state;
	struct power_policy policy = {0};
	power_policy_tell(&policy, &mains);
	assert_int_equal(power_policy_judge(&policy, &battery), POWER_STEP_WAIT);
	assert_int_equal(power_policy_judge(&policy, &low), POWER_STEP_WAIT);
	/* plugged in again before the minute is over: nothing has happened */
	assert_int_equal(power_policy_judge(&policy, &mains), POWER_STEP_NONE);
	power_policy_tell(&policy, &low);
	assert_int_equal(power_policy_judge(&policy, &battery), POWER_STEP_TELL);
	assert_int_equal(power_policy_judge(&policy, &mains), POWER_STEP_TELL);
}

static void another_state_with_the_same_minimum_is_told(void **state) {
	(void)state;
	struct power_policy policy = {0};
	power_policy_tell(&policy, &battery);
	assert_int_equal(power_policy_judge(&policy, &mains_metered), POWER_STEP_TELL);
	assert_int_equal(power_policy_judge(&policy, &battery), POWER_STEP_NONE);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table),
		cmocka_unit_test(the_first_word_is_told_at_once),
		cmocka_unit_test(tightening_waits_and_easing_does_not),
		cmocka_unit_test(another_state_with_the_same_minimum_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
