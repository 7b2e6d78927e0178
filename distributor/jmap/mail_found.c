/* SPDX-License-Identifier: Apache-2.0 */
/* An array without order; searched from its beginning, for it is short. */
#include "distributor/jmap/mail_found.h"
#include "common/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum mail_depth { MAIL_BY_ID, MAIL_OF_INTEREST, MAIL_WHOLE };
enum { MAIL_FOUND_MAX = MAIL_FOUND_IDS_MAX + MAIL_SYNC_FETCH_MAX + 1 };

struct mail_one {
	enum mail_depth depth;
	unsigned order; /* in which it was found */
	struct mail mail; /* its texts are ours */
};

struct mail_found {
	struct mail_one one[MAIL_FOUND_MAX];
	size_t count;
	size_t by_id; /* of them */
	size_t more;
	unsigned orders;
	struct mail list[MAIL_SYNC_FETCH_MAX]; /* borrowed from one[] */
};

struct mail_found *mail_found_create(void) {
	return mem_zalloc(sizeof(struct mail_found));
}

/* ---- one ---- */

static void mail_text_free(const char *text) {
	free((char *)(uintptr_t)text);
}

static void mail_one_clear(struct mail_one *one) {
	mail_text_free(one->mail.blob_id);
	mail_text_free(one->mail.thread_id);
	mail_text_free(one->mail.from);
	mail_text_free(one->mail.subject);
	mail_text_free(one->mail.preview);
	mail_text_free(one->mail.mailbox);
	one->mail = (struct mail){.id = one->mail.id};
}

static char *mail_text_dup(struct slice text) {
	return mem_strndup(
		text.data, text.len < MAIL_FOUND_TEXT_MAX ? text.len : (size_t)MAIL_FOUND_TEXT_MAX);
}

static void mail_one_fill(
	struct mail_one *one, const struct mail_facts *facts, const char *mailbox) {
	mail_one_clear(one);
	one->mail.blob_id = mem_strdup(facts->blob_id);
	one->mail.thread_id = mem_strdup(facts->thread_id);
	one->mail.from = mail_text_dup(facts->from);
	one->mail.subject = mail_text_dup(facts->subject);
	one->mail.preview = mail_text_dup(facts->preview);
	one->mail.mailbox = mem_strdup(mailbox);
	one->mail.received_ms = facts->received_ms;
}

static void mail_one_set_depth(
	struct mail_found *found, struct mail_one *one, enum mail_depth depth) {
	found->by_id -= one->depth == MAIL_BY_ID;
	found->by_id += depth == MAIL_BY_ID;
	one->depth = depth;
}

/* ---- all ---- */

static struct mail_one *mail_found_find(const struct mail_found *found, const char *id) {
	for (size_t i = 0; i < found->count; i++) {
		if (strcmp(found->one[i].mail.id, id) == 0) {
			return (struct mail_one *)(uintptr_t)&found->one[i];
		}
	}
	return NULL;
}

static struct mail_one *mail_found_add(struct mail_found *found, const char *id) {
	assert(found->count < MAIL_FOUND_MAX);
	struct mail_one *one = &found->one[found->count++];
	*one =
		(struct mail_one){.mail.id = mem_strdup(id), .depth = MAIL_BY_ID, .order = found->orders++};
	found->by_id++;
	return one;
}

static void mail_found_remove(struct mail_found *found, struct mail_one *one) {
	mail_one_set_depth(found, one, MAIL_OF_INTEREST); /* not counted by id any more */
	mail_one_clear(one);
	mail_text_free(one->mail.id);
	*one = found->one[--found->count];
}

void mail_found_clear(struct mail_found *found) {
	while (found->count > 0) {
		mail_found_remove(found, &found->one[found->count - 1]);
	}
	found->more = 0;
}

void mail_found_destroy(struct mail_found *found) {
	if (found) {
		mail_found_clear(found);
		free(found);
	}
}

static int mail_compare(const void *a, const void *b) {
	const struct mail_one *first = a, *second = b;
	if (first->mail.received_ms != second->mail.received_ms) {
		return first->mail.received_ms < second->mail.received_ms ? -1 : 1;
	}
	return first->order < second->order ? -1 : first->order > second->order;
}

static void mail_found_drop_oldest(struct mail_found *found) {
	struct mail_one *oldest = NULL;
	for (size_t i = 0; i < found->count; i++) {
		struct mail_one *one = &found->one[i];
		if (one->depth != MAIL_BY_ID && (!oldest || mail_compare(one, oldest) < 0)) {
			oldest = one;
		}
	}
	assert(oldest);
	mail_found_remove(found, oldest);
	found->more++;
}

void mail_found_put(
	struct mail_found *found, const struct mail_facts *facts, const char *mailbox, bool is_whole) {
	struct mail_one *one = mail_found_find(found, facts->id);
	if (one && one->depth == MAIL_WHOLE && !is_whole) {
		return;
	}
	if (!one) {
		one = mail_found_add(found, facts->id);
	}
	mail_one_fill(one, facts, mailbox);
	mail_one_set_depth(found, one, is_whole ? MAIL_WHOLE : MAIL_OF_INTEREST);
	if (found->count - found->by_id > MAIL_SYNC_FETCH_MAX) {
		mail_found_drop_oldest(found);
	}
}

void mail_found_drop(struct mail_found *found, const char *id) {
	struct mail_one *one = mail_found_find(found, id);
	if (one) {
		mail_found_remove(found, one);
	}
}

void mail_found_note(struct mail_found *found, const char *id) {
	struct mail_one *one = mail_found_find(found, id);
	if (found->by_id >= MAIL_FOUND_IDS_MAX) {
		mail_found_drop(found, id);
	} else if (one) {
		mail_one_set_depth(found, one, MAIL_BY_ID);
	} else {
		(void)mail_found_add(found, id);
	}
}

void mail_found_make_do(struct mail_found *found, const char *id) {
	struct mail_one *one = mail_found_find(found, id);
	if (one && one->depth == MAIL_OF_INTEREST) {
		mail_one_set_depth(found, one, MAIL_WHOLE);
	} else {
		mail_found_drop(found, id);
	}
}

bool mail_found_has(const struct mail_found *found, const char *id) {
	return mail_found_find(found, id) != NULL;
}

json_t *mail_found_wanted(const struct mail_found *found, size_t most) {
	json_t *ids = json_array();
	for (size_t i = 0; i < found->count && json_array_size(ids) < most; i++) {
		if (found->one[i].depth != MAIL_WHOLE) {
			(void)json_array_append_new(ids, json_string(found->one[i].mail.id));
		}
	}
	if (json_array_size(ids) == 0) {
		json_decref(ids);
		return NULL;
	}
	return ids;
}

const struct mail *mail_found_list(struct mail_found *found, size_t *out_count) {
	size_t count = 0;
	qsort(found->one, found->count, sizeof *found->one, mail_compare);
	for (size_t i = 0; i < found->count; i++) {
		if (found->one[i].depth == MAIL_WHOLE) {
			found->list[count++] = found->one[i].mail;
		}
	}
	*out_count = count;
	return found->list;
}

size_t mail_found_more(const struct mail_found *found) {
	return found->more;
}
