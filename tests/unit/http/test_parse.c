/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads and chunked bodies: what is accepted, what is refused and how, at any split. */
#include "common/mem.h"
#include "relay/http/parse.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"

/* Parses an exact copy, so that the sanitizer sees a read behind its end. */
static enum http_parse_result parse(
	const char *text, size_t len, struct http_head *head, char **out_copy) {
	char *copy = mem_dup(text, len);
	size_t scanned = 0, bytes = 0;
	enum http_parse_result result =
		http_parse_head((struct slice){copy, len}, &scanned, head, &bytes);
	if (result == HTTP_PARSE_OK) {
		assert_true(bytes <= len);
	}
	*out_copy = copy;
	return result;
}

struct head_case {
	const char *text;
	enum http_parse_result result;
};

static const struct head_case head_cases[] = {
	/* request lines */
	{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_OK},
	{"G3T! / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_OK},
	{"GET / HTTP/1.9\r\nHost: a\r\n\r\n", HTTP_PARSE_OK},
	{"GET / HTTP/1.0\r\n\r\n", HTTP_PARSE_OK},
	{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_OK},
	{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{" GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET /\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET * HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET http:///p HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET ftp://a/p HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / http/1.1\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.10\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/11\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD_VERSION},
	{"GET / HTTP/0.9\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD_VERSION},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_PARSE_BAD},
	/* what cannot get better is refused before the head is complete */
	{"\x16\x03\x01\x02", HTTP_PARSE_BAD},
	{"hello\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/9.9\r\n", HTTP_PARSE_BAD_VERSION},
	{"GET / HTTP/1.1\r\nHost: a\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1\r\nHost: a\r\n", HTTP_PARSE_MORE},
	{"GET / HTTP/1.1\r\nHost: a\r\n\r", HTTP_PARSE_MORE},
	{"GET", HTTP_PARSE_MORE},
	{"", HTTP_PARSE_MORE},
	/* line ends */
	{"\r\n\r\n" GET H "\r\n", HTTP_PARSE_OK},
	{"\r\n", HTTP_PARSE_MORE},
	{"\r", HTTP_PARSE_MORE},
	{"\r\n\r\n\r\n" GET H "\r\n", HTTP_PARSE_BAD},
	{"\n" GET H "\r\n", HTTP_PARSE_BAD},
	{"\rGET / HTTP/1.1\r\n" H "\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1\r\nHost: a\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1\r\nHost: a\n\n", HTTP_PARSE_BAD},
	{GET H "A: b\nC: d\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1\rX\r\nHost: a\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.1\r\n\rHost: a\r\n\r\n", HTTP_PARSE_BAD},
	/* headers */
	{GET H "A:\r\n\r\n", HTTP_PARSE_OK},
	{GET H "A: \t b \t\r\n\r\n", HTTP_PARSE_OK},
	{GET H "A: \xc3\xa4\r\n\r\n", HTTP_PARSE_OK},
	{GET H " folded\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "\tfolded\r\n\r\n", HTTP_PARSE_BAD},
	{GET " Host: a\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "A : b\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "A\t: b\r\n\r\n", HTTP_PARSE_BAD},
	{GET H ": b\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "A\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "A(: b\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "\xc3\xa4: b\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "A: b\x01\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "A: b\x7f\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "A: b\x0b\r\n\r\n", HTTP_PARSE_BAD},
	{GET "\r\n", HTTP_PARSE_BAD},
	{GET H H "\r\n", HTTP_PARSE_BAD},
	{"GET / HTTP/1.0\r\n" H H "\r\n", HTTP_PARSE_BAD},
	{GET "Host:\r\n\r\n", HTTP_PARSE_OK},
	/* framing: everything that two parsers could read differently */
	{GET H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 5, 5\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: -5\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: +5\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 0x5\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 5 5\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 5.0\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length:\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 99999999999999999999\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 18446744073709551621\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length : 5\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Content-Length: 005\r\n\r\n", HTTP_PARSE_OK},
	{GET H "Transfer-Encoding: Chunked\r\n\r\n", HTTP_PARSE_OK},
	{GET H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding: chunked, chunked\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding: chunked, gzip\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding: chunked,\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding:\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding: \"chunked\"\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding: \x0b"
		   "chunked\r\n\r\n",
		HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding : chunked\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding:\r\n chunked\r\n\r\n", HTTP_PARSE_BAD},
	{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_PARSE_BAD},
	{GET H "Transfer-Encoding: gzip\r\n\r\n", HTTP_PARSE_BAD_CODING},
	{GET H "Transfer-Encoding: identity\r\n\r\n", HTTP_PARSE_BAD_CODING},
	{GET H "Transfer-Encoding: xchunked\r\n\r\n", HTTP_PARSE_BAD_CODING},
	{GET H "Transfer-Encoding: gzip, chunked\r\n\r\n", HTTP_PARSE_BAD_CODING},
	{GET H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", HTTP_PARSE_OK},
	{GET H "Expect: 200-ok\r\n\r\n", HTTP_PARSE_BAD_EXPECTATION},
	{GET H "Expect: 100-continue\r\nExpect: x\r\n\r\n", HTTP_PARSE_BAD_EXPECTATION},
};

static void heads_are_accepted_or_refused(void **state) {
	(void)state;
	static struct http_head head;
	for (size_t i = 0; i < sizeof head_cases / sizeof head_cases[0]; i++) {
		char *copy;
		enum http_parse_result result =
			parse(head_cases[i].text, strlen(head_cases[i].text), &head, &copy);
		free(copy);
		if (result != head_cases[i].result) {
			print_error("%s\n", head_cases[i].text);
		}
		assert_int_equal(result, head_cases[i].result);
	}
}

static void a_nul_is_refused(void **state) {
	(void)state;
	static const char texts[][40] = {
		"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GE\0 / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
		"GET / HTTP/1.1\r\nHo\0t: a\r\n\r\n",
		"\0ET / HTTP/1.1\r\nHost: a\r\n\r\n",
	};
	static struct http_head head;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		size_t len = sizeof texts[i];
		while (texts[i][len - 1] == '\0') {
			len--;
		}
		char *copy;
		assert_int_equal(parse(texts[i], len, &head, &copy), HTTP_PARSE_BAD);
		free(copy);
	}
}

static void assert_slice(struct slice got, const char *wanted) {
	if (!slice_equals(got, wanted)) {
		print_error("\"%.*s\" for \"%s\"\n", (int)got.len, got.data, wanted);
	}
	assert_true(slice_equals(got, wanted));
}

static void targets_are_split(void **state) {
	(void)state;
	static const struct {
		const char *target, *path, *query;
	} cases[] = {
		{"/", "/", ""},
		{"/p/abc", "/p/abc", ""},
		{"/p/abc?", "/p/abc", ""},
		{"/p/abc?a=b?c", "/p/abc", "a=b?c"},
		{"//x/y", "//x/y", ""},
		{"/%2e%2e/", "/%2e%2e/", ""},
		{"http://a/p?q", "/p", "q"},
		{"HTTPS://u@[::1]:8/p", "/p", ""},
		{"http://a", "/", ""},
		{"http://a?q", "/", "q"},
	};
	static struct http_head head;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *text = mem_printf("GET %s HTTP/1.1\r\n" H "\r\n", cases[i].target);
		char *copy;
		assert_int_equal(parse(text, strlen(text), &head, &copy), HTTP_PARSE_OK);
		assert_slice(head.target, cases[i].target);
		assert_slice(head.path, cases[i].path);
		assert_slice(head.query, cases[i].query);
		free(copy);
		free(text);
	}
}

static void headers_say_what_the_connection_does(void **state) {
	(void)state;
	static const struct {
		const char *text;
		bool keep_alive, expects, upgrades;
	} cases[] = {
		{GET H "\r\n", true, false, false},
		{GET H "Connection: close\r\n\r\n", false, false, false},
		{GET H "Connection: foo , CLOSE\r\n\r\n", false, false, false},
		{GET H "Connection: keep-alive\r\nConnection: close\r\n\r\n", false, false, false},
		{"GET / HTTP/1.0\r\n\r\n", false, false, false},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false, false},
		{"POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", true, true,
			false},
		{"POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", true, false,
			false},
		{"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", false, false,
			false},
		{GET H "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n", true, false, true},
		{GET H "Upgrade: h2c, WebSocket\r\nConnection: upgrade\r\n\r\n", true, false, true},
		{GET H "Upgrade: websocket\r\n\r\n", true, false, false},
		{GET H "Connection: upgrade\r\n\r\n", true, false, false},
		{GET H "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\n", true,
			false, false},
		{"POST / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n", true, false,
			false},
		{"GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", false, false,
			false},
	};
	static struct http_head head;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *copy;
		assert_int_equal(parse(cases[i].text, strlen(cases[i].text), &head, &copy), HTTP_PARSE_OK);
		free(copy);
		assert_int_equal(head.keep_alive, cases[i].keep_alive);
		assert_int_equal(head.expects_continue, cases[i].expects);
		assert_int_equal(head.is_websocket_upgrade, cases[i].upgrades);
	}
}

static const char sample[] = "\r\nPOST /p/x?y HTTP/1.1\r\nhOST: b\r\nTtl:  60 \r\nA:\r\n"
							 "Content-Length: 5\r\n\r\nabcdeGET";

/* However it is split, MORE comes until the end and the head is the same. */
static void a_head_is_the_same_however_it_is_cut(void **state) {
	(void)state;
	static struct http_head head;
	size_t scanned = 0, bytes = 0, head_bytes = sizeof sample - 1 - strlen("abcdeGET");
	for (size_t len = 0; len < head_bytes; len++) {
		char *copy = mem_dup(sample, len);
		assert_int_equal(
			http_parse_head((struct slice){copy, len}, &scanned, &head, &bytes), HTTP_PARSE_MORE);
		free(copy);
	}
	for (size_t len = head_bytes; len < sizeof sample; len++) {
		size_t fresh = len % 2 ? 0 : scanned;
		assert_int_equal(
			http_parse_head((struct slice){sample, len}, &fresh, &head, &bytes), HTTP_PARSE_OK);
		assert_int_equal(bytes, head_bytes);
		assert_int_equal(head.method, HTTP_POST);
		assert_int_equal(head.header_count, 4);
		assert_slice(head.headers[1].name, "Ttl");
		assert_slice(head.headers[1].value, "60");
		assert_slice(head.headers[2].value, "");
		assert_int_equal(head.content_length, 5);
	}
}

/* A request with one part of the given length. */
static char *with_long(const char *before, size_t len, const char *behind) {
	char *filler = mem_alloc(len + 1);
	memset(filler, 'a', len);
	filler[len] = '\0';
	char *text = mem_printf("%s%s%s", before, filler, behind);
	free(filler);
	return text;
}

static void limits_name_what_is_too_long(void **state) {
	(void)state;
	static const struct {
		const char *before;
		size_t len;
		const char *behind;
		enum http_parse_result result;
	} cases[] = {
		{"GET /", HTTP_TARGET_MAX_BYTES - 1, " HTTP/1.1\r\n" H "\r\n", HTTP_PARSE_OK},
		{"GET /", HTTP_TARGET_MAX_BYTES, " HTTP/1.1\r\n" H "\r\n", HTTP_PARSE_TARGET_TOO_LONG},
		{"GET /", 20000, " HTTP/1.1\r\n" H "\r\n", HTTP_PARSE_TARGET_TOO_LONG},
		{"GET /", 9000, "", HTTP_PARSE_TARGET_TOO_LONG},
		{GET H "A: ", HTTP_FIELD_MAX_BYTES, "\r\n\r\n", HTTP_PARSE_OK},
		{GET H "A: ", HTTP_FIELD_MAX_BYTES + 1, "\r\n\r\n", HTTP_PARSE_HEAD_TOO_LARGE},
		{GET H, HTTP_HEAD_MAX_BYTES, "", HTTP_PARSE_HEAD_TOO_LARGE},
	};
	static struct http_head head;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *text = with_long(cases[i].before, cases[i].len, cases[i].behind);
		char *copy;
		assert_int_equal(parse(text, strlen(text), &head, &copy), cases[i].result);
		free(copy);
		free(text);
	}
}

static void too_many_headers_are_refused(void **state) {
	(void)state;
	static struct http_head head;
	for (int extra = 0; extra < 2; extra++) {
		char text[2048] = GET H;
		size_t len = strlen(text);
		for (int i = 0; i < HTTP_HEADERS_MAX - 1 + extra; i++) {
			len += (size_t)snprintf(text + len, sizeof text - len, "A: %d\r\n", i);
		}
		len += (size_t)snprintf(text + len, sizeof text - len, "\r\n");
		char *copy;
		assert_int_equal(
			parse(text, len, &head, &copy), extra ? HTTP_PARSE_HEAD_TOO_LARGE : HTTP_PARSE_OK);
		free(copy);
	}
}

/* ---- chunks ---- */

struct chunk_case {
	const char *text;
	enum http_parse_result result;
	const char *payload;
};

static const struct chunk_case chunk_cases[] = {
	{"0\r\n\r\n", HTTP_PARSE_OK, ""},
	{"000\r\n\r\n", HTTP_PARSE_OK, ""},
	{"3\r\nabc\r\n0\r\n\r\n", HTTP_PARSE_OK, "abc"},
	{"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", HTTP_PARSE_OK, "abc0123456789"},
	{"a;x=\"y;z\";w\r\n0123456789\r\n0;last\r\n\r\n", HTTP_PARSE_OK, "0123456789"},
	{"1\r\n\n\r\n0\r\nA: b\r\nC: d\r\n\r\n", HTTP_PARSE_OK, "\n"},
	{"3\r\nabc\r\n0\r\n", HTTP_PARSE_MORE, "abc"},
	{"3\r\nab", HTTP_PARSE_MORE, "ab"},
	{"\r\n", HTTP_PARSE_BAD, ""},
	{"3\nabc\r\n0\r\n\r\n", HTTP_PARSE_BAD, ""},
	{"3\r\nabc\n0\r\n\r\n", HTTP_PARSE_BAD, "abc"},
	{"3\r\nabcd\r\n0\r\n\r\n", HTTP_PARSE_BAD, "abc"},
	{"A\r\n0123456789\r\n1\r\nx\r\n00\r\nX: y\r\n\r\n", HTTP_PARSE_OK, "0123456789x"},
	{"3\r\nabc0\r\n\r\n", HTTP_PARSE_BAD, "abc"},
	{"3\rXabc", HTTP_PARSE_BAD, ""},
	{"0x3\r\nabc\r\n", HTTP_PARSE_BAD, ""},
	{"-3\r\nabc\r\n", HTTP_PARSE_BAD, ""},
	{"+3\r\nabc\r\n", HTTP_PARSE_BAD, ""},
	{" 3\r\nabc\r\n", HTTP_PARSE_BAD, ""},
	{"3 \r\nabc\r\n", HTTP_PARSE_BAD, ""},
	{"g\r\n", HTTP_PARSE_BAD, ""},
	{";x\r\n", HTTP_PARSE_BAD, ""},
	{"3;\x01\r\nabc", HTTP_PARSE_BAD, ""},
	{"3;a\nb\r\nabc", HTTP_PARSE_BAD, ""},
	{"ffffffffffffffff\r\n", HTTP_PARSE_BAD, ""},
	{"0000000000003\r\nabc", HTTP_PARSE_BAD, ""},
	{"0\r\n folded\r\n\r\n", HTTP_PARSE_BAD, ""},
	{"0\r\nA: b\n\r\n", HTTP_PARSE_BAD, ""},
	{"0\r\n\rX", HTTP_PARSE_BAD, ""},
};

/* Feeds text in pieces, the first of another size than the rest. */
static enum http_parse_result feed_pieces(const char *text, size_t len, size_t first, size_t rest,
	char *payload, size_t *out_payload, size_t *out_used) {
	struct http_chunks chunks;
	http_chunks_init(&chunks);
	enum http_parse_result result = HTTP_PARSE_MORE;
	size_t from = 0, found = 0, bytes = first;
	*out_used = 0;
	do {
		bytes = bytes < len - from ? bytes : len - from;
		size_t got, consumed;
		char *copy = mem_dup(text + from, bytes); /* its end is where the sanitizer says so */
		result = http_chunks_feed(&chunks, copy, bytes, &got, &consumed);
		assert_true(got <= consumed && consumed <= bytes);
		memcpy(payload + found, copy, got);
		free(copy);
		found += got;
		*out_used += consumed;
		from += bytes;
		bytes = rest;
	} while (result == HTTP_PARSE_MORE && from < len);
	*out_payload = found;
	return result;
}

static void assert_chunks(const struct chunk_case *test, size_t first, size_t rest) {
	char payload[64];
	size_t bytes, used;
	enum http_parse_result result =
		feed_pieces(test->text, strlen(test->text), first, rest, payload, &bytes, &used);
	if (result != test->result) {
		print_error("%s in pieces of %zu and %zu\n", test->text, first, rest);
	}
	assert_int_equal(result, test->result);
	assert_slice((struct slice){payload, bytes}, test->payload);
}

static void chunks_are_decoded_however_they_are_cut(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof chunk_cases / sizeof chunk_cases[0]; i++) {
		size_t len = strlen(chunk_cases[i].text);
		for (size_t first = 0; first <= len; first++) {
			assert_chunks(&chunk_cases[i], first, len);
			assert_chunks(&chunk_cases[i], first, 1);
			assert_chunks(&chunk_cases[i], first, 3);
		}
	}
}

static void chunks_leave_what_follows(void **state) {
	(void)state;
	static const char text[] = "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
	char payload[8];
	size_t bytes, used;
	for (size_t cut = 0; cut < sizeof text; cut++) {
		assert_int_equal(
			feed_pieces(text, sizeof text - 1, cut, sizeof text, payload, &bytes, &used),
			HTTP_PARSE_OK);
		assert_int_equal(used, 11);
	}
}

/* Neither endless extensions nor endless trailers. */
static void chunks_are_bounded(void **state) {
	(void)state;
	static const char *const begins[] = {"1;", "0\r\nA:"};
	for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
		char *text = with_long(begins[i], 5000, "");
		struct http_chunks chunks;
		size_t payload, used;
		http_chunks_init(&chunks);
		assert_int_equal(
			http_chunks_feed(&chunks, text, strlen(text), &payload, &used), HTTP_PARSE_BAD);
		free(text);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_accepted_or_refused),
		cmocka_unit_test(a_nul_is_refused),
		cmocka_unit_test(targets_are_split),
		cmocka_unit_test(headers_say_what_the_connection_does),
		cmocka_unit_test(a_head_is_the_same_however_it_is_cut),
		cmocka_unit_test(limits_name_what_is_too_long),
		cmocka_unit_test(too_many_headers_are_refused),
		cmocka_unit_test(chunks_are_decoded_however_they_are_cut),
		cmocka_unit_test(chunks_leave_what_follows),
		cmocka_unit_test(chunks_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
