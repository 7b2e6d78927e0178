/* SPDX-License-Identifier: Apache-2.0 */
/* base64url both ways: RFC 4648's vectors, every length, every wrong character. */
#include "common/base64url.h"
#include "common/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static const struct {
	const char *bytes;
	const char *text;
} vectors[] = {
	{"", ""},
	{"f", "Zg"},
	{"fo", "Zm8"},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg"},
	{"fooba", "Zm9vYmE"},
	{"foobar", "Zm9vYmFy"},
	{"\xfb\xff\xfe", "-__-"},
};

static void knows_the_vectors(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		size_t bytes = strlen(vectors[i].bytes);
		char *text = base64url_print(vectors[i].bytes, bytes);
		assert_string_equal(text, vectors[i].text);
		assert_int_equal(BASE64URL_LENGTH(bytes), strlen(text));
		free(text);
		uint8_t out[8];
		size_t got = 99;
		assert_true(base64url_decode(slice_of(vectors[i].text), out, sizeof out, &got));
		assert_int_equal(got, bytes);
		assert_memory_equal(out, vectors[i].bytes, bytes);
	}
}

static const struct {
	const char *text;
	bool strict, lenient;
} spellings[] = {
	{"Zg", true, true},
	{"Zg==", false, true},
	{"Zg=", false, true},
	{"Zg===", false, false},
	{"Zm8=", false, true},
	{"=", false, true},
	{"==", false, true},
	{"===", false, false},
	{"Zh", false, true}, /* unused bits set */
	{"Zm9", false, true},
	{"Z", false, false},
	{"Zm9vY", false, false},
	{"+//+", false, true},
	{"-__-", true, true},
	{"+_/-", false, true},
	{"Zm 9", false, false},
	{"Zm9v\n", false, false},
	{"Zm9v\nYmF", false, false},
	{"Z=g=", false, false},
	{"Zm9v.Zm9", false, false},
	{"\xc3\xa4\xc3\xa4", false, false},
};

static void tells_strict_from_lenient(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
		uint8_t out[16];
		size_t got;
		struct slice text = slice_of(spellings[i].text);
		assert_int_equal(base64url_decode(text, out, sizeof out, &got), spellings[i].strict);
		assert_int_equal(
			base64url_decode_lenient(text, out, sizeof out, &got), spellings[i].lenient);
	}
	uint8_t out[1];
	size_t got = 1;
	assert_true(base64url_decode((struct slice){NULL, 0}, out, 0, &got));
	assert_int_equal(got, 0);
	assert_true(base64url_decode_lenient((struct slice){NULL, 0}, out, 0, &got));
}

static void refuses_each_other_character_everywhere(void **state) {
	(void)state;
	for (int c = 0; c < 256; c++) {
		bool fits =
			c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", c);
		for (size_t at = 0; at < 11; at++) {
			char text[11] = "AAAAAAAAAAA"; /* two groups and a rest of three */
			text[at] = (char)c;
			uint8_t out[8];
			size_t got = 0;
			/* In the last place two of the bits must be zero. */
			uint8_t value = 0;
			bool expected = fits;
			if (fits && at == 10) {
				char alone[4] = {'A', 'A', 'A', (char)c};
				uint8_t bytes[3];
				assert_true(base64url_decode((struct slice){alone, 4}, bytes, 3, &got));
				value = bytes[2];
				expected = (value & 3) == 0;
			}
			assert_int_equal(
				base64url_decode((struct slice){text, sizeof text}, out, sizeof out, &got),
				expected);
		}
	}
}

static void goes_there_and_back(void **state) {
	(void)state;
	srand(4);
	for (size_t bytes = 0; bytes < 600; bytes++) {
		uint8_t *data = mem_alloc(bytes), *back = mem_alloc(bytes);
		for (size_t i = 0; i < bytes; i++) {
			data[i] = (uint8_t)rand();
		}
		size_t length = BASE64URL_LENGTH(bytes), got = 0;
		char *text = mem_alloc(length); /* no room for a NUL */
		assert_int_equal(base64url_encode(text, data, bytes), length);
		assert_true(base64url_decode((struct slice){text, length}, back, bytes, &got));
		assert_int_equal(got, bytes);
		assert_memory_equal(back, data, bytes);
		if (bytes > 0) {
			assert_false(base64url_decode((struct slice){text, length}, back, bytes - 1, &got));
		}
		free(data);
		free(back);
		free(text);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_the_vectors),
		cmocka_unit_test(tells_strict_from_lenient),
		cmocka_unit_test(refuses_each_other_character_everywhere),
		cmocka_unit_test(goes_there_and_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
