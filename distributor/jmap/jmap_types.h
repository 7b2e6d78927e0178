/* SPDX-License-Identifier: Apache-2.0 */
/* The data types that JMAP servers push the states of, and what each is about. Pure. */
#pragma once

enum jmap_kind {
	JMAP_KIND_MAIL, /* Email, EmailDelivery, Mailbox, Thread */
	JMAP_KIND_CALENDAR,
	JMAP_KIND_CONTACTS,
	JMAP_KIND_OTHER, /* also types that nobody here knows */
	JMAP_KIND_COUNT
};
enum { JMAP_TYPE_MAX = 64 };

const char *jmap_kind_name(enum jmap_kind kind); /* "mail", "calendar", "contacts", "other" */
enum jmap_kind jmap_type_kind(const char *type);
/* The known type that this one is but for upper and lower case; NULL when there is none. */
const char *jmap_type_nearest(const char *type);
