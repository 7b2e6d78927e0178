/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a command as a child of ours: in a session of its own, with an empty signal mask, without
 * our descriptors and our own variables, in the home directory.
 */
#pragma once
#include <sys/types.h>

struct child {
	char *const *command; /* found in PATH, without a shell */
	char *const *variables; /* added to the environment */
	int input, output, error; /* become 0, 1 and 2; borrowed */
};
/* The pidfd that tells its end (waitid reaps it), or -errno when it did not start. The child leads
 * its group. */
int child_start(const struct child *child, pid_t *out_pid);
