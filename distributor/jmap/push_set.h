/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PushSubscription/get and /set say (RFC 8620 7.2): arguments made, answers read with no trust
 * in them. Pure.
 */
#pragma once
#include "common/slice.h"
#include "distributor/registrations.h"
#include <jansson.h>

enum { PUSH_SET_LISTED_MAX = 64, PUSH_SET_ID_MAX = 255 };

/* How keys are written: as RFC 8620 says, and for servers that will have them otherwise. */
enum push_keys_form {
	PUSH_KEYS_PADDED, /* old Stalwarts take nothing else */
	PUSH_KEYS_PLAIN,
	PUSH_KEYS_SPKI, /* the point in DER as a SubjectPublicKeyInfo: Apache James takes nothing else
					 */
	PUSH_KEYS_NONE,
	PUSH_KEYS_FORM_COUNT
};
const char *push_keys_form_name(enum push_keys_form form); /* "padded" */

/* ---- arguments ---- */

struct push_wish {
	const char *device; /* deviceClientId */
	const struct registration *registration; /* its endpoint, and keys */
	enum push_keys_form form;
	int64_t expires_ms; /* wall clock; 0: not asked for */
	char *const *types; /* NULL-terminated; none: all */
};
/* PushSubscription/get: all of this login. */
json_t *push_get_arguments(void);
/* Of one creation. */
json_t *push_create_arguments(const struct push_wish *wish);
/* {id: {key: value}}; takes the value. */
json_t *push_update_arguments(const char *id, const char *key, json_t *take_value);
json_t *push_destroy_arguments(const char *const *ids, size_t count);
json_t *push_types_json(char *const *types); /* null for all */

/* ---- answers ---- */

/* One of the list; borrowed from the answer. */
struct push_listed {
	const char *id, *device;
	bool has_expires; /* what the server says of it, else nothing is known */
	int64_t expires_ms; /* 0: never */
	const json_t *types; /* NULL: the server did not say */
};
/* How many there are, at most PUSH_SET_LISTED_MAX. */
size_t push_get_read(const json_t *answer, struct push_listed out_listed[PUSH_SET_LISTED_MAX]);
bool push_types_are(const json_t *types, char *const *wanted);

enum push_set_outcome {
	PUSH_SET_DONE,
	PUSH_SET_NOT_FOUND,
	PUSH_SET_NO_ROOM, /* overQuota, forbidden, a limit */
	PUSH_SET_LATER, /* rateLimit, serverFail and the like */
	PUSH_SET_REFUSED, /* the server will have it otherwise: see names_… */
};
struct push_set_result {
	enum push_set_outcome outcome;
	const char *id; /* DONE, of a creation */
	bool has_expires; /* the server named it; else it is as was asked for */
	int64_t expires_ms; /* 0: never */
	/* not DONE; borrowed from the answer; "" when absent */
	const char *type, *description;
	bool names_url, names_keys, names_expires, names_types, names_code, names_device;
};
void push_create_read(const json_t *answer, struct push_set_result *out_result);
void push_update_read(const json_t *answer, const char *id, struct push_set_result *out_result);
/* The error type of a whole method that failed, as the outcome of what it was to do. */
enum push_set_outcome push_error_outcome(const char *type);
