/* SPDX-License-Identifier: Apache-2.0 */
/* Settings written into a person's configuration file, whose other lines stay as they are. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct config_change {
	const char *name;
	const char *value; /* one line; NULL: the setting stays as it is */
	bool is_news; /* filled: the file said something else, or nothing */
};

/* Fresh text of the file with the changes: each in its line, else below the line [distributor],
 * which is put in front when there is none. Sections of hooks and
 * mail accounts are theirs. */
char *config_edit_dup(const char *text, struct config_change *changes, size_t count);
