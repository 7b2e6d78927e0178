/* SPDX-License-Identifier: Apache-2.0 */
/* Answers /health and /metrics. */
#include "relay/ops/admin.h"
#include "common/buffer.h"
#include "common/json.h"
#include <assert.h>

enum { ADMIN_METRICS_MAX = 4 << 20 };

static bool admin_is_read(struct http_request *request) {
	enum http_method method = http_request_head(request)->method;
	if (method == HTTP_GET || method == HTTP_HEAD) {
		return true;
	}
	const struct http_answer_header allow = {"Allow", "GET, HEAD"};
	http_request_answer(request,
		&(struct http_answer){.status = 405,
			.content_type = "application/json",
			.body = slice_of("{\"code\":405,\"errno\":120,\"error\":\"Method Not Allowed\","
							 "\"message\":\"this is for reading\"}"),
			.headers = &allow,
			.header_count = 1});
	return false;
}

void admin_handle_health(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	const struct admin *admin = ctx;
	if (!admin_is_read(request)) {
		return;
	}
	const char *trouble = admin->trouble(admin->ctx);
	struct buffer body;
	buffer_init(&body, 4096);
	bool fits = buffer_printf(&body, "{\"status\":\"%s\"", trouble ? "unavailable" : "ok");
	if (trouble) {
		fits = fits && buffer_append(&body, ",\"reason\":", 10) &&
			   json_append_string(&body, slice_of(trouble));
	}
	fits = fits && buffer_append(&body, "}", 1);
	assert(fits);
	const struct http_answer_header retry = {"Retry-After", "5"};
	http_request_answer(request, &(struct http_answer){
									 .status = trouble ? 503 : 200,
									 .content_type = "application/json",
									 .body = {buffer_begin(&body), buffer_length(&body)},
									 .headers = &retry,
									 .header_count = trouble ? 1 : 0,
								 });
	buffer_finish(&body);
}

void admin_handle_metrics(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	const struct admin *admin = ctx;
	if (!admin_is_read(request)) {
		return;
	}
	admin->refresh(admin->ctx);
	struct buffer body;
	buffer_init(&body, ADMIN_METRICS_MAX);
	bool fits = metrics_print(admin->metrics, admin->workers, &body);
	assert(fits);
	http_request_answer(request, &(struct http_answer){
									 .status = 200,
									 .content_type = "text/plain; version=0.0.4; charset=utf-8",
									 .body = {buffer_begin(&body), buffer_length(&body)},
								 });
	buffer_finish(&body);
}
