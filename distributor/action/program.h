/* SPDX-License-Identifier: Apache-2.0 */
/* Where a program lies that a command names. */
#pragma once

/* Its whole path, fresh: what is a path already is taken for one, others are looked for in PATH.
 * NULL for what is in none of its folders, and for a path that begins nowhere. */
char *program_find_dup(const char *program);
