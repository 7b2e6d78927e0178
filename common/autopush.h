/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of Mozilla's push protocol, as used at both ends of the device's WebSocket: one JSON
 * object a text frame. Parsers turn a frame into a typed value or a refusal; printers append a
 * frame to a buffer. docs/protocol.md has the text. What the tool and the distributor need to parse
 * as a client is here too.
 */
#pragma once
#include "common/buffer.h"
#include "common/slice.h"
#include "storage/ids.h"
#include <jansson.h>

enum { AUTOPUSH_UAID_LENGTH = 32, AUTOPUSH_VERSION_MAX = 100, AUTOPUSH_UAID_MAX = 128 };
enum { AUTOPUSH_CHANNEL_LENGTH = 36 };

/* A channel id is a lower-case dashed UUID. */
bool autopush_channel_parse(struct slice text, struct channel_id *out_channel);
void autopush_channel_print(struct channel_id channel, char out[AUTOPUSH_CHANNEL_LENGTH + 1]);
/* `version` is 22 characters of base64url over the id, big-endian. */
enum { AUTOPUSH_VERSION_LENGTH = 22 };
bool autopush_version_parse(struct slice text, struct message_id *out_id);
void autopush_version_print(struct message_id id, char out[AUTOPUSH_VERSION_LENGTH + 1]);
const char *urgency_name(enum urgency urgency); /* "very-low" … "high" */
bool urgency_parse(struct slice text, enum urgency *out_urgency); /* any case */

/* ---- what a client sends ----------------------------------------------------------------------
 */

enum autopush_type {
	AUTOPUSH_PING, /* an object without messageType, mostly {}, or {"messageType":"ping"} */
	AUTOPUSH_HELLO,
	AUTOPUSH_REGISTER,
	AUTOPUSH_UNREGISTER,
	AUTOPUSH_ACK,
	AUTOPUSH_NACK,
	AUTOPUSH_URGENCY,
	AUTOPUSH_BROADCAST_SUBSCRIBE,
	AUTOPUSH_UNKNOWN, /* another type, or a known one that lacks what it needs: to be ignored */
	AUTOPUSH_TYPE_COUNT
};
const char *autopush_type_name(enum autopush_type type);

enum {
	AUTOPUSH_CHANNEL_TEXT_MAX = 64, /* a longer one is not even echoed */
	AUTOPUSH_UPDATES_MAX = 512, /* of one ack that count; 16 KiB hold fewer */
	AUTOPUSH_ACKS_FEW = 32, /* need no memory of their own */
};

struct autopush_ack {
	struct channel_id channel;
	struct message_id id;
};

/* A client's message. Slices and `acks` live until autopush_message_finish, and where it was
 * parsed: it must not be moved. */
struct autopush_message {
	enum autopush_type type;
	json_t *json; /* NULL when it could be read without */
	struct slice channel; /* register, unregister: as sent, 1..64 bytes of UTF-8 */
	union {
		struct {
			struct slice uaid; /* empty when absent, null or no string */
			bool is_ours; /* carries our extension, of version 1 or later */
			uint32_t keepalive_sec; /* 0 when not given */
			uint64_t instance; /* one run of a client, on one machine; 0 when not given */
		} hello;
		struct {
			bool has_key, key_is_text;
			struct slice key;
			bool key_is_later; /* by our extension: the VAPID key will follow */
			uint32_t max_body; /* 0: none given */
		} reg;
		struct {
			struct autopush_ack *acks; /* those whose two ids can be read */
			size_t count;
		} ack;
		struct {
			bool is_valid;
			enum urgency min;
		} urgency;
	};
	struct autopush_ack few[AUTOPUSH_ACKS_FEW]; /* what `acks` points to, mostly */
};

/* False when text is no JSON at all; out_message needs finishing only when true. */
bool autopush_message_parse(struct slice text, struct autopush_message *out_message);
void autopush_message_finish(struct autopush_message *message);

/* A UAID in the form in which it was issued: lower case, no dashes. False when it cannot be one. */
bool autopush_uaid_normalise(struct slice text, char out[AUTOPUSH_UAID_LENGTH + 1]);

/* ---- what the relay sends: each appends one frame's text; false when it exceeds the limit ------
 */

/* missed is NULL for clients without our extension. */
bool autopush_print_hello(struct buffer *out, const char *uaid, const uint64_t *missed)
	__attribute__((warn_unused_result));
/* The endpoint is only sent with status 200; NULL otherwise. */
bool autopush_print_register(struct buffer *out, struct slice channel, int status,
	const char *endpoint) __attribute__((warn_unused_result));
bool autopush_print_unregister(struct buffer *out, struct slice channel, int status)
	__attribute__((warn_unused_result));
bool autopush_print_urgency(struct buffer *out, int status) __attribute__((warn_unused_result));

/* What a client with our extension is told beside the message. */
struct autopush_extra {
	uint32_t ttl_sec; /* left to live; 0: now or never */
	enum urgency urgency;
	struct slice topic; /* empty: none */
};
struct autopush_notification {
	struct channel_id channel;
	struct message_id id;
	struct slice body; /* bytes */
	struct slice encoding, encryption, crypto_key;
	const struct autopush_extra *extra; /* NULL: a client without our extension */
};
bool autopush_print_notification(struct buffer *out,
	const struct autopush_notification *notification) __attribute__((warn_unused_result));
