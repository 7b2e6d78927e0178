/* SPDX-License-Identifier: Apache-2.0 */
/* Sections that come and go in a person's file. */
#include "distributor/ctl/config_section.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void sections_come_last(void **state) {
	(void)state;
	static const struct {
		const char *before, *after;
	} cases[] = {
		{"", "[jmap a]\nx = 1\n"},
		{"relay = r\n", "relay = r\n\n[jmap a]\nx = 1\n"},
		{"relay = r", "relay = r\n\n[jmap a]\nx = 1\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = config_section_add_dup(cases[i].before, "[jmap a]\nx = 1\n");
		assert_string_equal(text, cases[i].after);
		free(text);
	}
}

static void sections_go_alone(void **state) {
	(void)state;
	static const struct {
		const char *before, *after;
	} cases[] = {
		{"", ""},
		{"relay = r\n", "relay = r\n"},
		{"[jmap a]\nx = 1\n", ""},
		{"[jmap a]", ""},
		{"  [ jmap a]\nx = 1\n", "  [ jmap a]\nx = 1\n"}, /* is another section's name */
		{"relay = r\n\n[jmap   a]\nx = 1\n\n[jmap b]\ny = 2\n", "relay = r\n\n\n[jmap b]\ny = 2\n"},
		{"[jmap a]\nx = 1\n; about b\n\n[jmap b]\ny = 2\n", "; about b\n\n[jmap b]\ny = 2\n"},
		{"[jmap a]\n; about x\nx = 1\n# more\n", ""},
		{"[jmap ab]\nx = 1\n[hook a]\ny = 2\n", "[jmap ab]\nx = 1\n[hook a]\ny = 2\n"},
		{"[jmap a]\nx = 1\n[log]\nz = 3\n[jmap a]\ny = 2", "[log]\nz = 3\n"},
		{"[jmap a]\n[jmap a]\n[log]\n", "[log]\n"},
		{"; [jmap a]\nx = 1\n", "; [jmap a]\nx = 1\n"},
		{"[jmap a]\nx = [log]\ny = 2\n", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = config_section_remove_dup(cases[i].before, "jmap ", "a");
		assert_string_equal(text, cases[i].after);
		free(text);
	}
}

static void what_came_goes(void **state) {
	(void)state;
	char *with = config_section_add_dup("[log]\nz = 3\n", "[jmap a]\nx = 1\n");
	char *without = config_section_remove_dup(with, "jmap ", "a");
	assert_string_equal(without, "[log]\nz = 3\n\n");
	free(with);
	free(without);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_come_last),
		cmocka_unit_test(sections_go_alone),
		cmocka_unit_test(what_came_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
