/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes text of any origin fit to be shown: what is not UTF-8 becomes U+FFFD; control characters,
 * those that turn the direction of writing, and those that nobody sees are left out, but for
 * joiners within scripts that need them; the end is cut between two characters and marked. Pure.
 */
#pragma once
#include "common/slice.h"

enum sanitize_flags {
	SANITIZE_ONE_LINE = 1, /* line ends become blanks */
	SANITIZE_MARKUP = 2, /* & < > " ' are escaped, as XML has it */
};

/* Fresh. At most max_bytes of the text are kept; escapes do not count. Runs of white space at the
 * ends go. */
char *sanitize_dup(struct slice text, size_t max_bytes, unsigned flags);
