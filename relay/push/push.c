/* SPDX-License-Identifier: Apache-2.0 */
/* The flow of one push, from the POST to its 201. */
#include "relay/push/push.h"
#include "common/base64url.h"
#include "common/log.h"
#include "common/log_limit.h"
#include "common/mem.h"
#include "relay/push/push_answer.h"
#include "relay/push/push_headers.h"
#include "relay/push/push_internal.h"
#include <stdio.h>
#include <stdlib.h>

enum { PUSH_DAY_SEC = 24 * 3600 };

/* One POST, from its head to its answer. */
struct push {
	struct push_service *service;
	struct http_request *request;
	struct device_id device;
	struct subscription_id subscription;
	enum push_verdict verdict; /* the first refusal found before the subscription was looked up */
	const char *verdict_message; /* static, or NULL */
	bool has_vapid; /* a key was presented: vapid_key */
	bool is_proven; /* … and its token checked: claims.key_hash */
	bool has_paid; /* for that, from its address's rate */
	uint32_t wait_sec; /* of PUSH_LIMITED */
	uint8_t vapid_key[P256_POINT_BYTES];
	struct vapid_claims claims;
	uint32_t ttl_sec;
	enum urgency urgency;
	struct slice topic, encoding;
	struct slice crypto_header; /* Crypto-Key as sent, for the check of key reuse */
	struct slice body;
	char encryption[PUSH_CRYPTO_MAX], crypto_key[PUSH_CRYPTO_MAX];
	size_t encryption_len, crypto_key_len;
};

/* The steps, in the order in which they run. Each ends in one asynchronous call that names the
 * next, or in push_refuse or push_finish. */
static void push_start(struct push *push);
static void push_look_up(struct push *push);
static void push_on_looked_up(const struct store_subscription *subscription, void *ctx);
static void push_on_body(
	struct http_request *request, enum http_body_result result, struct slice body, void *ctx);
static void push_store(struct push *push);
static void push_on_stored(const struct store_put_result *result, void *ctx);
static void push_accept(struct push *push, const struct store_put_result *result);
static void push_refuse(
	struct push *push, enum push_verdict verdict, const char *message, uint32_t retry_after_sec);
static void push_finish(struct push *push);

/* ---- checks of the head ---- */

static void push_note_refusal(struct push *push, enum push_verdict verdict, const char *message) {
	if (push->verdict == PUSH_ACCEPTED) {
		push->verdict = verdict;
		push->verdict_message = message;
	}
}

static struct slice push_header(const struct push *push, const char *name, size_t *out_count) {
	const struct slice *value = http_request_header(push->request, name, out_count);
	return value ? *value : (struct slice){NULL, 0};
}

/* Whom the limits of addresses take it from; NULL: nobody, as for a trusted proxy itself. */
static const struct sockaddr_storage *push_client(const struct push *push) {
	const struct http_peer *peer = http_request_peer(push->request);
	return peer->is_proxy ? NULL : &peer->address;
}

/* The signature of a token that is not known costs one of the address's rate, good or not. */
static enum vapid_result push_check_token(
	struct push *push, struct slice authorization, size_t count) {
	const struct push_options *options = &push->service->options;
	int64_t now_sec = (int64_t)ev_now(options->loop);
	enum vapid_result result = vapid_check_known(
		options->vapid, authorization, count, push->crypto_header, now_sec, &push->claims);
	if (result != VAPID_UNCHECKED) {
		return result;
	}
	if (options->limits) {
		push->wait_sec = limits_take_check(
			options->limits, ev_now(options->loop), &push->subscription, push_client(push));
		if (push->wait_sec > 0) {
			return VAPID_UNCHECKED;
		}
		push->has_paid = true;
	}
	return vapid_check(
		options->vapid, authorization, count, push->crypto_header, now_sec, &push->claims);
}

/* RFC 8292: needed on a restricted subscription, elsewhere only where the operator wants it. */
static void push_check_authorization(struct push *push) {
	const struct push_options *options = &push->service->options;
	size_t count = 0;
	struct slice authorization = push_header(push, "authorization", &count);
	bool is_restricted = subscription_is_restricted(&push->subscription);
	if (count == 0 && !is_restricted) {
		return;
	}
	struct slice token;
	push->has_vapid =
		vapid_parse(authorization, count, push->crypto_header, &token, push->vapid_key) == VAPID_OK;
	if (!is_restricted && !options->verify_vapid) {
		return;
	}
	enum vapid_result result = push_check_token(push, authorization, count);
	push->is_proven = result == VAPID_OK;
	if (result == VAPID_ABSENT && is_restricted) {
		push_note_refusal(push, PUSH_UNAUTHENTICATED, vapid_result_text(result));
	} else if (result == VAPID_UNCHECKED) {
		push_note_refusal(push, PUSH_LIMITED, NULL);
	} else if (result != VAPID_OK && result != VAPID_ABSENT) {
		push_note_refusal(push, PUSH_FORBIDDEN, vapid_result_text(result));
	}
}

static void push_check_ttl(struct push *push) {
	const struct push_options *options = &push->service->options;
	size_t count;
	const struct slice *value = http_request_header(push->request, "ttl", &count);
	switch (push_ttl_parse(value, count, &push->ttl_sec)) {
	case PUSH_HEADER_OK:
		break;
	case PUSH_HEADER_ABSENT:
		if (options->missing_ttl_sec < 0) {
			push_note_refusal(push, PUSH_MISSING_TTL, NULL);
			return;
		}
		push->ttl_sec = (uint32_t)options->missing_ttl_sec;
		break;
	case PUSH_HEADER_BAD:
		push_note_refusal(push, PUSH_BAD_TTL, NULL);
		return;
	}
	if (push->ttl_sec > options->max_ttl_sec) {
		push->ttl_sec = options->max_ttl_sec;
	}
}

static void push_check_headers(struct push *push) {
	size_t count;
	push_check_ttl(push);
	const struct slice *value = http_request_header(push->request, "urgency", &count);
	if (push_urgency_parse(value, count, &push->urgency) == PUSH_HEADER_BAD) {
		push_note_refusal(push, PUSH_BAD_URGENCY, NULL);
	}
	value = http_request_header(push->request, "topic", &count);
	if (push_topic_parse(value, count, &push->topic) == PUSH_HEADER_BAD) {
		push_note_refusal(push, PUSH_BAD_TOPIC, NULL);
	}
}

static bool push_is_aesgcm(const struct push *push) {
	return slice_equals_nocase(push->encoding, "aesgcm");
}

/* Content-Encoding travels as sent; Encryption and Crypto-Key only mean something beside the legacy
 * aesgcm. */
static void push_check_coding(struct push *push) {
	bool is_strict = push->service->options.strict_encryption;
	size_t count;
	push->encoding = push_header(push, "content-encoding", &count);
	if (count > 1 || push->encoding.len > PUSH_ENCODING_MAX) {
		push_note_refusal(push, PUSH_BAD_CODING, NULL);
		return;
	}
	bool has_keys = true;
	if (push_is_aesgcm(push)) {
		struct slice encryption = push_header(push, "encryption", NULL);
		has_keys = push_encryption_clean(
			encryption, push->encryption, sizeof push->encryption, &push->encryption_len);
		has_keys &= push_crypto_key_clean(
			push->crypto_header, push->crypto_key, sizeof push->crypto_key, &push->crypto_key_len);
		if (encryption.len > PUSH_CRYPTO_MAX) {
			push_note_refusal(push, PUSH_BAD_CODING, NULL);
		}
	}
	if (!is_strict) {
		return;
	}
	const struct http_head *head = http_request_head(push->request);
	bool is_empty = !head->is_chunked && head->content_length == 0;
	if (push_is_aesgcm(push)) {
		if (!has_keys) {
			push_note_refusal(push, PUSH_BAD_ENCRYPTION, NULL);
		}
	} else if (!slice_equals(push->encoding, "aes128gcm") && !is_empty) {
		push_note_refusal(push, PUSH_NOT_ENCRYPTED, NULL);
	}
}

static void push_check_length(struct push *push) {
	const struct http_head *head = http_request_head(push->request);
	if (head->has_content_length && head->content_length > push->service->options.body_limit) {
		push_note_refusal(push, PUSH_TOO_LARGE, NULL);
	}
}

/* ---- the flow ---- */

void push_begin(struct push_service *service, struct http_request *request,
	const struct device_id *device, const struct subscription_id *subscription) {
	struct push *push = mem_alloc(sizeof *push);
	/* The two header copies stay as they are: only their used part is ever read. */
	memset(push, 0, offsetof(struct push, encryption));
	push->encryption_len = push->crypto_key_len = 0;
	push->service = service;
	push->request = request;
	push->device = *device;
	push->subscription = *subscription;
	service->pending++;
	push_start(push);
}

static void push_start(struct push *push) {
	push->crypto_header = push_header(push, "crypto-key", NULL);
	push_check_authorization(push);
	push_check_headers(push);
	push_check_length(push);
	push_check_coding(push);
	const struct http_head *head = http_request_head(push->request);
	if (push->verdict != PUSH_ACCEPTED || head->expects_continue) {
		push_look_up(push);
	} else {
		http_request_read_body(
			push->request, push->service->options.body_limit, push_on_body, push);
	}
}

/* Only for a request that fails anyway, or whose client waits for 100 Continue: is there such a
 * subscription at all? */
static void push_look_up(struct push *push) {
	store_lookup(
		push->service->options.store, push->device, push->subscription, push_on_looked_up, push);
}

static bool push_is_foreign_key(
	const struct push *push, const struct store_subscription *subscription) {
	return subscription->has_key && push->is_proven &&
		   !mem_equal_secret(
			   subscription->key_hash, push->claims.key_hash, sizeof push->claims.key_hash);
}

static void push_on_looked_up(const struct store_subscription *subscription, void *ctx) {
	struct push *push = ctx;
	if (subscription->outcome == STORE_MISSING) {
		push_refuse(push, PUSH_NOT_FOUND, NULL, 0);
	} else if (subscription->outcome == STORE_GONE) {
		push_refuse(push, PUSH_GONE, NULL, 0);
	} else if (subscription->outcome != STORE_OK) {
		push_refuse(push, PUSH_STORE_AWAY, NULL, 0);
	} else if (subscription->has_key && store_key_is_later(subscription->key_hash)) {
		push_refuse(push, PUSH_KEY_LATER, NULL, 0);
	} else if (push_is_foreign_key(push, subscription)) {
		push_refuse(push, PUSH_FORBIDDEN, NULL, 0);
	} else if (push->verdict != PUSH_ACCEPTED) {
		push_refuse(push, push->verdict, push->verdict_message, push->wait_sec);
	} else {
		http_request_read_body(
			push->request, push->service->options.body_limit, push_on_body, push);
	}
}

/* RFC 8291 header: salt 16, rs 4, idlen 1, keyid 65. */
static bool push_body_keyid(const struct push *push, const uint8_t **out_keyid) {
	if (push->body.len < 86 || (uint8_t)push->body.data[20] != P256_POINT_BYTES) {
		return false;
	}
	*out_keyid = (const uint8_t *)push->body.data + 21;
	return true;
}

static bool push_body_is_strict(const struct push *push) {
	const uint8_t *keyid;
	if (push->body.len == 0 || push_is_aesgcm(push)) {
		return true;
	}
	const uint8_t *rs = (const uint8_t *)push->body.data + 16;
	return push->body.len >= 86 + 17 && push_body_keyid(push, &keyid) && keyid[0] == 4 &&
		   (rs[0] || rs[1] || rs[2] || rs[3] >= 18);
}

/* RFC 8292 section 3.2: one key must not serve both purposes. */
static bool push_reuses_key(const struct push *push) {
	if (!push->has_vapid) {
		return false;
	}
	const uint8_t *keyid;
	if (slice_equals(push->encoding, "aes128gcm") && push_body_keyid(push, &keyid)) {
		return memcmp(keyid, push->vapid_key, P256_POINT_BYTES) == 0;
	}
	struct slice dh;
	uint8_t point[P256_POINT_BYTES];
	size_t bytes;
	return push_is_aesgcm(push) && push_crypto_param(push->crypto_header, "dh", &dh) &&
		   base64url_decode_lenient(dh, point, sizeof point, &bytes) && bytes == sizeof point &&
		   memcmp(point, push->vapid_key, sizeof point) == 0;
}

static uint32_t push_limited_sec(struct push *push) {
	const struct push_options *options = &push->service->options;
	if (!options->limits) {
		return 0;
	}
	return limits_take(options->limits, ev_now(options->loop), &push->subscription,
		push->is_proven ? push->claims.key_hash : NULL, push->has_paid ? NULL : push_client(push));
}

static void push_on_body(
	struct http_request *request, enum http_body_result result, struct slice body, void *ctx) {
	(void)request;
	struct push *push = ctx;
	push->body = body;
	switch (result) {
	case HTTP_BODY_BROKEN:
		metrics_add(push->service->options.metrics, METRIC_PUSH_ABANDONED, 1);
		push_finish(push);
		return;
	case HTTP_BODY_TOO_LARGE:
		push->verdict = PUSH_TOO_LARGE;
		push_look_up(push);
		return;
	case HTTP_BODY_OK:
		break;
	}
	uint32_t wait_sec = 0;
	if (push->service->options.strict_encryption && !push_body_is_strict(push)) {
		push->verdict = PUSH_BAD_ENCRYPTION;
	} else if (push_reuses_key(push)) {
		push->verdict = PUSH_KEY_REUSED;
	} else if ((wait_sec = push_limited_sec(push)) > 0) {
		push_refuse(push, PUSH_LIMITED, NULL, wait_sec);
		return;
	}
	if (push->verdict != PUSH_ACCEPTED) {
		push_look_up(push);
		return;
	}
	push_store(push);
}

static void push_store(struct push *push) {
	struct store_put put = {
		.device = push->device,
		.subscription = push->subscription,
		.has_key = push->is_proven,
		.ttl_sec = push->ttl_sec,
		.urgency = push->urgency,
		.topic = push->topic,
		.encoding = push->encoding,
		.encryption = {push->encryption, push->encryption_len},
		.crypto_key = {push->crypto_key, push->crypto_key_len},
		.body = push->body,
	};
	if (push->is_proven) {
		memcpy(put.key_hash, push->claims.key_hash, sizeof put.key_hash);
	}
	store_put(push->service->options.store, &put, push_on_stored, push);
}

/* Quotas begin anew at midnight, UTC. */
static uint32_t push_left_of_day_sec(const struct push *push) {
	int64_t now = (int64_t)ev_now(push->service->options.loop);
	return (uint32_t)(PUSH_DAY_SEC - now % PUSH_DAY_SEC);
}

static void push_on_stored(const struct store_put_result *result, void *ctx) {
	struct push *push = ctx;
	switch (result->outcome) {
	case STORE_OK:
		push_accept(push, result);
		return;
	case STORE_MISSING:
		push_refuse(push, PUSH_NOT_FOUND, NULL, 0);
		return;
	case STORE_GONE:
		push_refuse(push, PUSH_GONE, NULL, 0);
		return;
	case STORE_KEY_MISMATCH:
		/* Foreign, or not known yet? If neither any more, it came to be known meanwhile. */
		push->verdict = push->is_proven ? PUSH_KEY_LATER : PUSH_FORBIDDEN;
		push_look_up(push);
		return;
	case STORE_TOO_LARGE:
		push_refuse(push, PUSH_TOO_LARGE, NULL, 0);
		return;
	case STORE_OVER_QUOTA:
		push_refuse(push, PUSH_OVER_QUOTA, NULL, push_left_of_day_sec(push));
		return;
	case STORE_FULL:
	case STORE_UNAVAILABLE:
	case STORE_OUTCOME_COUNT:
		break;
	}
	push_refuse(push, PUSH_STORE_AWAY, NULL, 0);
}

/* Durable first: only now may the device see it. */
static bool push_deliver(struct push *push, const struct store_put_result *result) {
	bool is_transient = push->ttl_sec == 0;
	struct devices *devices = push->service->options.devices;
	if (!devices || !result->is_here || result->is_below_minimum ||
		(!result->is_stored && !is_transient)) {
		return false;
	}
	const struct store_message message = {
		.id = result->id,
		.channel = result->channel,
		.urgency = push->urgency,
		.expires_ms = result->expires_ms,
		.topic = push->topic,
		.encoding = push->encoding,
		.encryption = {push->encryption, push->encryption_len},
		.crypto_key = {push->crypto_key, push->crypto_key_len},
		.body = push->body,
	};
	return devices_deliver(devices, push->device, &message, result->previous, is_transient);
}

static void push_count(
	const struct push *push, const struct store_put_result *result, bool was_sent) {
	struct metrics *metrics = push->service->options.metrics;
	metrics_add(metrics, METRIC_PUSH_ACCEPTED, 1);
	if (push->ttl_sec == 0) {
		metrics_add(metrics, METRIC_PUSH_TRANSIENT, 1);
		metrics_add(metrics, METRIC_PUSH_TRANSIENT_SENT, was_sent);
	} else if (!result->is_stored) {
		metrics_add(metrics, METRIC_PUSH_UNFIT, 1);
	}
	struct push_service *service = push->service;
	bool is_dropped = result->evicted > 0 || (!result->is_stored && push->ttl_sec > 0);
	if (is_dropped && log_limit_pass(&service->overflow, ev_now(service->options.loop))) {
		log_warn("%s device=%02x%02x%02x%02x count=%u", service->overflow.event,
			push->device.bytes[0], push->device.bytes[1], push->device.bytes[2],
			push->device.bytes[3], result->evicted + (uint32_t)!result->is_stored);
	}
}

static void push_accept(struct push *push, const struct store_put_result *result) {
	const struct push_options *options = &push->service->options;
	push_count(push, result, push_deliver(push, result));
	char location[600], ttl[16], token[TOKEN_LENGTH + 1];
	token_make_message(push->service->keys, push->device, result->id, token);
	(void)snprintf(location, sizeof location, "%s/m/%s", options->public_url, token);
	(void)snprintf(ttl, sizeof ttl, "%u", push->ttl_sec);
	const struct http_answer_header headers[] = {
		{"Location", location},
		{"TTL", ttl},
		{"Access-Control-Allow-Origin", "*"},
		{"Access-Control-Expose-Headers", "Location, TTL"},
	};
	http_request_answer(push->request,
		&(struct http_answer){
			.status = 201, .headers = headers, .header_count = options->cors ? 4 : 2});
	push_finish(push);
}

static void push_refuse(
	struct push *push, enum push_verdict verdict, const char *message, uint32_t retry_after_sec) {
	push_answer_refusal(push->request, push->service->options.metrics, verdict, message,
		retry_after_sec, push->service->options.cors);
	push_finish(push);
}

static void push_finish(struct push *push) {
	push->service->pending--;
	free(push);
}
