/* SPDX-License-Identifier: Apache-2.0 */
/* What servers push, as each of them sends it. */
#include "common/base64url.h"
#include "common/mem.h"
#include "common/webpush.h"
#include "distributor/jmap/push_object.h"
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* The receiver of RFC 8291 appendix A. */
#define UA_SECRET "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
#define UA_POINT                                                                                   \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
#define AUTH "BTBZMqHH6r4Tts7J_aSIgg"

#define CHANGE                                                                                     \
	"{\"@type\":\"StateChange\",\"changed\":{\"a1\":{\"EmailDelivery\":\"s12\",\"Mailbox\":"       \
	"\"s12\"},\"a2\":{\"Mailbox\":\"s3\"}}}"
#define VERIFICATION                                                                               \
	"{\"@type\":\"PushVerification\",\"pushSubscriptionId\":\"P1\",\"verificationCode\":\"c0de\"}"

/* CHANGE in three records of 64 bytes, made by another implementation. */
#define CHANGE_IN_RECORDS                                                                          \
	"cTr6wI9IoHoHf0EreYNB4wAAAEBBBNDecaArl58Mj9lq5E63HCkDHqEqlUUoFbADcEtpllJmA3VtFboiOeYtocC0"     \
	"kVNQ7SFfICUHeZr-O0mZRloUwZiVa6p67yzyH4PsvkePdPVZk0IZuJXT7kyL5yGwmZAi9uycrW9WfePpOcNdX2iU"     \
	"9bG4Sfy5I4o2LaSd0KQTQCaMcs5itopYuwHNiqXFQ_XoYgO24F_cgVXQNMG-T7Sp-1JM3QmkV7vHnfFWnrgMmA7w"     \
	"qZ4_cp8XDGFaT8BvwQ2FuyWl7zd6_12NTlNWENfA-elTEaXnjN1sObc"

struct fixture {
	struct registration registration;
	uint8_t point[P256_POINT_BYTES];
};

static void decode(const char *text, uint8_t *out, size_t bytes) {
	size_t got = 0;
	assert_true(base64url_decode(slice_of(text), out, bytes, &got));
	assert_int_equal(got, bytes);
}

static int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	uint8_t secret[P256_SECRET_BYTES];
	decode(UA_SECRET, secret, sizeof secret);
	decode(UA_POINT, f->point, sizeof f->point);
	decode(AUTH, f->registration.auth, sizeof f->registration.auth);
	f->registration.kind = REGISTRATION_MAIL;
	f->registration.key = p256_from_secret(secret);
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	EVP_PKEY_free(f->registration.key);
	free(f);
	return 0;
}

static void read_body(
	struct fixture *f, const char *encoding, struct slice body, struct push_object *out) {
	struct message *message = message_create(&f->registration);
	free(message->body);
	free(message->encoding);
	message->body = mem_strndup(body.data, body.len);
	message->bytes = body.len;
	message->encoding = mem_strdup(encoding);
	push_object_read(message, out);
	message_free(message);
}

static struct slice encrypt(struct fixture *f, const char *text, uint8_t **out_body) {
	size_t bytes = 0;
	assert_int_equal(
		webpush_encrypt(slice_of(text), f->point, f->registration.auth, 128, out_body, &bytes),
		WEBPUSH_OK);
	return (struct slice){(const char *)*out_body, bytes};
}

static const char *state_of(
	const struct push_object *object, const char *account, const char *type) {
	return json_string_value(json_object_get(json_object_get(object->changed, account), type));
}

static void assert_is_change(const struct push_object *object, bool was_encrypted) {
	assert_int_equal(object->kind, PUSH_OBJECT_STATE_CHANGE);
	assert_string_equal(object->reason, "");
	assert_int_equal(object->was_encrypted, was_encrypted);
	assert_int_equal(json_object_size(object->changed), 2);
	assert_string_equal(state_of(object, "a1", "EmailDelivery"), "s12");
	assert_string_equal(state_of(object, "a2", "Mailbox"), "s3");
}

static void an_encrypted_change_is_read(void **state) {
	struct fixture *f = *state;
	struct push_object object;
	uint8_t *body;
	struct slice encrypted = encrypt(f, CHANGE, &body);
	const char *const encodings[] = {"aes128gcm", "AES128GCM", ""}; /* lost on its way */
	for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
		read_body(f, encodings[i], encrypted, &object);
		assert_is_change(&object, true);
		push_object_finish(&object);
	}
	free(body);
}

static void a_verification_is_read(void **state) {
	struct fixture *f = *state;
	struct push_object object;
	uint8_t *body;
	read_body(f, "aes128gcm", encrypt(f, VERIFICATION, &body), &object);
	assert_int_equal(object.kind, PUSH_OBJECT_VERIFICATION);
	assert_true(object.was_encrypted);
	assert_string_equal(object.subscription_id, "P1");
	assert_string_equal(object.code, "c0de");
	push_object_finish(&object);
	free(body);
}

static void several_records_are_read(void **state) {
	struct fixture *f = *state;
	struct push_object object;
	uint8_t body[1024];
	size_t bytes = 0;
	assert_true(base64url_decode(slice_of(CHANGE_IN_RECORDS), body, sizeof body, &bytes));
	read_body(f, "aes128gcm", (struct slice){(const char *)body, bytes}, &object);
	assert_is_change(&object, true);
	push_object_finish(&object);
}

static void the_ciphertext_as_text_is_read(void **state) {
	struct fixture *f = *state;
	struct push_object object;
	uint8_t *body;
	struct slice encrypted = encrypt(f, CHANGE, &body);
	char *text = base64url_print(encrypted.data, encrypted.len);
	char *padded = mem_printf("%s%s", text, &"==="[3 - (4 - strlen(text) % 4) % 4]);
	read_body(f, "aes128gcm", slice_of(text), &object);
	assert_is_change(&object, true);
	push_object_finish(&object);
	for (char *at = padded; *at; at++) { /* the other alphabet, too */
		*at = *at == '-' ? '+' : *at == '_' ? '/' : *at;
	}
	read_body(f, "aes128gcm", slice_of(padded), &object);
	assert_is_change(&object, true);
	push_object_finish(&object);
	free(padded);
	free(text);
	free(body);
}

static void text_of_a_server_without_keys_is_marked(void **state) {
	struct fixture *f = *state;
	struct push_object object;
	const char *const encodings[] = {"", "aes128gcm", "identity"}; /* some label it all the same */
	for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
		read_body(f, encodings[i], slice_of(CHANGE), &object);
		assert_is_change(&object, false);
		push_object_finish(&object);
	}
	read_body(f, "", slice_of(" \r\n" VERIFICATION "\n"), &object);
	assert_int_equal(object.kind, PUSH_OBJECT_VERIFICATION);
	assert_false(object.was_encrypted);
	push_object_finish(&object);
}

static void what_is_for_others_is_refused(void **state) {
	struct fixture *f = *state;
	struct push_object object;
	uint8_t *body;
	struct slice encrypted = encrypt(f, CHANGE, &body);
	body[encrypted.len - 1] ^= 1;
	read_body(f, "aes128gcm", encrypted, &object);
	assert_int_equal(object.kind, PUSH_OBJECT_UNREADABLE);
	assert_string_equal(object.reason, "encrypted for another key, or altered");
	assert_false(object.was_encrypted);
	push_object_finish(&object);
	read_body(f, "", encrypted, &object);
	assert_string_equal(object.reason, "neither encrypted nor JSON");
	push_object_finish(&object);
	read_body(f, "rot13", slice_of("hello"), &object);
	assert_string_equal(object.reason, "an unknown encoding");
	push_object_finish(&object);
	read_body(f, "", slice_of(""), &object);
	assert_int_equal(object.kind, PUSH_OBJECT_UNREADABLE);
	push_object_finish(&object);
	free(body);
}

static void text_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum push_object_kind kind;
	} cases[] = {
		{CHANGE, PUSH_OBJECT_STATE_CHANGE},
		{VERIFICATION, PUSH_OBJECT_VERIFICATION},
		{"{\"@type\":\"StateChange\",\"changed\":{}}", PUSH_OBJECT_STATE_CHANGE},
		{"{\"@type\":\"StateChange\",\"changed\":{\"a\":{}},\"x\":1}", PUSH_OBJECT_STATE_CHANGE},
		{"{\"@type\":\"EmailPush\",\"emails\":[]}", PUSH_OBJECT_UNKNOWN},
		{"{\"@type\":\"\"}", PUSH_OBJECT_UNKNOWN},
		{"{\"@type\":\"CalendarAlert\",\"accountId\":\"a\",\"uid\":\"u\",\"recurrenceId\":null}",
			PUSH_OBJECT_ALERT},
		{"{\"@type\":\"CalendarAlert\",\"uid\":\"u\"}", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"CalendarAlert\",\"accountId\":7}", PUSH_OBJECT_UNREADABLE},
		{"", PUSH_OBJECT_UNREADABLE},
		{"{}", PUSH_OBJECT_UNREADABLE},
		{"null", PUSH_OBJECT_UNREADABLE},
		{"\"StateChange\"", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":7}", PUSH_OBJECT_UNREADABLE},
		{CHANGE "}", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"StateChange\"}", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"StateChange\",\"changed\":null}", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"StateChange\",\"changed\":[]}", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"StateChange\",\"changed\":{\"a\":1}}", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"StateChange\",\"changed\":{\"\":{}}}", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"StateChange\",\"changed\":{\"a\":{\"Email\":null}}}",
			PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"StateChange\",\"changed\":{\"a\":{\"Email\":\"\"}}}",
			PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"StateChange\",\"changed\":{\"a\":{\"Email\":\"x\\u0000\"}}}",
			PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"PushVerification\",\"pushSubscriptionId\":\"P\"}", PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"PushVerification\",\"pushSubscriptionId\":\"\",\"verificationCode\":\"c\"}",
			PUSH_OBJECT_UNREADABLE},
		{"{\"@type\":\"PushVerification\",\"pushSubscriptionId\":\"P\",\"verificationCode\":[]}",
			PUSH_OBJECT_UNREADABLE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct push_object object;
		push_object_parse(slice_of(cases[i].text), &object);
		assert_int_equal(object.kind, cases[i].kind);
		assert_int_equal(object.reason[0] == '\0', object.kind != PUSH_OBJECT_UNREADABLE);
		assert_int_equal(object.changed != NULL, object.kind == PUSH_OBJECT_STATE_CHANGE);
		assert_int_equal(object.code != NULL, object.kind == PUSH_OBJECT_VERIFICATION);
		assert_int_equal(object.account_id != NULL, object.kind == PUSH_OBJECT_ALERT);
		push_object_finish(&object);
	}
}

/* {"@type":"StateChange","changed":{...}} with so many accounts of so many types each. */
static enum push_object_kind kind_of(size_t accounts, size_t types, size_t id_bytes) {
	json_t *changed = json_object(), *json;
	struct push_object object;
	char *id = mem_alloc(id_bytes + 1);
	memset(id, 'x', id_bytes);
	id[id_bytes] = '\0';
	for (size_t i = 0; i < accounts; i++) {
		json_t *states = json_object();
		for (size_t j = 0; j < types; j++) {
			char *type = mem_printf("T%zu", j);
			assert_int_equal(json_object_set_new(states, type, json_string(id)), 0);
			free(type);
		}
		char *account = mem_printf("a%zu", i);
		assert_int_equal(json_object_set_new(changed, account, states), 0);
		free(account);
	}
	json = json_pack("{s:s,s:o}", "@type", "StateChange", "changed", changed);
	char *text = json_dumps(json, JSON_COMPACT);
	push_object_parse(slice_of(text), &object);
	enum push_object_kind kind = object.kind;
	push_object_finish(&object);
	json_decref(json);
	free(text);
	free(id);
	return kind;
}

static void sizes_have_limits(void **state) {
	(void)state;
	assert_int_equal(kind_of(PUSH_OBJECT_ACCOUNTS_MAX, 2, 8), PUSH_OBJECT_STATE_CHANGE);
	assert_int_equal(kind_of(PUSH_OBJECT_ACCOUNTS_MAX + 1, 2, 8), PUSH_OBJECT_UNREADABLE);
	assert_int_equal(kind_of(1, PUSH_OBJECT_TYPES_MAX, 8), PUSH_OBJECT_STATE_CHANGE);
	assert_int_equal(kind_of(1, PUSH_OBJECT_TYPES_MAX + 1, 8), PUSH_OBJECT_UNREADABLE);
	assert_int_equal(kind_of(1, 1, PUSH_OBJECT_ID_MAX), PUSH_OBJECT_STATE_CHANGE);
	assert_int_equal(kind_of(1, 1, PUSH_OBJECT_ID_MAX + 1), PUSH_OBJECT_UNREADABLE);
	assert_int_equal(kind_of(PUSH_OBJECT_ACCOUNTS_MAX, 8, 200), PUSH_OBJECT_UNREADABLE);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_encrypted_change_is_read),
		cmocka_unit_test(a_verification_is_read),
		cmocka_unit_test(several_records_are_read),
		cmocka_unit_test(the_ciphertext_as_text_is_read),
		cmocka_unit_test(text_of_a_server_without_keys_is_marked),
		cmocka_unit_test(what_is_for_others_is_refused),
		cmocka_unit_test(text_by_table),
		cmocka_unit_test(sizes_have_limits),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
