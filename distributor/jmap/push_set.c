/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of PushSubscription/get and /set. */
#include "distributor/jmap/push_set.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/jmap_date.h"
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUSH_CREATION "new" /* the id of the one creation in a request */

const char *push_keys_form_name(enum push_keys_form form) {
	static const char *const names[PUSH_KEYS_FORM_COUNT] = {
		[PUSH_KEYS_PADDED] = "padded",
		[PUSH_KEYS_PLAIN] = "plain",
		[PUSH_KEYS_SPKI] = "SubjectPublicKeyInfo",
		[PUSH_KEYS_NONE] = "none",
	};
	return names[form];
}

/* ---- arguments ---- */

json_t *push_get_arguments(void) {
	/* url and keys may not be asked for */
	return json_pack(
		"{s:n,s:[s,s,s,s]}", "ids", "properties", "id", "deviceClientId", "expires", "types");
}

static char *push_base64(const void *data, size_t bytes, bool is_padded) {
	CLEANUP_FREE char *text = base64url_print(data, bytes);
	return mem_printf("%s%s", text, &"=="[is_padded ? 2 - (3 - bytes % 3) % 3 : 2]);
}

static char *push_print_key(EVP_PKEY *key, enum push_keys_form form) {
	uint8_t point[P256_POINT_BYTES], *der = NULL;
	if (form == PUSH_KEYS_SPKI) {
		int bytes = i2d_PUBKEY(key, &der);
		char *text = bytes > 0 ? base64url_print(der, (size_t)bytes) : NULL;
		OPENSSL_free(der);
		return text;
	}
	return p256_point_of(key, point) ? push_base64(point, sizeof point, form == PUSH_KEYS_PADDED)
									 : NULL;
}

static json_t *push_keys(const struct registration *registration, enum push_keys_form form) {
	if (form == PUSH_KEYS_NONE) {
		return json_null();
	}
	bool is_padded = form == PUSH_KEYS_PADDED;
	CLEANUP_FREE char *p256dh = push_print_key(registration->key, form);
	if (!p256dh) {
		log_fatal("OpenSSL cannot print a key");
	}
	CLEANUP_FREE char *auth = push_base64(registration->auth, sizeof registration->auth, is_padded);
	return json_pack("{s:s,s:s}", "p256dh", p256dh, "auth", auth);
}

json_t *push_types_json(char *const *types) {
	if (!types || !types[0]) {
		return json_null();
	}
	json_t *json = json_array();
	for (size_t i = 0; types[i]; i++) {
		(void)json_array_append_new(json, json_string(types[i]));
	}
	return json;
}

json_t *push_create_arguments(const struct push_wish *wish) {
	json_t *subscription = json_pack("{s:s,s:s,s:o,s:o}", "deviceClientId", wish->device, "url",
		wish->registration->endpoint, "keys", push_keys(wish->registration, wish->form), "types",
		push_types_json(wish->types));
	if (wish->expires_ms > 0) {
		CLEANUP_FREE char *date = jmap_date_print(wish->expires_ms);
		(void)json_object_set_new(subscription, "expires", json_string(date));
	}
	return json_pack("{s:{s:o}}", "create", PUSH_CREATION, subscription);
}

json_t *push_update_arguments(const char *id, const char *key, json_t *take_value) {
	return json_pack("{s:{s:{s:o}}}", "update", id, key, take_value);
}

json_t *push_destroy_arguments(const char *const *ids, size_t count) {
	json_t *json = json_array();
	for (size_t i = 0; i < count; i++) {
		(void)json_array_append_new(json, json_string(ids[i]));
	}
	return json_pack("{s:o}", "destroy", json);
}

/* ---- answers ---- */

/* "" when it is absent or no text. */
static const char *push_text(const json_t *object, const char *key) {
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

/* null is "never"; a date that is none is not believed. */
static bool push_read_expires(const json_t *object, int64_t *out_expires_ms) {
	const json_t *value = json_object_get(object, "expires");
	if (json_is_null(value)) {
		*out_expires_ms = 0;
		return true;
	}
	return json_is_string(value) &&
		   jmap_date_parse(
			   (struct slice){json_string_value(value), json_string_length(value)}, out_expires_ms);
}

static bool push_id_is_good(const char *id) {
	size_t len = strlen(id);
	return len > 0 && len <= PUSH_SET_ID_MAX;
}

size_t push_get_read(const json_t *answer, struct push_listed out_listed[PUSH_SET_LISTED_MAX]) {
	size_t count = 0, i;
	const json_t *list = json_object_get(answer, "list");
	const json_t *each;
	json_array_foreach(list, i, each) {
		struct push_listed *listed = &out_listed[count];
		*listed = (struct push_listed){
			.id = push_text(each, "id"),
			.device = push_text(each, "deviceClientId"),
			.types = json_object_get(each, "types"),
		};
		listed->has_expires = push_read_expires(each, &listed->expires_ms);
		if (push_id_is_good(listed->id) && ++count >= PUSH_SET_LISTED_MAX) {
			break;
		}
	}
	return count;
}

bool push_types_are(const json_t *types, char *const *wanted) {
	size_t count = 0, i;
	const json_t *each;
	for (; wanted && wanted[count]; count++) {
		bool is_there = false;
		json_array_foreach(types, i, each) {
			const char *type = json_string_value(each);
			is_there = is_there || (type && strcmp(type, wanted[count]) == 0);
		}
		if (!is_there) {
			return false;
		}
	}
	return count == 0 ? json_is_null(types) : json_array_size(types) == count;
}

enum push_set_outcome push_error_outcome(const char *type) {
	static const struct {
		const char *type;
		enum push_set_outcome outcome;
	} known[] = {
		{"overQuota", PUSH_SET_NO_ROOM}, {"forbidden", PUSH_SET_NO_ROOM},
		{"limit", PUSH_SET_NO_ROOM}, {"tooLarge", PUSH_SET_NO_ROOM},
		{"notFound", PUSH_SET_NOT_FOUND}, {"rateLimit", PUSH_SET_LATER},
		{"serverFail", PUSH_SET_LATER}, {"serverPartialFail", PUSH_SET_LATER},
		{"serverUnavailable", PUSH_SET_LATER}, {"stateMismatch", PUSH_SET_LATER},
		{"", PUSH_SET_LATER}, /* no answer at all */
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcmp(type, known[i].type) == 0) {
			return known[i].outcome;
		}
	}
	return PUSH_SET_REFUSED;
}

static void push_read_error(const json_t *error, struct push_set_result *result) {
	size_t i;
	const json_t *each;
	result->type = push_text(error, "type");
	result->description = push_text(error, "description");
	result->outcome = push_error_outcome(result->type);
	json_array_foreach(json_object_get(error, "properties"), i, each) {
		const char *name = json_string_value(each);
		struct slice property = slice_of(name ? name : "");
		result->names_url |= slice_starts_with(property, "url");
		result->names_keys |= slice_starts_with(property, "keys");
		result->names_expires |= slice_starts_with(property, "expires");
		result->names_types |= slice_starts_with(property, "types");
		result->names_code |= slice_starts_with(property, "verificationCode");
		result->names_device |= slice_starts_with(property, "deviceClientId");
	}
	if (json_array_size(json_object_get(error, "properties")) == 0) { /* Apache James */
		result->names_device = strstr(result->description, "deviceClientId") != NULL;
		result->names_keys = !result->names_device && strcasestr(result->description, "key");
	}
}

void push_create_read(const json_t *answer, struct push_set_result *out_result) {
	const json_t *created = json_object_get(json_object_get(answer, "created"), PUSH_CREATION);
	*out_result = (struct push_set_result){.type = "", .description = "", .id = ""};
	if (json_is_object(created) && push_id_is_good(push_text(created, "id"))) {
		out_result->outcome = PUSH_SET_DONE;
		out_result->id = push_text(created, "id");
		out_result->has_expires = push_read_expires(created, &out_result->expires_ms);
		return;
	}
	push_read_error(
		json_object_get(json_object_get(answer, "notCreated"), PUSH_CREATION), out_result);
}

void push_update_read(const json_t *answer, const char *id, struct push_set_result *out_result) {
	const json_t *updated = json_object_get(json_object_get(answer, "updated"), id);
	*out_result = (struct push_set_result){.type = "", .description = "", .id = ""};
	if (updated) { /* null: just as was asked */
		out_result->outcome = PUSH_SET_DONE;
		out_result->has_expires = push_read_expires(updated, &out_result->expires_ms);
		return;
	}
	push_read_error(json_object_get(json_object_get(answer, "notUpdated"), id), out_result);
}
