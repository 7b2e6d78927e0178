/* SPDX-License-Identifier: Apache-2.0 */
/* {id: {name, parentId, role, path}} of all, and the ids that the wishes led to. */
#include "distributor/jmap/mailboxes.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/jmap/jmap_config.h"
#include "distributor/jmap/mail_read.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAILBOXES_INBOX "inbox"

struct mailboxes {
	char *const *wishes;
	json_t *all; /* NULL: not known */
	json_t *chosen; /* array of ids, each once */
	bool is_missing[JMAP_LIST_MAX], is_told[JMAP_LIST_MAX]; /* by wish */
};

/* What makes it the one that it is. */
static const char *const mailboxes_facts[] = {"name", "parentId", "role"};
enum { MAILBOXES_FACTS = sizeof mailboxes_facts / sizeof *mailboxes_facts };

struct mailboxes *mailboxes_create(char *const *wishes) {
	struct mailboxes *mailboxes = mem_zalloc(sizeof *mailboxes);
	mailboxes->wishes = wishes;
	mailboxes->chosen = json_array();
	return mailboxes;
}

void mailboxes_forget(struct mailboxes *mailboxes) {
	json_decref(mailboxes->all);
	mailboxes->all = NULL;
	(void)json_array_clear(mailboxes->chosen);
}

void mailboxes_destroy(struct mailboxes *mailboxes) {
	if (mailboxes) {
		mailboxes_forget(mailboxes);
		json_decref(mailboxes->chosen);
		free(mailboxes);
	}
}

bool mailboxes_are_known(const struct mailboxes *mailboxes) {
	for (size_t i = 0; mailboxes->wishes[i]; i++) {
		if (mailboxes->is_missing[i]) {
			return false;
		}
	}
	return mailboxes->all;
}

json_t *mailboxes_properties(void) {
	return json_pack("[s,s,s,s,s]", "id", "name", "parentId", "role", "unreadEmails");
}

/* ---- names ---- */

static const char *mailbox_text(const json_t *mailbox, const char *key) {
	const json_t *value = json_object_get(mailbox, key);
	const char *text = json_string_value(value);
	return text && json_string_length(value) <= MAILBOXES_NAME_MAX ? text : "";
}

/* Fresh. */
static char *mailbox_path(const json_t *all, const json_t *mailbox) {
	char *path = mem_strdup(mailbox_text(mailbox, "name"));
	for (int depth = 0; depth < MAILBOXES_DEPTH_MAX; depth++) { /* parents may go in circles */
		const char *parent = json_string_value(json_object_get(mailbox, "parentId"));
		mailbox = parent ? json_object_get(all, parent) : NULL;
		if (!mailbox || strlen(path) + MAILBOXES_NAME_MAX >= MAILBOXES_PATH_MAX) {
			break;
		}
		CLEANUP_FREE char *old = path;
		path = mem_printf("%s/%s", mailbox_text(mailbox, "name"), old);
	}
	return path;
}

static void mailboxes_name_all(struct mailboxes *mailboxes) {
	const char *id;
	json_t *mailbox;
	json_object_foreach(mailboxes->all, id, mailbox) {
		CLEANUP_FREE char *path = mailbox_path(mailboxes->all, mailbox);
		(void)json_object_set_new(mailbox, "path", json_string(path));
	}
}

/* What follows the first component when that is INBOX in any case, else all of it. */
static const char *mailbox_path_skip(const char *path, bool *out_is_inbox) {
	size_t len = strlen(MAILBOXES_INBOX);
	*out_is_inbox =
		strncasecmp(path, MAILBOXES_INBOX, len) == 0 && (path[len] == '\0' || path[len] == '/');
	return *out_is_inbox ? path + len : path;
}

static bool mailbox_path_is(const char *path, const char *wish) {
	bool a_is_inbox, b_is_inbox;
	const char *a = mailbox_path_skip(path, &a_is_inbox), *b = mailbox_path_skip(wish, &b_is_inbox);
	return a_is_inbox == b_is_inbox && strcmp(a, b) == 0;
}

/* How well it fits: 0 not at all. */
static int mailbox_fit(const json_t *mailbox, const char *wish) {
	const char *role = mailbox_text(mailbox, "role");
	if (role[0] && strcasecmp(role, wish) == 0) {
		return 3;
	}
	if (mailbox_path_is(json_string_value(json_object_get(mailbox, "path")), wish)) {
		return 2;
	}
	return strcmp(mailbox_text(mailbox, "name"), wish) == 0; /* of a nested one */
}

static void mailboxes_choose(struct mailboxes *mailboxes, size_t at) {
	const char *id, *best_id = NULL;
	json_t *mailbox;
	int best = 0;
	json_object_foreach(mailboxes->all, id, mailbox) {
		int fit = mailbox_fit(mailbox, mailboxes->wishes[at]);
		if (fit > best) {
			best = fit;
			best_id = id;
		}
	}
	mailboxes->is_missing[at] = !best_id;
	if (!best_id) {
		return;
	}
	mailboxes->is_told[at] = false;
	if (!mail_ids_have(mailboxes->chosen, best_id)) {
		(void)json_array_append_new(mailboxes->chosen, json_string(best_id));
	}
}

/* ---- lists ---- */

static json_t *mailbox_copy(const json_t *mailbox) {
	json_t *copy = json_object();
	for (size_t i = 0; i < MAILBOXES_FACTS; i++) {
		json_t *value = json_object_get(mailbox, mailboxes_facts[i]);
		if (json_is_string(value) && json_string_length(value) <= MAILBOXES_NAME_MAX) {
			(void)json_object_set(copy, mailboxes_facts[i], value);
		}
	}
	return copy;
}

void mailboxes_take(struct mailboxes *mailboxes, const json_t *list) {
	size_t i;
	json_t *mailbox;
	mailboxes_forget(mailboxes);
	mailboxes->all = json_object();
	json_array_foreach(list, i, mailbox) {
		const char *id = mail_read_id(json_object_get(mailbox, "id"));
		if (id && json_object_size(mailboxes->all) < MAILBOXES_MAX) {
			(void)json_object_set_new(mailboxes->all, id, mailbox_copy(mailbox));
		}
	}
	mailboxes_name_all(mailboxes);
	for (size_t at = 0; mailboxes->wishes[at]; at++) {
		assert(at < JMAP_LIST_MAX);
		mailboxes_choose(mailboxes, at);
	}
}

static const json_t *mailbox_in(const json_t *list, const char *id) {
	size_t i;
	json_t *mailbox;
	json_array_foreach(list, i, mailbox) {
		const char *one = mail_read_id(json_object_get(mailbox, "id"));
		if (one && strcmp(one, id) == 0) {
			return mailbox;
		}
	}
	return NULL;
}

static bool mailbox_is_as_before(const json_t *known, const json_t *mailbox) {
	json_t *now = mailbox_copy(mailbox);
	bool is_same = true;
	for (size_t i = 0; i < MAILBOXES_FACTS; i++) {
		const char *a = json_string_value(json_object_get(known, mailboxes_facts[i]));
		const char *b = json_string_value(json_object_get(now, mailboxes_facts[i]));
		is_same = is_same && (a && b ? strcmp(a, b) == 0 : a == b);
	}
	json_decref(now);
	return is_same;
}

bool mailboxes_check(const struct mailboxes *mailboxes, const json_t *list) {
	size_t i;
	json_t *id;
	json_array_foreach(mailboxes->chosen, i, id) {
		const json_t *mailbox = mailbox_in(list, json_string_value(id));
		const json_t *known = json_object_get(mailboxes->all, json_string_value(id));
		if (!mailbox || !mailbox_is_as_before(known, mailbox)) {
			return false;
		}
	}
	return true;
}

const json_t *mailboxes_chosen(const struct mailboxes *mailboxes) {
	return mailboxes->chosen;
}

uint32_t mailboxes_unread(const struct mailboxes *mailboxes, const json_t *list) {
	size_t i;
	json_t *id;
	int64_t unread = 0;
	json_array_foreach(mailboxes->chosen, i, id) {
		const json_t *mailbox = mailbox_in(list, json_string_value(id));
		int64_t here = json_integer_value(json_object_get(mailbox, "unreadEmails"));
		unread += here > 0 && here <= INT32_MAX ? here : 0;
	}
	return unread <= UINT32_MAX ? (uint32_t)unread : UINT32_MAX;
}

/* ---- one ---- */

const char *mailboxes_name(const struct mailboxes *mailboxes, const char *id) {
	return json_string_value(json_object_get(json_object_get(mailboxes->all, id), "path"));
}

static bool mailboxes_is_sent(const struct mailboxes *mailboxes, const char *id) {
	return strcasecmp(mailbox_text(json_object_get(mailboxes->all, id), "role"), "sent") == 0;
}

const char *mailboxes_of_news(const struct mailboxes *mailboxes, const json_t *mailbox_ids) {
	const char *id, *name = NULL;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)mailbox_ids, id, value) {
		bool is_chosen = json_is_true(value) && mail_ids_have(mailboxes->chosen, id);
		if (json_is_true(value) && !is_chosen && mailboxes_is_sent(mailboxes, id)) {
			return NULL;
		}
		name = name || !is_chosen ? name : mailboxes_name(mailboxes, id);
	}
	return name;
}

const char *mailboxes_missing(struct mailboxes *mailboxes) {
	for (size_t at = 0; mailboxes->wishes[at]; at++) {
		if (mailboxes->is_missing[at] && !mailboxes->is_told[at]) {
			mailboxes->is_told[at] = true;
			return mailboxes->wishes[at];
		}
	}
	return NULL;
}
