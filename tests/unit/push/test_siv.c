/* SPDX-License-Identifier: Apache-2.0 */
/* Our AES-256-SIV against the general one of OpenSSL. */
#include "relay/push/siv.h"
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

enum { SEALED_BYTES = SIV_TAG_BYTES + SIV_PLAIN_BYTES };

static void seal_by_openssl(
	const uint8_t *key, const char *associated, const uint8_t *plain, uint8_t *out) {
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-SIV", NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int len;
	assert_int_equal(EVP_EncryptInit_ex2(context, cipher, key, NULL, NULL), 1);
	assert_int_equal(EVP_EncryptUpdate(
						 context, NULL, &len, (const uint8_t *)associated, (int)strlen(associated)),
		1);
	assert_int_equal(
		EVP_EncryptUpdate(context, out + SIV_TAG_BYTES, &len, plain, SIV_PLAIN_BYTES), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SIV_TAG_BYTES, out), 1);
	EVP_CIPHER_CTX_free(context);
	EVP_CIPHER_free(cipher);
}

static void it_seals_as_openssl_does(void **state) {
	(void)state;
	static const char *const associated[] = {
		"bellwire push", "bellwire message", "x", "longer than a single block of AES"};
	for (int i = 0; i < 400; i++) {
		uint8_t key[SIV_KEY_BYTES], plain[SIV_PLAIN_BYTES], opened[SIV_PLAIN_BYTES];
		uint8_t expected[SEALED_BYTES], sealed[SEALED_BYTES];
		assert_int_equal(RAND_bytes(key, sizeof key), 1);
		assert_int_equal(RAND_bytes(plain, sizeof plain), 1);
		seal_by_openssl(key, associated[i % 4], plain, expected);
		struct siv *siv = siv_create(key, associated[i % 4]);
		for (int again = 0; again < 2; again++) {
			siv_seal(siv, plain, sealed);
			assert_memory_equal(sealed, expected, sizeof sealed);
			assert_true(siv_open(siv, sealed, opened));
			assert_memory_equal(opened, plain, sizeof opened);
		}
		siv_destroy(siv);
	}
}

static void a_changed_bit_is_refused_and_nothing_given_out(void **state) {
	(void)state;
	static const uint8_t nothing[SIV_PLAIN_BYTES];
	uint8_t key[SIV_KEY_BYTES] = {1}, plain[SIV_PLAIN_BYTES] = {2}, opened[SIV_PLAIN_BYTES];
	uint8_t sealed[SEALED_BYTES];
	struct siv *siv = siv_create(key, "bellwire push");
	siv_seal(siv, plain, sealed);
	for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(siv_open(siv, sealed, opened));
		assert_memory_equal(opened, nothing, sizeof opened);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(siv_open(siv, sealed, opened));
	siv_destroy(siv);
	siv_destroy(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_seals_as_openssl_does),
		cmocka_unit_test(a_changed_bit_is_refused_and_nothing_given_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
