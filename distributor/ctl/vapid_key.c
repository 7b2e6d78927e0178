/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and prints VAPID keys, signs the token that goes with a message. */
#include "distributor/ctl/vapid_key.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/pem.h>

enum { VAPID_KEY_FILE_MAX = 16384 };

/* No key of ours has a pass phrase; without this OpenSSL would ask on the terminal. */
static int vapid_key_no_passphrase(char *out, int size, int is_write, void *ctx) {
	(void)out;
	(void)size;
	(void)is_write;
	(void)ctx;
	return -1;
}

static EVP_PKEY *vapid_key_parse(struct slice text) {
	uint8_t secret[P256_SECRET_BYTES], point[P256_POINT_BYTES];
	size_t bytes = 0;
	struct slice line = text;
	while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r')) {
		line.len--;
	}
	if (base64url_decode_lenient(line, secret, sizeof secret, &bytes) && bytes == sizeof secret) {
		EVP_PKEY *key = p256_from_secret(secret);
		mem_wipe(secret, sizeof secret);
		return key;
	}
	BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, vapid_key_no_passphrase, NULL) : NULL;
	BIO_free(bio);
	ERR_clear_error();
	if (key && !p256_point_of(key, point)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

EVP_PKEY *vapid_key_read(const char *path, char **out_error) {
	char *text = NULL;
	size_t bytes = 0;
	int result = file_read_secret(path, VAPID_KEY_FILE_MAX, &text, &bytes);
	if (result < 0) {
		*out_error =
			result == -EACCES
				? mem_printf("%s cannot be read, or is open to other users; it holds a secret, so "
							 "run: chmod 600 %s",
					  path, path)
				: mem_printf("%s cannot be read: %s", path, strerror(-result));
		return NULL;
	}
	EVP_PKEY *key = vapid_key_parse((struct slice){text, bytes});
	mem_wipe(text, bytes);
	free(text);
	if (!key) {
		*out_error = mem_printf("%s holds no P-256 private key (PEM without a pass phrase, or 32 "
								"bytes in base64url); make one with: bellwire vapid new",
			path);
	}
	return key;
}

char *vapid_key_print(EVP_PKEY *key) {
	char *text = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
		char *data = NULL;
		long len = BIO_get_mem_data(bio, &data);
		text = mem_strndup(data, (size_t)len);
	}
	BIO_free(bio);
	if (!text) {
		log_fatal("OpenSSL cannot write the key");
	}
	return text;
}

char *vapid_key_print_public(EVP_PKEY *key) {
	uint8_t point[P256_POINT_BYTES];
	if (!p256_point_of(key, point)) {
		log_fatal("OpenSSL cannot tell the public key");
	}
	return base64url_print(point, sizeof point);
}

char *vapid_key_authorize(
	EVP_PKEY *key, const struct url *url, const char *subject, int64_t now_sec) {
	char origin[URL_ORIGIN_MAX];
	url_origin_print(url, origin);
	json_t *claims = json_pack(
		"{s:s,s:I}", "aud", origin, "exp", (json_int_t)(now_sec + VAPID_KEY_LIFETIME_SEC));
	if (subject && claims) {
		(void)json_object_set_new(claims, "sub", json_string(subject)); /* invalid UTF-8: none */
	}
	CLEANUP_FREE char *text = json_dumps(claims, JSON_COMPACT);
	json_decref(claims);
	CLEANUP_FREE char *token = text ? jwt_sign(slice_of(text), key) : NULL;
	if (!token) {
		log_fatal("OpenSSL cannot sign");
	}
	CLEANUP_FREE char *public = vapid_key_print_public(key);
	return mem_printf("vapid t=%s, k=%s", token, public);
}
