/* SPDX-License-Identifier: Apache-2.0 */
/* One request a capability: a server that lacks it refuses the request as a whole. */
#include "distributor/jmap/type_states.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/mem.h"
#include "distributor/jmap/jmap_types.h"
#include <stdlib.h>
#include <string.h>

enum { TYPE_STATES_STATE_MAX = 255 };

/* One TYPE/get. */
struct type_state {
	char *account_id, *type;
	const char *capability;
};

struct type_states {
	struct type_states_options options;
	struct type_state *asked; /* sorted by capability */
	size_t count, at, end; /* what the present request asks for: from `at` to `end` */
	bool is_asking;
};

static void type_states_next(struct type_states *states);
static void type_states_on_answer(const struct jmap_call_result *result, void *ctx);

/* "" for what belongs to the core or is not known. */
static const char *type_states_capability(const char *type) {
	static const struct {
		const char *type, *capability;
	} others[] = {
		{"EmailSubmission", "urn:ietf:params:jmap:submission"},
		{"Identity", "urn:ietf:params:jmap:submission"},
		{"VacationResponse", "urn:ietf:params:jmap:vacationresponse"},
		{"Principal", "urn:ietf:params:jmap:principals"},
		{"ShareNotification", "urn:ietf:params:jmap:principals"},
		{"Quota", "urn:ietf:params:jmap:quota"},
		{"SieveScript", "urn:ietf:params:jmap:sieve"},
		{"FileNode", "urn:ietf:params:jmap:filenode"},
	};
	enum jmap_kind kind = jmap_type_kind(type);
	if (kind == JMAP_KIND_CALENDAR) {
		return "urn:ietf:params:jmap:calendars";
	}
	if (kind == JMAP_KIND_CONTACTS) {
		return "urn:ietf:params:jmap:contacts";
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		if (strcmp(others[i].type, type) == 0) {
			return others[i].capability;
		}
	}
	return "";
}

static void type_states_clear(struct type_states *states) {
	for (size_t i = 0; i < states->count; i++) {
		free(states->asked[i].account_id);
		free(states->asked[i].type);
	}
	free(states->asked);
	states->asked = NULL;
	states->count = states->at = states->end = 0;
	states->is_asking = false;
}

struct type_states *type_states_create(const struct type_states_options *options) {
	struct type_states *states = mem_zalloc(sizeof *states);
	states->options = *options;
	return states;
}

void type_states_destroy(struct type_states *states) {
	if (states) {
		jmap_client_cancel(states->options.client, states);
		type_states_clear(states);
		free(states);
	}
}

static int type_states_compare(const void *a, const void *b) {
	const struct type_state *one = a, *other = b;
	return strcmp(one->capability, other->capability);
}

/* CalendarAlert is pushed, but is no object that could be asked for. */
static bool type_states_can_ask(const char *type) {
	return jmap_type_kind(type) != JMAP_KIND_MAIL && strcmp(type, "CalendarAlert") != 0;
}

static size_t type_states_length(const void *const *list) {
	size_t count = 0;
	while (list && list[count]) {
		count++;
	}
	return count;
}

bool type_states_ask(
	struct type_states *states, const char *const *account_ids, char *const *types) {
	size_t accounts = type_states_length((const void *const *)account_ids);
	size_t kinds = type_states_length((const void *const *)types);
	if (states->is_asking) {
		return false;
	}
	states->asked = mem_zalloc((accounts * kinds + 1) * sizeof *states->asked);
	for (size_t i = 0; i < accounts * kinds; i++) {
		const char *type = types[i % kinds];
		if (type_states_can_ask(type)) {
			states->asked[states->count++] = (struct type_state){
				.account_id = mem_strdup(account_ids[i / kinds]),
				.type = mem_strdup(type),
				.capability = type_states_capability(type),
			};
		}
	}
	qsort(states->asked, states->count, sizeof *states->asked, type_states_compare);
	states->is_asking = states->count > 0;
	if (!states->is_asking) {
		type_states_clear(states);
		return false;
	}
	type_states_next(states);
	return true;
}

/* As many of one capability as the server takes at a time. */
static void type_states_next(struct type_states *states) {
	const struct jmap_session *session = jmap_client_session(states->options.client);
	size_t most = session && session->max_calls < 64 ? (size_t)session->max_calls : 16;
	const char *capability = states->asked[states->at].capability;
	struct jmap_call *call = jmap_call_create();
	if (capability[0]) {
		jmap_call_use(call, capability);
	}
	for (states->end = states->at; states->end < states->count && states->end - states->at < most &&
								   states->asked[states->end].capability == capability;
		 states->end++) {
		const struct type_state *asked = &states->asked[states->end];
		CLEANUP_FREE char *method = mem_printf("%s/get", asked->type);
		(void)jmap_call_add(call, method,
			json_pack(
				"{s:s,s:[],s:[s]}", "accountId", asked->account_id, "ids", "properties", "id"));
	}
	jmap_client_send(states->options.client, call, type_states_on_answer, states);
}

static void type_states_tell(struct type_states *states, const struct jmap_call_result *result) {
	for (size_t i = states->at; i < states->end; i++) {
		const char *error;
		struct slice state;
		const json_t *answer = jmap_call_answer(result, i - states->at, &error);
		if (json_get_string(answer, "state", &state) == JSON_PRESENT && state.len > 0 &&
			state.len <= TYPE_STATES_STATE_MAX && strlen(state.data) == state.len) {
			states->options.told(states->asked[i].account_id, states->asked[i].type, state.data,
				states->options.ctx);
		}
	}
}

static void type_states_on_answer(const struct jmap_call_result *result, void *ctx) {
	struct type_states *states = ctx;
	struct jmap_call_result whole = *result;
	if (result->outcome == JMAP_CALL_OK) {
		type_states_tell(states, result);
	} else if (result->outcome == JMAP_CALL_REFUSED) { /* not for this server, the others perhaps */
		whole.outcome = JMAP_CALL_OK;
	}
	states->at = states->end;
	if (whole.outcome == JMAP_CALL_OK && states->at < states->count) {
		type_states_next(states);
		return;
	}
	type_states_clear(states);
	states->options.done(&whole, states->options.ctx);
}
