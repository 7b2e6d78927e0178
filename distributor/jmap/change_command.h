/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A login's command (mbsync, vdirsyncer, notmuch new) after changes: one at a time; what comes
 * meanwhile leads to one more run with everything that came. Run as hooks are: a transient unit of
 * systemd where that is there, else a child; output to the log; a time limit. Its environment says
 * what changed: BELLWIRE_LOGIN, BELLWIRE_REASON, BELLWIRE_TYPES and BELLWIRE_ACCOUNTS (with blanks
 * between), BELLWIRE_MAILBOXES (one a line), BELLWIRE_NEW.
 */
#pragma once
#include "distributor/action/hook_unit.h"
#include "distributor/action/notify.h"
#include "distributor/alarm.h"
#include <ev.h>
#include <jansson.h>

/* Of each kind; further ones are left out. */
enum { CHANGE_NAMES_MAX = 64, CHANGE_NAME_BYTES_MAX = 255 };

struct change_command_options {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct hook_units *units; /* NULL: children only */
	struct notify *notify; /* a failure is shown once, until a run goes well */
	const char *login, *kind; /* "mail", "calendar", …: for the log; copied */
	char *const *command; /* outlives it */
	int64_t timeout_ms;
	/* A run went well: change_command_print() says something else. NULL: nobody asks. */
	void (*ran)(void *ctx);
	void *ctx;
};
/* What changed; texts are copied and made fit for a line, names once each. NULL: nothing to say. */
struct change {
	const char *reason; /* "push", "stream", "poll", "missed", "resume", "start", … */
	const char *account_id, *type, *mailbox;
	uint32_t new_mails;
};
struct change_command;
/* `saved`: what change_command_print() made, NULL: nothing. */
struct change_command *change_command_create(
	const struct change_command_options *options, const json_t *saved);
/* SIGTERM to what runs; waits for nothing. NULL is fine. */
void change_command_destroy(struct change_command *command);
void change_command_note(struct change_command *command, const struct change *change);
/* Runs with what was noted, now or after the present run; nothing noted: nothing. A run that failed
 * is tried again with its changes after 10 s, 1 min and 5 min, then with the next change. */
void change_command_run(struct change_command *command);
/* The same for what an earlier life left over, once; nothing left: nothing. */
void change_command_run_left(struct change_command *command);
/* Fresh: the changes that no run has dealt with, also those of a run under way; NULL: none. */
json_t *change_command_print(const struct change_command *command);
