/* SPDX-License-Identifier: Apache-2.0 */
/* News in floods, with a clock of our own. */
#include "distributor/jmap/gather.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

enum { QUIET = 300, MOST = 3000 };

static struct gather make(void) {
	return (struct gather){.quiet_ms = QUIET, .most_ms = MOST};
}

static void the_first_is_acted_on_at_once(void **state) {
	(void)state;
	struct gather gather = make();
	assert_true(gather_note(&gather, 5000));
	assert_int_equal(gather_left_ms(&gather, 5000), -1); /* nothing waits */
	assert_false(gather_end(&gather, 5000 + QUIET));
	assert_true(gather_note(&gather, 5000 + QUIET));
}

static void two_that_follow_are_one(void **state) {
	(void)state;
	struct gather gather = make();
	assert_true(gather_note(&gather, 0));
	assert_false(gather_note(&gather, 100));
	assert_false(gather_note(&gather, 250));
	assert_int_equal(gather_left_ms(&gather, 300), 250);
	assert_false(gather_end(&gather, 300)); /* too early */
	assert_int_equal(gather_left_ms(&gather, 550), 0);
	assert_true(gather_end(&gather, 550));
	assert_int_equal(gather_left_ms(&gather, 550), -1);
	assert_false(gather_note(&gather, 600)); /* what was acted on begins a window, too */
	assert_true(gather_end(&gather, 900));
	assert_true(gather_note(&gather, 900 + QUIET));
}

static void a_flood_costs_one_a_window(void **state) {
	(void)state;
	struct gather gather = make();
	int acts = 0;
	int64_t longest = 0, waits_since = -1;
	for (int64_t now = 0; now < 60000; now++) {
		if (gather_left_ms(&gather, now) == 0 && gather_end(&gather, now)) {
			acts++;
			longest = now - waits_since > longest ? now - waits_since : longest;
			waits_since = -1;
		}
		if (now % 60 == 0) {
			if (gather_note(&gather, now)) {
				acts++;
			} else {
				waits_since = waits_since < 0 ? now : waits_since;
			}
		}
	}
	assert_in_range(acts, 19, 21);
	assert_int_equal(longest, MOST);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_acted_on_at_once),
		cmocka_unit_test(two_that_follow_are_one),
		cmocka_unit_test(a_flood_costs_one_a_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
