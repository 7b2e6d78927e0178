/* SPDX-License-Identifier: Apache-2.0 */
/* The service behind push and message URLs: its life, routing, and the short answers. */
#include "common/mem.h"
#include "relay/push/push_answer.h"
#include "relay/push/push_internal.h"
#include <assert.h>
#include <stdlib.h>

enum { PUSH_LOG_SEC = 10, PUSH_LOG_LINES = 5 };

struct push_service *push_service_create(
	const struct push_options *options, const struct token_keys *keys) {
	struct push_service *service = mem_zalloc(sizeof *service);
	service->options = *options;
	service->keys = keys;
	service->overflow = (struct log_limit){.event = "queue full, messages dropped",
		.period_sec = PUSH_LOG_SEC,
		.lines = PUSH_LOG_LINES};
	return service;
}

void push_service_destroy(struct push_service *service) {
	assert(!service || service->pending == 0);
	free(service);
}

void push_service_set_keys(struct push_service *service, const struct token_keys *keys) {
	service->keys = keys;
}

void push_service_stop(struct push_service *service) {
	service->is_stopping = true;
}

void push_service_forget_devices(struct push_service *service) {
	service->options.devices = NULL;
}

size_t push_service_pending(const struct push_service *service) {
	return service->pending;
}

void push_service_tick(struct push_service *service) {
	log_limit_tick(&service->overflow, ev_now(service->options.loop));
}

static void push_refuse_early(
	struct push_service *service, struct http_request *request, enum push_verdict verdict) {
	push_answer_refusal(request, service->options.metrics, verdict, NULL, 0, service->options.cors);
}

/* ---- other methods on a push URL ---- */

/* A GET, or a message's DELETE, under way. */
struct push_query {
	struct push_service *service;
	struct http_request *request;
};

static struct push_query *push_query_begin(
	struct push_service *service, struct http_request *request) {
	struct push_query *query = mem_zalloc(sizeof *query);
	*query = (struct push_query){service, request};
	service->pending++;
	return query;
}

static struct http_request *push_query_end(struct push_query *query) {
	struct http_request *request = query->request;
	query->service->pending--;
	free(query);
	return request;
}

static void push_on_discovered(const struct store_subscription *subscription, void *ctx) {
	struct push_service *service = ((struct push_query *)ctx)->service;
	struct http_request *request = push_query_end(ctx);
	switch (subscription->outcome) {
	case STORE_OK:
		break;
	case STORE_MISSING:
		push_refuse_early(service, request, PUSH_NOT_FOUND);
		return;
	case STORE_GONE:
		push_refuse_early(service, request, PUSH_GONE);
		return;
	default:
		push_refuse_early(service, request, PUSH_STORE_AWAY);
		return;
	}
	const struct http_answer_header cors = {"Access-Control-Allow-Origin", "*"};
	http_request_answer(request, &(struct http_answer){
									 .status = 200,
									 .content_type = "application/json",
									 .body = slice_of("{\"unifiedpush\":{\"version\":1}}"),
									 .headers = &cors,
									 .header_count = service->options.cors ? 1 : 0,
								 });
}

static void push_answer_options(const struct push_service *service, struct http_request *request) {
	static const struct http_answer_header headers[] = {
		{"Allow", "GET, HEAD, POST, OPTIONS"},
		{"Access-Control-Allow-Origin", "*"},
		{"Access-Control-Allow-Methods", "POST"},
		{"Access-Control-Allow-Headers",
			"*, TTL, Urgency, Topic, Content-Encoding, Encryption, Crypto-Key, Authorization, "
			"Content-Type"},
		{"Access-Control-Max-Age", "86400"},
	};
	http_request_answer(request,
		&(struct http_answer){
			.status = 204, .headers = headers, .header_count = service->options.cors ? 5 : 1});
}

void push_handle_endpoint(struct http_request *request, struct slice rest, void *ctx) {
	struct push_service *service = ctx;
	enum http_method method = http_request_head(request)->method;
	if (method != HTTP_POST && method != HTTP_GET && method != HTTP_HEAD &&
		method != HTTP_OPTIONS) {
		push_refuse_early(service, request, PUSH_BAD_METHOD);
		return;
	}
	if (service->is_stopping) {
		push_refuse_early(service, request, PUSH_STOPPING);
		return;
	}
	if (service->pending >= service->options.max_pending) {
		push_refuse_early(service, request, PUSH_OVERLOADED);
		return;
	}
	struct device_id device;
	struct subscription_id subscription;
	if (!token_open_push(service->keys, rest, &device, &subscription)) {
		push_refuse_early(service, request, PUSH_NOT_FOUND);
	} else if (method == HTTP_POST) {
		push_begin(service, request, &device, &subscription);
	} else if (method == HTTP_OPTIONS) {
		push_answer_options(service, request);
	} else {
		store_lookup(service->options.store, device, subscription, push_on_discovered,
			push_query_begin(service, request));
	}
}

/* ---- the message resource ---- */

static void push_on_cancelled(enum store_outcome outcome, void *ctx) {
	struct push_service *service = ((struct push_query *)ctx)->service;
	struct http_request *request = push_query_end(ctx);
	if (outcome == STORE_OK) {
		http_request_answer(request, &(struct http_answer){.status = 204});
	} else if (outcome == STORE_MISSING) {
		push_refuse_early(service, request, PUSH_NOT_FOUND_MESSAGE);
	} else {
		push_refuse_early(service, request, PUSH_STORE_AWAY);
	}
}

void push_handle_message(struct http_request *request, struct slice rest, void *ctx) {
	struct push_service *service = ctx;
	if (http_request_head(request)->method != HTTP_DELETE) {
		push_refuse_early(service, request, PUSH_BAD_METHOD_MESSAGE);
		return;
	}
	if (service->is_stopping) {
		push_refuse_early(service, request, PUSH_STOPPING);
		return;
	}
	struct device_id device;
	struct message_id message;
	if (!token_open_message(service->keys, rest, &device, &message)) {
		push_refuse_early(service, request, PUSH_NOT_FOUND_MESSAGE);
		return;
	}
	store_cancel(service->options.store, device, message, push_on_cancelled,
		push_query_begin(service, request));
}
