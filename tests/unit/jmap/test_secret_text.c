/* SPDX-License-Identifier: Apache-2.0 */
/* What is a password, and what is none. */
#include "distributor/jmap/secret_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define CASE(text, secret)                                                                         \
	{ {text, sizeof text - 1}, secret }

static void lines_by_table(void **state) {
	(void)state;
	static const struct {
		struct slice bytes;
		const char *secret; /* NULL: none */
	} cases[] = {
		CASE("secret", "secret"),
		CASE("secret\n", "secret"),
		CASE("secret\r\nmore", "secret"),
		CASE(" with blanks ", " with blanks "),
		CASE("\xc3\xbc", "\xc3\xbc"),
		CASE("", NULL),
		CASE("\n", NULL),
		CASE("\r\n", NULL),
		CASE("\nsecond", NULL),
		CASE("a\tb", NULL),
		CASE("a\rb", NULL),
		CASE("a\0b", NULL),
		CASE("a\x7f", NULL),
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *secret = secret_line_dup(cases[i].bytes);
		if (cases[i].secret) {
			assert_string_equal(secret, cases[i].secret);
		} else {
			assert_null(secret);
		}
		secret_free(secret);
	}
}

static void they_have_a_limit(void **state) {
	(void)state;
	char bytes[SECRET_MAX + 1];
	memset(bytes, 'x', sizeof bytes);
	assert_null(secret_line_dup((struct slice){bytes, sizeof bytes}));
	char *secret = secret_line_dup((struct slice){bytes, SECRET_MAX});
	assert_int_equal(strlen(secret), SECRET_MAX);
	secret_free(secret);
	secret_free(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_by_table),
		cmocka_unit_test(they_have_a_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
