/* SPDX-License-Identifier: Apache-2.0 */
/* The push protocol's identifiers and messages. */
#include "common/autopush.h"
#include "common/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHANNEL "0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c11"
#define VERSION "AAECAwQFBgcICQoLDA0ODw"

static void channels_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text;
		bool is_good;
	} cases[] = {
		{CHANNEL, true},
		{"00000000-0000-0000-0000-000000000000", true},
		{"0D9A6D2E-52e1-4a3e-9a0e-3f8d3b3f2c11", false},
		{"0d9a6d2e52e14a3e9a0e3f8d3b3f2c11", false},
		{"0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c1", false},
		{"0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c111", false},
		{"0d9a6d2-e52e1-4a3e-9a0e-3f8d3b3f2c11", false},
		{"0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2cg1", false},
		{"", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct channel_id channel;
		assert_int_equal(
			autopush_channel_parse(slice_of(cases[i].text), &channel), cases[i].is_good);
		if (cases[i].is_good) {
			char text[AUTOPUSH_CHANNEL_LENGTH + 1];
			autopush_channel_print(channel, text);
			assert_string_equal(text, cases[i].text);
		}
	}
}

static void versions_round_trip_and_have_one_spelling(void **state) {
	(void)state;
	const struct message_id id = {0x0001020304050607, 0x08090a0b0c0d0e0f};
	char text[AUTOPUSH_VERSION_LENGTH + 1];
	autopush_version_print(id, text);
	assert_string_equal(text, VERSION);
	struct message_id read;
	assert_true(autopush_version_parse(slice_of(text), &read));
	assert_int_equal(message_id_compare(read, id), 0);
	assert_false(autopush_version_parse(slice_of("AAECAwQFBgcICQoLDA0ODx"), &read));
	assert_false(autopush_version_parse(slice_of("AAECAwQFBgcICQoLDA0OD"), &read));
	assert_false(autopush_version_parse(slice_of("AAECAwQFBgcICQoLDA0ODw=="), &read));
	assert_false(autopush_version_parse(slice_of("AAECAwQFBgcICQoLDA0O+w"), &read));
}

static void urgencies_round_trip(void **state) {
	(void)state;
	for (int i = 0; i < URGENCY_COUNT; i++) {
		enum urgency urgency;
		assert_true(urgency_parse(slice_of(urgency_name((enum urgency)i)), &urgency));
		assert_int_equal(urgency, i);
	}
	enum urgency urgency;
	assert_true(urgency_parse(slice_of("Very-LOW"), &urgency));
	assert_false(urgency_parse(slice_of("highest"), &urgency));
	assert_false(urgency_parse(slice_of(""), &urgency));
}

static void uaids_take_their_issued_form(void **state) {
	(void)state;
	static const struct {
		const char *text, *normal;
	} cases[] = {
		{"7c1f0e7d5a3b4b7e9c55d0a1e2f30411", "7c1f0e7d5a3b4b7e9c55d0a1e2f30411"},
		{"7C1F0E7D5A3B4B7E9C55D0A1E2F30411", "7c1f0e7d5a3b4b7e9c55d0a1e2f30411"},
		{"7c1f0e7d-5a3b-4b7e-9c55-d0a1e2f30411", "7c1f0e7d5a3b4b7e9c55d0a1e2f30411"},
		{"7c1f0e7d5a3b4b7e9c55d0a1e2f3041", NULL},
		{"7c1f0e7d5a3b4b7e9c55d0a1e2f304111", NULL},
		{"7c1f0e7d5a3b4b7e9c55d0a1e2f3041g", NULL},
		{"", NULL},
		{"----", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char uaid[AUTOPUSH_UAID_LENGTH + 1];
		assert_int_equal(
			autopush_uaid_normalise(slice_of(cases[i].text), uaid), cases[i].normal != NULL);
		if (cases[i].normal) {
			assert_string_equal(uaid, cases[i].normal);
		}
	}
}

static void messages_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text;
		int type; /* -1: no JSON */
	} cases[] = {
		{"{}", AUTOPUSH_PING},
		{" { } ", AUTOPUSH_PING},
		{"{\"x\":1}", AUTOPUSH_PING},
		{"{\"messageType\":\"ping\"}", AUTOPUSH_PING},
		{"{\"messageType\":\"hello\"}", AUTOPUSH_HELLO},
		{"{\"messageType\":\"x\",\"\\u006dessageType\":\"h\\u0065llo\"}", AUTOPUSH_HELLO},
		{"{\"messageType\":\"HELLO\"}", AUTOPUSH_UNKNOWN},
		{"{\"messageType\":\"\"}", AUTOPUSH_UNKNOWN},
		{"{\"messageType\":7}", AUTOPUSH_UNKNOWN},
		{"{\"messageType\":\"unknown\"}", AUTOPUSH_UNKNOWN},
		{"{\"messageType\":\"register\"}", AUTOPUSH_UNKNOWN},
		{"{\"messageType\":\"register\",\"channelID\":3}", AUTOPUSH_UNKNOWN},
		{"{\"messageType\":\"register\",\"channelID\":\"x\"}", AUTOPUSH_REGISTER},
		{"{\"messageType\":\"register\",\"channelID\":"
		 "\"12345678901234567890123456789012345678901234567890123456789012345\"}",
			AUTOPUSH_UNKNOWN},
		{"{\"messageType\":\"unregister\",\"channelID\":\"x\",\"code\":201}", AUTOPUSH_UNREGISTER},
		{"{\"messageType\":\"ack\"}", AUTOPUSH_UNKNOWN},
		{"{\"messageType\":\"ack\",\"updates\":{}}", AUTOPUSH_UNKNOWN},
		{"{\"messageType\":\"ack\",\"updates\":[]}", AUTOPUSH_ACK},
		{"{\"messageType\":\"nack\"}", AUTOPUSH_NACK},
		{"{\"messageType\":\"urgency\",\"min\":\"x\"}", AUTOPUSH_URGENCY},
		{"{\"messageType\":\"broadcast_subscribe\"}", AUTOPUSH_BROADCAST_SUBSCRIBE},
		{"{\"messageType\":\"broadcastsubscribe\"}", AUTOPUSH_BROADCAST_SUBSCRIBE},
		{"[]", AUTOPUSH_UNKNOWN},
		{"null", AUTOPUSH_UNKNOWN},
		{"7", AUTOPUSH_UNKNOWN},
		{"", -1},
		{"{", -1},
		{"{}{}", -1},
		{"{\"a\":1,}", -1},
		{"{\"messageType\":\"\xff\"}", -1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct autopush_message message;
		bool is_json = autopush_message_parse(slice_of(cases[i].text), &message);
		assert_int_equal(is_json, cases[i].type >= 0);
		if (is_json) {
			assert_int_equal((int)message.type, cases[i].type);
			autopush_message_finish(&message);
		}
	}
}

static void hello_carries_identity_and_extension(void **state) {
	(void)state;
	struct autopush_message message;
	assert_true(autopush_message_parse(
		slice_of("{\"messageType\":\"hello\",\"uaid\":\"abc\",\"broadcasts\":null,"
				 "\"bellwire\":{\"v\":1,\"keepalive_s\":300}}"),
		&message));
	assert_true(slice_equals(message.hello.uaid, "abc"));
	assert_true(message.hello.is_ours);
	assert_int_equal(message.hello.keepalive_sec, 300);
	autopush_message_finish(&message);
	static const char *const foreign[] = {
		"{\"messageType\":\"hello\",\"uaid\":7,\"bellwire\":{}}",
		"{\"messageType\":\"hello\",\"uaid\":null,\"bellwire\":{\"v\":0}}",
		"{\"messageType\":\"hello\",\"bellwire\":1}",
	};
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		assert_true(autopush_message_parse(slice_of(foreign[i]), &message));
		assert_int_equal(message.hello.uaid.len, 0);
		assert_false(message.hello.is_ours);
		autopush_message_finish(&message);
	}
}

static void register_tells_absent_and_wrong_keys_apart(void **state) {
	(void)state;
	static const struct {
		const char *rest;
		bool has_key, is_text;
		uint32_t max_body;
		bool is_later;
	} cases[] = {
		{"", false, false, 0, false},
		{",\"key\":null", false, false, 0, false},
		{",\"key\":\"BA\"", true, true, 0, false},
		{",\"key\":7", true, false, 0, false},
		{",\"bellwire\":{\"max_body\":4096}", false, false, 4096, false},
		{",\"bellwire\":{\"max_body\":-1}", false, false, 0, false},
		{",\"bellwire\":{\"key\":\"later\",\"max_body\":4096}", false, false, 4096, true},
		{",\"bellwire\":{\"key\":\"now\"}", false, false, 0, false},
		{",\"bellwire\":{\"key\":true}", false, false, 0, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[200];
		(void)snprintf(text, sizeof text, "{\"messageType\":\"register\",\"channelID\":\"c\"%s}",
			cases[i].rest);
		struct autopush_message message;
		assert_true(autopush_message_parse(slice_of(text), &message));
		assert_int_equal(message.type, AUTOPUSH_REGISTER);
		assert_true(slice_equals(message.channel, "c"));
		assert_int_equal(message.reg.has_key, cases[i].has_key);
		assert_int_equal(message.reg.key_is_text, cases[i].is_text);
		assert_int_equal(message.reg.max_body, cases[i].max_body);
		assert_int_equal(message.reg.key_is_later, cases[i].is_later);
		autopush_message_finish(&message);
	}
}

static void ack_keeps_the_readable_updates(void **state) {
	(void)state;
	struct autopush_message message;
	assert_true(autopush_message_parse(
		slice_of("{\"messageType\":\"ack\",\"updates\":[1,null,[],{},"
				 "{\"channelID\":\"" CHANNEL "\",\"version\":\"" VERSION "\",\"code\":100},"
				 "{\"channelID\":\"" CHANNEL "\",\"version\":7},"
				 "{\"channelID\":\"x\",\"version\":\"" VERSION "\"},"
				 "{\"version\":\"" VERSION "\",\"channelID\":\"" CHANNEL "\",\"code\":\"x\"}]}"),
		&message));
	assert_int_equal(message.ack.count, 2);
	assert_int_equal(message.ack.acks[0].id.lo, 0x08090a0b0c0d0e0f);
	assert_int_equal(message.ack.acks[1].channel.bytes[0], 0x0d);
	autopush_message_finish(&message);
}

#define UPDATE "{\"channelID\":\"" CHANNEL "\",\"version\":\"" VERSION "\""
#define ACK(updates) "{\"messageType\":\"ack\",\"updates\":[" updates "]}"

/* The usual forms are read without a JSON tree, every other one with it, to the same end. */
static void usual_acks_need_no_json(void **state) {
	(void)state;
	static const struct {
		const char *text;
		bool is_usual;
		size_t count;
	} cases[] = {
		{ACK(UPDATE ",\"code\":100}"), true, 1},
		{ACK(UPDATE "}"), true, 1},
		{ACK("{\"code\":102,\"version\":\"" VERSION "\",\"channelID\":\"" CHANNEL "\"}"), true, 1},
		{ACK(UPDATE "}," UPDATE ",\"code\":7}," UPDATE "}"), true, 3},
		{ACK(""), false, 0},
		{" " ACK(UPDATE "}"), false, 1},
		{ACK(UPDATE " }"), false, 1},
		{ACK(UPDATE "}") "\n", false, 1},
		{ACK(UPDATE ",\"code\":0}"), false, 1},
		{ACK(UPDATE ",\"code\":-1}"), false, 1},
		{ACK(UPDATE ",\"code\":1.5}"), false, 1},
		{ACK(UPDATE ",\"more\":1}"), false, 1},
		{ACK(UPDATE ",\"version\":\"" VERSION "\"}"), false, 1},
		{ACK("{\"channelID\":\"" CHANNEL "\"}"), false, 0},
		{ACK("{\"version\":\"" VERSION "\"}"), false, 0},
		{ACK("{\"channelID\":\"" CHANNEL "\",\"version\":\"" VERSION "x\"}"), false, 0},
		{ACK("{\"channelID\":\"" CHANNEL "\",\"version\":\"m1:xxxxxxxxxxxxxxxxxxx\"}"), false, 0},
		{"{\"updates\":[" UPDATE "}],\"messageType\":\"ack\"}", false, 1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct autopush_message message;
		assert_true(autopush_message_parse(slice_of(cases[i].text), &message));
		assert_int_equal(message.type, AUTOPUSH_ACK);
		assert_int_equal(message.json == NULL, cases[i].is_usual);
		assert_int_equal(message.ack.count, cases[i].count);
		for (size_t at = 0; at < cases[i].count; at++) {
			assert_int_equal(message.ack.acks[at].id.lo, 0x08090a0b0c0d0e0f);
			assert_int_equal(message.ack.acks[at].channel.bytes[0], 0x0d);
		}
		autopush_message_finish(&message);
	}
}

static void a_broken_ack_is_no_json(void **state) {
	(void)state;
	static const char whole[] = ACK(UPDATE ",\"code\":100}," UPDATE "}");
	struct autopush_message message;
	for (size_t len = 0; len + 1 < sizeof whole; len++) {
		char *cut = mem_dup(whole, len); /* its end is where the sanitizer says so */
		assert_false(autopush_message_parse((struct slice){cut, len}, &message));
		free(cut);
	}
	assert_false(autopush_message_parse(slice_of(ACK(UPDATE ",\"code\":010}")), &message));
	assert_false(autopush_message_parse(slice_of(ACK(UPDATE "},")), &message));
	assert_false(autopush_message_parse(slice_of(ACK(UPDATE "}") "}"), &message));
}

static void many_acks_in_one_message_all_count(void **state) {
	(void)state;
	struct buffer text;
	buffer_init(&text, 1 << 20);
	assert_true(buffer_printf(&text, "{\"messageType\":\"ack\",\"updates\":[" UPDATE "}"));
	for (size_t count = 1; count <= AUTOPUSH_ACKS_FEW + 2; count++) {
		struct autopush_message message;
		size_t length = buffer_length(&text);
		assert_true(buffer_append(&text, "]}", 2));
		assert_true(
			autopush_message_parse((struct slice){buffer_begin(&text), length + 2}, &message));
		assert_int_equal(message.json == NULL, count <= AUTOPUSH_ACKS_FEW);
		assert_int_equal(message.ack.count, count);
		autopush_message_finish(&message);
		text.end -= 2;
		assert_true(buffer_printf(&text, "," UPDATE "}"));
	}
	buffer_finish(&text);
}

static void assert_printed(struct buffer *out, const char *expected) {
	assert_true(buffer_append(out, "", 1));
	assert_string_equal(buffer_begin(out), expected);
	buffer_clear(out);
}

static void prints_answers(void **state) {
	(void)state;
	struct buffer out;
	buffer_init(&out, 4096);
	assert_true(autopush_print_hello(&out, "abc", NULL));
	assert_printed(&out,
		"{\"messageType\":\"hello\",\"uaid\":\"abc\",\"status\":200,\"use_webpush\":true,"
		"\"broadcasts\":{}}");
	assert_true(autopush_print_hello(&out, "abc", &(uint64_t){7}));
	assert_printed(&out,
		"{\"messageType\":\"hello\",\"uaid\":\"abc\",\"status\":200,\"use_webpush\":true,"
		"\"broadcasts\":{},\"bellwire\":{\"v\":1,\"missed\":7}}");
	assert_true(autopush_print_register(&out, slice_of("a\"b"), 400, NULL));
	assert_printed(&out, "{\"messageType\":\"register\",\"channelID\":\"a\\\"b\",\"status\":400}");
	assert_true(autopush_print_register(&out, slice_of("c"), 200, "https://push.example/p/t"));
	assert_printed(&out, "{\"messageType\":\"register\",\"channelID\":\"c\",\"status\":200,"
						 "\"pushEndpoint\":\"https://push.example/p/t\"}");
	assert_true(autopush_print_unregister(&out, slice_of("c"), 200));
	assert_printed(&out, "{\"messageType\":\"unregister\",\"channelID\":\"c\",\"status\":200}");
	assert_true(autopush_print_urgency(&out, 400));
	assert_printed(&out, "{\"messageType\":\"urgency\",\"status\":400}");
	buffer_finish(&out);
}

static void prints_notifications(void **state) {
	(void)state;
	static const struct {
		const char *body, *encoding, *encryption, *crypto_key, *rest;
	} cases[] = {
		{"hi", "aes128gcm", "", "", "\"aGk\",\"headers\":{\"encoding\":\"aes128gcm\"}}"},
		{"", "aes128gcm", "", "", "\"\",\"headers\":null}"},
		{"hi", "", "", "", "\"aGk\",\"headers\":{}}"},
		{"hi", "aesgcm", "salt=a", "dh=b",
			"\"aGk\",\"headers\":{\"encoding\":\"aesgcm\",\"encryption\":\"salt=a\","
			"\"crypto_key\":\"dh=b\"}}"},
		{"\xff\xfe", "x\"y", "", "", "\"__4\",\"headers\":{\"encoding\":\"x\\\"y\"}}"},
	};
	struct autopush_notification notification = {.id = {0x0001020304050607, 0x08090a0b0c0d0e0f}};
	assert_true(autopush_channel_parse(slice_of(CHANNEL), &notification.channel));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		notification.body = slice_of(cases[i].body);
		notification.encoding = slice_of(cases[i].encoding);
		notification.encryption = slice_of(cases[i].encryption);
		notification.crypto_key = slice_of(cases[i].crypto_key);
		struct buffer out;
		buffer_init(&out, 4096);
		assert_true(autopush_print_notification(&out, &notification));
		char expected[512];
		(void)snprintf(expected, sizeof expected,
			"{\"messageType\":\"notification\",\"channelID\":\"" CHANNEL "\",\"version\":\"" VERSION
			"\",\"data\":%s",
			cases[i].rest);
		assert_printed(&out, expected);
		buffer_finish(&out);
	}
}

static void tells_our_own_client_more(void **state) {
	(void)state;
	struct autopush_extra extra = {.ttl_sec = 59, .urgency = URGENCY_HIGH};
	struct autopush_notification notification = {
		.body = slice_of("hi"), .encoding = slice_of("aes128gcm"), .extra = &extra};
	struct buffer out;
	buffer_init(&out, 4096);
	assert_true(autopush_print_notification(&out, &notification));
	assert_true(buffer_append(&out, "", 1));
	assert_string_equal(strstr(buffer_begin(&out), ",\"headers\""),
		",\"headers\":{\"encoding\":\"aes128gcm\"},"
		"\"bellwire\":{\"ttl_s\":59,\"urgency\":\"high\"}}");
	buffer_clear(&out);
	notification.body = slice_of("");
	extra = (struct autopush_extra){0, URGENCY_VERY_LOW, slice_of("mail_1=")};
	assert_true(autopush_print_notification(&out, &notification));
	assert_true(buffer_append(&out, "", 1));
	assert_string_equal(strstr(buffer_begin(&out), ",\"headers\""),
		",\"headers\":null,"
		"\"bellwire\":{\"ttl_s\":0,\"urgency\":\"very-low\",\"topic\":\"mail_1=\"}}");
	buffer_finish(&out);
}

static void refuses_what_exceeds_the_limit(void **state) {
	(void)state;
	struct buffer out;
	buffer_init(&out, 64);
	char body[4096] = {0};
	const struct autopush_notification notification = {.body = {body, sizeof body}};
	assert_false(autopush_print_notification(&out, &notification));
	buffer_finish(&out);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(channels_by_table),
		cmocka_unit_test(versions_round_trip_and_have_one_spelling),
		cmocka_unit_test(urgencies_round_trip),
		cmocka_unit_test(uaids_take_their_issued_form),
		cmocka_unit_test(messages_by_table),
		cmocka_unit_test(hello_carries_identity_and_extension),
		cmocka_unit_test(register_tells_absent_and_wrong_keys_apart),
		cmocka_unit_test(ack_keeps_the_readable_updates),
		cmocka_unit_test(usual_acks_need_no_json),
		cmocka_unit_test(a_broken_ack_is_no_json),
		cmocka_unit_test(many_acks_in_one_message_all_count),
		cmocka_unit_test(prints_answers),
		cmocka_unit_test(prints_notifications),
		cmocka_unit_test(tells_our_own_client_more),
		cmocka_unit_test(refuses_what_exceeds_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
