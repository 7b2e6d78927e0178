/* SPDX-License-Identifier: Apache-2.0 */
/* The identifiers of the push protocol and its frames, as text and as values. */
#include "common/autopush.h"
#include "common/base64url.h"

/* ---- identifiers ----------------------------------------------------------------------------- */

static const char autopush_hex[] = "0123456789abcdef";

static int autopush_hex_value(char c) {
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool autopush_is_dash_place(size_t at) {
	return at == 8 || at == 13 || at == 18 || at == 23;
}

bool autopush_channel_parse(struct slice text, struct channel_id *out_channel) {
	if (text.len != AUTOPUSH_CHANNEL_LENGTH) {
		return false;
	}
	struct channel_id channel = {{0}};
	size_t digits = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (autopush_is_dash_place(i)) {
			if (text.data[i] != '-') {
				return false;
			}
			continue;
		}
		int value = autopush_hex_value(text.data[i]);
		if (value < 0) {
			return false;
		}
		uint8_t *byte = &channel.bytes[digits / 2];
		*byte = (uint8_t)(*byte << 4 | value);
		digits++;
	}
	*out_channel = channel;
	return true;
}

void autopush_channel_print(struct channel_id channel, char out[AUTOPUSH_CHANNEL_LENGTH + 1]) {
	size_t at = 0;
	for (size_t i = 0; i < sizeof channel.bytes; i++) {
		if (autopush_is_dash_place(at)) {
			out[at++] = '-';
		}
		out[at++] = autopush_hex[channel.bytes[i] >> 4];
		out[at++] = autopush_hex[channel.bytes[i] & 15];
	}
	out[at] = '\0';
}

static uint64_t autopush_read_be64(const uint8_t *bytes) {
	uint64_t value = 0;
	for (size_t i = 0; i < 8; i++) {
		value = value << 8 | bytes[i];
	}
	return value;
}

static void autopush_write_be64(uint8_t *bytes, uint64_t value) {
	for (size_t i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(value >> (56 - 8 * i));
	}
}

bool autopush_version_parse(struct slice text, struct message_id *out_id) {
	uint8_t bytes[16];
	size_t length;
	if (text.len != AUTOPUSH_VERSION_LENGTH ||
		!base64url_decode(text, bytes, sizeof bytes, &length) || length != sizeof bytes) {
		return false;
	}
	*out_id = (struct message_id){autopush_read_be64(bytes), autopush_read_be64(bytes + 8)};
	return true;
}

void autopush_version_print(struct message_id id, char out[AUTOPUSH_VERSION_LENGTH + 1]) {
	uint8_t bytes[16];
	autopush_write_be64(bytes, id.hi);
	autopush_write_be64(bytes + 8, id.lo);
	out[base64url_encode(out, bytes, sizeof bytes)] = '\0';
}

static const char *const autopush_urgency_names[URGENCY_COUNT] = {
	[URGENCY_VERY_LOW] = "very-low",
	[URGENCY_LOW] = "low",
	[URGENCY_NORMAL] = "normal",
	[URGENCY_HIGH] = "high",
};

const char *urgency_name(enum urgency urgency) {
	return autopush_urgency_names[urgency];
}

bool urgency_parse(struct slice text, enum urgency *out_urgency) {
	for (int i = 0; i < URGENCY_COUNT; i++) {
		if (slice_equals_nocase(text, autopush_urgency_names[i])) {
			*out_urgency = (enum urgency)i;
			return true;
		}
	}
	return false;
}
