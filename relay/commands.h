/* SPDX-License-Identifier: Apache-2.0 */
/* What bellwire-relay does beside running: `key`, `invite`, `health`, `sample-config`. */
#pragma once

/* argv[1] is the command's name. Returns the exit status; 2 and usage on stderr when the words are
 * wrong. */
int commands_run(int argc, char **argv);
/* Is it one of ours? */
_Bool commands_has(const char *name);
/* One line each, for the usage. */
extern const char commands_usage[];
