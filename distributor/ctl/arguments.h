/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was typed behind a command: flags that take a value ("--state FILE", "--state=FILE") or not,
 * words between them in any order, "--" before words that look like flags, and --help. Whatever
 * does not fit is named on standard error.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct arguments_flag {
	const char *name; /* without its dashes; NULL: the end of the list */
	const char **text; /* gets the value */
	bool *is_given; /* for one without a value; with neither it changes nothing */
};

struct arguments {
	const char *command; /* whose help is pointed to; NULL: argv[0] */
	const char *usage; /* printed for --help */
	const struct arguments_flag *flags;
	const char *words; /* what they are, as in the usage: "NAME|NUMBER"; NULL: there are none */
	size_t least, most;
};
/* out_words has room for `most`, those that are not there are NULL. False: the command ends with
 * *out_status, and all is said. */
bool arguments_read(const struct arguments *arguments, int argc, char **argv,
	const char **out_words, int *out_status);
