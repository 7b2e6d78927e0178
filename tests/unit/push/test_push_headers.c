/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of a push, by tables of what senders send and what they must not. */
#include "relay/push/push_headers.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void ttl_is_digits_only_and_saturates(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum push_header_result result;
		uint32_t seconds;
	} cases[] = {
		{"60", PUSH_HEADER_OK, 60},
		{"0", PUSH_HEADER_OK, 0},
		{" 60\t", PUSH_HEADER_OK, 60},
		{"00060", PUSH_HEADER_OK, 60},
		{"2147483648", PUSH_HEADER_OK, 2147483648u},
		{"4294967296", PUSH_HEADER_OK, UINT32_MAX},
		{"9999999999999999999999999999999999999999", PUSH_HEADER_OK, UINT32_MAX},
		{"", PUSH_HEADER_BAD, 0},
		{"-1", PUSH_HEADER_BAD, 0},
		{"+5", PUSH_HEADER_BAD, 0},
		{"1.5", PUSH_HEADER_BAD, 0},
		{"1e3", PUSH_HEADER_BAD, 0},
		{"60s", PUSH_HEADER_BAD, 0},
		{"0x10", PUSH_HEADER_BAD, 0},
		{"10, 20", PUSH_HEADER_BAD, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct slice value = slice_of(cases[i].text);
		uint32_t seconds = 0;
		assert_int_equal(push_ttl_parse(&value, 1, &seconds), cases[i].result);
		assert_int_equal(seconds, cases[i].seconds);
		assert_int_equal(push_ttl_parse(&value, 2, &seconds), PUSH_HEADER_BAD);
	}
	uint32_t seconds;
	assert_int_equal(push_ttl_parse(NULL, 0, &seconds), PUSH_HEADER_ABSENT);
}

static void urgency_is_one_word_of_any_case(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum push_header_result result;
		enum urgency urgency;
	} cases[] = {
		{"very-low", PUSH_HEADER_OK, URGENCY_VERY_LOW},
		{"low", PUSH_HEADER_OK, URGENCY_LOW},
		{"High", PUSH_HEADER_OK, URGENCY_HIGH},
		{"urgent", PUSH_HEADER_OK, URGENCY_NORMAL},
		{"", PUSH_HEADER_OK, URGENCY_NORMAL},
		{"low, high", PUSH_HEADER_BAD, URGENCY_NORMAL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct slice value = slice_of(cases[i].text);
		enum urgency urgency = URGENCY_VERY_LOW;
		assert_int_equal(push_urgency_parse(&value, 1, &urgency), cases[i].result);
		assert_int_equal(urgency, cases[i].urgency);
		assert_int_equal(push_urgency_parse(&value, 2, &urgency), PUSH_HEADER_BAD);
	}
}

static void topic_is_base64url_with_padding_allowed(void **state) {
	(void)state;
	static const struct {
		const char *text;
		bool is_good;
	} cases[] = {
		{"a", true},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
		{"AAAAAAAAAAAAAAAAAAAAAA==", true},
		{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", true},
		{"a-b_C9", true},
		{"==", false},
		{"a=b", false},
		{"a.b", false},
		{"a b", false},
		{"a/b", false},
		{"a+b", false},
		{"", false},
		{"\xc3\xa4", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct slice value = slice_of(cases[i].text), topic;
		enum push_header_result result = push_topic_parse(&value, 1, &topic);
		assert_int_equal(result, cases[i].is_good ? PUSH_HEADER_OK : PUSH_HEADER_BAD);
		assert_int_equal(topic.len, cases[i].is_good ? value.len : 0);
		assert_int_equal(push_topic_parse(&value, 2, &topic), PUSH_HEADER_BAD);
	}
}

static void crypto_key_loses_the_vapid_key(void **state) {
	(void)state;
	static const struct {
		const char *header, *cleaned;
	} cases[] = {
		{"dh=BNoR;p256ecdsa=BA1H", "dh=BNoR"},
		{"p256ecdsa=BA1H;dh=BNoR", "dh=BNoR"},
		{"p256ecdsa=BA1H,dh=\"BNoR==\"", "dh=BNoR"},
		{"keyid=p256dh; dh=BNoR", "keyid=p256dh;dh=BNoR"},
		{"p256ecdsa=BA1H", ""},
		{";;,=", ""},
		{"", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char out[64];
		size_t len = 0;
		bool any = push_crypto_key_clean(slice_of(cases[i].header), out, sizeof out, &len);
		assert_int_equal(any, cases[i].cleaned[0] != '\0');
		assert_int_equal(len, strlen(cases[i].cleaned));
		assert_memory_equal(out, cases[i].cleaned, len);
	}
	char small[4];
	size_t len;
	assert_false(push_crypto_key_clean(slice_of("dh=BNoR"), small, sizeof small, &len));
	char out[64];
	assert_true(push_encryption_clean(slice_of("salt=\"abc=\"; rs=4096"), out, sizeof out, &len));
	assert_int_equal(len, strlen("salt=abc;rs=4096"));
	assert_memory_equal(out, "salt=abc;rs=4096", len);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ttl_is_digits_only_and_saturates),
		cmocka_unit_test(urgency_is_one_word_of_any_case),
		cmocka_unit_test(topic_is_base64url_with_padding_allowed),
		cmocka_unit_test(crypto_key_loses_the_vapid_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
