/* SPDX-License-Identifier: Apache-2.0 */
/* Which upgrade requests are for us. */
#include "common/mem.h"
#include "relay/device/upgrade.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A request, and how it was ended. */
struct http_request {
	struct http_head head;
	int answered;
	size_t answer_headers;
	int pipe[2];
	const char *bytes;
	bool is_gone;
};

const struct http_head *http_request_head(const struct http_request *request) {
	return &request->head;
}

void http_request_answer(struct http_request *request, const struct http_answer *answer) {
	request->answered = answer->status;
	request->answer_headers = answer->header_count;
}

bool http_request_take_upgrade(
	struct http_request *request, int *out_fd, char **take_bytes, size_t *out_bytes) {
	if (request->is_gone) {
		return false;
	}
	*out_fd = dup(0);
	*take_bytes = mem_strdup(request->bytes);
	*out_bytes = strlen(request->bytes);
	return true;
}

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static void add(struct http_head *head, const char *name, const char *value) {
	head->headers[head->header_count++] = (struct http_header){slice_of(name), slice_of(value)};
}

static struct http_request request_with(
	const char *version, const char *key, const char *protocol) {
	struct http_request request = {.answered = 0};
	add(&request.head, "Host", "relay");
	if (version) {
		add(&request.head, "sec-websocket-version", version);
	}
	if (key) {
		add(&request.head, "SEC-WebSocket-Key", key);
	}
	if (protocol) {
		add(&request.head, "Sec-WebSocket-Protocol", protocol);
	}
	return request;
}

static void judges_by_table(void **state) {
	(void)state;
	static const struct {
		const char *version, *key, *protocol;
		int status;
		bool named;
	} cases[] = {
		{"13", KEY, NULL, 0, false},
		{"13", KEY, "push-notification", 0, true},
		{"13", KEY, "chat , push-notification", 0, true},
		{"13", KEY, "push-notification,chat", 0, true},
		{"13", KEY, "", 0, false},
		{"13", KEY, " , ", 0, false},
		{"13", KEY, "chat", 400, false},
		{"13", KEY, "Push-Notification", 400, false},
		{"13", KEY, "push-notification2", 400, false},
		{"13", KEY, "chat, superchat", 400, false},
		{"13", NULL, NULL, 400, false},
		{"13", "short", NULL, 400, false},
		{"13", "dGhlIHNhbXBsZSBub25jZQ=!", NULL, 400, false},
		{"12", KEY, NULL, 426, false},
		{NULL, KEY, NULL, 426, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_request request =
			request_with(cases[i].version, cases[i].key, cases[i].protocol);
		struct slice key;
		bool named = false;
		assert_int_equal(upgrade_check(&request.head, &key, &named), cases[i].status);
		assert_int_equal(named, cases[i].named);
	}
}

static void refusals_say_what_would_do(void **state) {
	(void)state;
	struct http_request request = request_with("8", KEY, NULL);
	int fd;
	struct buffer head;
	assert_false(upgrade_take(&request, &fd, &head));
	assert_int_equal(request.answered, 426);
	assert_int_equal(request.answer_headers, 1); /* the version that we speak */
}

static void keeps_what_came_behind_the_request(void **state) {
	(void)state;
	struct http_request request = request_with("13", KEY, "push-notification");
	request.bytes = "GET /i/secret?a=b HTTP/1.1\r\nCookie: x\r\n\r\n\x81\x80more";
	int fd = -1;
	struct buffer head;
	assert_true(upgrade_take(&request, &fd, &head));
	assert_true(fd >= 0);
	(void)close(fd);
	assert_true(buffer_append(&head, "", 1));
	const char *text = buffer_begin(&head);
	assert_non_null(strstr(text, "Sec-WebSocket-Key: " KEY "\r\n"));
	assert_non_null(strstr(text, "Sec-WebSocket-Protocol: push-notification\r\n"));
	assert_non_null(strstr(text, "\r\n\r\n\x81\x80more"));
	assert_null(strstr(text, "secret"));
	assert_null(strstr(text, "Cookie"));
	buffer_finish(&head);
}

static void client_that_has_gone_is_no_error(void **state) {
	(void)state;
	struct http_request request = request_with("13", KEY, NULL);
	request.is_gone = true;
	int fd;
	struct buffer head;
	assert_false(upgrade_take(&request, &fd, &head));
	assert_int_equal(request.answered, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_by_table),
		cmocka_unit_test(refusals_say_what_would_do),
		cmocka_unit_test(keeps_what_came_behind_the_request),
		cmocka_unit_test(client_that_has_gone_is_no_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
