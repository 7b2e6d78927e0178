/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Email/changes and Email/get say (RFC 8620 5, RFC 8621 4), read with no trust in it. Pure;
 * what is found is borrowed from the answer.
 */
#pragma once
#include "common/slice.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { MAIL_ID_MAX = 255, MAIL_STATE_MAX = 1024 };

/* An Id (RFC 8620 1.2)? Such a text needs no escaping anywhere. */
bool mail_id_is_good(struct slice text);
/* The Id that it is, NULL when it is none. */
const char *mail_read_id(const json_t *value);
/* A state string; NULL when there is none that could be kept. */
const char *mail_read_state(const json_t *answer, const char *key);
/* Is one of these the id? A list that is none has none. */
bool mail_ids_have(const json_t *list, const char *id);

struct mail_changes {
	const char *new_state;
	bool has_more;
	const json_t *created, *updated, *destroyed; /* arrays */
};
enum mail_changes_outcome {
	MAIL_CHANGES_GOOD,
	MAIL_CHANGES_ODD, /* no answer to what was asked */
	MAIL_CHANGES_TOO_MANY /* more than were asked for */
};
enum mail_changes_outcome mail_changes_read(
	const json_t *answer, size_t most, struct mail_changes *out_changes);

/* Of one Email; what is missing or of another type is "" or 0. */
struct mail_facts {
	const char *id, *blob_id, *thread_id;
	struct slice from; /* the name, or the address */
	struct slice subject, preview;
	int64_t received_ms;
	bool is_seen, is_draft;
	const json_t *mailbox_ids; /* {id: true}, NULL when there is none */
};
/* False when it is no Email with an id. */
bool mail_facts_read(const json_t *email, struct mail_facts *out_facts);
