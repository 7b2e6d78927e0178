/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory: state.json (identity, channels, registrations) with a copy state.json.bak,
 * and the lock. Of a damaged one the other is read; what is damaged is kept beside, as *.damaged-*.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

enum state_condition {
	STATE_READ,
	STATE_FRESH, /* there was none */
	STATE_RESTORED, /* state.json was damaged and set aside; its copy is as good as ever */
	STATE_PARTIAL, /* both are damaged, and parts of one make sense */
	STATE_LOST, /* both were damaged and set aside */
	STATE_UNREADABLE, /* the disk itself does not let us read; said in the log, and left alone */
};

/* Makes DIR (0700) and locks it; removes what a crash left half written. The lock's descriptor, or
 * negative errno: -EBUSY when another distributor has it. */
int state_lock(const char *dir);
/* "DIR/state.json", fresh. */
char *state_path(const char *dir);
/* Does all of it make sense? */
typedef bool state_check_fn(const json_t *json, void *ctx);
/* The object, or NULL when there is none; the caller calls json_decref. What was set aside is
 * logged. */
json_t *state_read(
	const char *dir, state_check_fn *is_whole, void *ctx, enum state_condition *out_condition);
/* The same for another file that a state_file with a copy wrote. */
json_t *state_read_file(
	const char *path, state_check_fn *is_whole, void *ctx, enum state_condition *out_condition);
/* state.json or, if that cannot be used, its copy; sets nothing aside and says nothing: for the
 * tool. NULL when there is none. */
json_t *state_peek(const char *dir);
