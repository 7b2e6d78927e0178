/* SPDX-License-Identifier: Apache-2.0 */
/* Some lines of a period pass, the rest is counted and told once. */
#include "common/log_limit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* What is written to standard error from begin to end. */
struct capture {
	int saved;
	FILE *file;
	char text[1024];
};

static void capture_begin(struct capture *capture) {
	capture->file = tmpfile();
	assert_non_null(capture->file);
	capture->saved = dup(STDERR_FILENO);
	assert_true(dup2(fileno(capture->file), STDERR_FILENO) >= 0);
}

static void capture_end(struct capture *capture) {
	assert_true(dup2(capture->saved, STDERR_FILENO) >= 0);
	(void)close(capture->saved);
	rewind(capture->file);
	size_t got = fread(capture->text, 1, sizeof capture->text - 1, capture->file);
	capture->text[got] = '\0';
	(void)fclose(capture->file);
}

static void the_first_lines_of_a_period_pass(void **state) {
	(void)state;
	struct log_limit limit = {.event = "flood", .period_sec = 10, .lines = 3};
	struct capture capture;
	capture_begin(&capture);
	unsigned passed = 0;
	for (unsigned i = 0; i < 1000; i++) {
		passed += log_limit_pass(&limit, 100 + i / 200.0);
	}
	log_limit_tick(&limit, 109.9);
	capture_end(&capture);
	assert_int_equal(passed, 3);
	assert_string_equal(capture.text, "");
	capture_begin(&capture);
	log_limit_tick(&limit, 110);
	log_limit_tick(&limit, 130);
	capture_end(&capture);
	const char *told = strstr(capture.text, "flood: 997 more within 10 s\n");
	assert_non_null(told);
	assert_null(strstr(told + 1, "flood"));
	assert_true(log_limit_pass(&limit, 131));
}

static void what_was_not_held_back_is_not_told(void **state) {
	(void)state;
	struct log_limit limit = {.event = "rare", .period_sec = 10, .lines = 1};
	struct capture capture;
	capture_begin(&capture);
	assert_true(log_limit_pass(&limit, 0));
	assert_true(log_limit_pass(&limit, 10));
	log_limit_tick(&limit, 50);
	capture_end(&capture);
	assert_string_equal(capture.text, "");
}

static void a_clock_set_back_begins_a_period(void **state) {
	(void)state;
	struct log_limit limit = {.event = "late", .period_sec = 10, .lines = 1};
	struct capture capture;
	capture_begin(&capture);
	assert_true(log_limit_pass(&limit, 5000));
	assert_false(log_limit_pass(&limit, 5001));
	assert_true(log_limit_pass(&limit, 100));
	capture_end(&capture);
	assert_non_null(strstr(capture.text, "late: 1 more"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_lines_of_a_period_pass),
		cmocka_unit_test(what_was_not_held_back_is_not_told),
		cmocka_unit_test(a_clock_set_back_begins_a_period),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
