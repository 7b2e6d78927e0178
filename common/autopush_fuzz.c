/* SPDX-License-Identifier: Apache-2.0 */
/* Reads any text as a client's message, and as each kind of identifier. */
#include "common/autopush.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
