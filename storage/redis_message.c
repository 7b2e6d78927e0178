/* SPDX-License-Identifier: Apache-2.0 */
/* Ids, messages and what nodes tell each other, as bytes. */
#include "storage/redis_message.h"
#include "common/mem.h"
#include <assert.h>
#include <string.h>

enum {
	URGENCY_SHIFT = 50, /* place = urgency * 2^50 + sequence */
	SEQUENCES_A_MS = 256,
	TAIL_HEAD = 8, /* urgency, lengths of topic, encoding, encryption, crypto key */
	MESSAGE_HEAD = 41,
	AT_EXPIRES = 8,
	AT_CHANNEL = 17,
	AT_URGENCY = 33,
	AT_LENGTHS = 34,
	PUT_REPLY_BYTES = 42,
	PUT_REPLY_LONG_BYTES = 50, /* with what was evicted and expired */
};
static const uint64_t SEQUENCE_LIMIT = 1ULL << URGENCY_SHIFT;

void redis_pack_bytes(struct redis_pack *pack, const void *data, size_t bytes) {
	assert(pack->len + bytes <= sizeof pack->bytes);
	memcpy(pack->bytes + pack->len, data, bytes);
	pack->len += bytes;
}

void redis_pack_number(struct redis_pack *pack, uint64_t number, size_t bytes) {
	assert(pack->len + bytes <= sizeof pack->bytes);
	for (size_t i = 0; i < bytes; i++) {
		pack->bytes[pack->len++] = (char)(number >> (8 * i) & 0xff);
	}
}

void redis_pack_double(struct redis_pack *pack, double number) {
	uint64_t bits;
	memcpy(&bits, &number, sizeof bits);
	redis_pack_number(pack, bits, sizeof bits);
}

static uint64_t redis_number_at(const char *at, size_t bytes) {
	uint64_t number = 0;
	for (size_t i = 0; i < bytes; i++) {
		number |= (uint64_t)(uint8_t)at[i] << (8 * i);
	}
	return number;
}

/* A whole number that travels as a double; 0 for any other. */
static uint64_t redis_double_at(const char *at) {
	uint64_t bits = redis_number_at(at, sizeof bits);
	double number;
	memcpy(&number, &bits, sizeof number);
	return number >= 0 && number < 9007199254740992.0 ? (uint64_t)number : 0;
}

void redis_hex_print(const uint8_t *bytes, size_t count, char *out) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < count; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
}

bool redis_hex_parse(const char *text, uint8_t *out_bytes, size_t count) {
	for (size_t i = 0; i < 2 * count; i++) {
		char c = text[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (digit < 0) {
			return false;
		}
		out_bytes[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : out_bytes[i / 2] | digit);
	}
	return true;
}

struct message_id redis_message_id(uint64_t place) {
	uint64_t sequence = place % SEQUENCE_LIMIT;
	return (struct message_id){sequence / SEQUENCES_A_MS,
		sequence % SEQUENCES_A_MS * URGENCY_COUNT + place / SEQUENCE_LIMIT};
}

uint64_t redis_message_sequence(struct message_id id) {
	if (id.hi >= SEQUENCE_LIMIT / SEQUENCES_A_MS) {
		return SEQUENCE_LIMIT - 1;
	}
	uint64_t low = id.lo / URGENCY_COUNT;
	return id.hi * SEQUENCES_A_MS + (low < SEQUENCES_A_MS ? low : SEQUENCES_A_MS - 1);
}

bool redis_message_place(struct message_id id, uint64_t *out_place) {
	if (id.hi >= SEQUENCE_LIMIT / SEQUENCES_A_MS || id.lo >= SEQUENCES_A_MS * URGENCY_COUNT) {
		return false;
	}
	*out_place = id.lo % URGENCY_COUNT * SEQUENCE_LIMIT + redis_message_sequence(id);
	return true;
}

char *redis_message_tail_print(const struct store_put *put, size_t *out_len) {
	const struct slice parts[] = {
		put->topic, put->encoding, put->encryption, put->crypto_key, put->body};
	size_t len = TAIL_HEAD;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		len += parts[i].len;
	}
	char *text = mem_alloc(len);
	struct redis_pack head = {.len = 0};
	redis_pack_number(&head, put->urgency, 1);
	redis_pack_number(&head, put->topic.len, 1);
	redis_pack_number(&head, put->encoding.len, 2);
	redis_pack_number(&head, put->encryption.len, 2);
	redis_pack_number(&head, put->crypto_key.len, 2);
	memcpy(text, head.bytes, head.len);
	char *at = text + head.len;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (parts[i].len > 0) {
			memcpy(at, parts[i].data, parts[i].len);
			at += parts[i].len;
		}
	}
	*out_len = len;
	return text;
}

bool redis_put_reply_parse(struct slice text, struct redis_put_reply *out_reply) {
	bool is_whole = text.len == PUT_REPLY_BYTES || text.len == PUT_REPLY_LONG_BYTES;
	if ((text.len != 1 && !is_whole) || (uint8_t)text.data[0] >= STORE_OUTCOME_COUNT ||
		(text.data[0] == STORE_OK) != is_whole) {
		return false;
	}
	*out_reply = (struct redis_put_reply){.outcome = (enum store_outcome)text.data[0]};
	if (out_reply->outcome == STORE_OK) {
		out_reply->flags = (uint8_t)text.data[1];
		out_reply->place = redis_double_at(text.data + 2);
		out_reply->expires_ms = redis_double_at(text.data + 10);
		out_reply->previous = redis_double_at(text.data + 18);
		memcpy(out_reply->channel.bytes, text.data + 26, sizeof out_reply->channel.bytes);
	}
	if (text.len == PUT_REPLY_LONG_BYTES) {
		out_reply->evicted = (uint32_t)redis_number_at(text.data + 42, 4);
		out_reply->expired = (uint32_t)redis_number_at(text.data + 46, 4);
	}
	return true;
}

bool redis_message_open(struct slice text, struct store_message *out_message) {
	if (text.len < MESSAGE_HEAD) {
		return false;
	}
	const char *lengths = text.data + AT_LENGTHS;
	size_t topic = redis_number_at(lengths, 1), encoding = redis_number_at(lengths + 1, 2);
	size_t encryption = redis_number_at(lengths + 3, 2), key = redis_number_at(lengths + 5, 2);
	size_t before_body = MESSAGE_HEAD + topic + encoding + encryption + key;
	uint8_t urgency = (uint8_t)text.data[AT_URGENCY];
	if (text.len < before_body || urgency >= URGENCY_COUNT) {
		return false;
	}
	const char *at = text.data + MESSAGE_HEAD + topic;
	*out_message = (struct store_message){
		.id = redis_message_id(redis_double_at(text.data)),
		.urgency = (enum urgency)urgency,
		.expires_ms = (int64_t)redis_double_at(text.data + AT_EXPIRES),
		.topic = {text.data + MESSAGE_HEAD, topic},
		.encoding = {at, encoding},
		.encryption = {at + encoding, encryption},
		.crypto_key = {at + encoding + encryption, key},
		.body = {text.data + before_body, text.len - before_body},
	};
	memcpy(out_message->channel.bytes, text.data + AT_CHANNEL, sizeof out_message->channel.bytes);
	return true;
}

bool redis_heard_parse(struct slice text, struct redis_heard *out_heard) {
	struct redis_heard heard = {0};
	if (text.len < 1 + REDIS_DEVICE_HEX || !memchr("MTS", text.data[0], 3) ||
		!redis_hex_parse(text.data + 1, heard.device.bytes, sizeof heard.device.bytes)) {
		return false;
	}
	heard.kind = (enum redis_heard_kind)text.data[0];
	heard.text = (struct slice){text.data + 1 + REDIS_DEVICE_HEX, text.len - 1 - REDIS_DEVICE_HEX};
	if (heard.kind == REDIS_HEARD_TOLD) {
		if (heard.text.len < REDIS_NODE_HEX ||
			!redis_hex_parse(heard.text.data, heard.from.bytes, sizeof heard.from.bytes)) {
			return false;
		}
		heard.text.data += REDIS_NODE_HEX;
		heard.text.len -= REDIS_NODE_HEX;
	}
	*out_heard = heard;
	return true;
}

char *redis_told_print(
	struct node_id from, struct device_id device, struct slice text, size_t *out_len) {
	*out_len = 1 + REDIS_DEVICE_HEX + REDIS_NODE_HEX + text.len;
	char *told = mem_alloc(*out_len);
	told[0] = REDIS_HEARD_TOLD;
	redis_hex_print(device.bytes, sizeof device.bytes, told + 1);
	redis_hex_print(from.bytes, sizeof from.bytes, told + 1 + REDIS_DEVICE_HEX);
	if (text.len > 0) {
		memcpy(told + 1 + REDIS_DEVICE_HEX + REDIS_NODE_HEX, text.data, text.len);
	}
	return told;
}
