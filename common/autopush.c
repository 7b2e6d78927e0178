/* SPDX-License-Identifier: Apache-2.0 */
/* The identifiers of the push protocol and its frames, as text and as values. */
#include "common/autopush.h"
#include "common/autopush_acks.h"
#include "common/base64url.h"
#include "common/json.h"
#include "common/mem.h"
#include <stdlib.h>

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

bool autopush_uaid_normalise(struct slice text, char out[AUTOPUSH_UAID_LENGTH + 1]) {
	char uaid[AUTOPUSH_UAID_LENGTH + 1];
	size_t digits = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c == '-') {
			continue;
		}
		if (c >= 'A' && c <= 'F') {
			c = (char)(c - 'A' + 'a');
		}
		if (autopush_hex_value(c) < 0 || digits == AUTOPUSH_UAID_LENGTH) {
			return false;
		}
		uaid[digits++] = c;
	}
	if (digits != AUTOPUSH_UAID_LENGTH) {
		return false;
	}
	uaid[digits] = '\0';
	memcpy(out, uaid, sizeof uaid);
	return true;
}

/* ---- parsing ----------------------------------------------------------------------------------
 */

static bool autopush_parse_hello(const json_t *json, struct autopush_message *message) {
	if (json_get_string(json, "uaid", &message->hello.uaid) != JSON_PRESENT) {
		message->hello.uaid = (struct slice){NULL, 0};
	}
	json_t *ours;
	int64_t value;
	if (json_get_object(json, "bellwire", &ours) == JSON_PRESENT &&
		json_get_integer(ours, "v", &value) == JSON_PRESENT && value >= 1) {
		message->hello.is_ours = true;
		if (json_get_integer(ours, "keepalive_s", &value) == JSON_PRESENT && value > 0 &&
			value <= UINT32_MAX) {
			message->hello.keepalive_sec = (uint32_t)value;
		}
		if (json_get_integer(ours, "instance", &value) == JSON_PRESENT && value > 0) {
			message->hello.instance = (uint64_t)value;
		}
	}
	return true;
}

static bool autopush_parse_channel(const json_t *json, struct autopush_message *message) {
	struct slice channel;
	if (json_get_string(json, "channelID", &channel) != JSON_PRESENT ||
		channel.len > AUTOPUSH_CHANNEL_TEXT_MAX) {
		return false;
	}
	message->channel = channel;
	return true;
}

static bool autopush_parse_register(const json_t *json, struct autopush_message *message) {
	if (!autopush_parse_channel(json, message)) {
		return false;
	}
	enum json_found found = json_get_string(json, "key", &message->reg.key);
	message->reg.has_key = found != JSON_ABSENT;
	message->reg.key_is_text = found == JSON_PRESENT;
	json_t *ours;
	int64_t value;
	struct slice key;
	if (json_get_object(json, "bellwire", &ours) != JSON_PRESENT) {
		return true;
	}
	if (json_get_integer(ours, "max_body", &value) == JSON_PRESENT && value > 0 &&
		value <= UINT32_MAX) {
		message->reg.max_body = (uint32_t)value;
	}
	message->reg.key_is_later =
		json_get_string(ours, "key", &key) == JSON_PRESENT && slice_equals(key, "later");
	return true;
}

static bool autopush_parse_update(const json_t *update, struct autopush_ack *out_ack) {
	struct slice channel, version;
	return json_is_object(update) &&
		   json_get_string(update, "channelID", &channel) == JSON_PRESENT &&
		   json_get_string(update, "version", &version) == JSON_PRESENT &&
		   autopush_channel_parse(channel, &out_ack->channel) &&
		   autopush_version_parse(version, &out_ack->id);
}

static bool autopush_parse_ack(const json_t *json, struct autopush_message *message) {
	const json_t *updates = json_object_get(json, "updates");
	if (!json_is_array(updates)) {
		return false;
	}
	size_t count = json_array_size(updates);
	if (count > AUTOPUSH_UPDATES_MAX) {
		count = AUTOPUSH_UPDATES_MAX;
	}
	message->ack.acks =
		count <= AUTOPUSH_ACKS_FEW ? message->few : mem_alloc(count * sizeof *message->ack.acks);
	for (size_t i = 0; i < count; i++) {
		if (autopush_parse_update(
				json_array_get(updates, i), &message->ack.acks[message->ack.count])) {
			message->ack.count++;
		}
	}
	return true;
}

static bool autopush_parse_urgency(const json_t *json, struct autopush_message *message) {
	struct slice min;
	message->urgency.is_valid = json_get_string(json, "min", &min) == JSON_PRESENT &&
								urgency_parse(min, &message->urgency.min);
	return true;
}

static const struct {
	const char *name;
	bool (*parse)(const json_t *json, struct autopush_message *message); /* NULL: nothing to read */
} autopush_types[AUTOPUSH_TYPE_COUNT] = {
	[AUTOPUSH_PING] = {"ping", NULL},
	[AUTOPUSH_HELLO] = {"hello", autopush_parse_hello},
	[AUTOPUSH_REGISTER] = {"register", autopush_parse_register},
	[AUTOPUSH_UNREGISTER] = {"unregister", autopush_parse_channel},
	[AUTOPUSH_ACK] = {"ack", autopush_parse_ack},
	[AUTOPUSH_NACK] = {"nack", NULL},
	[AUTOPUSH_URGENCY] = {"urgency", autopush_parse_urgency},
	[AUTOPUSH_BROADCAST_SUBSCRIBE] = {"broadcast_subscribe", NULL},
	[AUTOPUSH_UNKNOWN] = {"unknown", NULL},
};

const char *autopush_type_name(enum autopush_type type) {
	return autopush_types[type].name;
}

static enum autopush_type autopush_type_of(const json_t *json) {
	if (!json_is_object(json)) {
		return AUTOPUSH_UNKNOWN;
	}
	struct slice name;
	switch (json_get_string(json, "messageType", &name)) {
	case JSON_ABSENT:
		return AUTOPUSH_PING;
	case JSON_WRONG_TYPE:
		return AUTOPUSH_UNKNOWN;
	case JSON_PRESENT:
		break;
	}
	if (slice_equals(name, "broadcastsubscribe")) {
		return AUTOPUSH_BROADCAST_SUBSCRIBE;
	}
	for (int i = 0; i < AUTOPUSH_UNKNOWN; i++) {
		if (slice_equals(name, autopush_types[i].name)) {
			return (enum autopush_type)i;
		}
	}
	return AUTOPUSH_UNKNOWN;
}

bool autopush_message_parse(struct slice text, struct autopush_message *out_message) {
	memset(out_message, 0, offsetof(struct autopush_message, few));
	if (autopush_acks_scan(text, out_message->few, AUTOPUSH_ACKS_FEW, &out_message->ack.count)) {
		out_message->type = AUTOPUSH_ACK;
		out_message->ack.acks = out_message->few;
		return true;
	}
	json_t *json = json_parse(text);
	if (!json) {
		return false;
	}
	out_message->json = json;
	out_message->type = autopush_type_of(json);
	bool (*parse)(const json_t *, struct autopush_message *) =
		autopush_types[out_message->type].parse;
	if (parse && !parse(json, out_message)) {
		out_message->type = AUTOPUSH_UNKNOWN;
	}
	return true;
}

void autopush_message_finish(struct autopush_message *message) {
	if (message->type == AUTOPUSH_ACK && message->ack.acks != message->few) {
		free(message->ack.acks);
	}
	json_decref(message->json);
}

/* ---- printing ---------------------------------------------------------------------------------
 */

bool autopush_print_hello(struct buffer *out, const char *uaid, const uint64_t *missed) {
	if (!buffer_printf(out,
			"{\"messageType\":\"hello\",\"uaid\":\"%s\",\"status\":200,\"use_webpush\":true,"
			"\"broadcasts\":{}",
			uaid)) {
		return false;
	}
	if (missed && !buffer_printf(out, ",\"bellwire\":{\"v\":1,\"missed\":%llu}",
					  (unsigned long long)*missed)) {
		return false;
	}
	return buffer_append(out, "}", 1);
}

bool autopush_print_register(
	struct buffer *out, struct slice channel, int status, const char *endpoint) {
	return buffer_printf(out, "{\"messageType\":\"register\",\"channelID\":") &&
		   json_append_string(out, channel) && buffer_printf(out, ",\"status\":%d", status) &&
		   (!endpoint || (buffer_printf(out, ",\"pushEndpoint\":") &&
							 json_append_string(out, slice_of(endpoint)))) &&
		   buffer_append(out, "}", 1);
}

bool autopush_print_unregister(struct buffer *out, struct slice channel, int status) {
	return buffer_printf(out, "{\"messageType\":\"unregister\",\"channelID\":") &&
		   json_append_string(out, channel) && buffer_printf(out, ",\"status\":%d}", status);
}

bool autopush_print_urgency(struct buffer *out, int status) {
	return buffer_printf(out, "{\"messageType\":\"urgency\",\"status\":%d}", status);
}

/* The end of a notification. */
static bool autopush_print_extra(struct buffer *out, const struct autopush_extra *extra) {
	if (!extra) {
		return buffer_append(out, "}", 1);
	}
	return buffer_printf(out, ",\"bellwire\":{\"ttl_s\":%u,\"urgency\":\"%s\"", extra->ttl_sec,
			   urgency_name(extra->urgency)) &&
		   (extra->topic.len == 0 ||
			   (buffer_printf(out, ",\"topic\":") && json_append_string(out, extra->topic))) &&
		   buffer_append(out, "}}", 2);
}

/* `headers`: null without a body, else what of the three there is. */
static bool autopush_print_headers(
	struct buffer *out, const struct autopush_notification *notification) {
	if (notification->body.len == 0) {
		return buffer_append(out, "null", 4);
	}
	const struct {
		const char *name;
		struct slice value;
	} headers[] = {
		{"encoding", notification->encoding},
		{"encryption", notification->encryption},
		{"crypto_key", notification->crypto_key},
	};
	bool fits = buffer_append(out, "{", 1);
	const char *comma = "";
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		if (headers[i].value.len > 0) {
			fits = fits && buffer_printf(out, "%s\"%s\":", comma, headers[i].name) &&
				   json_append_string(out, headers[i].value);
			comma = ",";
		}
	}
	return fits && buffer_append(out, "}", 1);
}

/* Written by hand: this runs once for each delivery. */
bool autopush_print_notification(
	struct buffer *out, const struct autopush_notification *notification) {
	static const char head[] = "{\"messageType\":\"notification\",\"channelID\":\"";
	static const char version[] = "\",\"version\":\"";
	static const char data[] = "\",\"data\":\"";
	static const char headers[] = "\",\"headers\":";
	static const char usual[] = "{\"encoding\":\"aes128gcm\"}";
	size_t room = sizeof head + AUTOPUSH_CHANNEL_LENGTH + sizeof version + AUTOPUSH_VERSION_LENGTH +
				  sizeof data + BASE64URL_LENGTH(notification->body.len) + sizeof headers + 64;
	char *start = buffer_reserve(out, room);
	if (!start) {
		return false;
	}
	char *at = mempcpy(start, head, sizeof head - 1);
	autopush_channel_print(notification->channel, at);
	at = mempcpy(at + AUTOPUSH_CHANNEL_LENGTH, version, sizeof version - 1);
	autopush_version_print(notification->id, at);
	at = mempcpy(at + AUTOPUSH_VERSION_LENGTH, data, sizeof data - 1);
	at += base64url_encode(at, notification->body.data, notification->body.len);
	at = mempcpy(at, headers, sizeof headers - 1);
	buffer_commit(out, (size_t)(at - start));
	if (notification->body.len > 0 && notification->crypto_key.len == 0 &&
		notification->encryption.len == 0 && slice_equals(notification->encoding, "aes128gcm")) {
		return buffer_append(out, usual, sizeof usual - 1) &&
			   autopush_print_extra(out, notification->extra);
	}
	return autopush_print_headers(out, notification) &&
		   autopush_print_extra(out, notification->extra);
}
