/* SPDX-License-Identifier: Apache-2.0 */
/* A run asks for what it does not know yet until it knows all: ask -> on_answered -> ask … ->
 * finish. */
#include "distributor/jmap/mail_sync.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include "distributor/jmap/mail_sync_impl.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	SYNC_RECENT_MAX = 256,
	SYNC_REQUESTS_MAX = 100, /* of a run, whatever the server says */
	SYNC_NEWS_MAX = 64, /* names of mailboxes with news */
	SYNC_MARK_MAX = 100, /* mails in one Email/set */
	SYNC_TO_MARK_MAX = 1000,
};

static void sync_begin(struct mail_sync *sync);
static void sync_ask(struct mail_sync *sync);
static void sync_on_answered(const struct jmap_call_result *result, void *ctx);
static void sync_finish(struct mail_sync *sync);

void sync_set_text(char **text, const char *value) {
	char *copy = value ? mem_strdup(value) : NULL;
	free(*text);
	*text = copy;
}

int64_t sync_query_from_ms(const struct mail_sync *sync) {
	return sync->since_ms - SYNC_MARGIN_MS;
}

/* ---- the state that is kept ---- */

static char *sync_saved_state(const json_t *saved, const char *key) {
	const char *state = mail_read_state(saved, key);
	return state ? mem_strdup(state) : NULL;
}

static void sync_load(struct mail_sync *sync, const json_t *saved) {
	size_t i;
	json_t *id;
	sync->email_state = sync_saved_state(saved, "email");
	sync->box_state = sync_saved_state(saved, "mailbox");
	(void)json_get_integer(saved, "since", &sync->since_ms); /* absent: 0 */
	json_array_foreach(json_object_get(saved, "recent"), i, id) {
		if (mail_read_id(id) && i < SYNC_RECENT_MAX) {
			(void)json_array_append(sync->recent, id);
		}
	}
}

json_t *mail_sync_print(const struct mail_sync *sync) {
	return json_pack("{s:s*,s:s*,s:I,s:O}", "email", sync->email_state, "mailbox", sync->box_state,
		"since", (json_int_t)sync->since_ms, "recent", sync->recent);
}

/* ---- a run ---- */

static void sync_run_clear(struct sync_run *run) {
	sync_asked_clear(&run->asked);
	json_decref(run->boxes);
	json_decref(run->changed_boxes);
	free(run->box_state);
	free(run->email_state);
	mail_found_destroy(run->found);
	*run = (struct sync_run){0};
}

static void sync_begin(struct mail_sync *sync) {
	sync->is_running = true;
	sync->is_wanted = false;
	sync->run = (struct sync_run){
		.boxes = json_array(),
		.changed_boxes = json_array(),
		.found = mail_found_create(),
		.began_ms = clock_wall_ms(),
		.wants_query = !sync->email_state && sync->since_ms > 0,
	};
	sync_set_text(&sync->run.email_state, sync->email_state);
	sync_ask(sync);
}

/* Requests are made in their order, and one is under way at most: a run begins with the first. */
static void sync_ask(struct mail_sync *sync) {
	struct jmap_call *call = sync_ask_make(sync);
	if (sync->run.asked.calls == 0) { /* what was shown at the beginning is not any more */
		jmap_call_destroy(call);
		sync_finish(sync);
		return;
	}
	sync->run.requests++;
	jmap_client_send(sync->options.client, call, sync_on_answered, sync);
}

static void sync_fail(struct mail_sync *sync, const struct mail_sync_result *failed) {
	static const char *const none[] = {NULL};
	struct mail_sync_result result = *failed;
	result.mailboxes = none;
	sync_run_clear(&sync->run);
	sync->is_running = sync->is_wanted = false;
	sync->options.done(&result, sync->options.ctx);
}

static bool sync_knows_all(const struct mail_sync *sync) {
	const struct sync_run *run = &sync->run;
	json_t *wanted = mail_found_wanted(run->found, 1);
	bool is_whole = !wanted;
	json_decref(wanted);
	return run->has_boxes && run->has_emails && run->has_shown && is_whole;
}

/* An answer was too large. False when less cannot be asked for. */
static bool sync_ask_less(struct mail_sync *sync) {
	struct sync_run *run = &sync->run;
	if (!run->is_careful) {
		log_info("answer is too large, mails are asked for one by one login=%s account=%s",
			sync->options.config->name, sync->account_id);
		run->is_careful = true;
	} else if (run->asked.wanted.is_asked) {
		mail_found_make_do(run->found, json_string_value(json_array_get(run->asked.wanted_ids, 0)));
	} else {
		return false;
	}
	return run->requests < SYNC_REQUESTS_MAX;
}

static void sync_on_answered(const struct jmap_call_result *result, void *ctx) {
	struct mail_sync *sync = ctx;
	if (sync->run.requests == 1 && result->date_ms > 0) {
		sync->run.began_ms = result->date_ms; /* it is compared with receivedAt */
	}
	struct sync_trouble trouble = {0};
	if (result->is_too_large && sync_ask_less(sync)) {
		if (sync_knows_all(sync)) {
			sync_finish(sync);
		} else {
			sync_ask(sync);
		}
	} else if (result->outcome != JMAP_CALL_OK) {
		sync_fail(sync, &(struct mail_sync_result){.outcome = result->outcome,
							.reason = result->reason,
							.retry_after_sec = result->retry_after_sec});
	} else if (!sync_read(sync, result, &trouble)) {
		sync_fail(sync, &(struct mail_sync_result){.outcome = trouble.outcome,
							.reason = trouble.reason,
							.is_refused = trouble.outcome == JMAP_CALL_REFUSED,
							.retry_after_sec = -1});
		free(trouble.reason);
	} else if (sync_knows_all(sync)) {
		sync_finish(sync);
	} else if (sync->run.requests >= SYNC_REQUESTS_MAX) {
		sync_fail(sync, &(struct mail_sync_result){.outcome = JMAP_CALL_TRY_LATER,
							.reason = "the mail server's answers do not come to an end",
							.retry_after_sec = -1});
	} else {
		sync_ask(sync);
	}
}

/* ---- its end ---- */

static void sync_remember(struct mail_sync *sync, const struct mail *mails, size_t count) {
	for (size_t i = 0; i < count; i++) {
		if (json_array_size(sync->recent) >= SYNC_RECENT_MAX) {
			(void)json_array_remove(sync->recent, 0);
		}
		(void)json_array_append_new(sync->recent, json_string(mails[i].id));
	}
}

static void sync_add_name(const char **names, const char *name) {
	size_t count = 0;
	while (names[count] && name && strcmp(names[count], name) != 0) {
		count++;
	}
	if (name && count < SYNC_NEWS_MAX) {
		names[count] = name;
	}
}

/* Where new mails are, then where anything else changed. */
static void sync_name_boxes(const struct mail_sync *sync, const json_t *changed,
	const struct mail *mails, size_t count, const char *out_names[SYNC_NEWS_MAX + 1]) {
	size_t i;
	json_t *id;
	for (size_t at = 0; at < count; at++) {
		sync_add_name(out_names, mails[at].mailbox);
	}
	json_array_foreach(changed, i, id) {
		sync_add_name(out_names, mailboxes_name(sync->boxes, json_string_value(id)));
	}
}

static bool sync_differs(const char *before, const char *now) {
	return !before || strcmp(before, now) != 0;
}

/* Nobody asks this run for more: the next may begin before the result is told. */
static void sync_finish(struct mail_sync *sync) {
	struct sync_run run = sync->run;
	const char *names[SYNC_NEWS_MAX + 1] = {NULL};
	struct mail_sync_result result = {
		.outcome = JMAP_CALL_OK,
		.reason = "",
		.retry_after_sec = -1,
		.has_changed = sync_differs(sync->email_state, run.email_state) ||
					   sync_differs(sync->box_state, run.box_state),
		.more = mail_found_more(run.found),
		.unread = run.unread,
		.mailboxes = names,
	};
	result.mails = mail_found_list(run.found, &result.count);
	sync_name_boxes(sync, run.changed_boxes, result.mails, result.count, names);
	sync_remember(sync, result.mails, result.count);
	sync_set_text(&sync->email_state, run.email_state);
	sync_set_text(&sync->box_state, run.box_state);
	sync->since_ms = run.began_ms;
	sync->run = (struct sync_run){0};
	sync->is_running = false;
	if (sync->is_wanted) {
		sync_begin(sync);
	}
	sync->options.done(&result, sync->options.ctx);
	sync_run_clear(&run);
}

/* ---- marking ---- */

static void sync_mark(struct mail_sync *sync);

static void sync_log_unmarked(const struct mail_sync *sync, const char *error) {
	log_warn("mail was not marked as read login=%s account=%s error=\"%.200s\"",
		sync->options.config->name, sync->account_id, error);
}

static void sync_on_marked(const struct jmap_call_result *result, void *ctx) {
	struct mail_sync *sync = ctx;
	const char *error = "", *id;
	const json_t *answer = jmap_call_answer(result, 0, &error);
	json_t *value;
	sync->is_marking = false;
	if (!answer) {
		sync_log_unmarked(sync, result->outcome == JMAP_CALL_OK ? error : result->reason);
	}
	json_object_foreach(json_object_get(answer, "notUpdated"), id, value) {
		const char *type = json_string_value(json_object_get(value, "type"));
		if (!type || strcmp(type, "notFound") != 0) { /* gone is as good as read */
			sync_log_unmarked(sync, type ? type : "");
		}
	}
	sync_mark(sync);
}

static void sync_mark(struct mail_sync *sync) {
	json_t *update = json_object();
	while (json_array_size(sync->to_mark) > 0 && json_object_size(update) < SYNC_MARK_MAX) {
		const char *id = json_string_value(json_array_get(sync->to_mark, 0));
		(void)json_object_set_new(update, id, json_pack("{s:b}", "keywords/$seen", 1));
		(void)json_array_remove(sync->to_mark, 0);
	}
	if (json_object_size(update) == 0) {
		json_decref(update);
		return;
	}
	struct jmap_call *call = jmap_call_create();
	jmap_call_use(call, "urn:ietf:params:jmap:mail");
	(void)jmap_call_add(
		call, "Email/set", json_pack("{s:s,s:o}", "accountId", sync->account_id, "update", update));
	sync->is_marking = true;
	jmap_client_send(sync->options.client, call, sync_on_marked, sync);
}

void mail_sync_mark_read(struct mail_sync *sync, const char *email_id) {
	if (json_array_size(sync->to_mark) >= SYNC_TO_MARK_MAX) {
		sync_log_unmarked(sync, "too many at once");
		return;
	}
	(void)json_array_append_new(sync->to_mark, json_string(email_id));
	if (!sync->is_marking) {
		sync_mark(sync);
	}
}

/* ---- the whole ---- */

struct mail_sync *mail_sync_create(const struct mail_sync_options *options, const json_t *saved) {
	struct mail_sync *sync = mem_zalloc(sizeof *sync);
	sync->options = *options;
	sync->account_id = mem_strdup(options->account_id);
	sync->boxes = mailboxes_create(options->config->mailboxes);
	sync->recent = json_array();
	sync->to_mark = json_array();
	sync_load(sync, saved);
	return sync;
}

void mail_sync_destroy(struct mail_sync *sync) {
	if (!sync) {
		return;
	}
	jmap_client_cancel(sync->options.client, sync);
	sync_run_clear(&sync->run);
	mailboxes_destroy(sync->boxes);
	json_decref(sync->recent);
	json_decref(sync->to_mark);
	free(sync->account_id);
	free(sync->email_state);
	free(sync->box_state);
	free(sync);
}

const char *mail_sync_account(const struct mail_sync *sync) {
	return sync->account_id;
}

void mail_sync_run(struct mail_sync *sync) {
	if (sync->is_running) {
		sync->is_wanted = true;
	} else {
		sync_begin(sync);
	}
}

bool mail_sync_is_running(const struct mail_sync *sync) {
	return sync->is_running;
}

bool mail_sync_is_at(const struct mail_sync *sync, const char *type, const char *state) {
	const char *known = strcmp(type, "Email") == 0	   ? sync->email_state
						: strcmp(type, "Mailbox") == 0 ? sync->box_state
													   : NULL;
	return known && strcmp(known, state) == 0;
}
