/* SPDX-License-Identifier: Apache-2.0 */
/* The text of an answer. */
#include "common/mem.h"
#include "relay/http/connection.h"
#include <assert.h>
#include <stdio.h>

static const char *answer_reason(int status) {
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{426, "Upgrade Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"},
	};
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		if (reasons[i].status == status) {
			return reasons[i].reason;
		}
	}
	return "Other";
}

static char *answer_put(char *p, const char *text) {
	return mempcpy(p, text, strlen(text));
}

static char *answer_put_number(char *p, size_t number) {
	char digits[24];
	char *begin = digits + sizeof digits;
	do {
		*--begin = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return mempcpy(p, begin, (size_t)(digits + sizeof digits - begin));
}

/* At least as many bytes as the answer takes. */
static size_t answer_bound(const struct http_answer *answer) {
	size_t bytes = 320 + answer->body.len; /* status line, Date, Connection, names, numbers */
	if (answer->content_type) {
		bytes += strlen(answer->content_type);
	}
	for (size_t i = 0; i < answer->header_count; i++) {
		bytes += strlen(answer->headers[i].name) + strlen(answer->headers[i].value) + 4;
	}
	return bytes;
}

char *http_answer_print(const struct http_answer *answer, const struct http_answer_form *form,
	char *small, size_t small_bytes, size_t *out_bytes) {
	assert(answer->status >= 100 && answer->status < 600);
	size_t bound = answer_bound(answer);
	char *text = bound <= small_bytes ? small : mem_alloc(bound);
	char *p = answer_put(text, "HTTP/1.1 ");
	p = answer_put_number(p, (size_t)answer->status);
	*p++ = ' ';
	p = answer_put(p, answer_reason(answer->status));
	p = answer_put(p, "\r\n");
	p = answer_put(p, form->date);
	for (size_t i = 0; i < answer->header_count; i++) {
		p = answer_put(p, answer->headers[i].name);
		p = answer_put(p, ": ");
		p = answer_put(p, answer->headers[i].value);
		p = answer_put(p, "\r\n");
	}
	if (answer->content_type) {
		p = answer_put(p, "Content-Type: ");
		p = answer_put(p, answer->content_type);
		p = answer_put(p, "\r\n");
	}
	if (answer->status != 204) { /* RFC 9110 8.6 forbids it there */
		p = answer_put(p, "Content-Length: ");
		p = answer_put_number(p, answer->body.len);
		p = answer_put(p, "\r\n");
	}
	if (form->closes) {
		p = answer_put(p, "Connection: close\r\n");
	} else if (form->names_keep_alive) {
		p = answer_put(p, "Connection: keep-alive\r\n");
	}
	p = answer_put(p, "\r\n");
	if (!form->is_head_only && answer->status != 204 && answer->body.len > 0) {
		p = mempcpy(p, answer->body.data, answer->body.len);
	}
	*out_bytes = (size_t)(p - text);
	assert(*out_bytes <= bound);
	return text;
}

void http_answer_refusal(int status, char text[256], struct http_answer *out_answer) {
	static const struct {
		int status, error_number;
		const char *message;
	} refusals[] = {
		{400, 130, "this is not a proper HTTP/1.1 request"},
		{408, 131, "the request did not come in time"},
		{414, 132, "the URL is too long"},
		{417, 133, "only 100-continue can be expected here"},
		{431, 134, "the request headers are too large"},
		{501, 135, "of transfer codings only chunked is known here"},
		{503, 201, "too many connections; try again"},
		{505, 136, "only HTTP/1.1 and HTTP/1.0 are spoken here"},
	};
	static const struct http_answer_header retry_after = {"Retry-After", "5"};
	size_t i = 0;
	while (refusals[i].status != status) {
		i++;
		assert(i < sizeof refusals / sizeof refusals[0]);
	}
	int bytes =
		snprintf(text, 256, "{\"code\":%d,\"errno\":%d,\"error\":\"%s\",\"message\":\"%s\"}",
			status, refusals[i].error_number, answer_reason(status), refusals[i].message);
	assert(bytes > 0 && bytes < 256);
	*out_answer = (struct http_answer){
		.status = status,
		.content_type = "application/json",
		.body = {text, (size_t)bytes},
		.headers = status == 503 ? &retry_after : NULL,
		.header_count = status == 503 ? 1 : 0,
		.close = true,
	};
}
