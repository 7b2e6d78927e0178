/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Method calls of RFC 8620 section 3: several in one request, answered in order. A request-level or
 * method-level error becomes an outcome with a sentence; nothing else of a malformed answer is
 * believed.
 */
#pragma once
#include "distributor/jmap/jmap_session.h"

/* A request in the making. */
struct jmap_call;
struct jmap_call *jmap_call_create(void);
void jmap_call_destroy(struct jmap_call *call);
/* To be sent again; neither may be added to any more. */
struct jmap_call *jmap_call_copy(const struct jmap_call *call);
/* `using` beyond core and mail; may be named twice. */
void jmap_call_use(struct jmap_call *call, const char *capability);
/* Its position names it in the answer. Takes arguments. */
size_t jmap_call_add(struct jmap_call *call, const char *method, json_t *take_arguments);
/* A result reference (section 3.7), to be put into arguments under "#name". */
json_t *jmap_call_reference(size_t position, const char *method, const char *path);

enum jmap_call_outcome {
	JMAP_CALL_OK, /* each method answered, perhaps with an error of its own */
	JMAP_CALL_UNAUTHORIZED,
	JMAP_CALL_LOCKED, /* 403 */
	JMAP_CALL_TRY_LATER, /* network, 429, 5xx, malformed, a limit on requests at a time */
	JMAP_CALL_REFUSED /* 400 with a problem type: asking again would not help */
};
struct jmap_call_result {
	enum jmap_call_outcome outcome;
	int status; /* of HTTP; 0: nothing was answered */
	const json_t *answers; /* array of [name, arguments, id], OK alone */
	struct slice session_state; /* RFC 8620 3.4: another one than the session's: fetch it anew */
	const char *reason;
	int64_t retry_after_sec;
	bool is_too_large; /* TRY_LATER, REFUSED: asking for less might help */
	int64_t date_ms; /* the server's clock; 0: not said */
	int64_t took_ms;
};
typedef void jmap_called_fn(const struct jmap_call_result *result, void *ctx);
/* The arguments of one method's answer; NULL when it failed, with its error type in *out_error
 * ("cannotCalculateChanges"; "" when there is no answer at all). */
const json_t *jmap_call_answer(
	const struct jmap_call_result *result, size_t position, const char **out_error);

/* A request on its way. */
struct jmap_sent;
/* Sends it; takes the call. `how` gives auth, certificates and perhaps a time limit. */
struct jmap_sent *jmap_call_send(struct jmap_call *take_call, struct fetcher *fetcher,
	const struct jmap_session *session, const struct fetch_options *how, jmap_called_fn *done,
	void *ctx);
/* No callback comes any more. NULL is fine; not from within it. */
void jmap_sent_cancel(struct jmap_sent *sent);
