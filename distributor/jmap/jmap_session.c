/* SPDX-License-Identifier: Apache-2.0 */
/* The session object: read with no trust in it. */
#include "distributor/jmap/jmap_session.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/jwt.h"
#include "common/mem.h"
#include "common/url.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JMAP_ACCOUNTS_MAX = 256, JMAP_ID_MAX = 255, JMAP_NAME_BYTES_MAX = 512 };

void jmap_session_free(struct jmap_session *session) {
	if (!session) {
		return;
	}
	for (size_t i = 0; i < session->accounts_count; i++) {
		free(session->accounts[i].id);
		free(session->accounts[i].name);
	}
	free(session->accounts);
	free(session->url);
	free(session->api_url);
	free(session->event_source_url);
	free(session->state);
	free(session->user);
	free(session->vapid_key);
	free(session->primary_mail);
	free(session);
}

/* An absolute URL, or one that begins with '/', against the place where the session was found. ""
 * when it is neither. */
static char *jmap_session_resolve(struct slice text, const struct url *base) {
	char origin[URL_ORIGIN_MAX];
	if (slice_starts_with(text, "https://") || slice_starts_with(text, "http://")) {
		return mem_strndup(text.data, text.len);
	}
	if (!slice_starts_with(text, "/") || slice_starts_with(text, "//")) {
		return mem_strdup("");
	}
	url_origin_print(base, origin);
	return mem_printf("%s%.*s", origin, (int)text.len, text.data);
}

/* It may be a template, which is no URL yet; but nothing that a log or terminal would stumble at.
 */
static bool jmap_session_is_printable(struct slice text) {
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] <= ' ' || text.data[i] > '~') {
			return false;
		}
	}
	return text.len <= URL_MAX_BYTES;
}

static char *jmap_session_url(const json_t *json, const char *key, const struct url *base) {
	struct slice text;
	return json_get_string(json, key, &text) == JSON_PRESENT && jmap_session_is_printable(text)
			   ? jmap_session_resolve(text, base)
			   : mem_strdup("");
}

static char *jmap_session_text(const json_t *json, const char *key, size_t max) {
	struct slice text;
	return json_get_string(json, key, &text) == JSON_PRESENT && text.len <= max
			   ? mem_strndup(text.data, text.len)
			   : mem_strdup("");
}

static int64_t jmap_session_limit(const json_t *core, const char *key, int64_t usual) {
	int64_t value;
	return json_get_integer(core, key, &value) == JSON_PRESENT && value > 0 ? value : usual;
}

static char *jmap_session_vapid(const json_t *capabilities) {
	const json_t *vapid = json_object_get(capabilities, "urn:ietf:params:jmap:webpush-vapid");
	struct slice key;
	uint8_t point[P256_POINT_BYTES];
	size_t bytes = 0;
	if (json_get_string(vapid, "applicationServerKey", &key) != JSON_PRESENT ||
		!base64url_decode_lenient(key, point, sizeof point, &bytes) || bytes != sizeof point ||
		!p256_point_is_valid(point)) {
		return NULL;
	}
	return base64url_print(point, sizeof point);
}

static void jmap_session_read_capabilities(struct jmap_session *session, const json_t *json) {
	const json_t *capabilities = json_object_get(json, "capabilities");
	const json_t *core = json_object_get(capabilities, "urn:ietf:params:jmap:core");
	session->has_mail = json_object_get(capabilities, "urn:ietf:params:jmap:mail") != NULL;
	session->has_websocket =
		json_object_get(capabilities, "urn:ietf:params:jmap:websocket") != NULL;
	session->has_calendars =
		json_object_get(capabilities, "urn:ietf:params:jmap:calendars") != NULL;
	session->has_contacts = json_object_get(capabilities, "urn:ietf:params:jmap:contacts") != NULL;
	session->vapid_key = jmap_session_vapid(capabilities);
	/* RFC 8620 section 2 suggests these as minima */
	session->max_calls = jmap_session_limit(core, "maxCallsInRequest", 16);
	session->max_objects_get = jmap_session_limit(core, "maxObjectsInGet", 500);
	session->max_size_request = jmap_session_limit(core, "maxSizeRequest", 10000000);
}

static void jmap_session_read_accounts(struct jmap_session *session, const json_t *json) {
	json_t *accounts = json_object_get(json, "accounts");
	const json_t *primary = json_object_get(json, "primaryAccounts");
	const char *id;
	json_t *value;
	size_t count = json_object_size(accounts);
	struct slice mail;
	session->accounts = mem_zalloc((count + 1) * sizeof *session->accounts);
	json_object_foreach(accounts, id, value) {
		struct jmap_session_account *account = &session->accounts[session->accounts_count];
		if (strlen(id) > JMAP_ID_MAX || session->accounts_count >= JMAP_ACCOUNTS_MAX) {
			continue;
		}
		account->id = mem_strdup(id);
		account->name = jmap_session_text(value, "name", JMAP_NAME_BYTES_MAX);
		(void)json_get_bool(value, "isPersonal", &account->is_personal); /* absent: false */
		(void)json_get_bool(value, "isReadOnly", &account->is_read_only);
		account->has_mail = json_object_get(json_object_get(value, "accountCapabilities"),
								"urn:ietf:params:jmap:mail") != NULL;
		session->accounts_count++;
	}
	if (json_get_string(primary, "urn:ietf:params:jmap:mail", &mail) == JSON_PRESENT &&
		mail.len > 0 && mail.len <= JMAP_ID_MAX) {
		session->primary_mail = mem_strndup(mail.data, mail.len);
	}
}

struct jmap_session *jmap_session_parse(struct slice text, const char *url, char **out_error) {
	struct url base;
	json_t *json = json_parse(text);
	if (!json_is_object(json) || !json_is_object(json_object_get(json, "capabilities")) ||
		!url_parse(slice_of(url), &base)) {
		json_decref(json);
		*out_error = mem_strdup("what it answers is no JMAP session");
		return NULL;
	}
	struct jmap_session *session = mem_zalloc(sizeof *session);
	session->url = mem_strdup(url);
	session->api_url = jmap_session_url(json, "apiUrl", &base);
	session->event_source_url = jmap_session_url(json, "eventSourceUrl", &base);
	session->state = jmap_session_text(json, "state", JMAP_NAME_BYTES_MAX);
	session->user = jmap_session_text(json, "username", JMAP_NAME_BYTES_MAX);
	jmap_session_read_capabilities(session, json);
	jmap_session_read_accounts(session, json);
	json_decref(json);
	if (!session->api_url[0]) {
		jmap_session_free(session);
		*out_error = mem_strdup("its JMAP session names no apiUrl");
		return NULL;
	}
	return session;
}
