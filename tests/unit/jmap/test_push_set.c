/* SPDX-License-Identifier: Apache-2.0 */
/* What PushSubscription/get and /set are asked, and what their answers are worth. */
#include "common/base64url.h"
#include "common/json.h"
#include "distributor/jmap/jmap_date.h"
#include "distributor/jmap/push_device.h"
#include "distributor/jmap/push_set.h"
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static json_t *parse(const char *text) {
	json_t *json = json_parse(slice_of(text));
	assert_non_null(json);
	return json;
}

static void dates_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text;
		int64_t ms; /* -1: it is none */
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-24T13:14:15Z", 1795526055000},
		{"2026-11-24T13:14:15.5Z", 1795526055500},
		{"2026-11-24T13:14:15.123456Z", 1795526055123},
		{"2024-02-29T00:00:00Z", 1709164800000},
		{"", -1},
		{"Z", -1},
		{"2026-11-24", -1},
		{"2026-11-24T13:14:15", -1},
		{"2026-11-24T13:14:15+01:00", -1},
		{"2026-11-24T13:14Z", -1},
		{"2026-11-24T13:14:15.x1Z", -1},
		{"2026-11-24T13:14:15 Z", -1},
		{"2026-11-24T13:14:15..1Z", -1},
		{"2026-11-24T13:14:15.123456789012Z", 1795526055123},
		{"20000000000-11-24T13:14:15.123456789012345678901234567890Z", -1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t ms = -1;
		assert_int_equal(jmap_date_parse(slice_of(cases[i].text), &ms), cases[i].ms >= 0);
		assert_int_equal(ms, cases[i].ms);
	}
	char *printed = jmap_date_print(1795526055999);
	assert_string_equal(printed, "2026-11-24T13:14:15Z");
	free(printed);
}

static struct registration *registration_make(void) {
	static char endpoint[] = "https://push.example/p/x";
	struct registration *registration = calloc(1, sizeof *registration);
	registration->endpoint = endpoint;
	registration->key = p256_generate();
	memset(registration->auth, 7, sizeof registration->auth);
	return registration;
}

static void registration_drop(struct registration *registration) {
	EVP_PKEY_free(registration->key);
	free(registration);
}

static void assert_decodes(const json_t *keys, const char *name, size_t length, size_t bytes) {
	uint8_t out[128];
	size_t got = 0;
	struct slice text;
	assert_int_equal(json_get_string(keys, name, &text), JSON_PRESENT);
	assert_int_equal(text.len, length);
	assert_null(memchr(text.data, '+', text.len));
	assert_null(memchr(text.data, '/', text.len));
	assert_true(base64url_decode_lenient(text, out, sizeof out, &got));
	assert_int_equal(got, bytes);
}

enum { SPKI_BYTES = 91 }; /* of a P-256 key: 26 of ASN.1 before the point */

static void keys_are_written_in_all_forms(void **state) {
	(void)state;
	static const struct {
		enum push_keys_form form;
		size_t point_length, auth_length;
	} cases[] = {{PUSH_KEYS_PADDED, 88, 24}, {PUSH_KEYS_PLAIN, 87, 22}, {PUSH_KEYS_SPKI, 122, 22}};
	char *types[] = {(char *)"EmailDelivery", NULL};
	struct registration *registration = registration_make();
	struct push_wish wish = {
		.device = "d", .registration = registration, .expires_ms = 1795526055000, .types = types};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		wish.form = cases[i].form;
		json_t *arguments = push_create_arguments(&wish);
		json_t *created =
			json_object_iter_value(json_object_iter(json_object_get(arguments, "create")));
		json_t *keys = json_object_get(created, "keys");
		assert_decodes(keys, "p256dh", cases[i].point_length,
			cases[i].form == PUSH_KEYS_SPKI ? SPKI_BYTES : P256_POINT_BYTES);
		assert_decodes(keys, "auth", cases[i].auth_length, WEBPUSH_AUTH_BYTES);
		assert_string_equal(
			json_string_value(json_object_get(created, "expires")), "2026-11-24T13:14:15Z");
		assert_int_equal(json_array_size(json_object_get(created, "types")), 1);
		json_decref(arguments);
	}
	wish = (struct push_wish){.device = "d", .registration = registration, .form = PUSH_KEYS_NONE};
	json_t *arguments = push_create_arguments(&wish);
	json_t *created =
		json_object_iter_value(json_object_iter(json_object_get(arguments, "create")));
	assert_true(json_is_null(json_object_get(created, "keys")));
	assert_true(json_is_null(json_object_get(created, "types"))); /* all */
	assert_null(json_object_get(created, "expires"));
	json_decref(arguments);
	registration_drop(registration);
}

static void a_list_is_read_with_no_trust(void **state) {
	(void)state;
	struct push_listed listed[PUSH_SET_LISTED_MAX];
	json_t *json = parse("{\"list\":[{\"id\":\"a\",\"deviceClientId\":\"d\",\"expires\":null,"
						 "\"types\":[\"Email\"]},7,{\"id\":\"\"},{\"id\":3},{\"id\":\"b\","
						 "\"expires\":\"2026-11-24T13:14:15Z\"},{\"id\":\"c\",\"expires\":\"soon\"}"
						 "]}");
	assert_int_equal(push_get_read(json, listed), 3);
	assert_string_equal(listed[0].id, "a");
	assert_string_equal(listed[0].device, "d");
	assert_true(listed[0].has_expires);
	assert_int_equal(listed[0].expires_ms, 0);
	assert_string_equal(listed[1].device, "");
	assert_int_equal(listed[1].expires_ms, 1795526055000);
	assert_null(listed[1].types);
	assert_false(listed[2].has_expires);
	json_decref(json);

	json_t *list = json_array();
	for (int i = 0; i < 200; i++) {
		assert_int_equal(json_array_append_new(list, json_pack("{s:s}", "id", "x")), 0);
	}
	json = json_pack("{s:o}", "list", list);
	assert_int_equal(push_get_read(json, listed), PUSH_SET_LISTED_MAX);
	json_decref(json);
	assert_int_equal(push_get_read(NULL, listed), 0);
}

static void types_are_compared_as_sets(void **state) {
	(void)state;
	char *two[] = {(char *)"Email", (char *)"Mailbox", NULL}, *none[] = {NULL};
	static const struct {
		const char *types;
		bool are_two, are_none;
	} cases[] = {
		{"[\"Email\",\"Mailbox\"]", true, false},
		{"[\"Mailbox\",\"Email\"]", true, false},
		{"[\"Mailbox\",\"Email\",\"Thread\"]", false, false},
		{"[\"Mailbox\"]", false, false},
		{"[\"Mailbox\",7]", false, false},
		{"[]", false, false},
		{"null", false, true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *types = parse(cases[i].types);
		assert_int_equal(push_types_are(types, two), cases[i].are_two);
		assert_int_equal(push_types_are(types, none), cases[i].are_none);
		assert_int_equal(push_types_are(types, NULL), cases[i].are_none);
		json_decref(types);
	}
}

static void creations_by_table(void **state) {
	(void)state;
	static const struct {
		const char *answer;
		enum push_set_outcome outcome;
		const char *id;
		bool has_expires;
		int64_t expires_ms;
	} cases[] = {
		{"{\"created\":{\"new\":{\"id\":\"P1\"}}}", PUSH_SET_DONE, "P1", false, 0},
		{"{\"created\":{\"new\":{\"id\":\"P1\",\"expires\":null}}}", PUSH_SET_DONE, "P1", true, 0},
		{"{\"created\":{\"new\":{\"id\":\"P1\",\"expires\":\"2026-11-24T13:14:15Z\"}}}",
			PUSH_SET_DONE, "P1", true, 1795526055000},
		{"{\"created\":{\"new\":{\"id\":\"P1\",\"expires\":12}}}", PUSH_SET_DONE, "P1", false, 0},
		{"{\"created\":{\"new\":{}}}", PUSH_SET_LATER, "", false, 0},
		{"{\"created\":{\"other\":{\"id\":\"P1\"}}}", PUSH_SET_LATER, "", false, 0},
		{"{\"created\":null,\"notCreated\":{\"new\":{\"type\":\"overQuota\"}}}", PUSH_SET_NO_ROOM,
			"", false, 0},
		{"{\"notCreated\":{\"new\":{\"type\":\"forbidden\",\"description\":\"no\"}}}",
			PUSH_SET_NO_ROOM, "", false, 0},
		{"{\"notCreated\":{\"new\":{\"type\":\"rateLimit\"}}}", PUSH_SET_LATER, "", false, 0},
		{"{\"notCreated\":{\"new\":{\"type\":\"invalidProperties\"}}}", PUSH_SET_REFUSED, "", false,
			0},
		{"{\"notCreated\":{\"new\":[]}}", PUSH_SET_LATER, "", false, 0},
		{"[]", PUSH_SET_LATER, "", false, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct push_set_result result;
		json_t *answer = parse(cases[i].answer);
		push_create_read(answer, &result);
		assert_int_equal(result.outcome, cases[i].outcome);
		assert_string_equal(result.id, cases[i].id);
		assert_int_equal(result.has_expires, cases[i].has_expires);
		assert_int_equal(result.expires_ms, cases[i].expires_ms);
		json_decref(answer);
	}
}

static void a_refusal_names_what_it_is_about(void **state) {
	(void)state;
	struct push_set_result result;
	json_t *answer = parse("{\"notCreated\":{\"new\":{\"type\":\"invalidProperties\","
						   "\"description\":\"bad keys\",\"properties\":[\"keys/p256dh\",7,"
						   "\"types\"]}}}");
	push_create_read(answer, &result);
	assert_string_equal(result.description, "bad keys");
	assert_true(result.names_keys && result.names_types);
	assert_false(result.names_url || result.names_expires || result.names_code);
	json_decref(answer);
}

/* Apache James names no properties. */
static void a_refusal_is_told_by_its_words(void **state) {
	(void)state;
	struct push_set_result result;
	json_t *answer =
		parse("{\"notCreated\":{\"new\":{\"type\":\"invalidArguments\",\"description\":"
			  "\"java.security.InvalidKeyException: invalid key format\"}}}");
	push_create_read(answer, &result);
	assert_int_equal(result.outcome, PUSH_SET_REFUSED);
	assert_true(result.names_keys && !result.names_device);
	json_decref(answer);
	answer = parse("{\"notCreated\":{\"new\":{\"type\":\"invalidArguments\",\"description\":"
				   "\"`bw-key` deviceClientId must be unique\"}}}");
	push_create_read(answer, &result);
	assert_true(result.names_device && !result.names_keys);
	json_decref(answer);
}

static void updates_by_table(void **state) {
	(void)state;
	static const struct {
		const char *answer;
		enum push_set_outcome outcome;
		bool has_expires;
	} cases[] = {
		{"{\"updated\":{\"P1\":null}}", PUSH_SET_DONE, false},
		{"{\"updated\":{\"P1\":{\"expires\":\"2026-11-24T13:14:15Z\"}}}", PUSH_SET_DONE, true},
		{"{\"updated\":{\"P2\":null}}", PUSH_SET_LATER, false},
		{"{\"updated\":null,\"notUpdated\":{\"P1\":{\"type\":\"notFound\"}}}", PUSH_SET_NOT_FOUND,
			false},
		{"{\"notUpdated\":{\"P1\":{\"type\":\"invalidProperties\"}}}", PUSH_SET_REFUSED, false},
		{"{}", PUSH_SET_LATER, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct push_set_result result;
		json_t *answer = parse(cases[i].answer);
		push_update_read(answer, "P1", &result);
		assert_int_equal(result.outcome, cases[i].outcome);
		assert_int_equal(result.has_expires, cases[i].has_expires);
		json_decref(answer);
	}
}

static void a_device_is_the_same_for_one_login_in_one_place(void **state) {
	(void)state;
	struct push_device first, again, other;
	struct jmap_config config = {.name = (char *)"work", .user = (char *)"ann@example.org"};
	push_device_init(&first, &config, "/home/ann/.local/state/bellwire", NULL);
	push_device_init(&again, &config, "/home/ann/.local/state/bellwire", first.invented);
	assert_string_equal(first.client_id, again.client_id);
	assert_int_equal(strlen(first.client_id), PUSH_DEVICE_LENGTH);
	push_device_init(&other, &config, "/home/ann/elsewhere", first.invented);
	assert_string_not_equal(first.client_id, other.client_id);
	config.name = (char *)"home";
	push_device_init(&other, &config, "/home/ann/.local/state/bellwire", first.invented);
	assert_string_not_equal(first.client_id, other.client_id);
}

static void a_subscription_is_bound_to_endpoint_and_keys(void **state) {
	(void)state;
	struct registration *registration = registration_make();
	char elsewhere[] = "https://push.example/p/y";
	char *first = push_bound_dup(registration), *again = push_bound_dup(registration);
	assert_string_equal(first, again);
	free(again);
	registration->auth[0] ^= 1;
	again = push_bound_dup(registration);
	assert_string_not_equal(first, again);
	free(again);
	registration->auth[0] ^= 1;
	registration->endpoint = elsewhere;
	again = push_bound_dup(registration);
	assert_string_not_equal(first, again);
	free(again);
	free(first);
	registration_drop(registration);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_by_table),
		cmocka_unit_test(keys_are_written_in_all_forms),
		cmocka_unit_test(a_list_is_read_with_no_trust),
		cmocka_unit_test(types_are_compared_as_sets),
		cmocka_unit_test(creations_by_table),
		cmocka_unit_test(a_refusal_names_what_it_is_about),
		cmocka_unit_test(a_refusal_is_told_by_its_words),
		cmocka_unit_test(updates_by_table),
		cmocka_unit_test(a_device_is_the_same_for_one_login_in_one_place),
		cmocka_unit_test(a_subscription_is_bound_to_endpoint_and_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
