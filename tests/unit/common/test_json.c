/* SPDX-License-Identifier: Apache-2.0 */
/* Typed getters, what is parsed at all, and the string printer beside jansson's reader. */
#include "common/buffer.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void tells_absent_from_wrong(void **state) {
	(void)state;
	json_t *object = json_parse(slice_of("{\"s\":\"x\\u0000y\",\"e\":\"\",\"i\":-"
										 "9223372036854775808,\"r\":1.0,\"b\":true,\"f\":false,"
										 "\"n\":null,\"o\":{},\"a\":[]}"));
	struct slice text = {NULL, 77};
	int64_t number = 77;
	bool truth = true;
	json_t *member = NULL;
	assert_non_null(object);
	assert_int_equal(json_get_string(object, "s", &text), JSON_PRESENT);
	assert_int_equal(text.len, 3);
	assert_memory_equal(text.data, "x\0y", 3);
	assert_int_equal(json_get_string(object, "e", &text), JSON_PRESENT);
	assert_int_equal(text.len, 0);
	assert_int_equal(json_get_integer(object, "i", &number), JSON_PRESENT);
	assert_true(number == INT64_MIN);
	assert_int_equal(json_get_bool(object, "f", &truth), JSON_PRESENT);
	assert_false(truth);
	assert_int_equal(json_get_bool(object, "b", &truth), JSON_PRESENT);
	assert_true(truth);
	assert_int_equal(json_get_object(object, "o", &member), JSON_PRESENT);
	assert_true(json_is_object(member));

	text.len = 77;
	number = 77;
	assert_int_equal(json_get_string(object, "i", &text), JSON_WRONG_TYPE);
	assert_int_equal(json_get_string(object, "n", &text), JSON_ABSENT);
	assert_int_equal(json_get_string(object, "none", &text), JSON_ABSENT);
	assert_int_equal(text.len, 77);
	assert_int_equal(json_get_integer(object, "r", &number), JSON_WRONG_TYPE);
	assert_int_equal(json_get_integer(object, "s", &number), JSON_WRONG_TYPE);
	assert_int_equal(json_get_integer(object, "n", &number), JSON_ABSENT);
	assert_int_equal(number, 77);
	assert_int_equal(json_get_bool(object, "i", &truth), JSON_WRONG_TYPE);
	assert_int_equal(json_get_bool(object, "n", &truth), JSON_ABSENT);
	assert_int_equal(json_get_object(object, "a", &member), JSON_WRONG_TYPE);
	assert_int_equal(json_get_object(object, "n", &member), JSON_ABSENT);
	json_decref(object);

	json_t *array = json_parse(slice_of("[1]"));
	assert_int_equal(json_get_string(array, "s", &text), JSON_ABSENT); /* no object at all */
	json_decref(array);
	assert_int_equal(json_get_string(NULL, "s", &text), JSON_ABSENT);
}

static const struct {
	const char *text;
	bool is_json;
} texts[] = {
	{"{}", true},
	{" [ 1 , 2 ] \n", true},
	{"null", true},
	{"\"x\"", true},
	{"-0", true},
	{"{\"a\":1,\"a\":2}", true},
	{"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", true},
	{"\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", true},
	{"", false},
	{" ", false},
	{"{", false},
	{"{}x", false},
	{"{} {}", false},
	{"{\"a\":1,}", false},
	{"{a:1}", false},
	{"'x'", false},
	{"01", false},
	{"nul", false},
	{"99999999999999999999", false},
	{"1e999", false},
	{"\"\xff\"", false},
	{"\"\xed\xa0\x80\"", false},
	{"\"\\ud800\"", false},
	{"\"\n\"", false},
	{"{\"a\\u0000b\":1}", false},
	{"]]]]]][[[[[[", false},
	{"\xef\xbb\xbf{}", false},
};

static void copies_strings(void **state) {
	(void)state;
	json_t *json =
		json_parse(slice_of("{\"text\":\"new\",\"empty\":\"\",\"none\":null,\"number\":7}"));
	char *text = json_get_string_dup(json, "text"), *empty = json_get_string_dup(json, "empty");
	assert_string_equal(text, "new");
	assert_string_equal(empty, "");
	static const char *const without[] = {"none", "number", "absent"};
	for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
		assert_null(json_get_string_dup(json, without[i]));
		json_load_text(json, without[i], &empty);
		assert_string_equal(empty, "");
	}
	json_load_text(json, "text", &empty);
	assert_string_equal(empty, "new");
	assert_null(json_get_string_dup(NULL, "text"));
	free(text);
	free(empty);
	json_decref(json);
}

static void parses_json_alone(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		size_t len = strlen(texts[i].text);
		char *exact = mem_dup(texts[i].text, len);
		json_t *json = json_parse((struct slice){exact, len});
		if ((json != NULL) != texts[i].is_json) {
			fail_msg("%s", texts[i].text);
		}
		json_decref(json);
		free(exact);
	}
	assert_null(json_parse((struct slice){NULL, 0}));
	assert_null(json_parse((struct slice){"{}\0", 3}));
	json_t *twice = json_parse(slice_of("{\"a\":1,\"a\":2}"));
	int64_t number = 0;
	assert_int_equal(json_get_integer(twice, "a", &number), JSON_PRESENT);
	assert_int_equal(number, 2);
	json_decref(twice);
}

static void limits_the_depth(void **state) {
	(void)state;
	for (size_t depth = 31; depth <= 33; depth++) {
		char text[100] = "";
		for (size_t i = 0; i < depth; i++) {
			text[i] = '[';
			text[depth + i] = ']';
		}
		json_t *json = json_parse((struct slice){text, 2 * depth});
		assert_int_equal(json != NULL, depth <= 32);
		json_decref(json);
	}
	enum { HUGE = 1000000 };
	char *open = mem_alloc(HUGE);
	memset(open, '[', HUGE);
	assert_null(json_parse((struct slice){open, HUGE}));
	free(open);
}

static const struct {
	const char *text, *json;
} printed[] = {
	{"", "\"\""},
	{"plain", "\"plain\""},
	{"a\"b\\c/", "\"a\\\"b\\\\c/\""},
	{"\n\r\t\x01\x1f\x7f", "\"\\n\\r\\t\\u0001\\u001f\\u007f\""},
	{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x94", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x94\""},
	{"a\xff", "\"a\xef\xbf\xbd\""},
	{"\xc3", "\"\xef\xbf\xbd\""},
	{"\xc3(", "\"\xef\xbf\xbd(\""},
	{"\xe2\x82\"", "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\""},
};

static void prints_strings(void **state) {
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	for (size_t i = 0; i < sizeof printed / sizeof printed[0]; i++) {
		size_t len = strlen(printed[i].text);
		char *exact = mem_dup(printed[i].text, len);
		buffer_clear(&buffer);
		assert_true(json_append_string(&buffer, (struct slice){exact, len}));
		assert_int_equal(buffer_length(&buffer), strlen(printed[i].json));
		assert_memory_equal(buffer_begin(&buffer), printed[i].json, strlen(printed[i].json));
		free(exact);
	}
	buffer_clear(&buffer);
	assert_true(json_append_string(&buffer, (struct slice){"a\0b", 3}));
	assert_memory_equal(buffer_begin(&buffer), "\"a\\u0000b\"", 10);
	buffer_finish(&buffer);
}

static void prints_what_jansson_reads(void **state) {
	(void)state;
	srand(5);
	for (int round = 0; round < 3000; round++) {
		uint8_t bytes[40];
		size_t len = (size_t)rand() % sizeof bytes;
		for (size_t i = 0; i < len; i++) {
			static const uint8_t often[] = {
				0xc3, 0xa4, 0xe2, 0x82, 0xac, 0xed, 0xf4, 0x90, '"', '\\'};
			bytes[i] = rand() % 2 ? often[rand() % 10] : (uint8_t)rand();
		}
		struct buffer buffer;
		buffer_init(&buffer, 1000);
		assert_true(json_append_string(&buffer, (struct slice){(char *)bytes, len}));
		json_t *back = json_parse((struct slice){buffer_begin(&buffer), buffer_length(&buffer)});
		assert_true(json_is_string(back));
		json_decref(back);
		buffer_finish(&buffer);
	}
}

static void prints_all_or_nothing(void **state) {
	(void)state;
	for (size_t limit = 1; limit < 12; limit++) {
		struct buffer buffer;
		buffer_init(&buffer, limit);
		assert_true(buffer_append(&buffer, ":", 1));
		bool fits = json_append_string(&buffer, slice_of("ab\n\"c")); /* 9 with its quotes */
		assert_int_equal(fits, limit >= 10);
		assert_int_equal(buffer_length(&buffer), fits ? 10 : 1);
		buffer_finish(&buffer);
	}
}

static const struct {
	const char *bytes;
	size_t length;
} characters[] = {
	{"a", 1},
	{"\x7f", 1},
	{"\x80", 0},
	{"\xbf", 0},
	{"\xc0\x80", 0},
	{"\xc1\xbf", 0},
	{"\xc2\x80", 2},
	{"\xc2", 0},
	{"\xc2\x7f", 0},
	{"\xdf\xbf", 2},
	{"\xe0\x9f\xbf", 0},
	{"\xe0\xa0\x80", 3},
	{"\xe2\x82", 0},
	{"\xed\x9f\xbf", 3},
	{"\xed\xa0\x80", 0},
	{"\xef\xbf\xbf", 3},
	{"\xf0\x8f\xbf\xbf", 0},
	{"\xf0\x90\x80\x80", 4},
	{"\xf4\x8f\xbf\xbf", 4},
	{"\xf4\x90\x80\x80", 0},
	{"\xf5\x80\x80\x80", 0},
	{"\xff", 0},
	{"\xf0\x9f\x94(", 0},
};

static void knows_utf8(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++) {
		size_t len = strlen(characters[i].bytes);
		uint8_t *exact = mem_dup(characters[i].bytes, len);
		assert_int_equal(utf8_character(exact, len), characters[i].length);
		free(exact);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_absent_from_wrong),
		cmocka_unit_test(copies_strings),
		cmocka_unit_test(parses_json_alone),
		cmocka_unit_test(limits_the_depth),
		cmocka_unit_test(prints_strings),
		cmocka_unit_test(prints_what_jansson_reads),
		cmocka_unit_test(prints_all_or_nothing),
		cmocka_unit_test(knows_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
