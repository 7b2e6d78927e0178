/* SPDX-License-Identifier: Apache-2.0 */
/* What a server says of its mailboxes, of changes and of mails: {"boxes": […], "changes": {…},
 * "emails": […]}. */
#include "common/json.h"
#include "distributor/jmap/mail_found.h"
#include "distributor/jmap/mail_read.h"
#include "distributor/jmap/mailboxes.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 20 };

static void check_boxes(struct mailboxes *boxes, const json_t *list) {
	size_t i;
	json_t *id;
	mailboxes_take(boxes, list);
	(void)mailboxes_unread(boxes, list);
	assert(json_array_size(mailboxes_chosen(boxes)) <= 3);
	assert(!mailboxes_are_known(boxes) || !mailboxes_missing(boxes));
	json_array_foreach(mailboxes_chosen(boxes), i, id) {
		const char *name = mailboxes_name(boxes, json_string_value(id));
		assert(name && strlen(name) <= MAILBOXES_PATH_MAX);
	}
	assert(json_array_size(mailboxes_chosen(boxes)) > 0 || mailboxes_check(boxes, list));
}

static void check_changes(const json_t *answer, struct mail_found *found) {
	struct mail_changes changes;
	size_t i;
	json_t *value;
	if (mail_changes_read(answer, MOST, &changes) != MAIL_CHANGES_GOOD) {
		return;
	}
	assert(strlen(changes.new_state) <= MAIL_STATE_MAX && json_array_size(changes.updated) <= MOST);
	json_array_foreach(changes.created, i, value) {
		const char *id = mail_read_id(value);
		if (id) {
			assert(mail_ids_have(changes.created, id));
			mail_found_note(found, id);
		}
	}
}

static void check_emails(struct mailboxes *boxes, const json_t *list, struct mail_found *found) {
	size_t i;
	json_t *email;
	json_array_foreach(list, i, email) {
		struct mail_facts facts;
		if (!mail_facts_read(email, &facts)) {
			continue;
		}
		const char *mailbox = mailboxes_of_news(boxes, facts.mailbox_ids);
		if (mailbox && !facts.is_seen) {
			mail_found_put(found, &facts, mailbox, i % 2 == 0);
		} else {
			mail_found_drop(found, facts.id);
		}
	}
}

static void check_found(struct mail_found *found) {
	size_t count;
	json_t *wanted = mail_found_wanted(found, MOST);
	assert(!wanted || json_array_size(wanted) <= MOST);
	json_decref(wanted);
	const struct mail *mails = mail_found_list(found, &count);
	assert(count <= MAIL_SYNC_FETCH_MAX && (mail_found_more(found) == 0 || count > 0 || wanted));
	for (size_t i = 0; i < count; i++) {
		assert(i == 0 || mails[i - 1].received_ms <= mails[i].received_ms);
		assert(strlen(mails[i].subject) <= MAIL_FOUND_TEXT_MAX && mails[i].id[0]);
		assert(mail_found_has(found, mails[i].id));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static char inbox[] = "inbox", nested[] = "Lists/dev", plain[] = "a";
	char *const wishes[] = {inbox, nested, plain, NULL};
	json_t *json = json_parse((struct slice){(const char *)data, size});
	struct mailboxes *boxes = mailboxes_create(wishes);
	struct mail_found *found = mail_found_create();
	check_boxes(boxes, json_object_get(json, "boxes"));
	check_changes(json_object_get(json, "changes"), found);
	check_emails(boxes, json_object_get(json, "emails"), found);
	check_found(found);
	mail_found_destroy(found);
	mailboxes_destroy(boxes);
	json_decref(json);
	return 0;
}
