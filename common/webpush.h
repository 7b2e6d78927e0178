/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Web Push message encryption: aes128gcm (RFC 8188 with the profile of RFC 8291) and, to read only,
 * the legacy aesgcm. The relay never needs this; devices, the sending tool and tests do.
 */
#pragma once
#include "common/jwt.h"

enum {
	WEBPUSH_AUTH_BYTES = 16,
	WEBPUSH_SALT_BYTES = 16,
	WEBPUSH_HEADER_BYTES = 86, /* salt, rs, idlen, 65-byte keyid */
	WEBPUSH_OVERHEAD_BYTES = WEBPUSH_HEADER_BYTES + 1 + 16,
	WEBPUSH_MAX_BODY_BYTES = 1 << 20,
};

enum webpush_result {
	WEBPUSH_OK,
	WEBPUSH_MALFORMED,
	WEBPUSH_BAD_KEY,
	WEBPUSH_TRUNCATED,
	WEBPUSH_NOT_FOR_US,
	WEBPUSH_CRYPTO_FAILED
};
const char *webpush_result_text(enum webpush_result result);

/* Encrypts one record padded to at least pad_to plaintext bytes (0 for none). */
enum webpush_result webpush_encrypt(struct slice plain, const uint8_t ua_point[P256_POINT_BYTES],
	const uint8_t auth[WEBPUSH_AUTH_BYTES], size_t pad_to, uint8_t **out_body, size_t *out_bytes);
/* For tests with published vectors: the sender's key and salt are given. */
enum webpush_result webpush_encrypt_with(struct slice plain,
	const uint8_t ua_point[P256_POINT_BYTES], const uint8_t auth[WEBPUSH_AUTH_BYTES], size_t pad_to,
	EVP_PKEY *as_key, const uint8_t salt[WEBPUSH_SALT_BYTES], uint8_t **out_body,
	size_t *out_bytes);
/* Decrypts an aes128gcm body of one or several records (some senders exceed the single record of
 * RFC 8291). A body that fails and is base64 text throughout is decoded and tried once more (old
 * Stalwart). */
enum webpush_result webpush_decrypt(struct slice body, EVP_PKEY *ua_key,
	const uint8_t auth[WEBPUSH_AUTH_BYTES], uint8_t **out_plain, size_t *out_bytes);
/* Legacy: encryption is the Encryption header (salt=…;rs=…), crypto_key the Crypto-Key header
 * (dh=…). */
enum webpush_result webpush_decrypt_aesgcm(struct slice body, struct slice encryption,
	struct slice crypto_key, EVP_PKEY *ua_key, const uint8_t auth[WEBPUSH_AUTH_BYTES],
	uint8_t **out_plain, size_t *out_bytes);
/* Plain RFC 8188 with the given input keying material; out_plain is all records joined. */
enum webpush_result webpush_decrypt_ikm(
	struct slice body, struct slice ikm, uint8_t **out_plain, size_t *out_bytes);
