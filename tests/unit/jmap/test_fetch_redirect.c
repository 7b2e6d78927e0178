/* SPDX-License-Identifier: Apache-2.0 */
/* Where redirects may lead, and with what. */
#include "distributor/jmap/fetch_redirect.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void redirects_by_table(void **state) {
	(void)state;
	static const struct {
		const char *first, *to;
		bool is_insecure;
		enum fetch_redirect how;
	} cases[] = {
		{"https://a.example/x", "https://a.example/y", false, FETCH_REDIRECT_SAME},
		{"https://a.example/x", "https://A.example:443/y?z", false, FETCH_REDIRECT_SAME},
		{"https://a.example/x", "https://a.example:8443/y", false, FETCH_REDIRECT_ELSEWHERE},
		{"https://a.example/x", "https://b.example/y", false, FETCH_REDIRECT_ELSEWHERE},
		{"https://a.example/x", "http://a.example/y", false, FETCH_REDIRECT_PLAIN},
		{"https://a.example/x", "http://a.example:443/y", false, FETCH_REDIRECT_PLAIN},
		{"https://a.example/x", "http://127.0.0.1/y", false, FETCH_REDIRECT_PLAIN},
		{"https://localhost/x", "http://localhost/y", false, FETCH_REDIRECT_PLAIN},
		{"http://localhost/x", "http://localhost/y", false, FETCH_REDIRECT_SAME},
		{"http://localhost/x", "http://127.0.0.1:81/y", false, FETCH_REDIRECT_ELSEWHERE},
		{"http://localhost/x", "https://localhost/y", false, FETCH_REDIRECT_ELSEWHERE},
		{"http://localhost/x", "http://evil.example/y", false, FETCH_REDIRECT_PLAIN},
		{"http://localhost/x", "http://localhost.evil.example/y", false, FETCH_REDIRECT_PLAIN},
		{"http://a.example/x", "http://a.example/y", true, FETCH_REDIRECT_SAME},
		{"https://a.example/x", "http://a.example/y", true, FETCH_REDIRECT_ELSEWHERE},
		{"https://a.example/x", "", false, FETCH_REDIRECT_SENSELESS},
		{"https://a.example/x", "/y", false, FETCH_REDIRECT_SENSELESS},
		{"https://a.example/x", "ftp://a.example/y", true, FETCH_REDIRECT_SENSELESS},
		{"https://a.example/x", "file:///etc/passwd", true, FETCH_REDIRECT_SENSELESS},
		{"https://a.example/x", "wss://a.example/y", false, FETCH_REDIRECT_SENSELESS},
		{"https://a.example/x", "https://u:p@a.example/y", false, FETCH_REDIRECT_SENSELESS},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(
			fetch_redirect_judge(cases[i].first, cases[i].to, cases[i].is_insecure), cases[i].how);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(redirects_by_table)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
