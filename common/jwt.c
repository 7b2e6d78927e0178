/* SPDX-License-Identifier: Apache-2.0 */
/* ES256 tokens and P-256 keys on OpenSSL's EVP interface. */
#include "common/jwt.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/mem.h"
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>

enum { JWT_SIGNATURE_BYTES = 64, JWT_HALF_BYTES = 32, JWT_DER_MAX = 80 };

/* A failed call leaves entries in OpenSSL's per-thread queue, where a TLS connection's next
 * SSL_get_error would find them. */
static void jwt_forget_errors(void) {
	ERR_clear_error();
}

static bool jwt_decode_segment(struct slice text, char **out_data, size_t *out_bytes) {
	CLEANUP_FREE char *data = mem_alloc(text.len + 1);
	size_t bytes = 0;
	if (text.len == 0 || !base64url_decode_lenient(text, (uint8_t *)data, text.len, &bytes)) {
		return false;
	}
	data[bytes] = '\0';
	*out_data = steal(&data);
	*out_bytes = bytes;
	return true;
}

static bool jwt_header_is_ours(struct slice segment) {
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;
	if (!jwt_decode_segment(segment, &text, &bytes)) {
		return false;
	}
	json_t *header = json_parse((struct slice){text, bytes});
	struct slice alg = {NULL, 0};
	bool is_ours = json_is_object(header) && json_get_string(header, "alg", &alg) == JSON_PRESENT &&
				   slice_equals(alg, "ES256") && !json_object_get(header, "crit");
	json_decref(header);
	return is_ours;
}

/* Cuts text at its next dot; false when there is none. */
static bool jwt_cut(struct slice *rest, struct slice *out_segment) {
	const char *dot = rest->len > 0 ? memchr(rest->data, '.', rest->len) : NULL;
	if (!dot) {
		return false;
	}
	*out_segment = (struct slice){rest->data, (size_t)(dot - rest->data)};
	*rest = (struct slice){dot + 1, rest->len - out_segment->len - 1};
	return true;
}

bool jwt_parse(struct slice text, struct jwt *out_jwt) {
	struct slice rest = text, header, payload;
	if (text.len > JWT_MAX_BYTES || !jwt_cut(&rest, &header) || !jwt_cut(&rest, &payload)) {
		return false;
	}
	struct jwt jwt = {.signed_text = {text.data, header.len + 1 + payload.len}};
	/* rest is the signature; a further dot is not in the alphabet */
	size_t bytes = 0;
	if (!base64url_decode_lenient(rest, jwt.signature, sizeof jwt.signature, &bytes) ||
		bytes != sizeof jwt.signature || !jwt_header_is_ours(header) ||
		!jwt_decode_segment(payload, &jwt.payload, &jwt.payload_bytes)) {
		return false;
	}
	*out_jwt = jwt;
	return true;
}

void jwt_finish(struct jwt *jwt) {
	free(jwt->payload);
	*jwt = (struct jwt){0};
}

/* r||s to the DER that EVP expects; 0 on failure. */
static size_t jwt_signature_to_der(
	const uint8_t raw[JWT_SIGNATURE_BYTES], uint8_t out[JWT_DER_MAX]) {
	BIGNUM *r = BN_bin2bn(raw, JWT_HALF_BYTES, NULL);
	BIGNUM *s = BN_bin2bn(raw + JWT_HALF_BYTES, JWT_HALF_BYTES, NULL);
	ECDSA_SIG *signature = ECDSA_SIG_new();
	if (!r || !s || !signature || ECDSA_SIG_set0(signature, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		ECDSA_SIG_free(signature);
		return 0;
	}
	uint8_t *end = out;
	int bytes = i2d_ECDSA_SIG(signature, &end);
	ECDSA_SIG_free(signature);
	return bytes > 0 ? (size_t)bytes : 0;
}

bool jwt_verify(const struct jwt *jwt, const uint8_t point[P256_POINT_BYTES]) {
	uint8_t der[JWT_DER_MAX];
	size_t der_bytes = jwt_signature_to_der(jwt->signature, der);
	EVP_PKEY *key = p256_from_point(point);
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	bool is_good = der_bytes > 0 && key && digest &&
				   EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, key) == 1 &&
				   EVP_DigestVerify(digest, der, der_bytes, (const uint8_t *)jwt->signed_text.data,
					   jwt->signed_text.len) == 1;
	EVP_MD_CTX_free(digest);
	EVP_PKEY_free(key);
	if (!is_good) {
		jwt_forget_errors();
	}
	return is_good;
}

static bool jwt_signature_from_der(
	const uint8_t *der, size_t bytes, uint8_t out[JWT_SIGNATURE_BYTES]) {
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)bytes);
	bool ok = signature &&
			  BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, JWT_HALF_BYTES) == JWT_HALF_BYTES &&
			  BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + JWT_HALF_BYTES, JWT_HALF_BYTES) ==
				  JWT_HALF_BYTES;
	ECDSA_SIG_free(signature);
	return ok;
}

static bool jwt_sign_text(struct slice text, EVP_PKEY *key, uint8_t out[JWT_SIGNATURE_BYTES]) {
	uint8_t der[JWT_DER_MAX];
	size_t der_bytes = sizeof der;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	bool ok = digest && EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, key) == 1 &&
			  EVP_DigestSign(digest, der, &der_bytes, (const uint8_t *)text.data, text.len) == 1 &&
			  jwt_signature_from_der(der, der_bytes, out);
	EVP_MD_CTX_free(digest);
	if (!ok) {
		jwt_forget_errors();
	}
	return ok;
}

char *jwt_sign(struct slice payload, EVP_PKEY *key) {
	static const char header[] = "{\"typ\":\"JWT\",\"alg\":\"ES256\"}";
	CLEANUP_FREE char *first = base64url_print(header, sizeof header - 1);
	CLEANUP_FREE char *second = base64url_print(payload.data, payload.len);
	CLEANUP_FREE char *text = mem_printf("%s.%s", first, second);
	uint8_t signature[JWT_SIGNATURE_BYTES], point[P256_POINT_BYTES];
	/* ES256 is P-256 alone; other curves would sign too */
	if (!p256_point_of(key, point) || !jwt_sign_text(slice_of(text), key, signature)) {
		return NULL;
	}
	CLEANUP_FREE char *third = base64url_print(signature, sizeof signature);
	return mem_printf("%s.%s", text, third);
}

/* secret may be NULL. */
static EVP_PKEY *p256_build(const uint8_t point[P256_POINT_BYTES], const BIGNUM *secret) {
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	bool ok = context && build &&
			  OSSL_PARAM_BLD_push_utf8_string(
				  build, OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1, 0) == 1 &&
			  OSSL_PARAM_BLD_push_octet_string(
				  build, OSSL_PKEY_PARAM_PUB_KEY, point, P256_POINT_BYTES) == 1 &&
			  (!secret || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, secret) == 1);
	params = ok ? OSSL_PARAM_BLD_to_param(build) : NULL;
	if (!params || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, secret ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) !=
			1) {
		key = NULL;
		jwt_forget_errors();
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(context);
	return key;
}

EVP_PKEY *p256_from_point(const uint8_t point[P256_POINT_BYTES]) {
	/* 6 and 7 begin the hybrid form, which OpenSSL would take. */
	return point[0] == 4 ? p256_build(point, NULL) : NULL;
}

bool p256_point_is_valid(const uint8_t point[P256_POINT_BYTES]) {
	EVP_PKEY *key = p256_from_point(point);
	EVP_PKEY_free(key);
	return key != NULL;
}

/* secret * generator; false when secret is not in [1, n-1]. */
static bool p256_multiply(const BIGNUM *secret, uint8_t out_point[P256_POINT_BYTES]) {
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT *point = group ? EC_POINT_new(group) : NULL;
	bool ok = point && !BN_is_zero(secret) && BN_cmp(secret, EC_GROUP_get0_order(group)) < 0 &&
			  EC_POINT_mul(group, point, secret, NULL, NULL, NULL) == 1 &&
			  EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, out_point,
				  P256_POINT_BYTES, NULL) == P256_POINT_BYTES;
	EC_POINT_free(point);
	EC_GROUP_free(group);
	return ok;
}

EVP_PKEY *p256_from_secret(const uint8_t secret[P256_SECRET_BYTES]) {
	uint8_t point[P256_POINT_BYTES];
	BIGNUM *number = BN_secure_new();
	EVP_PKEY *key = NULL;
	if (number && BN_bin2bn(secret, P256_SECRET_BYTES, number)) {
		BN_set_flags(number, BN_FLG_CONSTTIME);
		key = p256_multiply(number, point) ? p256_build(point, number) : NULL;
	}
	BN_clear_free(number);
	if (!key) {
		jwt_forget_errors();
	}
	return key;
}

EVP_PKEY *p256_generate(void) {
	EVP_PKEY *key = EVP_EC_gen(SN_X9_62_prime256v1);
	if (!key) {
		jwt_forget_errors();
	}
	return key;
}

bool p256_point_of(EVP_PKEY *key, uint8_t out_point[P256_POINT_BYTES]) {
	uint8_t point[P256_POINT_BYTES];
	char group[32];
	size_t bytes = 0;
	bool ok = EVP_PKEY_is_a(key, "EC") &&
			  EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
			  strcmp(group, SN_X9_62_prime256v1) == 0 &&
			  EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
				  OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) == 1 &&
			  EVP_PKEY_get_octet_string_param(
				  key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &bytes) == 1 &&
			  bytes == sizeof point;
	if (!ok) {
		jwt_forget_errors();
		return false;
	}
	memcpy(out_point, point, sizeof point);
	return true;
}

bool p256_secret_of(EVP_PKEY *key, uint8_t out_secret[P256_SECRET_BYTES]) {
	BIGNUM *number = NULL;
	bool ok = EVP_PKEY_is_a(key, "EC") &&
			  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1 &&
			  BN_bn2binpad(number, out_secret, P256_SECRET_BYTES) == P256_SECRET_BYTES;
	BN_clear_free(number);
	if (!ok) {
		jwt_forget_errors();
	}
	return ok;
}
