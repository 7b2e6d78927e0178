/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of a command (a hook's, a mail login's) as a child of ours: in a session of its own, with
 * an empty signal mask, without our descriptors and our own variables, in the home directory. What
 * it writes goes to the log, up to a limit. It is ended at its time limit, and what it leaves
 * behind in its group is ended with it.
 */
#pragma once
#include "distributor/alarm.h"
#include <ev.h>
#include <stdbool.h>

enum hook_end {
	HOOK_WELL, /* exit status 0 */
	HOOK_FAILED, /* another status, or a signal */
	HOOK_NOT_NOW, /* exit status 75 (EX_TEMPFAIL): it asks to be tried again later */
	HOOK_TIMED_OUT,
	HOOK_NOT_STARTED, /* no such program, no room, … */
	HOOK_LOST, /* nobody knows how it ended */
	HOOK_NO_UNIT, /* systemd would not have it: nothing has run */
	HOOK_END_COUNT
};
struct hook_result {
	enum hook_end end;
	int status; /* FAILED: exit status, or 128 + signal */
	const char *detail; /* NOT_STARTED, LOST, NO_UNIT: why; valid during the callback */
};
typedef void hook_ended_fn(const struct hook_result *result, void *ctx);

/* What to run; copied where it is kept. */
struct hook_job {
	const char *what; /* "hook", "command": for log lines and names of units */
	const char *name; /* of the hook; letters, digits, '-', '_' */
	char *const *command;
	char *const *variables; /* BELLWIRE_* */
	int input; /* becomes standard input; borrowed */
	int64_t timeout_ms; /* 0: none */
	/* Somebody asked for it at the screen: it has no part in our end, its output is not logged, and
	 * what it leaves behind lives on. */
	bool is_for_person;
	/* Two descriptors, borrowed, that become standard output and error in place of the log; what it
	 * leaves behind lives on then, too. NULL: the log. */
	const int *outputs;
};

enum { HOOK_EXIT_NOT_NOW = 75, HOOK_KILL_MS = 5000 };

struct hook_run;
/* 0, or -errno when it did not start. done runs once, later. */
int hook_run_start(struct ev_loop *loop, struct alarms *alarms, const struct hook_job *job,
	hook_ended_fn *done, void *ctx, struct hook_run **out_run);
/* SIGTERM to it and its group; done is not called. NULL is fine. */
void hook_run_stop(struct hook_run *run);
/* It goes on without us; done is not called. NULL is fine. */
void hook_run_leave(struct hook_run *run);
