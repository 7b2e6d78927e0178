/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How ids and messages lie in Redis; redis_scripts/device.lua is the other half. Also what is said
 * on a node's channel: kind and device, then what belongs to the kind. Pure.
 */
#pragma once
#include "storage/store.h"

enum {
	REDIS_NODE_HEX = 16, /* a node id in hex digits, without NUL */
	REDIS_DEVICE_HEX = 32,
	REDIS_ACK_BYTES = 24, /* place and channel, for ack.lua */
};

/* Small fixed records for scripts. */
struct redis_pack {
	char bytes[112];
	size_t len;
};
void redis_pack_bytes(struct redis_pack *pack, const void *data, size_t bytes);
void redis_pack_number(struct redis_pack *pack, uint64_t number, size_t bytes); /* little-endian */
void redis_pack_double(struct redis_pack *pack, double number);
static inline struct slice redis_pack_slice(const struct redis_pack *pack) {
	return (struct slice){pack->bytes, pack->len};
}

void redis_hex_print(const uint8_t *bytes, size_t count, char *out); /* without NUL */
bool redis_hex_parse(const char *text, uint8_t *out_bytes, size_t count);

/* A message's place in the queue names its id and urgency. */
struct message_id redis_message_id(uint64_t place);
/* False for an id that this store never gave. */
bool redis_message_place(struct message_id id, uint64_t *out_place);
/* The order alone, for "behind this id". */
uint64_t redis_message_sequence(struct message_id id);

/* What the put script stores behind place, expiry, marks and channel. Fresh memory. */
char *redis_message_tail_print(const struct store_put *put, size_t *out_len);
/* What put.lua replies. */
struct redis_put_reply {
	enum store_outcome outcome; /* the rest only when it is OK */
	unsigned flags; /* REDIS_PUT_… */
	uint32_t evicted, expired;
	uint64_t place, expires_ms;
	uint64_t previous; /* a sequence */
	struct channel_id channel;
};
enum {
	REDIS_PUT_IS_STORED = 1,
	REDIS_PUT_IS_HERE = 2,
	REDIS_PUT_IS_BELOW = 4,
	REDIS_PUT_WAS_REPLACED = 8
};
bool redis_put_reply_parse(struct slice text, struct redis_put_reply *out_reply);
/* Slices point into text. */
bool redis_message_open(struct slice text, struct store_message *out_message);

enum redis_heard_kind {
	REDIS_HEARD_MESSAGES = 'M',
	REDIS_HEARD_TRANSIENT = 'T',
	REDIS_HEARD_TOLD = 'S'
};
struct redis_heard {
	enum redis_heard_kind kind;
	struct device_id device;
	struct node_id from; /* TOLD */
	struct slice text; /* TRANSIENT: the message, TOLD: the text */
};
bool redis_heard_parse(struct slice text, struct redis_heard *out_heard);
char *redis_told_print(
	struct node_id from, struct device_id device, struct slice text, size_t *out_len);
