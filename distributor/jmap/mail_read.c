/* SPDX-License-Identifier: Apache-2.0 */
/* Field by field. */
#include "distributor/jmap/mail_read.h"
#include "common/json.h"
#include "distributor/jmap/jmap_date.h"
#include <string.h>

bool mail_id_is_good(struct slice text) {
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' &&
			c != '_') {
			return false;
		}
	}
	return text.len > 0 && text.len <= MAIL_ID_MAX;
}

const char *mail_read_id(const json_t *value) {
	const char *id = json_string_value(value);
	return id && mail_id_is_good((struct slice){id, json_string_length(value)}) ? id : NULL;
}

const char *mail_read_state(const json_t *answer, const char *key) {
	const json_t *value = json_object_get(answer, key);
	return json_is_string(value) && json_string_length(value) <= MAIL_STATE_MAX
			   ? json_string_value(value)
			   : NULL;
}

bool mail_ids_have(const json_t *list, const char *id) {
	size_t i;
	json_t *value;
	json_array_foreach(list, i, value) {
		const char *one = json_string_value(value);
		if (one && strcmp(one, id) == 0) {
			return true;
		}
	}
	return false;
}

enum mail_changes_outcome mail_changes_read(
	const json_t *answer, size_t most, struct mail_changes *out_changes) {
	struct mail_changes changes = {
		.new_state = mail_read_state(answer, "newState"),
		.created = json_object_get(answer, "created"),
		.updated = json_object_get(answer, "updated"),
		.destroyed = json_object_get(answer, "destroyed"),
	};
	if (!changes.new_state || !json_is_array(changes.created) || !json_is_array(changes.updated) ||
		!json_is_array(changes.destroyed) ||
		json_get_bool(answer, "hasMoreChanges", &changes.has_more) == JSON_WRONG_TYPE) {
		return MAIL_CHANGES_ODD;
	}
	if (json_array_size(changes.created) > most || json_array_size(changes.updated) > most ||
		json_array_size(changes.destroyed) > most) {
		return MAIL_CHANGES_TOO_MANY;
	}
	*out_changes = changes;
	return MAIL_CHANGES_GOOD;
}

static struct slice mail_text(const json_t *object, const char *key) {
	struct slice text = slice_of("");
	(void)json_get_string(object, key, &text); /* absent, wrong: stays empty */
	return text;
}

static const char *mail_id_at(const json_t *email, const char *key) {
	const char *id = mail_read_id(json_object_get(email, key));
	return id ? id : "";
}

static bool mail_is_blank(struct slice text) {
	while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1])) {
		text.len--;
	}
	return text.len == 0;
}

/* The first of the list that says anything. */
static struct slice mail_from(const json_t *email) {
	size_t i;
	json_t *sender;
	json_array_foreach(json_object_get(email, "from"), i, sender) {
		struct slice name = mail_text(sender, "name"), address = mail_text(sender, "email");
		if (!mail_is_blank(name)) {
			return name;
		}
		if (!mail_is_blank(address)) {
			return address;
		}
	}
	return slice_of("");
}

bool mail_facts_read(const json_t *email, struct mail_facts *out_facts) {
	const char *id = mail_read_id(json_object_get(email, "id"));
	const json_t *keywords = json_object_get(email, "keywords");
	const json_t *mailbox_ids = json_object_get(email, "mailboxIds");
	if (!id) {
		return false;
	}
	*out_facts = (struct mail_facts){
		.id = id,
		.blob_id = mail_id_at(email, "blobId"),
		.thread_id = mail_id_at(email, "threadId"),
		.from = mail_from(email),
		.subject = mail_text(email, "subject"),
		.preview = mail_text(email, "preview"),
		.is_seen = json_is_true(json_object_get(keywords, "$seen")),
		.is_draft = json_is_true(json_object_get(keywords, "$draft")),
		.mailbox_ids = json_is_object(mailbox_ids) ? mailbox_ids : NULL,
	};
	(void)jmap_date_parse(mail_text(email, "receivedAt"), &out_facts->received_ms); /* or 0 */
	return true;
}
