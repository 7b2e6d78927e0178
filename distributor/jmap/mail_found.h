/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new mails that one run of mail_sync has found: some by id alone, some with what says whether
 * they are of interest, some whole. Of those that are of interest the newest are kept and the
 * others counted, so that a hundred thousand cost no more than fifty. Pure.
 */
#pragma once
#include "distributor/jmap/mail_read.h"
#include "distributor/jmap/mail_sync.h"

enum {
	MAIL_FOUND_IDS_MAX = 500, /* of which nothing but the id is known; others are left out */
	MAIL_FOUND_TEXT_MAX = 1000, /* bytes of subject, preview, sender */
};

struct mail_found;
struct mail_found *mail_found_create(void);
void mail_found_destroy(struct mail_found *found); /* NULL is fine */
void mail_found_clear(struct mail_found *found);

/* A new mail by its id, or one that has changed since it was put. */
void mail_found_note(struct mail_found *found, const char *id);
/* It is of interest. is_whole: the facts have the text, too. */
void mail_found_put(
	struct mail_found *found, const struct mail_facts *facts, const char *mailbox, bool is_whole);
/* It is of no interest, or gone. */
void mail_found_drop(struct mail_found *found, const char *id);
/* No more can be known of it: whole without a text, or of no interest when nothing is known. */
void mail_found_make_do(struct mail_found *found, const char *id);
bool mail_found_has(const struct mail_found *found, const char *id);

/* Ids of some that are not whole, at most `most`: a fresh array, NULL when all are. */
json_t *mail_found_wanted(const struct mail_found *found, size_t most);
/* Sorts them, oldest first; they are borrowed until something is changed. */
const struct mail *mail_found_list(struct mail_found *found, size_t *out_count);
/* How many more there were. */
size_t mail_found_more(const struct mail_found *found);
