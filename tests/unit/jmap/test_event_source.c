/* SPDX-License-Identifier: Apache-2.0 */
/* Where an event stream is asked for. */
#include "distributor/jmap/event_source.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void urls_by_table(void **state) {
	(void)state;
	char *none[] = {NULL}, *one[] = {(char *)"Email", NULL};
	char *two[] = {(char *)"EmailDelivery", (char *)"Mail box&", NULL};
	const struct {
		const char *text;
		char *const *types;
		const char *url;
	} cases[] = {
		{"https://m.example/e?types={types}&closeafter={closeafter}&ping={ping}", one,
			"https://m.example/e?types=Email&closeafter=no&ping=900"},
		{"https://m.example/e?types={types}", two,
			"https://m.example/e?types=EmailDelivery%2CMail%20box%26"},
		{"https://m.example/{types}", none, "https://m.example/%2A"},
		{"https://m.example/{types}", NULL, "https://m.example/%2A"},
		{"https://m.example/{ping}/{ping}{other}{}x", one, "https://m.example/900/900x"},
		{"https://m.example/e", one, "https://m.example/e"},
		{"https://m.example/{types", one, "https://m.example/{types"},
		{"https://m.example/}{types}", one, "https://m.example/}Email"},
		{"", one, ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *url = event_source_url_dup(cases[i].text, cases[i].types, EVENT_SOURCE_PING_SEC);
		assert_string_equal(url, cases[i].url);
		free(url);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_by_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
