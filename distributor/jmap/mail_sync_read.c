/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a run: what was asked for is taken, anything else is passed over. */
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include "distributor/jmap/mail_sync_impl.h"
#include <stdlib.h>
#include <string.h>

struct sync_reading {
	struct mail_sync *sync;
	const struct jmap_call_result *result;
	struct sync_trouble *trouble;
};

/* ---- trouble ---- */

static bool sync_fail_odd(struct sync_reading *reading, const char *method) {
	*reading->trouble = (struct sync_trouble){
		JMAP_CALL_TRY_LATER, mem_printf("the mail server's answer to %s makes no sense", method)};
	return false;
}

/* Errors that asking again would not mend. */
static bool sync_error_is_final(const char *error) {
	static const char *const finals[] = {"accountNotFound", "accountNotSupportedByMethod",
		"unknownMethod", "forbidden", "invalidArguments", "unknownCapability"};
	for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
		if (strcmp(error, finals[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool sync_fail_method(struct sync_reading *reading, const char *method, const char *error) {
	CLEANUP_FREE char *safe = sanitize_dup(slice_of(error), 100, SANITIZE_ONE_LINE);
	*reading->trouble =
		(struct sync_trouble){sync_error_is_final(error) ? JMAP_CALL_REFUSED : JMAP_CALL_TRY_LATER,
			error[0] ? mem_printf("the mail server answers %s with %s", method, safe)
					 : mem_printf("the mail server does not answer %s", method)};
	return false;
}

/* The answer's arguments; NULL with its error. */
static const json_t *sync_answer(
	const struct sync_reading *reading, struct sync_place place, const char **out_error) {
	return jmap_call_answer(reading->result, place.position, out_error);
}

static bool sync_is_too_large(const char *error) {
	return strcmp(error, "requestTooLarge") == 0;
}

/* ---- mailboxes ---- */

static void sync_take_boxes(struct mail_sync *sync, const json_t *list) {
	const char *missing;
	mailboxes_take(sync->boxes, list);
	sync->run.unread = mailboxes_unread(sync->boxes, list);
	sync->run.has_boxes = true;
	while ((missing = mailboxes_missing(sync->boxes))) {
		log_warn("there is no such mailbox login=%s account=%s mailbox=\"%s\"",
			sync->options.config->name, sync->account_id, missing);
	}
}

static bool sync_read_all_boxes(struct sync_reading *reading) {
	struct sync_run *run = &reading->sync->run;
	const char *error;
	const json_t *answer = sync_answer(reading, run->asked.all_boxes, &error);
	const char *state = mail_read_state(answer, "state");
	const json_t *list = json_object_get(answer, "list");
	if (!answer && sync_is_too_large(error) && run->asked.may_page_boxes) {
		run->wants_box_pages = true;
		return true;
	}
	if (!answer) {
		return sync_fail_method(reading, "Mailbox/get", error);
	}
	if (!state || !json_is_array(list)) {
		return sync_fail_odd(reading, "Mailbox/get");
	}
	sync_set_text(&run->box_state, state);
	sync_take_boxes(reading->sync, list);
	return true;
}

static bool sync_read_box_page(struct sync_reading *reading) {
	struct sync_run *run = &reading->sync->run;
	const char *error, *get_error;
	const json_t *query = sync_answer(reading, run->asked.box_query, &error);
	const json_t *get = sync_answer(reading, run->asked.queried_boxes, &get_error);
	json_t *list = json_object_get(get, "list");
	const char *state = mail_read_state(get, "state");
	size_t count = json_array_size(json_object_get(query, "ids"));
	if (!query) {
		return sync_fail_method(reading, "Mailbox/query", error);
	}
	if (!get) {
		return sync_fail_method(reading, "Mailbox/get", get_error);
	}
	if (!state || json_array_extend(run->boxes, list) < 0) {
		return sync_fail_odd(reading, "Mailbox/get");
	}
	if (run->box_pages++ == 0) {
		sync_set_text(&run->box_state, state); /* changes meanwhile are changes from it */
	}
	if (count < run->asked.boxes_most || json_array_size(list) == 0 ||
		run->box_pages >= SYNC_BOX_PAGES_MAX) {
		sync_take_boxes(reading->sync, run->boxes);
	}
	return true;
}

/* Do they say nothing but how many mails there are? */
static bool sync_are_counts(const json_t *properties) {
	static const char *const counts[] = {
		"totalEmails", "unreadEmails", "totalThreads", "unreadThreads"};
	size_t i, known = 0;
	json_t *property;
	json_array_foreach(properties, i, property) {
		for (size_t at = 0; at < sizeof counts / sizeof *counts; at++) {
			const char *name = json_string_value(property);
			known += name && strcmp(name, counts[at]) == 0;
		}
	}
	return json_is_array(properties) && known == json_array_size(properties);
}

/* Could others be the chosen ones now? The chosen ones themselves are looked at anyway. */
static bool sync_changes_matter(
	const struct mail_sync *sync, const struct mail_changes *changes, const json_t *answer) {
	size_t i;
	json_t *id;
	if (changes->has_more || json_array_size(changes->created) > 0 ||
		json_array_size(changes->destroyed) > 0) {
		return true;
	}
	if (sync_are_counts(json_object_get(answer, "updatedProperties"))) {
		return false;
	}
	json_array_foreach(changes->updated, i, id) {
		const char *one = mail_read_id(id);
		if (!one || !mail_ids_have(mailboxes_chosen(sync->boxes), one)) {
			return true;
		}
	}
	return false;
}

static void sync_note_boxes(struct sync_run *run, const json_t *ids) {
	size_t i;
	json_t *id;
	json_array_foreach(ids, i, id) {
		if (mail_read_id(id) && json_array_size(run->changed_boxes) < MAILBOXES_MAX) {
			(void)json_array_append(run->changed_boxes, id);
		}
	}
}

/* The chosen ones. When they are not what they were, all are forgotten: to be asked for anew. */
static void sync_read_chosen_boxes(struct sync_reading *reading) {
	struct mail_sync *sync = reading->sync;
	struct sync_run *run = &sync->run;
	const char *error;
	const json_t *answer = sync_answer(reading, run->asked.box_changes, &error);
	const json_t *chosen = sync_answer(reading, run->asked.chosen_boxes, &error);
	const json_t *list = json_object_get(chosen, "list");
	struct mail_changes changes;
	bool is_good = mail_changes_read(answer, MAILBOXES_MAX, &changes) == MAIL_CHANGES_GOOD;
	if (is_good) {
		sync_note_boxes(run, changes.created);
		sync_note_boxes(run, changes.updated);
	}
	if (!is_good || sync_changes_matter(sync, &changes, answer) ||
		!mailboxes_check(sync->boxes, list)) {
		log_debug("jmap", "mailboxes are asked for anew login=%s", sync->options.config->name);
		mailboxes_forget(sync->boxes);
		return;
	}
	sync_set_text(&run->box_state, changes.new_state);
	run->unread = mailboxes_unread(sync->boxes, list);
	run->has_boxes = true;
}

static bool sync_read_boxes(struct sync_reading *reading) {
	const struct sync_asked *asked = &reading->sync->run.asked;
	if (asked->all_boxes.is_asked) {
		return sync_read_all_boxes(reading);
	}
	if (asked->box_query.is_asked) {
		return sync_read_box_page(reading);
	}
	if (asked->box_changes.is_asked) {
		sync_read_chosen_boxes(reading);
	}
	return true;
}

/* ---- mails ---- */

static bool sync_is_recent(const struct mail_sync *sync, const char *id) {
	return mail_ids_have(sync->recent, id);
}

/* Is it news? */
static void sync_consider(struct mail_sync *sync, const struct mail_facts *facts, bool is_whole) {
	struct sync_run *run = &sync->run;
	const char *mailbox = mailboxes_of_news(sync->boxes, facts->mailbox_ids);
	bool is_old = run->wants_query && facts->received_ms < sync_query_from_ms(sync);
	if (!mailbox || facts->is_seen || facts->is_draft || is_old ||
		sync_is_recent(sync, facts->id)) {
		mail_found_drop(run->found, facts->id);
	} else {
		mail_found_put(run->found, facts, mailbox, is_whole);
	}
}

/* Those of a list of Emails that were asked for. */
static void sync_consider_list(
	struct mail_sync *sync, const json_t *list, const json_t *ids, bool is_whole) {
	size_t i;
	json_t *email;
	json_array_foreach(list, i, email) {
		struct mail_facts facts;
		if (mail_facts_read(email, &facts) && mail_ids_have(ids, facts.id)) {
			sync_consider(sync, &facts, is_whole);
		}
	}
}

static void sync_note_ids(struct mail_sync *sync, const json_t *ids, size_t most) {
	size_t i;
	json_t *value;
	json_array_foreach(ids, i, value) {
		const char *id = mail_read_id(value);
		if (id && i < most && !sync_is_recent(sync, id)) {
			mail_found_note(sync->run.found, id);
		}
	}
}

/* New mails by their ids, and by the answer to an Email/get of them. */
static bool sync_read_new(struct sync_reading *reading, const json_t *ids, size_t most,
	struct sync_place get, bool is_whole) {
	const char *error;
	if (!get.is_asked) {
		sync_note_ids(reading->sync, ids, most);
		return true;
	}
	const json_t *answer = sync_answer(reading, get, &error);
	if (!answer && sync_is_too_large(error)) {
		sync_note_ids(reading->sync, ids, most);
		return true;
	}
	if (!answer) {
		return sync_fail_method(reading, "Email/get", error);
	}
	if (!json_is_array(json_object_get(answer, "list"))) {
		return sync_fail_odd(reading, "Email/get");
	}
	sync_consider_list(reading->sync, json_object_get(answer, "list"), ids, is_whole);
	return true;
}

static bool sync_read_state(struct sync_reading *reading) {
	struct sync_run *run = &reading->sync->run;
	const char *error;
	const json_t *answer = sync_answer(reading, run->asked.state, &error);
	const char *state = mail_read_state(answer, "state");
	if (!answer) {
		return sync_fail_method(reading, "Email/get", error);
	}
	if (!state) {
		return sync_fail_odd(reading, "Email/get");
	}
	sync_set_text(&run->email_state, state);
	run->has_emails =
		!run->wants_query || json_array_size(mailboxes_chosen(reading->sync->boxes)) == 0;
	return true;
}

static void sync_turn_to_query(struct mail_sync *sync, const char *why) {
	struct sync_run *run = &sync->run;
	log_info("changes of mail are not told, unread ones are asked for login=%s account=%s "
			 "reason=\"%s\"",
		sync->options.config->name, sync->account_id, why);
	run->wants_query = true;
	sync_set_text(&run->email_state, NULL);
	mail_found_clear(run->found);
}

static bool sync_is_of_account(const struct mail_sync *sync, const json_t *answer) {
	const char *id = json_string_value(json_object_get(answer, "accountId"));
	return !id || strcmp(id, sync->account_id) == 0;
}

/* A mail that was found on an earlier page may have changed or gone. */
static void sync_read_updated(struct sync_run *run, const struct mail_changes *changes) {
	size_t i;
	json_t *value;
	json_array_foreach(changes->updated, i, value) {
		const char *id = mail_read_id(value);
		if (id && mail_found_has(run->found, id)) {
			mail_found_note(run->found, id);
		}
	}
}

static void sync_read_destroyed(struct sync_run *run, const struct mail_changes *changes) {
	size_t i;
	json_t *value;
	json_array_foreach(changes->destroyed, i, value) {
		const char *id = mail_read_id(value);
		if (id) {
			mail_found_drop(run->found, id);
		}
	}
}

static bool sync_read_changes(struct sync_reading *reading) {
	struct mail_sync *sync = reading->sync;
	struct sync_run *run = &sync->run;
	const char *error;
	const json_t *answer = sync_answer(reading, run->asked.changes, &error);
	struct mail_changes changes;
	if (strcmp(error, "cannotCalculateChanges") == 0 || strcmp(error, "invalidArguments") == 0) {
		sync_turn_to_query(sync, error);
		return true;
	}
	if (!answer) {
		return sync_fail_method(reading, "Email/changes", error);
	}
	switch (mail_changes_read(answer, run->asked.changes_most, &changes)) {
	case MAIL_CHANGES_ODD:
		return sync_fail_odd(reading, "Email/changes");
	case MAIL_CHANGES_TOO_MANY:
		sync_turn_to_query(sync, "more than were asked for");
		return true;
	case MAIL_CHANGES_GOOD:
		break;
	}
	if (!sync_is_of_account(sync, answer)) {
		return sync_fail_odd(reading, "Email/changes");
	}
	sync_read_updated(run, &changes);
	if (!sync_read_new(
			reading, changes.created, SIZE_MAX, run->asked.created, run->asked.is_whole)) {
		return false;
	}
	sync_read_destroyed(run, &changes);
	bool is_stuck = strcmp(changes.new_state, run->email_state) == 0;
	if (changes.has_more && (is_stuck || ++run->pages >= SYNC_PAGES_MAX)) {
		sync_turn_to_query(sync, "they do not come to an end");
		return true;
	}
	sync_set_text(&run->email_state, changes.new_state);
	run->has_emails = !changes.has_more;
	return true;
}

static bool sync_read_query(struct sync_reading *reading) {
	struct mail_sync *sync = reading->sync;
	struct sync_run *run = &sync->run;
	const char *error;
	const json_t *answer = sync_answer(reading, run->asked.query, &error);
	run->has_emails = true;
	if (!answer && (sync_error_is_final(error) || strcmp(error, "unsupportedFilter") == 0 ||
					   strcmp(error, "unsupportedSort") == 0)) {
		log_warn("mails that came meanwhile are not known login=%s account=%s error=\"%.100s\"",
			sync->options.config->name, sync->account_id, error);
		return true;
	}
	if (!answer) {
		return sync_fail_method(reading, "Email/query", error);
	}
	return sync_read_new(reading, json_object_get(answer, "ids"), MAIL_SYNC_FETCH_MAX,
		run->asked.queried, run->asked.is_whole);
}

static bool sync_read_emails(struct sync_reading *reading) {
	const struct sync_asked *asked = &reading->sync->run.asked;
	if (asked->state.is_asked && !sync_read_state(reading)) {
		return false;
	}
	if (asked->changes.is_asked) {
		return sync_read_changes(reading);
	}
	return !asked->query.is_asked || sync_read_query(reading);
}

/* ---- mails that are known ---- */

static void sync_read_shown(struct sync_reading *reading) {
	struct mail_sync *sync = reading->sync;
	const struct sync_asked *asked = &sync->run.asked;
	const char *error;
	const json_t *answer = sync_answer(reading, asked->shown, &error); /* NULL: they stay */
	size_t i;
	json_t *value;
	sync->run.has_shown = true;
	json_array_foreach(json_object_get(answer, "list"), i, value) {
		struct mail_facts facts;
		if (mail_facts_read(value, &facts) && mail_ids_have(asked->shown_ids, facts.id) &&
			(facts.is_seen || !mailboxes_of_news(sync->boxes, facts.mailbox_ids))) {
			sync->options.settled(facts.id, sync->options.ctx);
		}
	}
	json_array_foreach(json_object_get(answer, "notFound"), i, value) {
		const char *id = mail_read_id(value);
		if (id && mail_ids_have(asked->shown_ids, id)) {
			sync->options.settled(id, sync->options.ctx);
		}
	}
}

static bool sync_read_wanted(struct sync_reading *reading) {
	struct mail_sync *sync = reading->sync;
	const json_t *ids = sync->run.asked.wanted_ids;
	const char *error;
	const json_t *answer = sync_answer(reading, sync->run.asked.wanted, &error);
	const json_t *list = json_object_get(answer, "list");
	size_t i, at;
	json_t *id, *email;
	if (!answer) {
		return sync_fail_method(reading, "Email/get", error);
	}
	json_array_foreach(ids, i, id) { /* gone, unless the answer has it */
		bool is_there = false;
		json_array_foreach(list, at, email) {
			const char *one = mail_read_id(json_object_get(email, "id"));
			is_there |= one && strcmp(one, json_string_value(id)) == 0;
		}
		if (!is_there) {
			mail_found_drop(sync->run.found, json_string_value(id));
		}
	}
	sync_consider_list(sync, list, ids, true);
	return true;
}

bool sync_read(struct mail_sync *sync, const struct jmap_call_result *result,
	struct sync_trouble *out_trouble) {
	struct sync_reading reading = {sync, result, out_trouble};
	if (!sync_read_boxes(&reading)) {
		return false;
	}
	if (!sync->run.has_boxes) {
		return true; /* what is news cannot be told without them: all of it again */
	}
	if (!sync_read_emails(&reading)) {
		return false;
	}
	if (sync->run.asked.shown.is_asked) {
		sync_read_shown(&reading);
	}
	return !sync->run.asked.wanted.is_asked || sync_read_wanted(&reading);
}
