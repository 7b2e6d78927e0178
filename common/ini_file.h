/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads an INI file: `name = value` under `[section]`; ';' or '#' begins a line of comment. A value
 * may hold " ;" and be long. Each pair comes with its line; a line that is none of these, or has
 * control characters, is trouble, and reading goes on behind it.
 */
#pragma once
#include <stdio.h>

enum {
	INI_LINE_MAX = 8192,
	INI_SECTION_MAX =
		48, /* bytes of a section's name; inih cuts longer ones to this and one more */
};

struct ini_pair {
	const char *section, *name, *value; /* valid during the callback */
	int line; /* from 1 on */
};
typedef void ini_pair_fn(const struct ini_pair *pair, void *ctx);
/* `what` is a sentence about the line; 0 for the file as a whole. */
typedef void ini_trouble_fn(int line, const char *what, void *ctx);

void ini_file_read(FILE *file, ini_pair_fn *on_pair, ini_trouble_fn *on_trouble, void *ctx);
