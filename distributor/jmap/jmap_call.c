/* SPDX-License-Identifier: Apache-2.0 */
/* One request of several method calls, and what its answer is worth. */
#include "distributor/jmap/jmap_call.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JMAP_CALL_ANSWER_MAX = 8 << 20, JMAP_CALL_TIMEOUT_MS = 30000 };

struct jmap_call {
	json_t *use, *calls;
};

struct jmap_call *jmap_call_create(void) {
	struct jmap_call *call = mem_zalloc(sizeof *call);
	call->use = json_pack("[s]", "urn:ietf:params:jmap:core");
	call->calls = json_array();
	return call;
}

void jmap_call_destroy(struct jmap_call *call) {
	if (call) {
		json_decref(call->use);
		json_decref(call->calls);
		free(call);
	}
}

struct jmap_call *jmap_call_copy(const struct jmap_call *call) {
	struct jmap_call *copy = mem_zalloc(sizeof *copy);
	copy->use = json_incref(call->use);
	copy->calls = json_incref(call->calls);
	return copy;
}

void jmap_call_use(struct jmap_call *call, const char *capability) {
	size_t i;
	json_t *known;
	json_array_foreach(call->use, i, known) {
		if (strcmp(json_string_value(known), capability) == 0) {
			return;
		}
	}
	(void)json_array_append_new(call->use, json_string(capability));
}

size_t jmap_call_add(struct jmap_call *call, const char *method, json_t *take_arguments) {
	size_t position = json_array_size(call->calls);
	char id[24];
	(void)snprintf(id, sizeof id, "%zu", position);
	(void)json_array_append_new(call->calls, json_pack("[s,o,s]", method, take_arguments, id));
	return position;
}

json_t *jmap_call_reference(size_t position, const char *method, const char *path) {
	char id[24];
	(void)snprintf(id, sizeof id, "%zu", position);
	return json_pack("{s:s,s:s,s:s}", "resultOf", id, "name", method, "path", path);
}

/* ---- the answer ---- */

struct jmap_sent {
	struct fetch *fetch;
	jmap_called_fn *done;
	void *ctx;
};

const json_t *jmap_call_answer(
	const struct jmap_call_result *result, size_t position, const char **out_error) {
	char id[24];
	(void)snprintf(id, sizeof id, "%zu", position);
	*out_error = "";
	for (size_t i = 0; i < json_array_size(result->answers); i++) {
		const json_t *answer = json_array_get(result->answers, i);
		const char *name = json_string_value(json_array_get(answer, 0));
		const char *whose = json_string_value(json_array_get(answer, 2));
		const json_t *arguments = json_array_get(answer, 1);
		if (!name || !whose || strcmp(whose, id) != 0 || !json_is_object(arguments)) {
			continue;
		}
		if (strcmp(name, "error") != 0) {
			return arguments;
		}
		const char *type = json_string_value(json_object_get(arguments, "type"));
		*out_error = type ? type : "serverFail";
		return NULL;
	}
	return NULL;
}

/* An answer that is no 200 (RFC 7807, RFC 8620 3.6.1); absent ones are empty. */
struct jmap_problem {
	json_t *json;
	struct slice type, detail, limit;
};

static void jmap_problem_read(struct slice body, struct jmap_problem *problem) {
	*problem = (struct jmap_problem){.json = json_parse(body)};
	(void)json_get_string(problem->json, "type", &problem->type);
	(void)json_get_string(problem->json, "detail", &problem->detail);
	(void)json_get_string(problem->json, "limit", &problem->limit);
}

static char *jmap_problem_print(const struct jmap_problem *problem, int status) {
	CLEANUP_FREE char *type = sanitize_dup(problem->type, 100, SANITIZE_ONE_LINE);
	CLEANUP_FREE char *detail = sanitize_dup(problem->detail, 200, SANITIZE_ONE_LINE);
	return mem_printf("the mail server answered with status %d%s%s%s%s", status,
		type[0] ? ", " : "", type, detail[0] ? ": " : "", detail);
}

static bool jmap_problem_is_limit(const struct jmap_problem *problem) {
	return slice_equals(problem->type, "urn:ietf:params:jmap:error:limit");
}

/* What is too much now is fine later. */
static bool jmap_problem_is_busy(const struct jmap_problem *problem) {
	return jmap_problem_is_limit(problem) &&
		   (slice_equals(problem->limit, "maxConcurrentRequests") ||
			   slice_starts_with(problem->limit, "rate"));
}

static bool jmap_problem_is_size(const struct jmap_problem *problem, int status) {
	return status == 413 ||
		   (jmap_problem_is_limit(problem) && slice_equals(problem->limit, "maxSizeRequest"));
}

static enum jmap_call_outcome jmap_call_outcome_of(int status, const struct jmap_problem *problem) {
	switch (status) {
	case 401:
		return JMAP_CALL_UNAUTHORIZED;
	case 403:
		return JMAP_CALL_LOCKED;
	case 408:
	case 429:
		return JMAP_CALL_TRY_LATER;
	default:
		return status >= 400 && status < 500 && !jmap_problem_is_busy(problem)
				   ? JMAP_CALL_REFUSED
				   : JMAP_CALL_TRY_LATER;
	}
}

static void jmap_call_read(
	const struct fetch_result *fetched, struct jmap_call_result *result, json_t **out_json) {
	json_t *json = json_parse(fetched->body);
	*out_json = json;
	result->answers = json_object_get(json, "methodResponses");
	if (!json_is_array(result->answers)) {
		result->outcome = JMAP_CALL_TRY_LATER;
		result->reason = "the mail server's answer is no JMAP";
		return;
	}
	(void)json_get_string(json, "sessionState", &result->session_state); /* absent: empty */
}

static void jmap_call_on_fetched(const struct fetch_result *fetched, void *ctx) {
	struct jmap_sent *sent = ctx;
	CLEANUP_FREE char *reason = NULL;
	struct jmap_problem problem = {.json = NULL};
	json_t *json = NULL;
	struct jmap_call_result result = {.outcome = JMAP_CALL_TRY_LATER,
		.reason = fetched->reason,
		.retry_after_sec = fetched->retry_after_sec,
		.is_too_large = fetched->outcome == FETCH_TOO_LARGE,
		.date_ms = fetched->date_ms,
		.took_ms = fetched->took_ms};
	if (fetched->outcome == FETCH_ANSWERED && fetched->status == 200) {
		result.outcome = JMAP_CALL_OK;
		result.status = fetched->status;
		jmap_call_read(fetched, &result, &json);
	} else if (fetched->outcome == FETCH_ANSWERED) {
		jmap_problem_read(fetched->body, &problem);
		result.outcome = jmap_call_outcome_of(fetched->status, &problem);
		result.status = fetched->status;
		result.is_too_large = jmap_problem_is_size(&problem, fetched->status);
		reason = jmap_problem_print(&problem, fetched->status);
		result.reason = reason;
	}
	sent->done(&result, sent->ctx);
	json_decref(problem.json);
	json_decref(json);
	free(sent);
}

struct jmap_sent *jmap_call_send(struct jmap_call *take_call, struct fetcher *fetcher,
	const struct jmap_session *session, const struct fetch_options *how, jmap_called_fn *done,
	void *ctx) {
	json_t *json = json_pack("{s:O,s:O}", "using", take_call->use, "methodCalls", take_call->calls);
	CLEANUP_FREE char *body = json_dumps(json, JSON_COMPACT);
	struct fetch_options options = *how;
	struct jmap_sent *sent = mem_zalloc(sizeof *sent);
	json_decref(json);
	jmap_call_destroy(take_call);
	sent->done = done;
	sent->ctx = ctx;
	options.url = session->api_url;
	options.content_type = "application/json";
	options.accept = JMAP_ACCEPT;
	options.body = slice_of(body);
	options.timeout_ms = options.timeout_ms > 0 ? options.timeout_ms : JMAP_CALL_TIMEOUT_MS;
	options.max_bytes = JMAP_CALL_ANSWER_MAX;
	sent->fetch = fetch_start(fetcher, &options, jmap_call_on_fetched, sent);
	return sent;
}

void jmap_sent_cancel(struct jmap_sent *sent) {
	if (sent) {
		fetch_cancel(sent->fetch);
		free(sent);
	}
}
