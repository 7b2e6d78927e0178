/* SPDX-License-Identifier: Apache-2.0 */
/* Message encryption of RFC 8188 and RFC 8291, and reading of the aesgcm coding that came before.
 */
#include "common/webpush.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>

enum {
	WEBPUSH_TAG_BYTES = 16,
	WEBPUSH_KEY_BYTES = 16,
	WEBPUSH_NONCE_BYTES = 12,
	WEBPUSH_HASH_BYTES = 32,
	WEBPUSH_FIXED_HEADER_BYTES = 21, /* salt, rs, idlen */
	WEBPUSH_MIN_RECORD_SIZE = 18, /* RFC 8188 2.1 */
	WEBPUSH_DEFAULT_RECORD_SIZE = 4096,
	WEBPUSH_AESGCM_PAD_BYTES = 2,
	/* "P-256" 0, and twice a length and a point */
	WEBPUSH_AESGCM_CONTEXT_BYTES = 6 + 2 * (2 + P256_POINT_BYTES),
	WEBPUSH_INFO_MAX = 256,
	WEBPUSH_DELIMITER_MORE = 1,
	WEBPUSH_DELIMITER_LAST = 2,
};

/* How the records of one body are laid out. */
struct webpush_records {
	uint8_t key[WEBPUSH_KEY_BYTES], nonce[WEBPUSH_NONCE_BYTES];
	size_t record_bytes; /* of ciphertext with its tag */
	bool is_aesgcm; /* padding in front, and the last record is shorter */
};

const char *webpush_result_text(enum webpush_result result) {
	static const char *const texts[] = {
		[WEBPUSH_OK] = "decrypted",
		[WEBPUSH_MALFORMED] = "not a valid encrypted message",
		[WEBPUSH_BAD_KEY] = "the key is not a point on P-256",
		[WEBPUSH_TRUNCATED] = "the end is missing",
		[WEBPUSH_NOT_FOR_US] = "encrypted for another key, or altered",
		[WEBPUSH_CRYPTO_FAILED] = "the cryptographic library failed",
	};
	return texts[result];
}

static bool webpush_hmac(
	struct slice key, const void *data, size_t bytes, uint8_t out[WEBPUSH_HASH_BYTES]) {
	unsigned int len = 0;
	/* OpenSSL takes a NULL key for "the one before" */
	return HMAC(EVP_sha256(), key.len > 0 ? key.data : "", (int)key.len, data, bytes, out, &len) &&
		   len == WEBPUSH_HASH_BYTES;
}

/* HKDF of RFC 5869 for up to 32 bytes; info is what stands before the counter. */
static bool webpush_hkdf(struct slice salt, struct slice secret, const uint8_t *info,
	size_t info_bytes, uint8_t *out, size_t bytes) {
	uint8_t prk[WEBPUSH_HASH_BYTES], okm[WEBPUSH_HASH_BYTES], text[WEBPUSH_INFO_MAX];
	assert(info_bytes < sizeof text && bytes <= sizeof okm);
	memcpy(text, info, info_bytes);
	text[info_bytes] = 1;
	bool ok =
		webpush_hmac(salt, secret.data, secret.len, prk) &&
		webpush_hmac((struct slice){(const char *)prk, sizeof prk}, text, info_bytes + 1, okm);
	if (ok) {
		memcpy(out, okm, bytes);
	}
	mem_wipe(prk, sizeof prk);
	mem_wipe(okm, sizeof okm);
	return ok;
}

static struct slice webpush_slice(const uint8_t *data, size_t bytes) {
	return (struct slice){(const char *)data, bytes};
}

/* Content key and nonce; context follows the label and its zero (aesgcm only). */
static bool webpush_derive_records(struct slice salt, struct slice ikm, const char *coding,
	const uint8_t *context, size_t context_bytes, struct webpush_records *records) {
	const char *const labels[] = {coding, "nonce"};
	uint8_t *const outs[] = {records->key, records->nonce};
	const size_t sizes[] = {sizeof records->key, sizeof records->nonce};
	for (int i = 0; i < 2; i++) {
		uint8_t info[WEBPUSH_INFO_MAX];
		int len = snprintf((char *)info, sizeof info, "Content-Encoding: %s", labels[i]);
		size_t info_bytes = (size_t)len + 1; /* the NUL is part of it */
		assert(len > 0 && info_bytes + context_bytes < sizeof info);
		if (context_bytes > 0) {
			memcpy(info + info_bytes, context, context_bytes);
		}
		if (!webpush_hkdf(salt, ikm, info, info_bytes + context_bytes, outs[i], sizes[i])) {
			return false;
		}
	}
	return true;
}

static bool webpush_ecdh(EVP_PKEY *ours, EVP_PKEY *theirs, uint8_t out[P256_SECRET_BYTES]) {
	size_t bytes = P256_SECRET_BYTES;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
	bool ok = context && EVP_PKEY_derive_init(context) == 1 &&
			  EVP_PKEY_derive_set_peer(context, theirs) == 1 &&
			  EVP_PKEY_derive(context, out, &bytes) == 1 && bytes == P256_SECRET_BYTES;
	EVP_PKEY_CTX_free(context);
	return ok;
}

/* The nonce of one record: its number is XORed into the last 8 bytes, for no body has 2^64. */
static void webpush_nonce(
	const struct webpush_records *records, uint64_t number, uint8_t out[WEBPUSH_NONCE_BYTES]) {
	memcpy(out, records->nonce, WEBPUSH_NONCE_BYTES);
	for (int i = 0; i < 8; i++) {
		out[WEBPUSH_NONCE_BYTES - 1 - i] ^= (uint8_t)(number >> (8 * i));
	}
}

/* Writes bytes - 16 bytes of plaintext. */
static enum webpush_result webpush_open_record(EVP_CIPHER_CTX *context,
	const struct webpush_records *records, uint64_t number, const uint8_t *record, size_t bytes,
	uint8_t *out) {
	uint8_t nonce[WEBPUSH_NONCE_BYTES], tag[WEBPUSH_TAG_BYTES];
	size_t plain_bytes = bytes - WEBPUSH_TAG_BYTES;
	int len = 0;
	webpush_nonce(records, number, nonce);
	memcpy(tag, record + plain_bytes, sizeof tag);
	if (EVP_DecryptInit_ex(context, EVP_aes_128_gcm(), NULL, records->key, nonce) != 1 ||
		EVP_DecryptUpdate(context, out, &len, record, (int)plain_bytes) != 1 ||
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) != 1) {
		return WEBPUSH_CRYPTO_FAILED;
	}
	return EVP_DecryptFinal_ex(context, out + plain_bytes, &len) == 1 ? WEBPUSH_OK
																	  : WEBPUSH_NOT_FOR_US;
}

/* Strips "data | delimiter | zeroes" (RFC 8188 2). */
static enum webpush_result webpush_unpad(
	const uint8_t *plain, size_t bytes, bool is_last, size_t *out_bytes) {
	while (bytes > 0 && plain[bytes - 1] == 0) {
		bytes--;
	}
	if (bytes == 0) {
		return WEBPUSH_MALFORMED;
	}
	uint8_t delimiter = plain[bytes - 1];
	if (is_last && delimiter == WEBPUSH_DELIMITER_MORE) {
		return WEBPUSH_TRUNCATED;
	}
	if (delimiter != (is_last ? WEBPUSH_DELIMITER_LAST : WEBPUSH_DELIMITER_MORE)) {
		return WEBPUSH_MALFORMED;
	}
	*out_bytes = bytes - 1;
	return WEBPUSH_OK;
}

/* Strips "length of padding | zeroes | data" in place. */
static enum webpush_result webpush_unpad_aesgcm(uint8_t *plain, size_t bytes, size_t *out_bytes) {
	size_t pad = bytes >= WEBPUSH_AESGCM_PAD_BYTES ? ((size_t)plain[0] << 8 | plain[1]) : SIZE_MAX;
	if (pad == SIZE_MAX || pad > bytes - WEBPUSH_AESGCM_PAD_BYTES) {
		return WEBPUSH_MALFORMED;
	}
	size_t start = WEBPUSH_AESGCM_PAD_BYTES + pad;
	for (size_t i = WEBPUSH_AESGCM_PAD_BYTES; i < start; i++) {
		if (plain[i] != 0) {
			return WEBPUSH_MALFORMED;
		}
	}
	memmove(plain, plain + start, bytes - start);
	*out_bytes = bytes - start;
	return WEBPUSH_OK;
}

static enum webpush_result webpush_open_each(EVP_CIPHER_CTX *context,
	const struct webpush_records *records, struct slice text, uint8_t *out, size_t *out_bytes) {
	size_t total = 0, record_bytes = 0;
	uint64_t number = 0;
	/* an aesgcm body that ends with a full record has lost what follows */
	for (size_t at = 0;
		 at < text.len || (records->is_aesgcm && at > 0 && record_bytes == records->record_bytes);
		 at += record_bytes) {
		size_t rest = text.len - at;
		record_bytes = rest < records->record_bytes ? rest : records->record_bytes;
		if (record_bytes <= WEBPUSH_TAG_BYTES) {
			return WEBPUSH_TRUNCATED;
		}
		uint8_t *plain = out + total;
		size_t bytes = record_bytes - WEBPUSH_TAG_BYTES;
		enum webpush_result result = webpush_open_record(
			context, records, number++, (const uint8_t *)text.data + at, record_bytes, plain);
		if (result == WEBPUSH_OK) {
			result = records->is_aesgcm ? webpush_unpad_aesgcm(plain, bytes, &bytes)
										: webpush_unpad(plain, bytes, record_bytes == rest, &bytes);
		}
		if (result != WEBPUSH_OK) {
			return result;
		}
		total += bytes;
	}
	*out_bytes = total;
	return number > 0 ? WEBPUSH_OK : WEBPUSH_TRUNCATED;
}

static enum webpush_result webpush_open_records(const struct webpush_records *records,
	struct slice text, uint8_t **out_plain, size_t *out_bytes) {
	CLEANUP_FREE uint8_t *plain = mem_alloc(text.len + 1); /* a NUL follows */
	size_t bytes = 0;
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	enum webpush_result result =
		context ? webpush_open_each(context, records, text, plain, &bytes) : WEBPUSH_CRYPTO_FAILED;
	EVP_CIPHER_CTX_free(context);
	if (result != WEBPUSH_OK) {
		ERR_clear_error();
		return result;
	}
	plain[bytes] = '\0';
	*out_plain = steal(&plain);
	*out_bytes = bytes;
	return WEBPUSH_OK;
}

/* The head of an aes128gcm body. */
struct webpush_header {
	struct slice salt, keyid, records;
	size_t record_bytes;
};

static enum webpush_result webpush_read_header(struct slice body, struct webpush_header *out) {
	const uint8_t *data = (const uint8_t *)body.data;
	if (body.len > WEBPUSH_MAX_BODY_BYTES || body.len < WEBPUSH_FIXED_HEADER_BYTES) {
		return body.len > 0 ? WEBPUSH_MALFORMED : WEBPUSH_TRUNCATED;
	}
	uint32_t record_bytes = (uint32_t)data[16] << 24 | (uint32_t)data[17] << 16 |
							(uint32_t)data[18] << 8 | (uint32_t)data[19];
	size_t start = WEBPUSH_FIXED_HEADER_BYTES + (size_t)data[20];
	if (record_bytes < WEBPUSH_MIN_RECORD_SIZE || body.len < start) {
		return WEBPUSH_MALFORMED;
	}
	*out = (struct webpush_header){
		.salt = {body.data, WEBPUSH_SALT_BYTES},
		.keyid = {body.data + WEBPUSH_FIXED_HEADER_BYTES, data[20]},
		.records = {body.data + start, body.len - start},
		.record_bytes = record_bytes,
	};
	return WEBPUSH_OK;
}

static enum webpush_result webpush_open_with_ikm(
	const struct webpush_header *header, struct slice ikm, uint8_t **out_plain, size_t *out_bytes) {
	struct webpush_records records = {.record_bytes = header->record_bytes};
	enum webpush_result result =
		webpush_derive_records(header->salt, ikm, "aes128gcm", NULL, 0, &records)
			? webpush_open_records(&records, header->records, out_plain, out_bytes)
			: WEBPUSH_CRYPTO_FAILED;
	mem_wipe(&records, sizeof records);
	return result;
}

enum webpush_result webpush_decrypt_ikm(
	struct slice body, struct slice ikm, uint8_t **out_plain, size_t *out_bytes) {
	struct webpush_header header;
	enum webpush_result result = webpush_read_header(body, &header);
	return result == WEBPUSH_OK ? webpush_open_with_ikm(&header, ikm, out_plain, out_bytes)
								: result;
}

/* RFC 8291 3.4: ours and theirs are the two ends of the key agreement, whichever side we are. */
static bool webpush_derive_ikm(EVP_PKEY *ours, EVP_PKEY *theirs,
	const uint8_t ua_point[P256_POINT_BYTES], const uint8_t as_point[P256_POINT_BYTES],
	const uint8_t auth[WEBPUSH_AUTH_BYTES], uint8_t out_ikm[WEBPUSH_HASH_BYTES]) {
	static const char label[] = "WebPush: info"; /* its NUL counts */
	uint8_t secret[P256_SECRET_BYTES], info[sizeof label + 2 * P256_POINT_BYTES];
	memcpy(info, label, sizeof label);
	memcpy(info + sizeof label, ua_point, P256_POINT_BYTES);
	memcpy(info + sizeof label + P256_POINT_BYTES, as_point, P256_POINT_BYTES);
	bool ok =
		webpush_ecdh(ours, theirs, secret) &&
		webpush_hkdf(webpush_slice(auth, WEBPUSH_AUTH_BYTES), webpush_slice(secret, sizeof secret),
			info, sizeof info, out_ikm, WEBPUSH_HASH_BYTES);
	mem_wipe(secret, sizeof secret);
	return ok;
}

static enum webpush_result webpush_decrypt_once(struct slice body, EVP_PKEY *ua_key,
	const uint8_t auth[WEBPUSH_AUTH_BYTES], uint8_t **out_plain, size_t *out_bytes) {
	struct webpush_header header;
	enum webpush_result result = webpush_read_header(body, &header);
	if (result != WEBPUSH_OK) {
		return result;
	}
	if (header.keyid.len != P256_POINT_BYTES) {
		return WEBPUSH_MALFORMED;
	}
	uint8_t ua_point[P256_POINT_BYTES], ikm[WEBPUSH_HASH_BYTES];
	const uint8_t *as_point = (const uint8_t *)header.keyid.data;
	EVP_PKEY *as_key = p256_from_point(as_point);
	if (!as_key) {
		return WEBPUSH_BAD_KEY;
	}
	result =
		p256_point_of(ua_key, ua_point) &&
				webpush_derive_ikm(ua_key, as_key, ua_point, as_point, auth, ikm)
			? webpush_open_with_ikm(&header, webpush_slice(ikm, sizeof ikm), out_plain, out_bytes)
			: WEBPUSH_CRYPTO_FAILED;
	mem_wipe(ikm, sizeof ikm);
	EVP_PKEY_free(as_key);
	return result;
}

enum webpush_result webpush_decrypt(struct slice body, EVP_PKEY *ua_key,
	const uint8_t auth[WEBPUSH_AUTH_BYTES], uint8_t **out_plain, size_t *out_bytes) {
	enum webpush_result result = webpush_decrypt_once(body, ua_key, auth, out_plain, out_bytes);
	if (result == WEBPUSH_OK || body.len == 0 || body.len > WEBPUSH_MAX_BODY_BYTES) {
		return result;
	}
	CLEANUP_FREE uint8_t *decoded = mem_alloc(body.len);
	size_t bytes = 0;
	if (base64url_decode_lenient(body, decoded, body.len, &bytes) &&
		webpush_decrypt_once(webpush_slice(decoded, bytes), ua_key, auth, out_plain, out_bytes) ==
			WEBPUSH_OK) {
		return WEBPUSH_OK;
	}
	return result;
}

/* One parameter of Encryption or Crypto-Key; the first of that name counts. */
static bool webpush_param(struct slice header, const char *name, struct slice *out_value) {
	const char *end = header.data + header.len;
	for (const char *p = header.data; p < end;) {
		const char *stop = p;
		while (stop < end && *stop != ';' && *stop != ',') {
			stop++;
		}
		struct slice entry = {p, (size_t)(stop - p)};
		const char *equals = entry.len > 0 ? memchr(p, '=', entry.len) : NULL;
		p = stop < end ? stop + 1 : end;
		if (!equals ||
			!slice_equals_nocase(
				slice_trim((struct slice){entry.data, (size_t)(equals - entry.data)}), name)) {
			continue;
		}
		struct slice value = slice_trim((struct slice){equals + 1, (size_t)(stop - equals - 1)});
		if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
			value = (struct slice){value.data + 1, value.len - 2};
		}
		*out_value = value;
		return true;
	}
	return false;
}

static bool webpush_param_bytes(struct slice header, const char *name, uint8_t *out, size_t bytes) {
	struct slice text;
	size_t got = 0;
	return webpush_param(header, name, &text) && base64url_decode_lenient(text, out, bytes, &got) &&
		   got == bytes;
}

/* rs of the Encryption header; 0 when it is no number that can be. */
static size_t webpush_param_record_size(struct slice encryption) {
	struct slice text;
	size_t size = 0;
	if (!webpush_param(encryption, "rs", &text)) {
		return WEBPUSH_DEFAULT_RECORD_SIZE;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || size > WEBPUSH_MAX_BODY_BYTES) {
			return 0;
		}
		size = size * 10 + (size_t)(text.data[i] - '0');
	}
	return size > WEBPUSH_AESGCM_PAD_BYTES ? size : 0;
}

static size_t webpush_put_point(uint8_t *at, const uint8_t point[P256_POINT_BYTES]) {
	at[0] = 0;
	at[1] = P256_POINT_BYTES;
	memcpy(at + 2, point, P256_POINT_BYTES);
	return 2 + P256_POINT_BYTES;
}

/* Fills the key and nonce of records; salt from the Encryption header. */
static bool webpush_derive_aesgcm(EVP_PKEY *ua_key, EVP_PKEY *as_key,
	const uint8_t as_point[P256_POINT_BYTES], const uint8_t auth[WEBPUSH_AUTH_BYTES],
	const uint8_t salt[WEBPUSH_SALT_BYTES], struct webpush_records *records) {
	static const char label[] = "Content-Encoding: auth";
	uint8_t secret[P256_SECRET_BYTES], ikm[WEBPUSH_HASH_BYTES], ua_point[P256_POINT_BYTES];
	uint8_t context[WEBPUSH_AESGCM_CONTEXT_BYTES];
	if (!p256_point_of(ua_key, ua_point)) {
		return false;
	}
	memcpy(context, "P-256", 6);
	size_t at = 6;
	at += webpush_put_point(context + at, ua_point);
	at += webpush_put_point(context + at, as_point);
	assert(at == sizeof context);
	bool ok =
		webpush_ecdh(ua_key, as_key, secret) &&
		webpush_hkdf(webpush_slice(auth, WEBPUSH_AUTH_BYTES), webpush_slice(secret, sizeof secret),
			(const uint8_t *)label, sizeof label, ikm, sizeof ikm) &&
		webpush_derive_records(webpush_slice(salt, WEBPUSH_SALT_BYTES),
			webpush_slice(ikm, sizeof ikm), "aesgcm", context, sizeof context, records);
	mem_wipe(secret, sizeof secret);
	mem_wipe(ikm, sizeof ikm);
	return ok;
}

enum webpush_result webpush_decrypt_aesgcm(struct slice body, struct slice encryption,
	struct slice crypto_key, EVP_PKEY *ua_key, const uint8_t auth[WEBPUSH_AUTH_BYTES],
	uint8_t **out_plain, size_t *out_bytes) {
	uint8_t salt[WEBPUSH_SALT_BYTES], as_point[P256_POINT_BYTES];
	size_t record_size = webpush_param_record_size(encryption);
	if (body.len > WEBPUSH_MAX_BODY_BYTES || record_size == 0 ||
		!webpush_param_bytes(encryption, "salt", salt, sizeof salt) ||
		!webpush_param_bytes(crypto_key, "dh", as_point, sizeof as_point)) {
		return WEBPUSH_MALFORMED;
	}
	EVP_PKEY *as_key = p256_from_point(as_point);
	if (!as_key) {
		return WEBPUSH_BAD_KEY;
	}
	struct webpush_records records = {
		.record_bytes = record_size + WEBPUSH_TAG_BYTES, .is_aesgcm = true};
	enum webpush_result result =
		webpush_derive_aesgcm(ua_key, as_key, as_point, auth, salt, &records)
			? webpush_open_records(&records, body, out_plain, out_bytes)
			: WEBPUSH_CRYPTO_FAILED;
	mem_wipe(&records, sizeof records);
	EVP_PKEY_free(as_key);
	return result;
}

/* Seals bytes of plain in place and appends the tag. */
static bool webpush_seal_record(
	const struct webpush_records *records, uint8_t *data, size_t bytes) {
	int len = 0;
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	bool ok =
		context &&
		EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), NULL, records->key, records->nonce) == 1 &&
		EVP_EncryptUpdate(context, data, &len, data, (int)bytes) == 1 &&
		EVP_EncryptFinal_ex(context, data + bytes, &len) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, WEBPUSH_TAG_BYTES, data + bytes) == 1;
	EVP_CIPHER_CTX_free(context);
	return ok;
}

/* Key and nonce for a message that we send. */
static bool webpush_derive_sending(EVP_PKEY *as_key, const uint8_t as_point[P256_POINT_BYTES],
	const uint8_t ua_point[P256_POINT_BYTES], const uint8_t auth[WEBPUSH_AUTH_BYTES],
	const uint8_t salt[WEBPUSH_SALT_BYTES], struct webpush_records *records) {
	uint8_t ikm[WEBPUSH_HASH_BYTES];
	EVP_PKEY *ua_key = p256_from_point(ua_point);
	bool ok = ua_key && webpush_derive_ikm(as_key, ua_key, ua_point, as_point, auth, ikm) &&
			  webpush_derive_records(webpush_slice(salt, WEBPUSH_SALT_BYTES),
				  webpush_slice(ikm, sizeof ikm), "aes128gcm", NULL, 0, records);
	mem_wipe(ikm, sizeof ikm);
	EVP_PKEY_free(ua_key);
	return ok;
}

static void webpush_write_header(uint8_t out[WEBPUSH_HEADER_BYTES],
	const uint8_t salt[WEBPUSH_SALT_BYTES], size_t record_bytes,
	const uint8_t as_point[P256_POINT_BYTES]) {
	/* RFC 8291 4: rs is greater than the one record */
	size_t rs =
		record_bytes < WEBPUSH_DEFAULT_RECORD_SIZE ? WEBPUSH_DEFAULT_RECORD_SIZE : record_bytes + 1;
	memcpy(out, salt, WEBPUSH_SALT_BYTES);
	for (int i = 0; i < 4; i++) {
		out[WEBPUSH_SALT_BYTES + i] = (uint8_t)(rs >> (24 - 8 * i));
	}
	out[WEBPUSH_FIXED_HEADER_BYTES - 1] = P256_POINT_BYTES;
	memcpy(out + WEBPUSH_FIXED_HEADER_BYTES, as_point, P256_POINT_BYTES);
}

enum webpush_result webpush_encrypt_with(struct slice plain,
	const uint8_t ua_point[P256_POINT_BYTES], const uint8_t auth[WEBPUSH_AUTH_BYTES], size_t pad_to,
	EVP_PKEY *as_key, const uint8_t salt[WEBPUSH_SALT_BYTES], uint8_t **out_body,
	size_t *out_bytes) {
	size_t padded = pad_to > plain.len ? pad_to : plain.len;
	if (padded > WEBPUSH_MAX_BODY_BYTES - WEBPUSH_OVERHEAD_BYTES) {
		return WEBPUSH_MALFORMED;
	}
	if (!p256_point_is_valid(ua_point)) {
		return WEBPUSH_BAD_KEY;
	}
	size_t sealed = padded + 1, record_bytes = sealed + WEBPUSH_TAG_BYTES;
	CLEANUP_FREE uint8_t *body = mem_zalloc(WEBPUSH_HEADER_BYTES + record_bytes);
	uint8_t *record = body + WEBPUSH_HEADER_BYTES, as_point[P256_POINT_BYTES];
	struct webpush_records records = {.record_bytes = record_bytes};
	if (plain.len > 0) {
		memcpy(record, plain.data, plain.len);
	}
	record[plain.len] = WEBPUSH_DELIMITER_LAST;
	bool ok = p256_point_of(as_key, as_point) &&
			  webpush_derive_sending(as_key, as_point, ua_point, auth, salt, &records) &&
			  webpush_seal_record(&records, record, sealed);
	mem_wipe(&records, sizeof records);
	if (!ok) {
		ERR_clear_error();
		return WEBPUSH_CRYPTO_FAILED;
	}
	webpush_write_header(body, salt, record_bytes, as_point);
	*out_body = steal(&body);
	*out_bytes = WEBPUSH_HEADER_BYTES + record_bytes;
	return WEBPUSH_OK;
}

enum webpush_result webpush_encrypt(struct slice plain, const uint8_t ua_point[P256_POINT_BYTES],
	const uint8_t auth[WEBPUSH_AUTH_BYTES], size_t pad_to, uint8_t **out_body, size_t *out_bytes) {
	uint8_t salt[WEBPUSH_SALT_BYTES];
	EVP_PKEY *as_key = p256_generate();
	enum webpush_result result =
		as_key && RAND_bytes(salt, sizeof salt) == 1
			? webpush_encrypt_with(plain, ua_point, auth, pad_to, as_key, salt, out_body, out_bytes)
			: WEBPUSH_CRYPTO_FAILED;
	EVP_PKEY_free(as_key);
	return result;
}
