/* SPDX-License-Identifier: Apache-2.0 */
/* Checks an Authorization header, after a line break a Crypto-Key one, and the token in it. */
#include "relay/push/vapid.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const char *const origins[] = {"https://push.example.net", NULL};
	static struct vapid *vapid;
	vapid = vapid ? vapid : vapid_create(origins, 64);
	const char *text = (const char *)data;
	const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
	size_t len = end ? (size_t)(end - text) : size;
	struct slice authorization = {text, len}, crypto_key = {NULL, 0}, token;
	if (end) {
		crypto_key = (struct slice){end + 1, size - len - 1};
	}
	struct vapid_claims claims;
	uint8_t key[P256_POINT_BYTES];
	if (vapid_parse(authorization, 1, crypto_key, &token, key) == VAPID_OK) {
		assert(token.len > 0 && token.data >= text && token.data + token.len <= text + len);
		struct jwt jwt;
		if (jwt_parse(token, &jwt)) {
			assert(jwt.payload[jwt.payload_bytes] == '\0');
			jwt_finish(&jwt);
		}
	}
	/* the time of the example token in RFC 8292 */
	(void)vapid_check(vapid, authorization, 1, crypto_key, 1453500000, &claims);
	return 0;
}
