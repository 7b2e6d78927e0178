/* SPDX-License-Identifier: Apache-2.0 */
/* What may be a password or token: the first line of what a program, file or keyring gives. */
#pragma once
#include "common/slice.h"

enum { SECRET_MAX = 16384 };

/* The first line, fresh (secret_free). NULL when there is none, or when it is no text of at most
 * SECRET_MAX bytes without control characters. */
char *secret_line_dup(struct slice bytes);
/* Wipes and releases; NULL is fine. */
void secret_free(char *secret);
