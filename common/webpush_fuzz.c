/* SPDX-License-Identifier: Apache-2.0 */
/* Decrypts a body, as aes128gcm, as plain RFC 8188, and as aesgcm with the first line as both
 * headers. The receiver is the one of RFC 8291 appendix A, so that its message is a seed. */
#include "common/base64url.h"
#include "common/webpush.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *fuzz_key(uint8_t auth[WEBPUSH_AUTH_BYTES]) {
	uint8_t secret[P256_SECRET_BYTES];
	size_t bytes = 0;
	bool ok =
		base64url_decode(slice_of("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), secret,
			sizeof secret, &bytes) &&
		base64url_decode(slice_of("BTBZMqHH6r4Tts7J_aSIgg"), auth, WEBPUSH_AUTH_BYTES, &bytes);
	assert(ok);
	return p256_from_secret(secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static uint8_t auth[WEBPUSH_AUTH_BYTES];
	static EVP_PKEY *key;
	key = key ? key : fuzz_key(auth);
	struct slice body = {(const char *)data, size};
	uint8_t *plain = NULL;
	size_t bytes = 0;
	if (webpush_decrypt(body, key, auth, &plain, &bytes) == WEBPUSH_OK) {
		assert(bytes < size && plain[bytes] == '\0');
		free(plain);
	}
	if (webpush_decrypt_ikm(
			body, (struct slice){(const char *)auth, sizeof auth}, &plain, &bytes) == WEBPUSH_OK) {
		free(plain);
	}
	const char *end = size > 0 ? memchr(data, '\n', size) : NULL;
	if (!end) {
		return 0;
	}
	struct slice headers = {body.data, (size_t)(end - body.data)};
	body = (struct slice){end + 1, size - headers.len - 1};
	if (webpush_decrypt_aesgcm(body, headers, headers, key, auth, &plain, &bytes) == WEBPUSH_OK) {
		free(plain);
	}
	return 0;
}
