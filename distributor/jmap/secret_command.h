/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a password_command as a child (action/child.h) without input, and takes the first line of
 * its output; the rest of that is read and thrown away. What it keeps running behind it may live
 * on.
 */
#pragma once
#include <ev.h>
#include <stdint.h>

/* Once, later. secret NULL: `reason` is a sentence with its exit status and the first line that it
 * said on standard error. Both live during the call. */
typedef void secret_command_done_fn(const char *secret, const char *reason, void *ctx);

struct secret_command;
/* After timeout_ms it and its group are killed. */
struct secret_command *secret_command_start(struct ev_loop *loop, char *const *command,
	int64_t timeout_ms, secret_command_done_fn *done, void *ctx);
/* Kills it; done is not called. NULL is fine; not from within it. */
void secret_command_cancel(struct secret_command *command);
