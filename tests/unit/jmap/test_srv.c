/* SPDX-License-Identifier: Apache-2.0 */
/* SRV answers: the best of them, and those that lie. */
#include "distributor/jmap/srv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define HEAD(count) "\0\1\x81\x80\0\1\0" count "\0\0\0\0\1x\0\0\x21\0\1"
#define SRV(length, priority, port)                                                                \
	"\xc0\x0c\0\x21\0\1\0\0\0\x3c\0" length "\0" priority "\0\0" port
#define CASE(text, host, port)                                                                     \
	{ {text, sizeof text - 1}, host, port }

static void answers_by_table(void **state) {
	(void)state;
	static const struct {
		struct slice answer;
		const char *host;
		uint16_t port;
	} cases[] = {
		CASE(HEAD("\1") SRV("\x0a", "\1", "\1\xbb") "\2Ab\0", "ab", 443),
		CASE(HEAD("\2") SRV("\x09", "\2", "\0\x50") "\1a\0" SRV("\x09", "\1", "\0\x51") "\1b\0",
			"b", 81),
		CASE(HEAD("\2") SRV("\x09", "\1", "\0\x50") "\1a\0" SRV("\x09", "\1", "\0\x51") "\1b\0",
			"a", 80),
		CASE(HEAD("\1") SRV("\x07", "\0", "\0\0") "\0", "", 0), /* "." says that there is none */
		CASE(HEAD("\1") SRV("\x09", "\0", "\0\0") "\1a\0", "", 0), /* port 0 */
		CASE(HEAD("\1") SRV("\x0b", "\0", "\0\x50") "\3a/b\0", "", 0),
		CASE(HEAD("\1") SRV("\x0b", "\0", "\0\x50") "\3a@b\0", "", 0),
		CASE(HEAD("\1") SRV("\x0b", "\0", "\0\x50") "\3a\nb\0", "", 0),
		CASE(HEAD("\1") SRV("\x08", "\0", "\0\x50") "\xc0\x2a", "", 0), /* a name in itself */
		CASE(HEAD("\1") SRV("\x30", "\0", "\0\x50") "\1a\0", "", 0), /* longer than the answer */
		CASE(HEAD("\1"), "", 0), /* it promised one */
		CASE(HEAD("\1") "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1", "", 0), /* an address */
		CASE("\0\1", "", 0),
		CASE("", "", 0),
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct srv_result result;
		srv_read(cases[i].answer, &result);
		assert_string_equal(result.host, cases[i].host);
		assert_int_equal(result.port, cases[i].port);
		assert_int_equal(result.is_found, cases[i].port != 0);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(answers_by_table)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
