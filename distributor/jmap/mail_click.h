/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a click on a notice of mail starts: the login's on_click command, or the program that the
 * desktop opens its open_url with. No shell; placeholders are filled with Ids (RFC 8620 1.2) alone,
 * and none becomes an option.
 */
#pragma once
#include "distributor/action/hook_command.h"
#include "distributor/jmap/jmap_config.h"

/* A mail that was clicked. */
struct mail_clicked {
	const char *account_id, *id, *blob_id, *thread_id; /* "" when not known */
};

struct mail_click;
struct mail_click *mail_click_create(
	const struct hook_place *place, const struct jmap_config *config);
void mail_click_destroy(struct mail_click *click); /* what runs goes on; NULL is fine */
/* Does a click lead anywhere? */
bool mail_click_is_wanted(const struct jmap_config *config);
/* token: XDG_ACTIVATION_TOKEN, "" for none. */
void mail_click_open(
	struct mail_click *click, const struct mail_clicked *clicked, const char *token);

/* Pure. The word with {id}, {blobId}, {threadId} and {accountId} filled in, fresh; NULL when it
 * would become an option, or a value is no Id. */
char *mail_click_fill_dup(const char *word, const struct mail_clicked *clicked);
