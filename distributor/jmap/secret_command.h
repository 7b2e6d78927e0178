/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a password_command without input, as other commands are run (action/hook_command.h), and
 * takes the first line of its output; the rest is read and thrown away. What it keeps running
 * behind it, such as an agent, lives on.
 */
#pragma once
#include "distributor/action/hook_command.h"

/* Once, later. secret NULL: `reason` is a sentence with its exit status and the first line that it
 * said on standard error. Both live during the call. */
typedef void secret_command_done_fn(const char *secret, const char *reason, void *ctx);

struct secret_command;
/* name: the login's, for a unit. It is ended after timeout_ms. */
struct secret_command *secret_command_start(const struct hook_place *place, const char *name,
	char *const *words, bool as_unit, int64_t timeout_ms, secret_command_done_fn *done, void *ctx);
/* Ends it; done is not called. NULL is fine; not from within it. */
void secret_command_cancel(struct secret_command *command);
