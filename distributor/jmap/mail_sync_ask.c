/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of a run: mostly one, with result references from call to call. */
#include "common/cleanup.h"
#include "distributor/jmap/jmap_date.h"
#include "distributor/jmap/mail_sync_impl.h"

#define MAIL_CAPABILITY "urn:ietf:params:jmap:mail"

struct sync_limits {
	size_t calls, objects;
};

/* A request in the making. */
struct sync_asking {
	struct mail_sync *sync;
	struct sync_asked *asked;
	struct sync_limits limits;
	struct jmap_call *call;
};

static struct sync_limits sync_limits(const struct mail_sync *sync) {
	const struct jmap_session *session = jmap_client_session(sync->options.client);
	struct sync_limits limits = {1, 500}; /* not known yet: the least that can be */
	if (session) {
		limits.calls = (size_t)session->max_calls;
		limits.objects = (size_t)session->max_objects_get;
	}
	return limits;
}

static size_t sync_room(const struct sync_asking *asking) {
	return asking->limits.calls - asking->asked->calls;
}

/* ---- calls ---- */

static struct sync_place sync_add(
	struct sync_asking *asking, const char *method, json_t *take_arguments) {
	(void)json_object_set_new(take_arguments, "accountId", json_string(asking->sync->account_id));
	asking->asked->calls++;
	return (struct sync_place){true, jmap_call_add(asking->call, method, take_arguments)};
}

static struct sync_place sync_add_get(
	struct sync_asking *asking, const char *method, json_t *take_ids, json_t *take_properties) {
	return sync_add(
		asking, method, json_pack("{s:o,s:o}", "ids", take_ids, "properties", take_properties));
}

/* Of the ids in the answer of another call. */
static struct sync_place sync_add_get_of(struct sync_asking *asking, const char *method,
	struct sync_place source, const char *source_method, const char *path,
	json_t *take_properties) {
	json_t *ids = jmap_call_reference(source.position, source_method, path);
	return sync_add(
		asking, method, json_pack("{s:o,s:o}", "#ids", ids, "properties", take_properties));
}

static json_t *sync_light_properties(void) {
	return json_pack("[s,s,s,s]", "id", "mailboxIds", "keywords", "receivedAt");
}

/* The text is for notices alone. */
static json_t *sync_whole_properties(const struct mail_sync *sync) {
	return sync->options.config->notify
			   ? json_pack("[s,s,s,s,s,s,s,s,s]", "id", "blobId", "threadId", "mailboxIds",
					 "keywords", "receivedAt", "from", "subject", "preview")
			   : sync_light_properties();
}

/* ---- mailboxes ---- */

static void sync_ask_box_page(struct sync_asking *asking) {
	struct sync_asked *asked = asking->asked;
	asked->boxes_most = asking->limits.objects;
	asked->box_query = sync_add(asking, "Mailbox/query",
		json_pack("{s:I,s:I}", "position", (json_int_t)json_array_size(asking->sync->run.boxes),
			"limit", (json_int_t)asked->boxes_most));
	asked->queried_boxes = sync_add_get_of(
		asking, "Mailbox/get", asked->box_query, "Mailbox/query", "/ids", mailboxes_properties());
}

static void sync_ask_boxes(struct sync_asking *asking) {
	const struct mail_sync *sync = asking->sync;
	struct sync_asked *asked = asking->asked;
	json_t *chosen = (json_t *)(uintptr_t)mailboxes_chosen(sync->boxes);
	if (!mailboxes_are_known(sync->boxes) || !sync->box_state ||
		asking->limits.calls < SYNC_CALLS_USUAL ||
		json_array_size(chosen) > asking->limits.objects) {
		asked->all_boxes = sync_add_get(asking, "Mailbox/get", json_null(), mailboxes_properties());
		asked->may_page_boxes = asking->limits.calls >= 2;
		return;
	}
	asked->box_changes =
		sync_add(asking, "Mailbox/changes", json_pack("{s:s}", "sinceState", sync->box_state));
	asked->chosen_boxes =
		sync_add_get(asking, "Mailbox/get", json_incref(chosen), mailboxes_properties());
}

/* ---- changes ---- */

static void sync_ask_state(struct sync_asking *asking) {
	asking->asked->state = sync_add_get(asking, "Email/get", json_array(), sync_light_properties());
}

static void sync_ask_changes(struct sync_asking *asking) {
	const struct sync_run *run = &asking->sync->run;
	struct sync_asked *asked = asking->asked;
	bool is_first = run->pages == 0;
	asked->is_whole = is_first && !run->is_careful;
	size_t most = is_first ? SYNC_CHANGES_FIRST : SYNC_CHANGES_NEXT;
	asked->changes_most = most < asking->limits.objects ? most : asking->limits.objects;
	asked->changes = sync_add(asking, "Email/changes",
		json_pack("{s:s,s:I}", "sinceState", run->email_state, "maxChanges",
			(json_int_t)asked->changes_most));
	if (sync_room(asking) > 0) {
		asked->created =
			sync_add_get_of(asking, "Email/get", asked->changes, "Email/changes", "/created",
				asked->is_whole ? sync_whole_properties(asking->sync) : sync_light_properties());
	}
}

/* One condition for each mailbox; servers understand that better than one with an operator inside.
 */
static json_t *sync_filter(const struct mail_sync *sync) {
	CLEANUP_FREE char *after = jmap_date_print(sync_query_from_ms(sync));
	json_t *conditions = json_array(), *id;
	size_t i;
	json_array_foreach(mailboxes_chosen(sync->boxes), i, id) {
		(void)json_array_append_new(conditions,
			json_pack("{s:O,s:s,s:s}", "inMailbox", id, "after", after, "notKeyword", "$seen"));
	}
	json_t *filter = json_array_size(conditions) == 1
						 ? json_incref(json_array_get(conditions, 0))
						 : json_pack("{s:s,s:O}", "operator", "OR", "conditions", conditions);
	json_decref(conditions);
	return filter;
}

/* The state first: what comes between the calls is a change from it. */
static void sync_ask_query(struct sync_asking *asking) {
	const struct mail_sync *sync = asking->sync;
	struct sync_asked *asked = asking->asked;
	if (!sync->run.email_state) {
		sync_ask_state(asking);
	}
	if (sync_room(asking) == 0 || json_array_size(mailboxes_chosen(sync->boxes)) == 0) {
		return;
	}
	asked->query = sync_add(asking, "Email/query",
		json_pack("{s:o,s:[{s:s,s:b}],s:i}", "filter", sync_filter(sync), "sort", "property",
			"receivedAt", "isAscending", 0, "limit", MAIL_SYNC_FETCH_MAX));
	asked->is_whole = !sync->run.is_careful;
	if (sync_room(asking) > 0) {
		asked->queried = sync_add_get_of(asking, "Email/get", asked->query, "Email/query", "/ids",
			asked->is_whole ? sync_whole_properties(sync) : sync_light_properties());
	}
}

static void sync_ask_emails(struct sync_asking *asking) {
	const struct sync_run *run = &asking->sync->run;
	if (run->wants_query) {
		if (run->has_boxes) { /* else they come first */
			sync_ask_query(asking);
		}
	} else if (run->email_state) {
		sync_ask_changes(asking);
	} else {
		sync_ask_state(asking);
	}
}

/* ---- mails that are known ---- */

/* Those on the screen: each was news here. */
static void sync_ask_shown(struct sync_asking *asking) {
	struct mail_sync *sync = asking->sync;
	json_t *ids = json_array(), *id;
	size_t i;
	json_array_foreach(sync->recent, i, id) {
		if (json_array_size(ids) < asking->limits.objects &&
			sync->options.is_shown(json_string_value(id), sync->options.ctx)) {
			(void)json_array_append(ids, id);
		}
	}
	asking->asked->shown_ids = ids;
	sync->run.has_shown = json_array_size(ids) == 0;
	if (!sync->run.has_shown) {
		asking->asked->shown =
			sync_add_get(asking, "Email/get", json_incref(ids), sync_light_properties());
	}
}

static void sync_ask_wanted(struct sync_asking *asking) {
	struct sync_asked *asked = asking->asked;
	const struct sync_run *run = &asking->sync->run;
	size_t objects = run->is_careful ? 1 : asking->limits.objects;
	asked->wanted_ids = mail_found_wanted(
		run->found, objects < MAIL_SYNC_FETCH_MAX ? objects : (size_t)MAIL_SYNC_FETCH_MAX);
	if (asked->wanted_ids) {
		asked->wanted = sync_add_get(asking, "Email/get", json_incref(asked->wanted_ids),
			sync_whole_properties(asking->sync));
	}
}

/* ---- the request ---- */

void sync_asked_clear(struct sync_asked *asked) {
	json_decref(asked->shown_ids);
	json_decref(asked->wanted_ids);
	*asked = (struct sync_asked){0};
}

struct jmap_call *sync_ask_make(struct mail_sync *sync) {
	struct sync_run *run = &sync->run;
	struct sync_asking asking = {sync, &run->asked, sync_limits(sync), jmap_call_create()};
	jmap_call_use(asking.call, MAIL_CAPABILITY);
	sync_asked_clear(&run->asked);
	if (!run->has_boxes && run->wants_box_pages) {
		sync_ask_box_page(&asking);
		return asking.call;
	}
	if (!run->has_boxes) {
		sync_ask_boxes(&asking);
	}
	if (!run->has_emails && sync_room(&asking) > 0) {
		sync_ask_emails(&asking);
	} else if (run->has_boxes && run->has_emails) {
		sync_ask_wanted(&asking);
	}
	if (!run->has_shown && sync_room(&asking) > 0) {
		sync_ask_shown(&asking);
	}
	return asking.call;
}
