/* SPDX-License-Identifier: Apache-2.0 */
/* Packs and opens payloads. */
#include "storage/store_payload.h"
#include "common/mem.h"

static char *store_payload_copy(char *at, struct slice piece) {
	if (piece.len > 0) {
		memcpy(at, piece.data, piece.len);
	}
	return at + piece.len;
}

struct store_payload *store_payload_make(
	struct slice encoding, struct slice encryption, struct slice crypto_key, struct slice body) {
	struct store_payload *payload =
		mem_alloc(sizeof *payload + encoding.len + encryption.len + crypto_key.len + body.len);
	payload->body_len = (uint32_t)body.len;
	payload->encoding_len = (uint16_t)encoding.len;
	payload->encryption_len = (uint16_t)encryption.len;
	payload->crypto_key_len = (uint16_t)crypto_key.len;
	char *at = store_payload_copy(payload->bytes, encoding);
	at = store_payload_copy(at, encryption);
	at = store_payload_copy(at, crypto_key);
	(void)store_payload_copy(at, body);
	return payload;
}

void store_payload_open(const struct store_payload *payload, struct store_message *message) {
	const char *at = payload->bytes;
	message->encoding = (struct slice){at, payload->encoding_len};
	at += payload->encoding_len;
	message->encryption = (struct slice){at, payload->encryption_len};
	at += payload->encryption_len;
	message->crypto_key = (struct slice){at, payload->crypto_key_len};
	at += payload->crypto_key_len;
	message->body = (struct slice){at, payload->body_len};
}
