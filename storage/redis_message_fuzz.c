/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes what comes from Redis: messages, replies to a put, what nodes tell each other. The first
 * byte chooses. */
#include "storage/redis_message.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_lies_within(struct slice part, struct slice whole) {
	assert(part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void fuzz_message(struct slice text) {
	struct store_message message;
	if (!redis_message_open(text, &message)) {
		return;
	}
	assert(message.urgency < URGENCY_COUNT && message.expires_ms >= 0);
	fuzz_lies_within(message.encoding, text);
	fuzz_lies_within(message.encryption, text);
	fuzz_lies_within(message.crypto_key, text);
	fuzz_lies_within(message.body, text);
	assert(message.body.data + message.body.len == text.data + text.len);
}

static void fuzz_put_reply(struct slice text) {
	struct redis_put_reply reply;
	if (redis_put_reply_parse(text, &reply)) {
		assert(reply.outcome < STORE_OUTCOME_COUNT);
		assert(reply.outcome == STORE_OK || reply.place == 0);
	}
}

static void fuzz_heard(struct slice text) {
	struct redis_heard heard;
	if (!redis_heard_parse(text, &heard)) {
		return;
	}
	fuzz_lies_within(heard.text, text);
	if (heard.kind == REDIS_HEARD_TRANSIENT) {
		fuzz_message(heard.text);
	} else if (heard.kind == REDIS_HEARD_TOLD) {
		size_t len;
		char *again = redis_told_print(heard.from, heard.device, heard.text, &len);
		assert(len == text.len && memcmp(again, text.data, len) == 0);
		free(again);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size == 0) {
		return 0;
	}
	struct slice text = {(const char *)data + 1, size - 1};
	switch (data[0] % 3) {
	case 0:
		fuzz_message(text);
		break;
	case 1:
		fuzz_put_reply(text);
		break;
	case 2:
		fuzz_heard(text);
		break;
	}
	return 0;
}
