/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sender's side, RFC 8030: POST on a push URL (/p/TOKEN) becomes a stored message and, if the
 * device is connected here, a frame on its socket; DELETE on a message URL (/m/TOKEN) takes it
 * back. The order of checks is fixed, so that a request with several faults always gets the same
 * answer: method, overload, token, subscription, authorization (with the rate of the address, for
 * a signature that has to be checked), headers, declared length, content coding, body, key reuse,
 * rate, store.
 */
#pragma once
#include "relay/device/devices.h"
#include "relay/http/request.h"
#include "relay/ops/limits.h"
#include "relay/ops/metrics.h"
#include "relay/push/token.h"
#include "relay/push/vapid.h"
#include "storage/store.h"

struct push_options {
	struct ev_loop *loop;
	struct store *store;
	struct devices *devices;
	struct vapid *vapid;
	struct limits *limits; /* NULL: no rate limits */
	struct metrics *metrics;
	const char *public_url; /* without '/' at its end */
	size_t body_limit;
	int64_t missing_ttl_sec; /* -1: refuse */
	uint32_t max_ttl_sec;
	bool strict_encryption, verify_vapid, cors;
	size_t max_pending; /* pushes under way beyond which more get 503 */
};

struct push_service;
/* keys are kept by pointer until push_service_set_keys. */
struct push_service *push_service_create(
	const struct push_options *options, const struct token_keys *keys);
void push_service_destroy(struct push_service *service);
void push_service_set_keys(struct push_service *service, const struct token_keys *keys);
/* From now on every POST gets 503 with Retry-After; those under way go on. */
void push_service_stop(struct push_service *service);
/* The device side ends before the store: nothing is handed to it any more, messages stay queued. */
void push_service_forget_devices(struct push_service *service);
size_t push_service_pending(const struct push_service *service);
/* Call it every second or so. */
void push_service_tick(struct push_service *service);

/* Route handlers; ctx is the service, rest the token. */
void push_handle_endpoint(struct http_request *request, struct slice rest, void *ctx);
void push_handle_message(struct http_request *request, struct slice rest, void *ctx);
