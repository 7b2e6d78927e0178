/* SPDX-License-Identifier: Apache-2.0 */
/* Message encryption against every published vector, and against damaged messages. */
#include "common/base64url.h"
#include "common/mem.h"
#include "common/webpush.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* RFC 8291 appendix A */
#define RFC_TEXT "When I grow up, I want to be a watermelon"
#define RFC_AS_SECRET "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
#define RFC_UA_SECRET "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
#define RFC_UA_POINT                                                                               \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
#define RFC_AUTH "BTBZMqHH6r4Tts7J_aSIgg"
#define RFC_SALT "DGv6ra1nlYgDCS1FRnbzlw"
#define RFC_BODY                                                                                   \
	"DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS" \
	"6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qu" \
	"lcy4a-fN"

struct bytes {
	uint8_t data[8192];
	size_t len;
};

static struct bytes decode(const char *text) {
	struct bytes bytes = {.len = 0};
	assert_true(base64url_decode(slice_of(text), bytes.data, sizeof bytes.data, &bytes.len));
	return bytes;
}

static struct slice slice(const struct bytes *bytes) {
	return (struct slice){(const char *)bytes->data, bytes->len};
}

struct fixture {
	EVP_PKEY *ua_key, *as_key;
	struct bytes ua_point, auth, salt, body;
};

static int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	struct bytes ua_secret = decode(RFC_UA_SECRET), as_secret = decode(RFC_AS_SECRET);
	f->ua_key = p256_from_secret(ua_secret.data);
	f->as_key = p256_from_secret(as_secret.data);
	f->ua_point = decode(RFC_UA_POINT);
	f->auth = decode(RFC_AUTH);
	f->salt = decode(RFC_SALT);
	f->body = decode(RFC_BODY);
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	EVP_PKEY_free(f->ua_key);
	EVP_PKEY_free(f->as_key);
	free(f);
	return 0;
}

static enum webpush_result decrypt(struct fixture *f, struct slice body, char **out_text) {
	uint8_t *plain = NULL;
	size_t bytes = 0;
	enum webpush_result result = webpush_decrypt(body, f->ua_key, f->auth.data, &plain, &bytes);
	if (out_text) {
		*out_text = (char *)plain;
	} else {
		free(plain);
	}
	return result;
}

static void the_example_of_rfc_8291_decrypts(void **state) {
	struct fixture *f = *state;
	char *text = NULL;
	assert_int_equal(f->body.len, 144);
	assert_int_equal(decrypt(f, slice(&f->body), &text), WEBPUSH_OK);
	assert_string_equal(text, RFC_TEXT);
	free(text);
}

static void the_example_of_rfc_8291_encrypts(void **state) {
	struct fixture *f = *state;
	uint8_t *body = NULL;
	size_t bytes = 0;
	assert_int_equal(webpush_encrypt_with(slice_of(RFC_TEXT), f->ua_point.data, f->auth.data, 0,
						 f->as_key, f->salt.data, &body, &bytes),
		WEBPUSH_OK);
	assert_int_equal(bytes, f->body.len);
	assert_memory_equal(body, f->body.data, bytes);
	free(body);
}

static void the_examples_of_rfc_8188_decrypt(void **state) {
	(void)state;
	static const char *const examples[][2] = {
		{"yqdlZ-tYemfogSmv7Ws5PQ",
			"I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg"},
		{"BO3ZVPxUlnLORbVGMpbT1Q", "uNCkWiNYzKTnBN9ji3-qWAAAABkCYTHOG8chz_gnvgOqdGYovxyjuqRyJFjED"
								   "yoF1Fvkj6hQPdPHI51OEUKEpgz3SsLWIqS_uA"},
	};
	for (size_t i = 0; i < 2; i++) {
		struct bytes ikm = decode(examples[i][0]), body = decode(examples[i][1]);
		uint8_t *plain = NULL;
		size_t bytes = 0;
		assert_int_equal(
			webpush_decrypt_ikm(slice(&body), slice(&ikm), &plain, &bytes), WEBPUSH_OK);
		assert_int_equal(bytes, strlen("I am the walrus"));
		assert_string_equal((char *)plain, "I am the walrus");
		free(plain);
		/* the second has two records of 25 bytes: cut between them, its end is missing */
		enum webpush_result result =
			webpush_decrypt_ikm((struct slice){(char *)body.data, 21 + body.data[20] + 25},
				slice(&ikm), &plain, &bytes);
		assert_int_equal(result, i == 0 ? WEBPUSH_NOT_FOR_US : WEBPUSH_TRUNCATED);
	}
}

#define LEGACY_DH                                                                                  \
	"BNoRDbb84JGm8g5Z5CFxurSqsXWJ11ItfXEWYVLE85Y7CYkDjXsIEc4aqxYaQ1G8BqkXCJ6DPpDrWtdWj_mugHU"
#define LEGACY_SALT "lngarbyKfMoi9Z75xYXmkg"

static enum webpush_result decrypt_legacy(
	const char *encryption, const char *crypto_key, const char *body_text, char **out_text) {
	struct bytes secret = decode("9FWl15_QUQAWDaD3k3l50ZBZQJ4au27F1V4F0uLSD_M");
	struct bytes auth = decode("R29vIGdvbyBnJyBqb29iIQ"), body = decode(body_text);
	EVP_PKEY *key = p256_from_secret(secret.data);
	uint8_t *plain = NULL;
	size_t bytes = 0;
	enum webpush_result result = webpush_decrypt_aesgcm(
		slice(&body), slice_of(encryption), slice_of(crypto_key), key, auth.data, &plain, &bytes);
	EVP_PKEY_free(key);
	*out_text = (char *)plain;
	return result;
}

static void the_aesgcm_example_decrypts(void **state) {
	(void)state;
	static const char *const headers[][2] = {
		{"salt=" LEGACY_SALT, "dh=" LEGACY_DH},
		{"salt=" LEGACY_SALT ";rs=4096", "dh=" LEGACY_DH ";p256ecdsa=BAAA"},
		{"keyid=p256dh; Salt=\"" LEGACY_SALT "\"",
			"p256ecdsa=BAAA, keyid=p256dh;dh=\"" LEGACY_DH "\""},
		{"rs=4096;salt=" LEGACY_SALT "==", "p256ecdsa=BAAA;dh=" LEGACY_DH "="},
	};
	for (size_t i = 0; i < 4; i++) {
		char *text = NULL;
		assert_int_equal(decrypt_legacy(headers[i][0], headers[i][1],
							 "6nqAQUME8hNqw5J3kl8cpVVJylXKYqZOeseZG8UueKpA", &text),
			WEBPUSH_OK);
		assert_string_equal(text, "I am the walrus");
		free(text);
	}
}

static void bad_aesgcm_headers_are_refused(void **state) {
	(void)state;
	static const struct {
		const char *encryption, *crypto_key;
		enum webpush_result result;
	} cases[] = {
		{NULL, "dh=" LEGACY_DH, WEBPUSH_MALFORMED},
		{"salt=" LEGACY_SALT, NULL, WEBPUSH_MALFORMED},
		{"salt=abc", "dh=" LEGACY_DH, WEBPUSH_MALFORMED},
		{"salt=" LEGACY_SALT ";rs=2", "dh=" LEGACY_DH, WEBPUSH_MALFORMED},
		{"salt=" LEGACY_SALT ";rs=x", "dh=" LEGACY_DH, WEBPUSH_MALFORMED},
		{"salt=" LEGACY_SALT ";rs=", "dh=" LEGACY_DH, WEBPUSH_MALFORMED},
		{"salt=" LEGACY_SALT ";rs=99999999999999999999999", "dh=" LEGACY_DH, WEBPUSH_MALFORMED},
		{"salt=" LEGACY_SALT, "dh=" LEGACY_DH "AAAA", WEBPUSH_MALFORMED},
		{"salt=" LEGACY_SALT,
			"dh=AA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-"
			"dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs",
			WEBPUSH_BAD_KEY},
		{"salt=mngarbyKfMoi9Z75xYXmkg", "dh=" LEGACY_DH, WEBPUSH_NOT_FOR_US},
		/* 17 + 16 bytes are then one full record, after which another must come */
		{"salt=" LEGACY_SALT ";rs=17", "dh=" LEGACY_DH, WEBPUSH_TRUNCATED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = NULL;
		assert_int_equal(decrypt_legacy(cases[i].encryption, cases[i].crypto_key,
							 "6nqAQUME8hNqw5J3kl8cpVVJylXKYqZOeseZG8UueKpA", &text),
			cases[i].result);
	}
}

static void what_is_encrypted_decrypts(void **state) {
	struct fixture *f = *state;
	const size_t lengths[] = {0, 1, 15, 16, 17, 3993, 3994, 4078, 5000, 100000};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		for (size_t pad_to = 0; pad_to <= 5000; pad_to += 2500) {
			uint8_t *plain = mem_alloc(lengths[i] + 1), *body = NULL, *back = NULL;
			size_t bytes = 0, back_bytes = 0;
			memset(plain, (int)i, lengths[i]); /* zeroes too, like padding */
			struct slice text = {(char *)plain, lengths[i]};
			assert_int_equal(
				webpush_encrypt(text, f->ua_point.data, f->auth.data, pad_to, &body, &bytes),
				WEBPUSH_OK);
			size_t padded = pad_to > text.len ? pad_to : text.len;
			assert_int_equal(bytes, padded + WEBPUSH_OVERHEAD_BYTES);
			assert_int_equal(webpush_decrypt((struct slice){(char *)body, bytes}, f->ua_key,
								 f->auth.data, &back, &back_bytes),
				WEBPUSH_OK);
			assert_int_equal(back_bytes, text.len);
			assert_memory_equal(back, plain, text.len);
			free(plain);
			free(body);
			free(back);
		}
	}
}

static void every_changed_bit_is_noticed(void **state) {
	struct fixture *f = *state;
	for (size_t at = 0; at < f->body.len; at++) {
		f->body.data[at] ^= 0x10;
		/* the record size is not authenticated, and one record fits into any larger size */
		bool is_size = at >= 16 && at < 20;
		enum webpush_result result = decrypt(f, slice(&f->body), NULL);
		assert_true(is_size || result != WEBPUSH_OK);
		f->body.data[at] ^= 0x10;
	}
	for (size_t len = 0; len < f->body.len; len++) {
		assert_int_not_equal(
			decrypt(f, (struct slice){(char *)f->body.data, len}, NULL), WEBPUSH_OK);
	}
}

static void damage_is_named(void **state) {
	struct fixture *f = *state;
	struct bytes body = f->body;
	assert_int_equal(decrypt(f, (struct slice){NULL, 0}, NULL), WEBPUSH_TRUNCATED);
	assert_int_equal(decrypt(f, slice_of("{\"@type\":\"StateChange\",\"changed\":{}}"), NULL),
		WEBPUSH_MALFORMED);
	body.data[85] ^= 1;
	assert_int_equal(decrypt(f, slice(&body), NULL), WEBPUSH_BAD_KEY);
	body = f->body;
	body.data[20] = 64;
	assert_int_equal(decrypt(f, slice(&body), NULL), WEBPUSH_MALFORMED);
	body = f->body;
	memcpy(body.data + 16, "\0\0\0\x11", 4); /* below 18 */
	assert_int_equal(decrypt(f, slice(&body), NULL), WEBPUSH_MALFORMED);
	body = f->body;
	body.len = WEBPUSH_HEADER_BYTES;
	assert_int_equal(decrypt(f, slice(&body), NULL), WEBPUSH_TRUNCATED);
	f->auth.data[0] ^= 1;
	assert_int_equal(decrypt(f, slice(&f->body), NULL), WEBPUSH_NOT_FOR_US);
	for (int i = WEBPUSH_OK; i <= WEBPUSH_CRYPTO_FAILED; i++) {
		assert_non_null(webpush_result_text((enum webpush_result)i));
	}
}

static void a_body_sent_as_base64_text_is_decoded(void **state) {
	struct fixture *f = *state;
	char *text = NULL;
	assert_int_equal(decrypt(f, slice_of(RFC_BODY), &text), WEBPUSH_OK);
	assert_string_equal(text, RFC_TEXT);
	free(text);
	assert_int_equal(decrypt(f, slice_of(RFC_BODY "=="), &text), WEBPUSH_OK);
	free(text);
}

static void a_receiver_key_off_the_curve_is_refused(void **state) {
	struct fixture *f = *state;
	uint8_t *body = NULL;
	size_t bytes = 0;
	f->ua_point.data[64] ^= 1;
	assert_int_equal(
		webpush_encrypt(slice_of("x"), f->ua_point.data, f->auth.data, 0, &body, &bytes),
		WEBPUSH_BAD_KEY);
	assert_null(body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(the_example_of_rfc_8291_decrypts),
		TEST(the_example_of_rfc_8291_encrypts),
		cmocka_unit_test(the_examples_of_rfc_8188_decrypt),
		cmocka_unit_test(the_aesgcm_example_decrypts),
		cmocka_unit_test(bad_aesgcm_headers_are_refused),
		TEST(what_is_encrypted_decrypts),
		TEST(every_changed_bit_is_noticed),
		TEST(damage_is_named),
		TEST(a_body_sent_as_base64_text_is_decoded),
		TEST(a_receiver_key_off_the_curve_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
