/* SPDX-License-Identifier: Apache-2.0 */
/* Seals and opens the capabilities in URLs with AES-256-SIV, under keys that have numbers. */
#include "relay/push/token.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/push/siv.h"
#include "relay/push/token_file.h"
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

enum {
	TOKEN_PLAIN_BYTES = SIV_PLAIN_BYTES,
	TOKEN_BYTES = 1 + SIV_TAG_BYTES + TOKEN_PLAIN_BYTES,
	TOKEN_NUMBERS = 256,
};
static_assert(BASE64URL_LENGTH(TOKEN_BYTES) == TOKEN_LENGTH, "the text of a token");
static_assert((int)TOKEN_KEY_BYTES == (int)SIV_KEY_BYTES, "a key of the file is the cipher's");

enum token_kind { TOKEN_PUSH, TOKEN_MESSAGE, TOKEN_KIND_COUNT };

static const char *const token_associated_data[] = {
	[TOKEN_PUSH] = "bellwire push",
	[TOKEN_MESSAGE] = "bellwire message",
};
static_assert(sizeof token_associated_data / sizeof *token_associated_data == TOKEN_KIND_COUNT,
	"one for each kind");

struct token_keys {
	struct token_file file;
	struct siv *sivs[TOKEN_KEYS_MAX][TOKEN_KIND_COUNT]; /* of the key at the same place in file */
	int16_t places[TOKEN_NUMBERS]; /* by key number; -1: no such key */
};

static void token_keys_arm(struct token_keys *keys) {
	for (size_t i = 0; i < TOKEN_NUMBERS; i++) {
		keys->places[i] = -1;
	}
	for (size_t i = 0; i < keys->file.count; i++) {
		const struct token_file_key *key = &keys->file.keys[i];
		keys->places[key->number] = (int16_t)i;
		for (enum token_kind kind = 0; kind < TOKEN_KIND_COUNT; kind++) {
			keys->sivs[i][kind] = siv_create(key->secret, token_associated_data[kind]);
		}
	}
}

struct token_keys *token_keys_open(const char *path, bool create, char **out_error) {
	struct token_keys *keys = mem_zalloc(sizeof *keys);
	if (token_file_open(path, create, &keys->file, out_error) < 0) {
		free(keys);
		return NULL;
	}
	token_keys_arm(keys);
	return keys;
}

void token_keys_destroy(struct token_keys *keys) {
	if (!keys) {
		return;
	}
	for (size_t i = 0; i < keys->file.count; i++) {
		for (enum token_kind kind = 0; kind < TOKEN_KIND_COUNT; kind++) {
			siv_destroy(keys->sivs[i][kind]);
		}
	}
	mem_wipe(keys, sizeof *keys);
	free(keys);
}

size_t token_keys_count(const struct token_keys *keys) {
	return keys->file.count;
}

void token_keys_derive(
	const struct token_keys *keys, const char *purpose, uint8_t *out, size_t bytes) {
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		/* the interface wants writable memory and writes none */
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)keys->file.keys[0].secret, TOKEN_KEY_BYTES),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)purpose, strlen(purpose)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
	if (!context || EVP_KDF_derive(context, out, bytes, params) != 1) {
		log_fatal("OpenSSL cannot derive a secret");
	}
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(hkdf);
}

static void token_seal(const struct token_keys *keys, enum token_kind kind,
	const uint8_t plain[TOKEN_PLAIN_BYTES], char out[TOKEN_LENGTH + 1]) {
	size_t newest = keys->file.count - 1;
	uint8_t token[TOKEN_BYTES] = {keys->file.keys[newest].number};
	siv_seal(keys->sivs[newest][kind], plain, token + 1);
	size_t characters = base64url_encode(out, token, sizeof token);
	assert(characters == TOKEN_LENGTH);
	out[characters] = '\0';
}

static bool token_unseal(const struct token_keys *keys, enum token_kind kind, struct slice text,
	uint8_t out[TOKEN_PLAIN_BYTES]) {
	uint8_t token[TOKEN_BYTES];
	size_t bytes = 0;
	/* the strict decoder leaves each token a single spelling */
	if (text.len != TOKEN_LENGTH || !base64url_decode(text, token, sizeof token, &bytes) ||
		bytes != sizeof token || keys->places[token[0]] < 0) {
		return false;
	}
	return siv_open(keys->sivs[keys->places[token[0]]][kind], token + 1, out);
}

void token_make_push(const struct token_keys *keys, struct device_id device,
	struct subscription_id subscription, char out[TOKEN_LENGTH + 1]) {
	uint8_t plain[TOKEN_PLAIN_BYTES];
	memcpy(plain, device.bytes, sizeof device.bytes);
	memcpy(plain + sizeof device.bytes, subscription.bytes, sizeof subscription.bytes);
	token_seal(keys, TOKEN_PUSH, plain, out);
}

bool token_open_push(const struct token_keys *keys, struct slice text, struct device_id *out_device,
	struct subscription_id *out_subscription) {
	uint8_t plain[TOKEN_PLAIN_BYTES];
	if (!token_unseal(keys, TOKEN_PUSH, text, plain)) {
		return false;
	}
	memcpy(out_device->bytes, plain, sizeof out_device->bytes);
	memcpy(
		out_subscription->bytes, plain + sizeof out_device->bytes, sizeof out_subscription->bytes);
	return true;
}

static void token_put_number(uint8_t out[8], uint64_t number) {
	for (int i = 0; i < 8; i++) {
		out[i] = (uint8_t)(number >> (56 - 8 * i));
	}
}

static uint64_t token_get_number(const uint8_t bytes[8]) {
	uint64_t number = 0;
	for (int i = 0; i < 8; i++) {
		number = number << 8 | bytes[i];
	}
	return number;
}

void token_make_message(const struct token_keys *keys, struct device_id device,
	struct message_id message, char out[TOKEN_LENGTH + 1]) {
	uint8_t plain[TOKEN_PLAIN_BYTES];
	memcpy(plain, device.bytes, sizeof device.bytes);
	token_put_number(plain + 16, message.hi);
	token_put_number(plain + 24, message.lo);
	token_seal(keys, TOKEN_MESSAGE, plain, out);
}

bool token_open_message(const struct token_keys *keys, struct slice text,
	struct device_id *out_device, struct message_id *out_message) {
	uint8_t plain[TOKEN_PLAIN_BYTES];
	if (!token_unseal(keys, TOKEN_MESSAGE, text, plain)) {
		return false;
	}
	memcpy(out_device->bytes, plain, sizeof out_device->bytes);
	out_message->hi = token_get_number(plain + 16);
	out_message->lo = token_get_number(plain + 24);
	return true;
}

void subscription_id_generate(bool restricted, struct subscription_id *out) {
	if (RAND_bytes(out->bytes, sizeof out->bytes) != 1) {
		log_fatal("OpenSSL has no randomness");
	}
	out->bytes[0] = (uint8_t)((out->bytes[0] & 0x7f) | (restricted ? 0x80 : 0));
}
