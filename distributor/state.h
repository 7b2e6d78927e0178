/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory: state.json (identity, channels, registrations) and its lock. The file before
 * the last change is kept as state.json.bak; when state.json is damaged it is set aside and the
 * other one read.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

enum state_condition {
	STATE_READ,
	STATE_FRESH, /* there was none */
	STATE_RESTORED, /* state.json was damaged and set aside; the one before it was read */
	STATE_LOST, /* both were damaged and set aside */
	STATE_UNREADABLE, /* it cannot even be opened; said in the log, and left alone */
};

/* Makes DIR (0700) and locks it. The lock's descriptor, or negative errno: -EBUSY when another
 * distributor has it. */
int state_lock(const char *dir);
/* "DIR/state.json", fresh. */
char *state_path(const char *dir);
/* The object, or NULL when there is none; the caller calls json_decref. What was set aside is
 * logged. */
json_t *state_read(const char *dir, enum state_condition *out_condition);
/* The same for another file that a state_file wrote; is_good: is it one, or damaged? */
typedef bool state_check_fn(const json_t *json);
json_t *state_read_file(
	const char *path, state_check_fn *is_good, enum state_condition *out_condition);
/* Parts of what was read could not be used: the file as it was gets a second name. */
void state_keep_copy(const char *dir);
/* As state_read, but changes nothing and says nothing: for the tool. NULL when there is none. */
json_t *state_peek(const char *dir);
