/* SPDX-License-Identifier: Apache-2.0 */
/* From a push's bytes to a StateChange, a PushVerification or a CalendarAlert. */
#include "distributor/jmap/push_object.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/webpush.h"
#include <stdlib.h>
#include <string.h>

/* ---- the text ---- */

static void push_object_refuse(struct push_object *object, const char *reason) {
	object->kind = PUSH_OBJECT_UNREADABLE;
	object->reason = reason;
}

/* Text without a NUL in it, so that it is a C string. */
static bool push_object_is_text(struct slice text, size_t most) {
	return text.len > 0 && text.len <= most && !memchr(text.data, '\0', text.len);
}

static bool push_object_states_are_good(const json_t *states) {
	const char *type;
	json_t *state;
	if (!json_is_object(states) || json_object_size(states) > PUSH_OBJECT_TYPES_MAX) {
		return false;
	}
	json_object_foreach((json_t *)states, type, state) {
		struct slice text = {json_string_value(state), json_string_length(state)};
		if (!push_object_is_text(slice_of(type), PUSH_OBJECT_ID_MAX) || !json_is_string(state) ||
			!push_object_is_text(text, PUSH_OBJECT_ID_MAX)) {
			return false;
		}
	}
	return true;
}

static void push_object_take_changes(struct push_object *object, const json_t *json) {
	json_t *changed = NULL, *states;
	const char *account;
	if (json_get_object(json, "changed", &changed) != JSON_PRESENT ||
		json_object_size(changed) > PUSH_OBJECT_ACCOUNTS_MAX) {
		push_object_refuse(object, "a StateChange without its changes, or with too many");
		return;
	}
	json_object_foreach(changed, account, states) {
		if (!push_object_is_text(slice_of(account), PUSH_OBJECT_ID_MAX) ||
			!push_object_states_are_good(states)) {
			push_object_refuse(object, "a StateChange of another shape than RFC 8620 has");
			return;
		}
	}
	object->kind = PUSH_OBJECT_STATE_CHANGE;
	object->changed = json_incref(changed);
}

static void push_object_take_verification(struct push_object *object, const json_t *json) {
	struct slice id, code;
	if (json_get_string(json, "pushSubscriptionId", &id) != JSON_PRESENT ||
		json_get_string(json, "verificationCode", &code) != JSON_PRESENT ||
		!push_object_is_text(id, PUSH_OBJECT_ID_MAX) ||
		!push_object_is_text(code, PUSH_OBJECT_CODE_MAX)) {
		push_object_refuse(object, "a PushVerification of another shape than RFC 8620 has");
		return;
	}
	object->kind = PUSH_OBJECT_VERIFICATION;
	object->subscription_id = mem_strndup(id.data, id.len);
	object->code = mem_strndup(code.data, code.len);
}

/* Which event it is, the command finds out. */
static void push_object_take_alert(struct push_object *object, const json_t *json) {
	struct slice account;
	if (json_get_string(json, "accountId", &account) != JSON_PRESENT ||
		!push_object_is_text(account, PUSH_OBJECT_ID_MAX)) {
		push_object_refuse(object, "a CalendarAlert of no account");
		return;
	}
	object->kind = PUSH_OBJECT_ALERT;
	object->account_id = mem_strndup(account.data, account.len);
}

void push_object_parse(struct slice text, struct push_object *out_object) {
	struct slice type;
	*out_object = (struct push_object){.kind = PUSH_OBJECT_UNKNOWN, .reason = ""};
	json_t *json = text.len <= PUSH_OBJECT_BYTES_MAX ? json_parse(text) : NULL;
	if (json_get_string(json, "@type", &type) != JSON_PRESENT) {
		push_object_refuse(
			out_object, text.len > PUSH_OBJECT_BYTES_MAX ? "too large" : "no object of JMAP");
	} else if (slice_equals(type, "StateChange")) {
		push_object_take_changes(out_object, json);
	} else if (slice_equals(type, "PushVerification")) {
		push_object_take_verification(out_object, json);
	} else if (slice_equals(type, "CalendarAlert")) {
		push_object_take_alert(out_object, json);
	}
	json_decref(json);
}

/* ---- the message ---- */

static bool push_object_is_plain(struct slice body) {
	while (body.len > 0 && memchr(" \t\r\n", body.data[0], 4)) {
		body.data++;
		body.len--;
	}
	return body.len > 0 && body.data[0] == '{';
}

/* A body whose Content-Encoding got lost on its way is tried as what all servers send. */
static bool push_object_decrypt(const struct message *message, uint8_t **out_plain,
	size_t *out_bytes, const char **out_reason) {
	const struct registration *registration = message->registration;
	struct slice body = {message->body, message->bytes};
	if (message->encoding[0]) {
		return message_decrypt(message, out_plain, out_bytes, out_reason);
	}
	*out_reason = "neither encrypted nor JSON";
	return registration->key && webpush_decrypt(body, registration->key, registration->auth,
									out_plain, out_bytes) == WEBPUSH_OK;
}

void push_object_read(const struct message *message, struct push_object *out_object) {
	CLEANUP_FREE uint8_t *plain = NULL;
	struct slice body = {message->body, message->bytes};
	size_t bytes = 0;
	const char *reason = "";
	if (push_object_decrypt(message, &plain, &bytes, &reason)) {
		push_object_parse((struct slice){(const char *)plain, bytes}, out_object);
		out_object->was_encrypted = true;
	} else if (push_object_is_plain(
				   body)) { /* of a server that ignored the keys, whatever its headers say */
		push_object_parse(body, out_object);
	} else {
		*out_object = (struct push_object){.reason = reason};
	}
}

void push_object_finish(struct push_object *object) {
	json_decref(object->changed);
	free(object->subscription_id);
	free(object->code);
	free(object->account_id);
	*object = (struct push_object){.reason = ""};
}
