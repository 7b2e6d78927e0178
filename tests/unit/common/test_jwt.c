/* SPDX-License-Identifier: Apache-2.0 */
/* ES256 tokens and P-256 keys. */
#include "common/base64url.h"
#include "common/jwt.h"
#include "common/mem.h"
#include <openssl/ec.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* RFC 8292 2.4 */
#define RFC_TOKEN                                                                                  \
	"eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9."                                                        \
	"eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdX"   \
	"NoQGV4YW1wbGUuY29tIn0."                                                                       \
	"i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"
#define RFC_KEY                                                                                    \
	"BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"

static void decode(const char *text, uint8_t *out, size_t bytes) {
	size_t got = 0;
	assert_true(base64url_decode(slice_of(text), out, bytes, &got));
	assert_int_equal(got, bytes);
}

static void the_example_of_rfc_8292_verifies(void **state) {
	(void)state;
	struct jwt jwt;
	uint8_t key[P256_POINT_BYTES];
	decode(RFC_KEY, key, sizeof key);
	assert_true(jwt_parse(slice_of(RFC_TOKEN), &jwt));
	assert_string_equal(jwt.payload, "{\"aud\":\"https://push.example.net\",\"exp\":1453523768,"
									 "\"sub\":\"mailto:push@example.com\"}");
	assert_true(jwt_verify(&jwt, key));
	jwt.signature[63] ^= 1;
	assert_false(jwt_verify(&jwt, key));
	jwt.signature[63] ^= 1;
	key[64] ^= 1; /* no point of the curve */
	assert_false(jwt_verify(&jwt, key));
	jwt_finish(&jwt);
}

static void what_is_signed_verifies_with_its_key_only(void **state) {
	(void)state;
	EVP_PKEY *key = p256_generate(), *other = p256_generate();
	uint8_t point[P256_POINT_BYTES], other_point[P256_POINT_BYTES];
	assert_true(p256_point_of(key, point) && p256_point_of(other, other_point));
	for (int i = 0; i < 300; i++) { /* one in 128 has a short r or s */
		char *payload = mem_printf("{\"n\":%d}", i), *text = jwt_sign(slice_of(payload), key);
		struct jwt jwt;
		assert_true(jwt_parse(slice_of(text), &jwt));
		assert_string_equal(jwt.payload, payload);
		assert_true(jwt_verify(&jwt, point));
		assert_false(i < 3 && jwt_verify(&jwt, other_point));
		jwt_finish(&jwt);
		free(text);
		free(payload);
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* The token with this header and signature of so many bytes parses. */
static bool parses(const char *header, size_t signature_bytes) {
	uint8_t signature[80] = {0x30, 0x44, 0x02, 0x20};
	char *first = base64url_print(header, strlen(header));
	char *third = base64url_print(signature, signature_bytes);
	char *text = mem_printf("%s.e30.%s", first, third);
	struct jwt jwt;
	bool is_good = jwt_parse(slice_of(text), &jwt);
	if (is_good) {
		jwt_finish(&jwt);
	}
	free(text);
	free(third);
	free(first);
	return is_good;
}

static void only_es256_is_taken(void **state) {
	(void)state;
	assert_true(parses("{\"alg\":\"ES256\"}", 64));
	assert_true(parses("{\"typ\":\"vapid\",\"alg\":\"ES256\",\"kid\":\"1\"}", 64));
	static const char *const headers[] = {
		"{\"alg\":\"none\"}",
		"{\"alg\":\"HS256\"}",
		"{\"alg\":\"ES384\"}",
		"{\"alg\":\"es256\"}",
		"{\"alg\":\"ES256 \"}",
		"{\"alg\":[\"ES256\"]}",
		"{\"alg\":null}",
		"{\"typ\":\"JWT\"}",
		"{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}",
		"{\"alg\":\"ES256\",\"crit\":null}",
		"[\"ES256\"]",
		"ES256",
		"{\"alg\":\"ES256\"",
		"",
	};
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		assert_false(parses(headers[i], 64));
	}
}

static void a_signature_has_64_bytes(void **state) {
	(void)state;
	const size_t sizes[] = {0, 1, 63, 65, 70, 71, 72};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_false(parses("{\"alg\":\"ES256\"}", sizes[i]));
	}
}

static void signatures_out_of_range_do_not_verify(void **state) {
	(void)state;
	struct jwt jwt;
	uint8_t key[P256_POINT_BYTES];
	decode(RFC_KEY, key, sizeof key);
	assert_true(jwt_parse(slice_of(RFC_TOKEN), &jwt));
	memset(jwt.signature, 0, sizeof jwt.signature);
	assert_false(jwt_verify(&jwt, key));
	memset(jwt.signature, 0xff, sizeof jwt.signature);
	assert_false(jwt_verify(&jwt, key));
	jwt_finish(&jwt);
}

static void text_that_is_no_token_is_refused(void **state) {
	(void)state;
	static const char *const texts[] = {
		"",
		".",
		"..",
		"...",
		"a.b",
		"a.b.c",
		RFC_TOKEN ".x",
		RFC_TOKEN ".",
		"." RFC_TOKEN,
		RFC_TOKEN " ",
		" " RFC_TOKEN,
		RFC_TOKEN "\n",
	};
	struct jwt jwt;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_false(jwt_parse(slice_of(texts[i]), &jwt));
	}
	assert_false(jwt_parse((struct slice){NULL, 0}, &jwt));
	for (size_t len = 0; len < strlen(RFC_TOKEN); len++) {
		assert_false(jwt_parse((struct slice){RFC_TOKEN, len}, &jwt));
	}
	char *big = mem_alloc(JWT_MAX_BYTES + 1);
	memset(big, 'A', JWT_MAX_BYTES + 1);
	memcpy(big, RFC_TOKEN, 38);
	memcpy(big + JWT_MAX_BYTES + 1 - 87, strrchr(RFC_TOKEN, '.'), 87);
	assert_false(jwt_parse((struct slice){big, JWT_MAX_BYTES + 1}, &jwt));
	free(big);
}

static void points_off_the_curve_are_refused(void **state) {
	(void)state;
	uint8_t point[P256_POINT_BYTES];
	decode(RFC_KEY, point, sizeof point);
	assert_true(p256_point_is_valid(point));
	point[64] ^= 1;
	assert_false(p256_point_is_valid(point));
	assert_null(p256_from_point(point));
	point[64] ^= 1;
	const uint8_t forms[] = {0, 2, 3, 6, 7};
	for (size_t i = 0; i < sizeof forms; i++) {
		point[0] = forms[i];
		assert_false(p256_point_is_valid(point));
	}
	memset(point, 0, sizeof point);
	point[0] = 4;
	assert_false(p256_point_is_valid(point));
	memset(point + 1, 0xff, sizeof point - 1);
	assert_false(p256_point_is_valid(point));
}

static void a_secret_gives_its_point(void **state) {
	(void)state;
	/* RFC 8291 appendix A */
	uint8_t secret[P256_SECRET_BYTES], back[P256_SECRET_BYTES];
	uint8_t point[P256_POINT_BYTES], expected[P256_POINT_BYTES];
	decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw", secret, sizeof secret);
	decode(
		"BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
		expected, sizeof expected);
	EVP_PKEY *key = p256_from_secret(secret);
	assert_non_null(key);
	assert_true(p256_point_of(key, point) && p256_secret_of(key, back));
	assert_memory_equal(point, expected, sizeof point);
	assert_memory_equal(back, secret, sizeof secret);
	EVP_PKEY_free(key);
	key = p256_from_point(expected);
	assert_true(p256_point_of(key, point));
	assert_false(p256_secret_of(key, back)); /* a public key has none */
	assert_null(jwt_sign(slice_of("{}"), key));
	EVP_PKEY_free(key);
}

static void secrets_out_of_range_are_refused(void **state) {
	(void)state;
	uint8_t secret[P256_SECRET_BYTES] = {0};
	assert_null(p256_from_secret(secret));
	memset(secret, 0xff, sizeof secret);
	assert_null(p256_from_secret(secret));
	decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE", secret, sizeof secret); /* the order */
	assert_null(p256_from_secret(secret));
	secret[31]--;
	EVP_PKEY *key = p256_from_secret(secret);
	assert_non_null(key);
	EVP_PKEY_free(key);
}

static void keys_of_other_kinds_are_refused(void **state) {
	(void)state;
	uint8_t point[P256_POINT_BYTES];
	EVP_PKEY *keys[] = {
		EVP_EC_gen("P-384"), EVP_EC_gen("secp256k1"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_non_null(keys[i]);
		assert_false(p256_point_of(keys[i], point));
		assert_null(jwt_sign(slice_of("{}"), keys[i]));
		EVP_PKEY_free(keys[i]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_rfc_8292_verifies),
		cmocka_unit_test(what_is_signed_verifies_with_its_key_only),
		cmocka_unit_test(only_es256_is_taken),
		cmocka_unit_test(a_signature_has_64_bytes),
		cmocka_unit_test(signatures_out_of_range_do_not_verify),
		cmocka_unit_test(text_that_is_no_token_is_refused),
		cmocka_unit_test(points_off_the_curve_are_refused),
		cmocka_unit_test(a_secret_gives_its_point),
		cmocka_unit_test(secrets_out_of_range_are_refused),
		cmocka_unit_test(keys_of_other_kinds_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
