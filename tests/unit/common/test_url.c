/* SPDX-License-Identifier: Apache-2.0 */
/* URLs: what is split, what is refused, origins and loopback. */
#include "common/mem.h"
#include "common/url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static const struct {
	const char *text, *host, *path, *query, *origin;
	uint16_t port;
	bool is_secure, is_loopback;
} good[] = {
	{"https://push.example.net", "push.example.net", "/", "", "https://push.example.net", 443, true,
		false},
	{"HTTPS://Push.Example.NET/A/b?C=d", "push.example.net", "/A/b", "C=d",
		"https://push.example.net", 443, true, false},
	{"http://a:8080/", "a", "/", "", "http://a:8080", 8080, false, false},
	{"https://a:443/x", "a", "/x", "", "https://a", 443, true, false},
	{"http://a:443/x", "a", "/x", "", "http://a:443", 443, false, false},
	{"ws://a/", "a", "/", "", "http://a", 80, false, false},
	{"wss://a:65535?q", "a", "/", "q", "https://a:65535", 65535, true, false},
	{"https://a/?", "a", "/", "", "https://a", 443, true, false},
	{"https://a/x??y", "a", "/x", "?y", "https://a", 443, true, false},
	{"https://a/@b:c", "a", "/@b:c", "", "https://a", 443, true, false},
	{"https://a?x@y/z", "a", "/", "x@y/z", "https://a", 443, true, false},
	{"http://[::1]:80/", "::1", "/", "", "http://[::1]", 80, false, true},
	{"http://[2001:DB8:0:0::0001]:8080/x", "2001:db8::1", "/x", "", "http://[2001:db8::1]:8080",
		8080, false, false},
	{"http://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1", "/", "", "http://[::ffff:127.0.0.1]", 80,
		false, false},
	{"http://127.0.0.1:9/", "127.0.0.1", "/", "", "http://127.0.0.1:9", 9, false, true},
	{"http://127.255.1.2/", "127.255.1.2", "/", "", "http://127.255.1.2", 80, false, true},
	{"http://128.0.0.1/", "128.0.0.1", "/", "", "http://128.0.0.1", 80, false, false},
	{"http://localhost/", "localhost", "/", "", "http://localhost", 80, false, true},
	{"http://LocalHost./", "localhost.", "/", "", "http://localhost.", 80, false, true},
	{"http://a.localhost/", "a.localhost", "/", "", "http://a.localhost", 80, false, true},
	{"http://notlocalhost/", "notlocalhost", "/", "", "http://notlocalhost", 80, false, false},
	{"http://localhost.evil/", "localhost.evil", "/", "", "http://localhost.evil", 80, false,
		false},
	{"http://127.0.0.1.evil/", "127.0.0.1.evil", "/", "", "http://127.0.0.1.evil", 80, false,
		false},
	{"http://my_host-1.3com/", "my_host-1.3com", "/", "", "http://my_host-1.3com", 80, false,
		false},
	{"http://xn--bcher-kva.example/", "xn--bcher-kva.example", "/", "",
		"http://xn--bcher-kva.example", 80, false, false},
};

static void splits_good_ones(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct url url;
		size_t len = strlen(good[i].text);
		char *exact = mem_dup(good[i].text, len);
		char origin[URL_ORIGIN_MAX];
		assert_true(url_parse((struct slice){exact, len}, &url));
		assert_string_equal(url.host, good[i].host);
		assert_int_equal(url.host_is_ipv6, strchr(url.host, ':') != NULL);
		assert_true(slice_equals(url.path, good[i].path));
		assert_true(slice_equals(url.query, good[i].query));
		assert_int_equal(url.port, good[i].port);
		assert_int_equal(url_is_secure(&url), good[i].is_secure);
		assert_int_equal(url_is_loopback(&url), good[i].is_loopback);
		url_origin_print(&url, origin);
		assert_string_equal(origin, good[i].origin);
		free(exact);
	}
}

static const char *const bad[] = {
	"",
	"h",
	"https:",
	"https://",
	"https:///path",
	"https://?q",
	"//a/",
	"a",
	"a.example/x",
	"ftp://a/",
	"mailto:a@b",
	"javascript:alert(1)",
	"httpss://a/",
	"https:/a/",
	" https://a/",
	"https://a/ ",
	"https://a /",
	"https://a/b c",
	"https://a/\t",
	"https://a/\r\nHost: b",
	"https://a/\x7f",
	"https://a/\xc3\xa4",
	"https://\xc3\xa4/",
	"https://a/#f",
	"https://a#f",
	"https://u@a/",
	"https://u:p@a/",
	"https://@a/",
	"https://a@/",
	"https://a:/",
	"https://a:0/",
	"https://a:65536/",
	"https://a:99999999999999999999/",
	"https://a:-1/",
	"https://a:+1/",
	"https://a:8o/",
	"https://a:1:2/",
	"https://:80/",
	"https://.a/",
	"https://a..b/",
	"https://./",
	"https://a%41/",
	"https://a,b/",
	"https://a\\@b/",
	"https://[::1",
	"https://[]/",
	"https://[::1]x/",
	"https://[::1]:/",
	"https://[::1]:0/",
	"https://[fe80::1%25eth0]/",
	"https://[1.2.3.4]/",
	"https://[::g]/",
	"https://[::1]]/",
	"https://::1/",
	"https://[[::1]]/",
	"https://x[::1]/",
	"https://a[b]/",
	"https://127.1/",
	"https://2130706433/",
	"https://0x7f.1/",
	"https://0x7f000001/",
	"https://1.2.3.256/",
	"https://1.2.3.4.5/",
	"https://1.2.3.4./",
	"https://0177.0.0.1/",
	"https://a.1/",
	"https://0x/",
};

static void refuses_bad_ones(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct url url = {.port = 7};
		size_t len = strlen(bad[i]);
		char *exact = mem_dup(bad[i], len);
		if (url_parse((struct slice){exact, len}, &url)) {
			fail_msg("taken: %s", bad[i]);
		}
		assert_int_equal(url.port, 7); /* not touched */
		free(exact);
	}
	struct url url;
	assert_false(url_parse((struct slice){NULL, 0}, &url));
	assert_false(url_parse((struct slice){"https://a/\0b", 12}, &url));
	assert_false(url_parse((struct slice){"https://a\0b/", 12}, &url));
}

static void tells_places_apart(void **state) {
	(void)state;
	static const struct {
		const char *a, *b;
		bool are_equal;
	} table[] = {
		{"wss://push.example/", "wss://push.example", true},
		{"wss://push.example/", "HTTPS://Push.Example:443/", true},
		{"ws://[::0001]/i/x?y", "http://[::1]:80/i/x?y", true},
		{"wss://push.example/", "ws://push.example/", false},
		{"wss://push.example/", "wss://push.example:444/", false},
		{"wss://push.example/", "wss://push.example.net/", false},
		{"wss://push.example/i/x", "wss://push.example/i/X", false},
		{"wss://push.example/i", "wss://push.example/i/", false},
		{"wss://push.example/?a", "wss://push.example/?b", false},
		{"wss://push.example/?a", "wss://push.example/", false},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct url a, b;
		assert_true(url_parse(slice_of(table[i].a), &a) && url_parse(slice_of(table[i].b), &b));
		assert_int_equal(url_equals(&a, &b), table[i].are_equal);
		assert_int_equal(url_equals(&b, &a), table[i].are_equal);
	}
}

static void keeps_to_its_limits(void **state) {
	(void)state;
	enum { HEAD = 10 };
	static char text[URL_MAX_BYTES + 2] = "https://a/";
	struct url url;
	memset(text + HEAD, 'x', sizeof text - HEAD);
	assert_true(url_parse((struct slice){text, URL_MAX_BYTES}, &url));
	assert_int_equal(url.path.len, URL_MAX_BYTES - HEAD + 1);
	assert_false(url_parse((struct slice){text, URL_MAX_BYTES + 1}, &url));

	/* Labels of 63 and hosts of 255. */
	for (size_t label = 62; label <= 64; label++) {
		char *made = mem_printf("http://%.*s.net", (int)label, text + HEAD);
		assert_int_equal(url_parse(slice_of(made), &url), label <= 63);
		free(made);
	}
	for (size_t more = 60; more <= 64; more++) {
		char *made = mem_printf("http://%.63s.%.63s.%.63s.%.*s:65535", text + HEAD, text + HEAD,
			text + HEAD, (int)more, text + HEAD);
		char origin[URL_ORIGIN_MAX];
		assert_int_equal(url_parse(slice_of(made), &url), more <= 63);
		if (more <= 63) {
			url_origin_print(&url, origin);
			assert_string_equal(origin, made);
		}
		free(made);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits_good_ones),
		cmocka_unit_test(refuses_bad_ones),
		cmocka_unit_test(tells_places_apart),
		cmocka_unit_test(keeps_to_its_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
