/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one kind of JSON Web Token that Web Push uses: ES256 in compact serialisation (RFC 7515, RFC
 * 8292). Keys are uncompressed P-256 points of 65 bytes; a signature is 64 bytes r||s, not DER.
 */
#pragma once
#include "common/slice.h"
#include <openssl/evp.h>
#include <stdint.h>

enum { P256_POINT_BYTES = 65, P256_SECRET_BYTES = 32, JWT_MAX_BYTES = 4096 };

struct jwt {
	struct slice signed_text; /* header.payload, as received */
	uint8_t signature[64];
	char *payload; /* decoded JSON; jwt_finish frees it */
	size_t payload_bytes;
};

/* Splits and decodes; refuses every alg but ES256, "crit", a signature that is not 64 bytes. */
bool jwt_parse(struct slice text, struct jwt *out_jwt);
void jwt_finish(struct jwt *jwt);
/* Costs some 60-100 us. */
bool jwt_verify(const struct jwt *jwt, const uint8_t point[P256_POINT_BYTES]);
/* Signs payload (JSON); fresh compact text, NULL when OpenSSL fails. */
char *jwt_sign(struct slice payload, EVP_PKEY *key);

/* P-256 helpers shared with webpush. All return NULL or false for anything not on the curve. */
bool p256_point_is_valid(const uint8_t point[P256_POINT_BYTES]);
EVP_PKEY *p256_from_point(const uint8_t point[P256_POINT_BYTES]);
EVP_PKEY *p256_from_secret(const uint8_t secret[P256_SECRET_BYTES]);
EVP_PKEY *p256_generate(void);
bool p256_point_of(EVP_PKEY *key, uint8_t out_point[P256_POINT_BYTES]);
bool p256_secret_of(EVP_PKEY *key, uint8_t out_secret[P256_SECRET_BYTES]);
