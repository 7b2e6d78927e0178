/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside, before a person sees it. */
#include "distributor/action/sanitize.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define ELLIPSIS "\xe2\x80\xa6"
#define UNREADABLE "\xef\xbf\xbd"

static void texts_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text;
		size_t most;
		unsigned flags;
		const char *shown;
	} cases[] = {
		{"", 10, 0, ""},
		{"hello", 10, 0, "hello"},
		{"hello", 5, 0, "hello"},
		{"hello", 4, 0, "hell" ELLIPSIS},
		{"  hello \n ", 10, 0, "hello"},
		{"a\nb\tc", 10, 0, "a\nb c"},
		{"a\nb\r\nc", 10, SANITIZE_ONE_LINE, "a b c"},
		{"a\x1b[31mb\x07\x7f", 20, 0, "a[31mb"},
		{"a\xc2\x9bm", 20, 0, "am"},
		{"a\xe2\x80\xae"
		 "cod.exe",
			20, 0, "acod.exe"}, /* right-to-left override */
		{"\xe2\x81\xa6x\xe2\x81\xa9\xe2\x80\x8f\xd8\x9c", 20, 0, "x"},
		{"pay\xe2\x80\x8bpal\xef\xbb\xbf\xc2\xad", 20, 0, "paypal"}, /* zero width */
		{"a\xf3\xa0\x81\x81z", 20, 0, "az"}, /* a tag character */
		{"\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae\xd9\x88", 20, 0,
			"\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae\xd9\x88"}, /* Persian */
		{"\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa7", 20, 0,
			"\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa7"}, /* a composed emoji */
		{"pay\xe2\x80\x8dpal \xd9\x85\xe2\x80\x8c", 20, 0, "paypal \xd9\x85"},
		{"\xd9\x85\xe2\x80\x8c\xe2\x80\x8c\xd9\x85\xe2\x80\x8dx", 20, 0,
			"\xd9\x85\xd9\x85x"}, /* joiners that join nothing */
		{"\xf0\x9f\x93\xac \xd8\xb3\xd9\x84\xd8\xa7\xd9\x85", 40, 0,
			"\xf0\x9f\x93\xac \xd8\xb3\xd9\x84\xd8\xa7\xd9\x85"},
		{"a\xff"
		 "b\xc3",
			20, 0, "a" UNREADABLE "b" UNREADABLE},
		{"\xed\xa0\x80", 20, 0, UNREADABLE UNREADABLE UNREADABLE},
		{"gr\xc3\xbc\xc3\x9f", 4, 0, "gr\xc3\xbc" ELLIPSIS}, /* never half a character */
		{"gr\xc3\xbc\xc3\x9f", 3, 0, "gr" ELLIPSIS},
		{"<b>\"A\" & 'B'</b>", 40, SANITIZE_MARKUP,
			"&lt;b&gt;&quot;A&quot; &amp; &#39;B&#39;&lt;/b&gt;"},
		{"<<<<", 2, SANITIZE_MARKUP, "&lt;&lt;" ELLIPSIS}, /* never half an escape */
		{"<b>", 10, 0, "<b>"},
		{"abc", 0, 0, ELLIPSIS},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *shown = sanitize_dup(slice_of(cases[i].text), cases[i].most, cases[i].flags);
		assert_string_equal(shown, cases[i].shown);
		free(shown);
	}
}

static void a_nul_does_not_end_it(void **state) {
	(void)state;
	char *shown = sanitize_dup((struct slice){"a\0b", 3}, 10, 0);
	assert_string_equal(shown, "ab");
	free(shown);
	shown = sanitize_dup((struct slice){NULL, 0}, 10, 0);
	assert_string_equal(shown, "");
	free(shown);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_by_table),
		cmocka_unit_test(a_nul_does_not_end_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
