/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the Redis store: URLs, ids and messages as bytes, error replies. */
#include "common/mem.h"
#include "storage/redis_message.h"
#include "storage/redis_trouble.h"
#include "storage/redis_url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void urls_are_split(void **state) {
	(void)state;
	static const struct {
		const char *text, *place, *user, *password;
		uint32_t database;
		bool is_tls;
	} cases[] = {
		{"redis://127.0.0.1:6380/2", "127.0.0.1:6380", NULL, NULL, 2, false},
		{"redis://host", "host:6379", NULL, NULL, 0, false},
		{"redis://host/", "host:6379", NULL, NULL, 0, false},
		{"redis://[::1]:7/15", "[::1]:7", NULL, NULL, 15, false},
		{"redis://[fe80::1]", "[fe80::1]:6379", NULL, NULL, 0, false},
		{"redis://:secret@host", "host:6379", NULL, "secret", 0, false},
		{"redis://bell:se%20cret%40@host:1", "host:1", "bell", "se cret@", 0, false},
		{"redis://a:b@c@host", "host:6379", "a", "b@c", 0, false},
		{"rediss://host:6380", "host:6380", NULL, NULL, 0, true},
		{"unix:///run/redis.sock", "/run/redis.sock", NULL, NULL, 0, false},
		{"unix:///run/redis.sock?db=1", "/run/redis.sock", NULL, NULL, 1, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct redis_url url;
		assert_null(redis_url_parse(cases[i].text, &url));
		char *place = redis_url_place_print(&url);
		assert_string_equal(place, cases[i].place);
		assert_int_equal(url.database, cases[i].database);
		assert_int_equal(url.is_tls, cases[i].is_tls);
		assert_true(!cases[i].user ? !url.user : strcmp(url.user, cases[i].user) == 0);
		assert_true(
			!cases[i].password ? !url.password : strcmp(url.password, cases[i].password) == 0);
		free(place);
		redis_url_finish(&url);
	}
}

static void bad_urls_are_refused(void **state) {
	(void)state;
	static const char *const cases[] = {"", "http://host", "redis:", "redis:host", "redis://",
		"redis:///1", "redis://host:", "redis://host:0", "redis://host:65536", "redis://host:6a",
		"redis://[::1", "redis://[::1]x", "redis://host/x", "redis://host/99999999",
		"redis://user@host", "redis://u:%@host", "redis://u:%2@host", "redis://u:%zz@host",
		"redis://u:%00@host", "redis://ho st", "redis://host?x=1", "redis://host#1", "unix://",
		"unix://relative", "unix:///s?db=", "unix:///s?db=x", "unix:///s?x=1"};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct redis_url url;
		assert_non_null(redis_url_parse(cases[i], &url));
	}
}

static void a_put_reply_is_whole_or_refused(void **state) {
	(void)state;
	struct redis_pack pack = {.len = 0};
	redis_pack_number(&pack, STORE_OK, 1);
	redis_pack_number(&pack, REDIS_PUT_IS_STORED | REDIS_PUT_IS_BELOW, 1);
	redis_pack_double(&pack, 1795500000000.0 * 256);
	redis_pack_double(&pack, 1795500000001.0);
	redis_pack_double(&pack, 7);
	redis_pack_bytes(&pack, "sixteen bytes ok", 16);
	struct redis_put_reply reply;
	assert_true(redis_put_reply_parse(redis_pack_slice(&pack), &reply));
	assert_int_equal(reply.evicted, 0);
	assert_int_equal(reply.expired, 0);
	redis_pack_number(&pack, 3, 4);
	redis_pack_number(&pack, 4, 4);
	assert_true(redis_put_reply_parse(redis_pack_slice(&pack), &reply));
	assert_int_equal(reply.outcome, STORE_OK);
	assert_int_equal(reply.flags, REDIS_PUT_IS_STORED | REDIS_PUT_IS_BELOW);
	assert_int_equal(reply.evicted, 3);
	assert_int_equal(reply.expired, 4);
	assert_int_equal(reply.place, 1795500000000ULL * 256);
	assert_int_equal(reply.expires_ms, 1795500000001ULL);
	assert_int_equal(reply.previous, 7);
	assert_memory_equal(reply.channel.bytes, "sixteen bytes ok", 16);

	static const char gone = STORE_GONE, unknown = STORE_OUTCOME_COUNT;
	assert_true(redis_put_reply_parse((struct slice){&gone, 1}, &reply));
	assert_int_equal(reply.outcome, STORE_GONE);
	assert_false(redis_put_reply_parse((struct slice){&unknown, 1}, &reply));
	assert_false(redis_put_reply_parse((struct slice){pack.bytes, 0}, &reply));
	assert_false(redis_put_reply_parse((struct slice){pack.bytes, 1}, &reply));
	assert_false(redis_put_reply_parse((struct slice){pack.bytes, pack.len - 1}, &reply));
}

static void ids_keep_place_and_order(void **state) {
	(void)state;
	struct message_id last = {0, 0};
	for (uint64_t sequence = 1795500000000ULL * 256; sequence % 1024 != 1023; sequence++) {
		uint64_t urgency = sequence * 7 % URGENCY_COUNT, place = urgency << 50 | sequence, again;
		struct message_id id = redis_message_id(place);
		assert_true(message_id_compare(last, id) < 0);
		assert_true(redis_message_place(id, &again));
		assert_int_equal(again, place);
		assert_int_equal(redis_message_sequence(id), sequence);
		last = id;
	}
	uint64_t place;
	assert_false(redis_message_place((struct message_id){UINT64_MAX, 0}, &place));
	assert_false(redis_message_place((struct message_id){1, 1024}, &place));
	assert_int_equal(redis_message_sequence((struct message_id){UINT64_MAX, 5}), (1ULL << 50) - 1);
	assert_int_equal(redis_message_sequence((struct message_id){0, 0}), 0);
}

/* Head as put.lua writes it, tail as we do. */
static size_t message_print(char *out, const struct store_put *put) {
	struct redis_pack head = {.len = 0};
	redis_pack_double(&head, (double)(((uint64_t)put->urgency << 50) + 1000));
	redis_pack_double(&head, 1795500000123.0);
	redis_pack_number(&head, 0, 1);
	redis_pack_bytes(&head, "channelchannel16", 16);
	memcpy(out, head.bytes, head.len);
	size_t tail_len;
	char *tail = redis_message_tail_print(put, &tail_len);
	memcpy(out + head.len, tail, tail_len);
	free(tail);
	return head.len + tail_len;
}

static void messages_survive(void **state) {
	(void)state;
	const struct store_put put = {.urgency = URGENCY_HIGH,
		.topic = slice_of("topic"),
		.encoding = slice_of("aesgcm"),
		.encryption = slice_of("salt=x"),
		.crypto_key = slice_of("dh=y"),
		.body = {"\0body\r\n", 7}};
	char text[256];
	size_t len = message_print(text, &put);
	struct store_message message;
	assert_true(redis_message_open((struct slice){text, len}, &message));
	assert_int_equal(message.urgency, URGENCY_HIGH);
	assert_int_equal(message.expires_ms, 1795500000123);
	assert_int_equal(redis_message_sequence(message.id), 1000);
	assert_memory_equal(message.channel.bytes, "channelchannel16", 16);
	assert_true(slice_equals(message.encoding, "aesgcm"));
	assert_true(slice_equals(message.encryption, "salt=x"));
	assert_true(slice_equals(message.crypto_key, "dh=y"));
	assert_int_equal(message.body.len, 7);
	assert_memory_equal(message.body.data, put.body.data, 7);
	for (size_t cut = 0; cut < len - 7; cut++) { /* only its body may be shorter */
		char *exact = mem_dup(text, cut);
		assert_false(redis_message_open((struct slice){exact, cut}, &message));
		free(exact);
	}
	text[33] = URGENCY_COUNT;
	assert_false(redis_message_open((struct slice){text, len}, &message));
}

static void what_nodes_say_is_understood(void **state) {
	(void)state;
	const struct device_id device = {{0xab, 1}};
	const struct node_id from = {{1, 2, 3, 4, 5, 6, 7, 0xff}};
	struct redis_heard heard;
	size_t len;
	char *told = redis_told_print(from, device, slice_of("text"), &len);
	assert_true(redis_heard_parse((struct slice){told, len}, &heard));
	assert_int_equal(heard.kind, REDIS_HEARD_TOLD);
	assert_memory_equal(&heard.device, &device, sizeof device);
	assert_memory_equal(&heard.from, &from, sizeof from);
	assert_true(slice_equals(heard.text, "text"));
	for (size_t cut = 0; cut < len - 4; cut++) {
		assert_false(redis_heard_parse((struct slice){told, cut}, &heard));
	}
	told[0] = 'X';
	assert_false(redis_heard_parse((struct slice){told, len}, &heard));
	told[0] = 'M';
	told[5] = 'G';
	assert_false(redis_heard_parse((struct slice){told, len}, &heard));
	free(told);
}

static void error_replies_are_sorted(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum redis_trouble_kind kind;
	} cases[] = {
		{"NOSCRIPT No matching script. Please use EVAL.", REDIS_TROUBLE_NOSCRIPT},
		{"LOADING Redis is loading the dataset in memory", REDIS_TROUBLE_LOADING},
		{"OOM command not allowed when used memory > 'maxmemory'.", REDIS_TROUBLE_OOM},
		{"ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -OOM command "
		 "not "
		 "allowed when used memory > 'maxmemory'.",
			REDIS_TROUBLE_OOM},
		{"ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -READONLY You "
		 "can't write against a read only replica.",
			REDIS_TROUBLE_READONLY},
		{"MISCONF Redis is configured to save RDB snapshots", REDIS_TROUBLE_MISCONF},
		{"BUSY Redis is busy running a script.", REDIS_TROUBLE_BUSY},
		{"NOREPLICAS Not enough good replicas to write.", REDIS_TROUBLE_NOREPLICAS},
		{"WRONGPASS invalid username-password pair", REDIS_TROUBLE_NOAUTH},
		{"NOAUTH Authentication required.", REDIS_TROUBLE_NOAUTH},
		{"NOPERM this user has no permissions", REDIS_TROUBLE_NOPERM},
		{"ERR The user executing the script can't run this command or subcommand",
			REDIS_TROUBLE_NOPERM},
		{"MOVED 1 127.0.0.1:7001", REDIS_TROUBLE_CLUSTER},
		{"CROSSSLOT Keys in request don't hash to the same slot", REDIS_TROUBLE_CLUSTER},
		{"ERR unknown command", REDIS_TROUBLE_OTHER},
		{"OOMPH", REDIS_TROUBLE_OTHER},
		{"", REDIS_TROUBLE_OTHER},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(redis_trouble_of(cases[i].text), cases[i].kind);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_split),
		cmocka_unit_test(bad_urls_are_refused),
		cmocka_unit_test(a_put_reply_is_whole_or_refused),
		cmocka_unit_test(ids_keep_place_and_order),
		cmocka_unit_test(messages_survive),
		cmocka_unit_test(what_nodes_say_is_understood),
		cmocka_unit_test(error_replies_are_sorted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
