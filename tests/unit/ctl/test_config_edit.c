/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of a configuration: the line that counts is changed, all others stay. */
#include "distributor/ctl/config_edit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

static void lines_are_found_and_others_stay(void **state) {
	(void)state;
	static const struct {
		const char *before, *after;
		bool is_news[2];
	} table[] = {
		{"", "[distributor]\nrelay = R\npool = 3\n", {true, true}},
		{"# mine\n", "[distributor]\nrelay = R\npool = 3\n\n# mine\n", {true, true}},
		{"a = 1", "[distributor]\nrelay = R\npool = 3\n\na = 1\n", {true, true}},
		{"[log]\nrelay=x\n\n pool : 3\n", "[log]\nrelay = R\n\npool = 3\n", {true, false}},
		{"\n [distributor] ; x\n;relay = old\n",
			"\n [distributor] ; x\nrelay = R\npool = 3\n;relay = old\n", {true, true}},
		{"[distributor]\nrelay = R\n[log]\n", "[distributor]\npool = 3\nrelay = R\n[log]\n",
			{false, true}},
		{"[hook a]\nrelay = x\npool = 1\n[distributor]\npool = 3\n",
			"[hook a]\nrelay = x\npool = 1\n[distributor]\nrelay = R\npool = 3\n", {true, false}},
		{"[jmap a]\npool = 1\n", "[distributor]\nrelay = R\npool = 3\n\n[jmap a]\npool = 1\n",
			{true, true}},
		{"relay\npool = 3\r\n[distributor]\n", "relay\npool = 3\n[distributor]\nrelay = R\n",
			{true, false}},
		{"relays = 1\npool = 30\n", "[distributor]\nrelay = R\n\nrelays = 1\npool = 3\n",
			{true, true}},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct config_change changes[] = {
			{.name = "relay", .value = "R"}, {.name = "pool", .value = "3"}};
		char *after = config_edit_dup(table[i].before, changes, 2);
		assert_string_equal(after, table[i].after);
		assert_int_equal(changes[0].is_news, table[i].is_news[0]);
		assert_int_equal(changes[1].is_news, table[i].is_news[1]);
		free(after);
	}
}

static void without_a_value_nothing_is_done(void **state) {
	(void)state;
	static const char text[] = "; only\nrelay = x";
	struct config_change changes[] = {{.name = "relay"}, {.name = "ca_file"}};
	char *after = config_edit_dup(text, changes, 2);
	assert_string_equal(after, "; only\nrelay = x\n");
	assert_false(changes[0].is_news || changes[1].is_news);
	free(after);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_found_and_others_stay),
		cmocka_unit_test(without_a_value_nothing_is_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
