/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of a command where it fits best: as a unit of systemd's user manager when that is wanted
 * and there, else, also when the manager refuses, as a child of ours.
 */
#pragma once
#include "distributor/action/hook_unit.h"

struct hook_place {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct hook_units *units; /* NULL: children only */
};

/* What failed and nobody else tries again is tried after these times, then with the next reason. */
enum { HOOK_AGAIN_COUNT = 3 };
extern const int64_t hook_again_ms[HOOK_AGAIN_COUNT];

/* "ran", "failed", …: behind what it was, for a log line. */
const char *hook_end_words(enum hook_end end);

struct hook_command;
/* 0, or -errno when nothing was started. done runs once, later, and never with HOOK_NO_UNIT. */
int hook_command_start(const struct hook_place *place, const struct hook_job *job, bool as_unit,
	hook_ended_fn *done, void *ctx, struct hook_command **out_command);
/* Has it ended (SIGTERM), waits for nothing; done is not called. NULL is fine. */
void hook_command_stop(struct hook_command *command);
/* It goes on without us; done is not called. For a job that is_for_person. NULL is fine. */
void hook_command_leave(struct hook_command *command);
