/* SPDX-License-Identifier: Apache-2.0 */
/* Session objects: what is believed, and what is not. */
#include "common/cleanup.h"
#include "distributor/jmap/jmap_session.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define URL "https://mail.example:8443/jmap/session"
#define KEY                                                                                        \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"

static struct jmap_session *parse(const char *text) {
	CLEANUP_FREE char *error = NULL;
	struct jmap_session *session = jmap_session_parse(slice_of(text), URL, &error);
	assert_int_equal(session == NULL, error != NULL);
	return session;
}

static void a_session_is_read(void **state) {
	(void)state;
	struct jmap_session *session =
		parse("{\"capabilities\":{\"urn:ietf:params:jmap:core\":{\"maxCallsInRequest\":4,"
			  "\"maxObjectsInGet\":7,\"maxSizeRequest\":9},\"urn:ietf:params:jmap:mail\":{},"
			  "\"urn:ietf:params:jmap:contacts\":{},\"urn:ietf:params:jmap:webpush-vapid\":"
			  "{\"applicationServerKey\":\"" KEY "=\"}},"
			  "\"accounts\":{\"a\":{\"name\":\"Ann\",\"isPersonal\":true,\"accountCapabilities\":"
			  "{\"urn:ietf:params:jmap:mail\":{}}},\"t\":{\"name\":\"Team\",\"isReadOnly\":true,"
			  "\"accountCapabilities\":{}}},"
			  "\"primaryAccounts\":{\"urn:ietf:params:jmap:mail\":\"a\"},\"username\":\"ann\","
			  "\"apiUrl\":\"/jmap/api\",\"eventSourceUrl\":\"https://e.example/"
			  "{types}\",\"state\":\"s\"}");
	assert_string_equal(session->url, URL);
	assert_string_equal(session->api_url, "https://mail.example:8443/jmap/api");
	assert_string_equal(session->event_source_url, "https://e.example/{types}");
	assert_string_equal(session->state, "s");
	assert_string_equal(session->user, "ann");
	assert_string_equal(session->vapid_key, KEY);
	assert_string_equal(session->primary_mail, "a");
	assert_true(session->has_mail && session->has_contacts && !session->has_calendars);
	assert_int_equal(session->max_calls, 4);
	assert_int_equal(session->max_objects_get, 7);
	assert_int_equal(session->max_size_request, 9);
	assert_int_equal(session->accounts_count, 2);
	const struct jmap_session_account *ann = &session->accounts[0], *team = &session->accounts[1];
	if (strcmp(ann->id, "a") != 0) {
		ann = &session->accounts[1];
		team = &session->accounts[0];
	}
	assert_string_equal(ann->name, "Ann");
	assert_true(ann->is_personal && !ann->is_read_only && ann->has_mail);
	assert_string_equal(team->id, "t");
	assert_true(!team->is_personal && team->is_read_only && !team->has_mail);
	jmap_session_free(session);
}

static void little_is_enough(void **state) {
	(void)state;
	struct jmap_session *session = parse(
		"{\"capabilities\":{},\"apiUrl\":\"https://api.example/\",\"eventSourceUrl\":\"//x/\","
		"\"accounts\":[1],\"primaryAccounts\":7,\"username\":null,\"state\":{}}");
	assert_string_equal(session->api_url, "https://api.example/");
	assert_string_equal(session->event_source_url, "");
	assert_string_equal(session->state, "");
	assert_null(session->vapid_key);
	assert_null(session->primary_mail);
	assert_int_equal(session->accounts_count, 0);
	assert_int_equal(session->max_calls, 16);
	assert_int_equal(session->max_objects_get, 500);
	jmap_session_free(session);
}

static void nonsense_by_table(void **state) {
	(void)state;
	static const char *const texts[] = {
		"",
		"<html>",
		"[]",
		"null",
		"{}",
		"{\"capabilities\":[]}",
		"{\"capabilities\":{}}",
		"{\"capabilities\":{},\"apiUrl\":\"\"}",
		"{\"capabilities\":{},\"apiUrl\":7}",
		"{\"capabilities\":{},\"apiUrl\":\"api\"}",
		"{\"capabilities\":{},\"apiUrl\":\"//evil.example/api\"}",
		"{\"capabilities\":{},\"apiUrl\":\"file:///etc/passwd\"}",
		"{\"capabilities\":{},\"apiUrl\":\"https://a.example/\\u001b[31m\"}",
		"{\"capabilities\":{},\"apiUrl\":\"https://a.example/a b\"}",
		"{\"capabilities\":{},\"apiUrl\":\"https://\xc3\xbc.example/\"}",
		"{\"capabilities\":{},\"apiUrl\":\"https://a.example/\"} trailing",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_null(parse(texts[i]));
	}
}

static void a_bad_vapid_key_is_none(void **state) {
	(void)state;
	static const char *const keys[] = {"\"\"", "\"AAAA\"", "7", "\"" KEY "AAAA\"",
		("\"BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		 "\"")};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		char text[512];
		(void)snprintf(text, sizeof text,
			"{\"capabilities\":{\"urn:ietf:params:jmap:webpush-vapid\":{\"applicationServerKey\":%"
			"s}"
			"},\"apiUrl\":\"/\"}",
			keys[i]);
		struct jmap_session *session = parse(text);
		assert_non_null(session);
		assert_null(session->vapid_key);
		jmap_session_free(session);
	}
}

static void accounts_have_a_limit(void **state) {
	(void)state;
	char text[20000] = "{\"capabilities\":{},\"apiUrl\":\"/\",\"accounts\":{\"x\":7", id[300];
	memset(id, 'i', sizeof id);
	id[sizeof id - 1] = '\0';
	for (int i = 0; i < 300; i++) {
		(void)snprintf(text + strlen(text), sizeof text - strlen(text), ",\"a%d\":{}", i);
	}
	(void)snprintf(text + strlen(text), sizeof text - strlen(text), ",\"%s\":{}}}", id);
	struct jmap_session *session = parse(text);
	assert_int_equal(session->accounts_count, 256);
	for (size_t i = 0; i < session->accounts_count; i++) {
		assert_true(strlen(session->accounts[i].id) <= 255);
	}
	jmap_session_free(session);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_read),
		cmocka_unit_test(little_is_enough),
		cmocka_unit_test(nonsense_by_table),
		cmocka_unit_test(a_bad_vapid_key_is_none),
		cmocka_unit_test(accounts_have_a_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
