/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailboxes of one account (RFC 8621 2), and which of them were chosen by the config: by role
 * ("inbox"), by name, or by names joined with slashes ("Lists/dev"); INBOX is known however it is
 * written. Answers of the server are read with no trust in them. Pure.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MAILBOXES_MAX = 5000, /* others are not known */
	MAILBOXES_DEPTH_MAX = 32, /* parents beyond them are left out of names */
	MAILBOXES_NAME_MAX = 255, /* bytes; a longer one is no name */
	MAILBOXES_PATH_MAX = 1000,
};

struct mailboxes;
/* wishes: NULL-terminated, at most JMAP_LIST_MAX; outlive it. */
struct mailboxes *mailboxes_create(char *const *wishes);
void mailboxes_destroy(struct mailboxes *mailboxes); /* NULL is fine */

/* Has a list been taken, and was every wish found in it? */
bool mailboxes_are_known(const struct mailboxes *mailboxes);
void mailboxes_forget(struct mailboxes *mailboxes);
/* Properties to be asked for. */
json_t *mailboxes_properties(void);

/* The list of a Mailbox/get of all of them: they are known now. */
void mailboxes_take(struct mailboxes *mailboxes, const json_t *list);
/* The list of a Mailbox/get of the chosen ones: true when they are what they were. */
bool mailboxes_check(const struct mailboxes *mailboxes, const json_t *list);
/* Ids of the chosen ones: an array, borrowed. */
const json_t *mailboxes_chosen(const struct mailboxes *mailboxes);
/* Unread mails in the chosen ones, by a list of either kind. */
uint32_t mailboxes_unread(const struct mailboxes *mailboxes, const json_t *list);

/* Names joined with slashes; NULL when it is not known. */
const char *mailboxes_name(const struct mailboxes *mailboxes, const char *id);
/* The chosen one that makes a mail with these mailboxIds ({id: true}) news: its name. NULL: none,
 * or the mail is our own (in the mailbox of sent ones, when that was not chosen). */
const char *mailboxes_of_news(const struct mailboxes *mailboxes, const json_t *mailbox_ids);
/* A wish that is not there and was not told of before, or NULL. Each once, until it was there. */
const char *mailboxes_missing(struct mailboxes *mailboxes);
