/* SPDX-License-Identifier: Apache-2.0 */
/* A run of mail_sync and what it has come to know; for its own files. */
#pragma once
#include "distributor/jmap/mail_found.h"
#include "distributor/jmap/mail_read.h"
#include "distributor/jmap/mail_sync.h"
#include "distributor/jmap/mailboxes.h"

enum {
	SYNC_CALLS_USUAL = 5, /* of the usual request */
	SYNC_CHANGES_FIRST = 100, /* asked for at first, with the text of new mails */
	SYNC_CHANGES_NEXT = 500, /* … and when there is more than that */
	SYNC_PAGES_MAX = 64, /* of changes: 30,000; after more it is a query */
	SYNC_BOX_PAGES_MAX = 20,
	SYNC_MARGIN_MS = 5 * 60 * 1000, /* by which clocks of the server's machines may differ */
};

/* A call in the present request. */
struct sync_place {
	bool is_asked;
	size_t position;
};

struct sync_asked {
	size_t calls;
	struct sync_place all_boxes, box_changes, chosen_boxes, box_query, queried_boxes;
	struct sync_place state, changes, created, query, queried;
	struct sync_place shown, wanted;
	bool may_page_boxes, is_whole; /* created, queried: with their texts */
	size_t changes_most, boxes_most;
	json_t *shown_ids, *wanted_ids;
};

struct sync_run {
	struct sync_asked asked;
	unsigned requests, pages, box_pages;
	bool has_boxes, has_emails, has_shown; /* all of it is known */
	bool wants_box_pages; /* all of them are too many for one answer */
	bool wants_query; /* the server cannot tell the changes */
	bool is_careful; /* an answer was too large: texts are asked for mail by mail */
	json_t *boxes; /* pages of all of them so far */
	json_t *changed_boxes; /* array of ids */
	char *box_state, *email_state; /* reached so far */
	uint32_t unread;
	struct mail_found *found;
	int64_t began_ms; /* the server's clock, ours when it tells none */
};

struct mail_sync {
	struct mail_sync_options options;
	char *account_id;
	struct mailboxes *boxes;
	char *box_state, *email_state; /* of the last run that went well; NULL: none */
	int64_t since_ms; /* when that began */
	json_t *recent; /* array of ids that were news, oldest first: none is news twice */
	bool is_running, is_wanted;
	struct sync_run run;
	json_t *to_mark; /* array of ids, for the next Email/set */
	bool is_marking;
};

void sync_set_text(char **text, const char *value); /* NULL is fine */
/* What a query is about; mails from before are nobody's news. */
int64_t sync_query_from_ms(const struct mail_sync *sync);

/* A request for what the run does not know yet, as much as the server takes at once. */
struct jmap_call *sync_ask_make(struct mail_sync *sync);
void sync_asked_clear(struct sync_asked *asked);

struct sync_trouble {
	enum jmap_call_outcome outcome;
	char *reason; /* fresh */
};
/* Takes what the answer says into the run. False when the run is to end. */
bool sync_read(struct mail_sync *sync, const struct jmap_call_result *result,
	struct sync_trouble *out_trouble);
