/* SPDX-License-Identifier: Apache-2.0 */
/* One push: its memory, and how it is decrypted for those who leave that to us. */
#include "common/mem.h"
#include "common/webpush.h"
#include "distributor/dispatch.h"
#include <stdlib.h>
#include <string.h>

struct message *message_create(const struct registration *registration) {
	struct message *message = mem_zalloc(sizeof *message);
	list_init(&message->link);
	message->registration = registration;
	message->number = registration ? registration->number : 0;
	message->version = mem_strdup("");
	message->body = mem_strdup("");
	message->encoding = mem_strdup("");
	message->encryption = mem_strdup("");
	message->crypto_key = mem_strdup("");
	message->topic = mem_strdup("");
	message->urgency = URGENCY_NORMAL;
	message->expires_boot_ms = INT64_MAX;
	return message;
}

void message_free(struct message *message) {
	if (!message) {
		return;
	}
	list_remove(&message->link);
	free(message->version);
	free(message->body);
	free(message->encoding);
	free(message->encryption);
	free(message->crypto_key);
	free(message->topic);
	free(message);
}

bool message_decrypt(const struct message *message, uint8_t **out_plain, size_t *out_bytes,
	const char **out_reason) {
	const struct registration *registration = message->registration;
	struct slice body = {message->body, message->bytes};
	struct slice encoding = slice_of(message->encoding);
	enum webpush_result result;
	if (encoding.len == 0 || !registration->key) {
		*out_reason = "not encrypted";
		return false;
	}
	if (slice_equals_nocase(encoding, "aes128gcm")) {
		result = webpush_decrypt(body, registration->key, registration->auth, out_plain, out_bytes);
	} else if (slice_equals_nocase(encoding, "aesgcm")) {
		result = webpush_decrypt_aesgcm(body, slice_of(message->encryption),
			slice_of(message->crypto_key), registration->key, registration->auth, out_plain,
			out_bytes);
	} else {
		*out_reason = "an unknown encoding";
		return false;
	}
	*out_reason = webpush_result_text(result);
	return result == WEBPUSH_OK;
}
