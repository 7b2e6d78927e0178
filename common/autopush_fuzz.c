/* SPDX-License-Identifier: Apache-2.0 */
/* Reads any text as a client's message, and as each kind of identifier. */
#include "common/autopush.h"
#include "common/autopush_acks.h"
#include "common/mem.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The short way to read an ack must find what the JSON parser finds; a blank before it rules the
 * short way out. */
static void compare_acks(struct slice text) {
	struct autopush_ack acks[AUTOPUSH_ACKS_FEW];
	size_t count;
	if (!autopush_acks_scan(text, acks, AUTOPUSH_ACKS_FEW, &count)) {
		return;
	}
	char *padded = mem_printf(" %.*s", (int)text.len, text.data);
	struct autopush_message message;
	assert(autopush_message_parse((struct slice){padded, text.len + 1}, &message));
	assert(message.json && message.type == AUTOPUSH_ACK && message.ack.count == count);
	assert(memcmp(message.ack.acks, acks, count * sizeof *acks) == 0);
	autopush_message_finish(&message);
	free(padded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct slice text = {(const char *)data, size};
	struct channel_id channel;
	struct message_id id;
	char uaid[AUTOPUSH_UAID_LENGTH + 1];
	(void)autopush_uaid_normalise(text, uaid);
	if (autopush_version_parse(text, &id)) {
		char printed[AUTOPUSH_VERSION_LENGTH + 1];
		autopush_version_print(id, printed);
		assert(slice_equals(text, printed)); /* one spelling */
	}
	if (autopush_channel_parse(text, &channel)) {
		char printed[AUTOPUSH_CHANNEL_LENGTH + 1];
		autopush_channel_print(channel, printed);
		assert(slice_equals(text, printed));
	}
	compare_acks(text);
	struct autopush_message message;
	if (autopush_message_parse(text, &message)) {
		assert(message.channel.len <= AUTOPUSH_CHANNEL_TEXT_MAX);
		if (message.channel.data) {
			struct buffer out;
			buffer_init(&out, 4096);
			assert(autopush_print_register(&out, message.channel, 400, NULL));
			buffer_finish(&out);
		}
		autopush_message_finish(&message);
	}
	return 0;
}
