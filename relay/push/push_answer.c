/* SPDX-License-Identifier: Apache-2.0 */
/* The table of refusals: status, errno in the manner of autopush, sentence, metric. */
#include "relay/push/push_answer.h"
#include "common/buffer.h"
#include "common/json.h"
#include <assert.h>
#include <stdio.h>

struct push_refusal {
	int status;
	int error_number;
	const char *reason, *message;
	uint32_t retry_after_sec;
	struct http_answer_header header; /* beside Retry-After */
	enum metric metric;
};

#define ALLOW_PUSH "GET, HEAD, POST, OPTIONS"

static const struct push_refusal push_refusals[PUSH_VERDICT_COUNT] = {
	[PUSH_BAD_METHOD] = {405, 120, "Method Not Allowed", "a push URL takes POST", 0,
		{"Allow", ALLOW_PUSH}, METRIC_PUSH_BAD_REQUEST},
	[PUSH_BAD_METHOD_MESSAGE] = {405, 120, "Method Not Allowed", "a message URL takes DELETE", 0,
		{"Allow", "DELETE"}, METRIC_PUSH_BAD_REQUEST},
	[PUSH_NOT_FOUND] = {404, 102, "Not Found", "no such subscription", 0, {NULL, NULL},
		METRIC_PUSH_NOT_FOUND},
	[PUSH_NOT_FOUND_MESSAGE] = {404, 102, "Not Found",
		"no such message: it was delivered, replaced, or has expired", 0, {NULL, NULL},
		METRIC_PUSH_NOT_FOUND},
	[PUSH_GONE] = {410, 103, "Gone", "the device removed this subscription", 0,
		{"Cache-Control", "max-age=86400"}, METRIC_PUSH_GONE},
	[PUSH_UNAUTHENTICATED] = {401, 109, "Unauthorized", NULL, 0, {"WWW-Authenticate", "vapid"},
		METRIC_PUSH_UNAUTHORIZED},
	[PUSH_FORBIDDEN] = {403, 109, "Forbidden",
		"the subscription is restricted to another VAPID key", 0, {NULL, NULL},
		METRIC_PUSH_UNAUTHORIZED},
	[PUSH_MISSING_TTL] = {400, 111, "Bad Request",
		"the TTL header is missing: say for how many seconds to keep the message", 0, {NULL, NULL},
		METRIC_PUSH_BAD_REQUEST},
	[PUSH_BAD_TTL] = {400, 112, "Bad Request", "TTL must be one number of seconds, digits only", 0,
		{NULL, NULL}, METRIC_PUSH_BAD_REQUEST},
	[PUSH_BAD_URGENCY] = {400, 114, "Bad Request",
		"Urgency must be one of very-low, low, normal, high", 0, {NULL, NULL},
		METRIC_PUSH_BAD_REQUEST},
	[PUSH_BAD_TOPIC] = {400, 113, "Bad Request",
		"Topic must be 1 to 32 characters of A-Z a-z 0-9 - _", 0, {NULL, NULL},
		METRIC_PUSH_BAD_REQUEST},
	[PUSH_BAD_CODING] = {400, 110, "Bad Request",
		"Content-Encoding, Encryption or Crypto-Key is too long or given twice", 0, {NULL, NULL},
		METRIC_PUSH_BAD_REQUEST},
	[PUSH_TOO_LARGE] = {413, 104, "Payload Too Large", "the message is larger than allowed here", 0,
		{NULL, NULL}, METRIC_PUSH_TOO_LARGE},
	[PUSH_NOT_ENCRYPTED] = {415, 110, "Unsupported Media Type",
		"this relay takes messages encrypted by RFC 8291 only", 0, {"Accept-Encoding", "aes128gcm"},
		METRIC_PUSH_UNSUPPORTED},
	[PUSH_BAD_ENCRYPTION] = {400, 110, "Bad Request",
		"the body or its headers do not have the form of RFC 8291", 0, {NULL, NULL},
		METRIC_PUSH_BAD_REQUEST},
	[PUSH_KEY_REUSED] = {400, 110, "Bad Request",
		"the VAPID key must not be the key that encrypts the message", 0, {NULL, NULL},
		METRIC_PUSH_BAD_REQUEST},
	[PUSH_LIMITED] = {429, 201, "Too Many Requests", "too many messages; slow down", 1,
		{NULL, NULL}, METRIC_PUSH_LIMITED},
	[PUSH_OVER_QUOTA] = {429, 201, "Too Many Requests",
		"the messages of this invite for today are used up", 3600, {NULL, NULL},
		METRIC_PUSH_LIMITED},
	[PUSH_KEY_LATER] = {503, 201, "Service Unavailable",
		"the device has not named the subscription's VAPID key yet; try again", 60, {NULL, NULL},
		METRIC_PUSH_UNAVAILABLE},
	[PUSH_STORE_AWAY] = {503, 201, "Service Unavailable",
		"the message could not be stored; try again", 30, {NULL, NULL}, METRIC_PUSH_UNAVAILABLE},
	[PUSH_OVERLOADED] = {503, 201, "Service Unavailable", "the relay is busy; try again", 5,
		{NULL, NULL}, METRIC_PUSH_UNAVAILABLE},
	[PUSH_STOPPING] = {503, 201, "Service Unavailable", "the relay is restarting; try again", 5,
		{NULL, NULL}, METRIC_PUSH_UNAVAILABLE},
};

void push_answer_refusal(struct http_request *request, struct metrics *metrics,
	enum push_verdict verdict, const char *message, uint32_t retry_after_sec, bool cors) {
	assert(verdict > PUSH_ACCEPTED && verdict < PUSH_VERDICT_COUNT);
	const struct push_refusal *refusal = &push_refusals[verdict];
	metrics_add(metrics, refusal->metric, 1);
	struct http_answer_header headers[3];
	size_t count = 0;
	if (refusal->header.name) {
		headers[count++] = refusal->header;
	}
	char retry[16];
	uint32_t seconds = retry_after_sec ? retry_after_sec : refusal->retry_after_sec;
	if (seconds > 0) {
		(void)snprintf(retry, sizeof retry, "%u", seconds);
		headers[count++] = (struct http_answer_header){"Retry-After", retry};
	}
	if (cors) {
		headers[count++] = (struct http_answer_header){"Access-Control-Allow-Origin", "*"};
	}
	struct buffer body;
	buffer_init(&body, 1024);
	const char *sentence = message ? message : refusal->message;
	bool fits = buffer_printf(&body,
		"{\"code\":%d,\"errno\":%d,\"error\":\"%s\",\"message\":", refusal->status,
		refusal->error_number, refusal->reason);
	fits = fits && json_append_string(&body, slice_of(sentence)) && buffer_append(&body, "}", 1);
	assert(fits);
	http_request_answer(request, &(struct http_answer){.status = refusal->status,
									 .content_type = "application/json",
									 .body = {buffer_begin(&body), buffer_length(&body)},
									 .headers = headers,
									 .header_count = count});
	buffer_finish(&body);
}
