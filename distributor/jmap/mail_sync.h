/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed in the mail of one JMAP account (RFC 8621), by state and not by hope: Email/changes
 * from the last state, paged; when the server cannot say (cannotCalculateChanges) a query for what
 * is unread and newer than the last run. The state is kept over restarts. The first run only takes
 * the state: old mail is nobody's news.
 */
#pragma once
#include "distributor/jmap/jmap_client.h"

enum {
	MAIL_SYNC_FETCH_MAX = 50
}; /* mails whose subject is fetched in one run; others are counted */

/* A new, unread mail in one of the chosen mailboxes. Text of any origin: sanitize before showing.
 */
struct mail {
	const char *id, *blob_id, *thread_id;
	const char *from; /* the name, or the address; "" when there is none */
	const char *subject, *preview; /* "" when there is none */
	const char *mailbox; /* its name */
	int64_t received_ms; /* wall clock */
};

struct mail_sync_result {
	enum jmap_call_outcome outcome;
	const char *reason; /* a sentence, when not OK */
	bool is_refused; /* REFUSED by a method, so it may be of this account alone */
	int64_t retry_after_sec; /* -1: not said */
	bool has_changed; /* the account is at another state than at the last run */
	const struct mail *mails; /* oldest first; valid during the callback */
	size_t count, more; /* more: new ones that were not fetched */
	uint32_t unread; /* in the chosen mailboxes */
	const char *const *mailboxes; /* names of those with news, NULL-terminated */
};

struct mail_sync_options {
	struct jmap_client *client;
	const struct jmap_config *config; /* mailboxes, notify */
	const char *account_id; /* copied */
	/* Of mails that changed or went: is it of interest (on the screen)? */
	bool (*is_shown)(const char *email_id, void *ctx);
	/* A mail of interest was read, moved away or deleted elsewhere. */
	void (*settled)(const char *email_id, void *ctx);
	/* A run has ended. Once for each that began. The state is another one when it went well: save.
	 * The sync may be destroyed from within. */
	void (*done)(const struct mail_sync_result *result, void *ctx);
	void *ctx;
};
struct mail_sync;
/* `saved`: what mail_sync_print() made, NULL: nothing. {"since": wall clock in ms} alone: what came
 * later is news. */
struct mail_sync *mail_sync_create(const struct mail_sync_options *options, const json_t *saved);
void mail_sync_destroy(struct mail_sync *sync); /* NULL is fine */
json_t *mail_sync_print(const struct mail_sync *sync);
const char *mail_sync_account(const struct mail_sync *sync);

/* One at a time; asked for again meanwhile, it runs once more when the present one has ended well.
 */
void mail_sync_run(struct mail_sync *sync);
bool mail_sync_is_running(const struct mail_sync *sync);
/* Is this the state that the last run ended at? Then a StateChange with it is no news. */
bool mail_sync_is_at(const struct mail_sync *sync, const char *type, const char *state);
/* Email/set: $seen. Those asked for while one is under way are the next together. A failure is
 * logged. */
void mail_sync_mark_read(struct mail_sync *sync, const char *email_id);
