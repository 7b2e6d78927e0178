/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads and chunked bodies: what is accepted, what is refused and how. */
#include "common/mem.h"
#include "relay/http/parse.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEAD(lines) "POST /p/A HTTP/1.1\r\n" lines "\r\n"

static enum http_parse_result parse(const char *text, struct http_head *head) {
	size_t scanned = 0, bytes = 0;
	return http_parse_head(slice_of(text), &scanned, head, &bytes);
}

static void heads_are_accepted_or_refused(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum http_parse_result result;
	} cases[] = {
		{HEAD("Host: h\r\n"), HTTP_PARSE_OK},
		{HEAD("hOsT:h\r\nX-Empty:\r\n"), HTTP_PARSE_OK},
		{"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_PARSE_OK},
		{"GET / HTTP/1.0\r\n\r\n", HTTP_PARSE_OK},
		{"GET http://h/p/A HTTP/1.1\r\nHost: other\r\n\r\n", HTTP_PARSE_OK},
		{"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_PARSE_OK},
		{"GET / HTTP/1.1\r\nHost: h\r\n", HTTP_PARSE_MORE},
		{"", HTTP_PARSE_MORE},
		/* framing that two parsers could read differently */
		{HEAD("Host: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nContent-Length: -1\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nContent-Length: +1\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nContent-Length: 1, 1\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nContent-Length: \r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nContent-Length: 99999999999999999999\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nTransfer-Encoding: gzip\r\n"), HTTP_PARSE_BAD_CODING},
		{HEAD("Host: h\r\nTransfer-Encoding: gzip, chunked\r\n"), HTTP_PARSE_BAD_CODING},
		{HEAD("Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
			HTTP_PARSE_BAD},
		{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_PARSE_BAD},
		/* lines */
		{HEAD("Host : h\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\n folded\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nA\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nA: b\nC: d\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nA: b\rC: d\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nA: \x01\r\n"), HTTP_PARSE_BAD},
		{HEAD("Host: h\r\nHost: h\r\n"), HTTP_PARSE_BAD},
		{HEAD("A: b\r\n"), HTTP_PARSE_BAD},
		{"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_PARSE_BAD},
		{"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", HTTP_PARSE_BAD},
		{"GET /\x80 HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_PARSE_BAD},
		{"GET p HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_PARSE_BAD},
		{"GET / HTTP/2.0\r\nHost: h\r\n\r\n", HTTP_PARSE_BAD_VERSION},
		{"GET / http/1.1\r\nHost: h\r\n\r\n", HTTP_PARSE_BAD},
		{"\x16\x03\x01\x02", HTTP_PARSE_BAD},
		/* expectations */
		{HEAD("Host: h\r\nExpect: 100-Continue\r\n"), HTTP_PARSE_OK},
		{HEAD("Host: h\r\nExpect: tea\r\n"), HTTP_PARSE_BAD_EXPECTATION},
	};
	struct http_head head;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (parse(cases[i].text, &head) != cases[i].result) {
			fail_msg("case %zu: %s", i, cases[i].text);
		}
	}
}

static void a_head_says_what_it_means(void **state) {
	(void)state;
	struct http_head head;
	assert_int_equal(parse("POST http://h:1/p/A?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\n"
						   "Connection: close\r\nTTL:  60 \r\n\r\n",
						 &head),
		HTTP_PARSE_OK);
	assert_int_equal(head.method, HTTP_POST);
	assert_true(slice_equals(head.path, "/p/A"));
	assert_true(slice_equals(head.query, "q=1"));
	assert_int_equal(head.content_length, 7);
	assert_false(head.keep_alive);
	assert_true(slice_equals(head.headers[3].value, "60"));
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n"
						   "Connection: keep-alive, Upgrade\r\n\r\n",
						 &head),
		HTTP_PARSE_OK);
	assert_true(head.is_websocket_upgrade && head.keep_alive);
	assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &head), HTTP_PARSE_OK);
	assert_false(head.keep_alive);
}

static void limits_name_what_is_too_long(void **state) {
	(void)state;
	struct http_head head;
	char *long_text = mem_zalloc(30000);
	memset(long_text, 'a', 29999);
	char *text =
		mem_printf("GET /%.*s HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_TARGET_MAX_BYTES, long_text);
	assert_int_equal(parse(text, &head), HTTP_PARSE_TARGET_TOO_LONG);
	free(text);
	text = mem_printf(
		"GET / HTTP/1.1\r\nHost: h\r\nA: %.*s\r\n\r\n", HTTP_FIELD_MAX_BYTES + 1, long_text);
	assert_int_equal(parse(text, &head), HTTP_PARSE_HEAD_TOO_LARGE);
	free(text);
	text = mem_printf("GET / HTTP/1.1\r\nHost: h\r\nA: %s", long_text);
	assert_int_equal(parse(text, &head), HTTP_PARSE_HEAD_TOO_LARGE);
	free(text);
	text = mem_printf("GET /%s", long_text);
	assert_int_equal(parse(text, &head), HTTP_PARSE_TARGET_TOO_LONG);
	free(text);
	free(long_text);
}

/* Decodes text cut into pieces of the given size. */
static enum http_parse_result decode(const char *text, size_t piece, char *out, size_t *out_len) {
	struct http_chunks chunks;
	http_chunks_init(&chunks);
	size_t left = strlen(text), payload, used;
	enum http_parse_result result = HTTP_PARSE_MORE;
	*out_len = 0;
	for (; left > 0 && result == HTTP_PARSE_MORE; text += piece, left -= piece) {
		piece = piece < left ? piece : left;
		char buffer[256];
		memcpy(buffer, text, piece);
		result = http_chunks_feed(&chunks, buffer, piece, &payload, &used);
		memcpy(out + *out_len, buffer, payload);
		*out_len += payload;
	}
	return result;
}

static void chunks_are_decoded_however_they_are_cut(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum http_parse_result result;
		const char *body;
	} cases[] = {
		{"5\r\nhello\r\n0\r\n\r\n", HTTP_PARSE_OK, "hello"},
		{"5;a=b\r\nhello\r\n00\r\nX: y\r\n\r\n", HTTP_PARSE_OK, "hello"},
		{"A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", HTTP_PARSE_OK, "0123456789x"},
		{"0\r\n\r\n", HTTP_PARSE_OK, ""},
		{"5\r\nhel", HTTP_PARSE_MORE, "hel"},
		{"5\r\nhelloX\r\n", HTTP_PARSE_BAD, "hello"},
		{"g\r\n", HTTP_PARSE_BAD, ""},
		{"\r\n", HTTP_PARSE_BAD, ""},
		{"-1\r\n", HTTP_PARSE_BAD, ""},
		{"5\nhello", HTTP_PARSE_BAD, ""},
		{"FFFFFFFFFFFFFFFFF\r\n", HTTP_PARSE_BAD, ""},
	};
	char out[256];
	size_t len;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (size_t piece = 1; piece <= strlen(cases[i].text); piece++) {
			assert_int_equal(decode(cases[i].text, piece, out, &len), cases[i].result);
			if (cases[i].result != HTTP_PARSE_BAD) {
				assert_int_equal(len, strlen(cases[i].body));
				assert_memory_equal(out, cases[i].body, len);
			}
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_accepted_or_refused),
		cmocka_unit_test(a_head_says_what_it_means),
		cmocka_unit_test(limits_name_what_is_too_long),
		cmocka_unit_test(chunks_are_decoded_however_they_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
