/* SPDX-License-Identifier: Apache-2.0 */
/* One table of types. */
#include "distributor/jmap/jmap_types.h"
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	enum jmap_kind kind;
} jmap_types[] = {
	{"Email", JMAP_KIND_MAIL}, /* RFC 8621 */
	{"EmailDelivery", JMAP_KIND_MAIL},
	{"Mailbox", JMAP_KIND_MAIL},
	{"Thread", JMAP_KIND_MAIL},
	{"EmailSubmission", JMAP_KIND_OTHER},
	{"Identity", JMAP_KIND_OTHER},
	{"VacationResponse", JMAP_KIND_OTHER},
	{"Calendar", JMAP_KIND_CALENDAR}, /* JMAP for Calendars */
	{"CalendarEvent", JMAP_KIND_CALENDAR},
	{"CalendarEventNotification", JMAP_KIND_CALENDAR},
	{"CalendarAlert", JMAP_KIND_CALENDAR},
	{"ParticipantIdentity", JMAP_KIND_CALENDAR},
	{"AddressBook", JMAP_KIND_CONTACTS}, /* RFC 9610 */
	{"ContactCard", JMAP_KIND_CONTACTS},
	{"Principal", JMAP_KIND_OTHER}, /* RFC 9670 */
	{"ShareNotification", JMAP_KIND_OTHER},
	{"Quota", JMAP_KIND_OTHER}, /* RFC 9425 */
	{"SieveScript", JMAP_KIND_OTHER}, /* RFC 9661 */
	{"FileNode", JMAP_KIND_OTHER},
};
enum { JMAP_TYPES = sizeof jmap_types / sizeof *jmap_types };

const char *jmap_kind_name(enum jmap_kind kind) {
	static const char *const names[] = {
		[JMAP_KIND_MAIL] = "mail",
		[JMAP_KIND_CALENDAR] = "calendar",
		[JMAP_KIND_CONTACTS] = "contacts",
		[JMAP_KIND_OTHER] = "other",
	};
	_Static_assert(sizeof names / sizeof *names == JMAP_KIND_COUNT, "a name a kind");
	return names[kind];
}

enum jmap_kind jmap_type_kind(const char *type) {
	for (size_t i = 0; i < JMAP_TYPES; i++) {
		if (strcmp(jmap_types[i].name, type) == 0) {
			return jmap_types[i].kind;
		}
	}
	return JMAP_KIND_OTHER;
}

const char *jmap_type_nearest(const char *type) {
	for (size_t i = 0; i < JMAP_TYPES; i++) {
		if (strcasecmp(jmap_types[i].name, type) == 0) {
			return jmap_types[i].name;
		}
	}
	return NULL;
}
