/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy the environment asks for, and for whom not. */
#include "distributor/link/proxy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_proxies_are_parsed(void **state) {
	(void)state;
	static const struct {
		const char *text, *host;
		uint16_t port;
		const char *credentials;
	} table[] = {
		{"http://proxy.example:3128", "proxy.example", 3128, ""},
		{"http://proxy.example:3128/", "proxy.example", 3128, ""},
		{"HTTP://Proxy.Example", "proxy.example", 80, ""},
		{"proxy.example:8888", "proxy.example", 8888, ""},
		{"proxy.example", "proxy.example", 8080, ""},
		{"http://ann:secret@192.0.2.1:80", "192.0.2.1", 80, "ann:secret"},
		{"http://ann:p%40ss%3a@[2001:db8::1]:3128", "2001:db8::1", 3128, "ann:p@ss:"},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct proxy proxy;
		char *error = NULL;
		assert_true(proxy_parse(table[i].text, &proxy, &error));
		assert_string_equal(proxy.host, table[i].host);
		assert_int_equal(proxy.port, table[i].port);
		assert_string_equal(proxy.credentials, table[i].credentials);
	}
}

static void test_what_is_none_is_refused_with_a_reason(void **state) {
	(void)state;
	static const char *const table[] = {"socks5://proxy:1080", "https://proxy", "http://",
		"http://a b", "proxy:99999", "http://user\r\nX: y@proxy",
		"http://"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaa:b@proxy"};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct proxy proxy;
		char *error = NULL;
		assert_false(proxy_parse(table[i], &proxy, &error));
		assert_non_null(error);
		free(error);
	}
}

static void test_exceptions_are_honoured(void **state) {
	(void)state;
	static const struct {
		const char *list, *url;
		bool is_excepted;
	} table[] = {
		{"", "wss://push.example.org/", false},
		{"*", "wss://push.example.org/", true},
		{"example.org", "wss://push.example.org/", true},
		{".example.org", "wss://push.example.org/", true},
		{"ample.org", "wss://push.example.org/", false},
		{"push.example.org", "wss://push.example.org/", true},
		{"other, EXAMPLE.ORG ,x", "wss://push.example.org/", true},
		{"push.example.org:443", "wss://push.example.org/", true},
		{"push.example.org:8443", "wss://push.example.org/", false},
		{"127.0.0.1", "ws://127.0.0.1:8080/", true},
		{"[::1]:8080", "ws://[::1]:8080/", true},
		{"::1", "ws://[::1]:8080/", true},
		{",,, ,", "wss://push.example.org/", false},
		{":", "wss://push.example.org/", false},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct url url;
		assert_true(url_parse(slice_of(table[i].url), &url));
		assert_int_equal(proxy_is_excepted(table[i].list, &url), table[i].is_excepted);
	}
}

static void clear(void) {
	static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
		"all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		(void)unsetenv(names[i]);
	}
}

static bool choose(const char *name, const char *value, const char *url_text) {
	struct url url;
	struct proxy proxy;
	char *error = NULL;
	clear();
	(void)setenv(name, value, 1);
	assert_true(url_parse(slice_of(url_text), &url));
	bool found = proxy_from_environment(&url, &proxy, &error);
	bool is_refused = error != NULL;
	free(error);
	return found || is_refused;
}

static void test_the_scheme_chooses(void **state) {
	(void)state;
	assert_true(choose("https_proxy", "p:1", "wss://a.example/"));
	assert_true(choose("HTTPS_PROXY", "p:1", "wss://a.example/"));
	assert_false(choose("https_proxy", "p:1", "ws://a.example/"));
	assert_true(choose("http_proxy", "p:1", "ws://a.example/"));
	assert_false(choose("HTTP_PROXY", "p:1", "ws://a.example/"));
	assert_true(choose("all_proxy", "p:1", "ws://a.example/"));
	assert_true(choose("all_proxy", "socks5://p:1", "wss://a.example/"));
	assert_false(choose("https_proxy", "", "wss://a.example/"));
	clear();
}

static void test_it_is_printed_for_the_library(void **state) {
	(void)state;
	struct proxy proxy = {.host = "p", .port = 3128, .credentials = "a:b"};
	char *text = proxy_print(&proxy, "2001:db8::1");
	assert_string_equal(text, "a:b@[2001:db8::1]:3128");
	free(text);
	proxy.credentials[0] = '\0';
	text = proxy_print(&proxy, "192.0.2.1");
	assert_string_equal(text, "192.0.2.1:3128");
	free(text);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proxies_are_parsed),
		cmocka_unit_test(test_what_is_none_is_refused_with_a_reason),
		cmocka_unit_test(test_exceptions_are_honoured),
		cmocka_unit_test(test_the_scheme_chooses),
		cmocka_unit_test(test_it_is_printed_for_the_library),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
