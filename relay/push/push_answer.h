/* SPDX-License-Identifier: Apache-2.0 */
/* What the push endpoint can answer: one table of verdicts with status, error body and metric. */
#pragma once
#include "relay/http/request.h"
#include "relay/ops/metrics.h"

enum push_verdict {
	PUSH_ACCEPTED,
	PUSH_BAD_METHOD,
	PUSH_BAD_METHOD_MESSAGE,
	PUSH_NOT_FOUND,
	PUSH_NOT_FOUND_MESSAGE,
	PUSH_GONE,
	PUSH_UNAUTHENTICATED,
	PUSH_FORBIDDEN,
	PUSH_MISSING_TTL,
	PUSH_BAD_TTL,
	PUSH_BAD_URGENCY,
	PUSH_BAD_TOPIC,
	PUSH_BAD_CODING,
	PUSH_TOO_LARGE,
	PUSH_NOT_ENCRYPTED,
	PUSH_BAD_ENCRYPTION,
	PUSH_KEY_REUSED,
	PUSH_LIMITED,
	PUSH_OVER_QUOTA,
	PUSH_KEY_LATER,
	PUSH_STORE_AWAY,
	PUSH_OVERLOADED,
	PUSH_STOPPING,
	PUSH_VERDICT_COUNT
};

/* Counts, and answers anything but PUSH_ACCEPTED. message replaces the table's sentence (NULL: the
 * table's). retry_after_sec replaces the table's (0: the table's). Ends the request. */
void push_answer_refusal(struct http_request *request, struct metrics *metrics,
	enum push_verdict verdict, const char *message, uint32_t retry_after_sec, bool cors);
