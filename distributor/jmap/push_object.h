/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What JMAP servers push (RFC 8620 section 7): decrypted when it came encrypted, with the ways of
 * known servers (push-endpoint.md section 12: base64 text under aes128gcm, several records, no
 * keys; Apache James encrypts its PushVerification without saying so), and read strictly. Pure.
 */
#pragma once
#include "distributor/dispatch.h"
#include <jansson.h>

enum push_object_kind {
	PUSH_OBJECT_UNREADABLE, /* `reason` says why */
	PUSH_OBJECT_UNKNOWN, /* a JSON object of another @type: to be ignored (RFC 8620 7.1) */
	PUSH_OBJECT_STATE_CHANGE,
	PUSH_OBJECT_VERIFICATION,
	PUSH_OBJECT_ALERT, /* CalendarAlert of JMAP for Calendars */
	PUSH_OBJECT_KIND_COUNT
};
enum {
	PUSH_OBJECT_BYTES_MAX = 262144,
	PUSH_OBJECT_ACCOUNTS_MAX = 256,
	PUSH_OBJECT_TYPES_MAX = 64,
	PUSH_OBJECT_ID_MAX = 255, /* of account, type, subscription; of a state, too */
	PUSH_OBJECT_CODE_MAX = 2048,
};

struct push_object {
	enum push_object_kind kind;
	const char *reason; /* static; "" when readable */
	json_t *changed; /* STATE_CHANGE: {account id: {type: state}}, checked for shape and size */
	char *subscription_id, *code; /* VERIFICATION */
	char *account_id; /* ALERT */
	/* With keys of ours. Whoever knows the push URL can send what is not: it may be a reason to ask
	 * the server, and no more (RFC 8620 8.7). */
	bool was_encrypted;
};
/* out_object needs push_object_finish in any case. */
void push_object_read(const struct message *message, struct push_object *out_object);
/* The same for text that came by another way (event stream, tests). */
void push_object_parse(struct slice text, struct push_object *out_object);
void push_object_finish(struct push_object *object);
