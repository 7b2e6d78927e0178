/* SPDX-License-Identifier: Apache-2.0 */
/* What apps may say of themselves, and what becomes of hostile text. */
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/jwt.h"
#include "distributor/bus/rules.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void token_has_1_to_100_bytes_of_anything(void **state) {
	(void)state;
	char text[102];
	memset(text, 'x', sizeof text);
	assert_false(rules_token_is_valid((struct slice){NULL, 0}));
	assert_true(rules_token_is_valid((struct slice){text, 1}));
	assert_true(rules_token_is_valid((struct slice){text, 100}));
	assert_false(rules_token_is_valid((struct slice){text, 101}));
	assert_true(rules_token_is_valid(slice_of("{2a9c7f0e-6a0b-4f6e-9a53-1e6d8a3b5c70}")));
	assert_true(rules_token_is_valid(slice_of("../../etc/passwd\n[section] \x01")));
}

static void service_is_a_bus_name(void **state) {
	(void)state;
	static const char *const good[] = {"org.kde.tokodon", "a.b", "_x.-y", "org.example.App-2_3",
		"org.Example", ":1.42", ":1.2.3", ":a.b"};
	static const char *const bad[] = {"", "org", ".org.kde", "org.kde.", "org..kde", "org.2kde",
		"org.kde tokodon", "org/kde.x", "org.kde\n.x", ":", ":1", ":.1", ":1.", "org.k\xc3\xa4.x",
		"org.freedesktop.DBus", "*", "org.kde,arg1='x", "org.kde.x'"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_true(rules_service_is_valid(slice_of(good[i])));
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(rules_service_is_valid(slice_of(bad[i])));
	}
	char text[257];
	memset(text, 'x', sizeof text);
	text[3] = '.';
	assert_true(rules_service_is_valid((struct slice){text, 255}));
	assert_false(rules_service_is_valid((struct slice){text, 256}));
	assert_true(rules_service_is_unique(slice_of(":1.42")));
	assert_false(rules_service_is_unique(slice_of("org.kde.tokodon")));
}

static void description_is_fit_to_be_shown(void **state) {
	(void)state;
	static const struct {
		const char *text, *expected;
	} table[] = {
		{"", ""},
		{"Mail of Ada", "Mail of Ada"},
		{"two\nlines\tand\x1b[31mred\x7f", "twolinesand[31mred"},
		{"<b>bold</b> & 'quoted'", "<b>bold</b> & 'quoted'"},
		{"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x94", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x94"},
		{"c1\xc2\x85\xc2\x9bx \xc2\xa0y", "c1x \xc2\xa0y"},
		{"turn\xe2\x80\xaetxt.exe\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8f", "turntxt.exe"},
		{"line\xe2\x80\xa8para\xe2\x80\xa9", "linepara"},
		{"dash\xe2\x80\x94ok", "dash\xe2\x80\x94ok"},
		{"broken\xff\xc3", "broken"},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		CLEANUP_FREE char *clean = rules_description_clean_dup(slice_of(table[i].text));
		assert_string_equal(clean, table[i].expected);
	}
}

static void description_is_cut_between_characters(void **state) {
	(void)state;
	char text[5000];
	memset(text, 'a', sizeof text);
	CLEANUP_FREE char *plain = rules_description_clean_dup((struct slice){text, sizeof text});
	assert_int_equal(strlen(plain), 100);
	for (size_t before = 97; before <= 100; before++) {
		memset(text, 'a', before);
		for (size_t at = before; at + 4 <= sizeof text; at += 4) {
			memcpy(text + at, "\xf0\x9f\x94\x94", 4);
		}
		CLEANUP_FREE char *cut = rules_description_clean_dup((struct slice){text, sizeof text});
		assert_int_equal(strlen(cut), before);
	}
	memset(text, '\n', sizeof text);
	text[sizeof text - 1] = 'z';
	CLEANUP_FREE char *last = rules_description_clean_dup((struct slice){text, sizeof text});
	assert_string_equal(last, "z");
}

static void key_is_normalised_when_it_is_a_point(void **state) {
	(void)state;
	EVP_PKEY *key = p256_generate();
	uint8_t point[P256_POINT_BYTES];
	assert_true(p256_point_of(key, point));
	EVP_PKEY_free(key);
	char text[REGISTRATION_VAPID_LENGTH + 1] = "", out[REGISTRATION_VAPID_LENGTH + 1];
	base64url_encode(text, point, sizeof point);
	assert_true(rules_vapid_normalise(slice_of(text), out));
	assert_string_equal(out, text);

	char other[REGISTRATION_VAPID_LENGTH + 2];
	(void)snprintf(other, sizeof other, "%s=", text);
	for (char *c = other; *c; c++) {
		*c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
	}
	memset(out, 0, sizeof out);
	assert_true(rules_vapid_normalise(slice_of(other), out));
	assert_string_equal(out, text);

	assert_false(rules_vapid_normalise((struct slice){text, 86}, out)); /* cut */
	assert_false(rules_vapid_normalise((struct slice){NULL, 0}, out));
	point[64] ^= 1; /* off the curve */
	base64url_encode(text, point, sizeof point);
	assert_false(rules_vapid_normalise(slice_of(text), out));
	point[64] ^= 1;
	point[0] = 2; /* says compressed */
	base64url_encode(text, point, sizeof point);
	assert_false(rules_vapid_normalise(slice_of(text), out));
	memset(text, 'A', 87);
	assert_false(rules_vapid_normalise(slice_of(text), out));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(token_has_1_to_100_bytes_of_anything),
		cmocka_unit_test(service_is_a_bus_name),
		cmocka_unit_test(description_is_fit_to_be_shown),
		cmocka_unit_test(description_is_cut_between_characters),
		cmocka_unit_test(key_is_normalised_when_it_is_a_point),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
