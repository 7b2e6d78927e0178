/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits a command line into its words as a shell does, and expands nothing: blanks separate;
 * '…' keeps everything; "…" keeps everything but \" and \\; a backslash keeps the next character.
 * A word that begins with ~/ begins with the home directory. What would mean something to a shell
 * (| & ; < > ` $, not in quotes; ` $ in "…") is refused, so that nobody takes this for one. Pure.
 */
#pragma once
#include <stdbool.h>

enum { WORDS_MAX = 256 };

/* Fresh, NULL-terminated, at least one word; words_free. False with what would do in *out_why
 * (static). home may be NULL: then ~/ is refused. */
bool words_split(const char *text, const char *home, char ***out_words, const char **out_why);
void words_free(char **words); /* NULL is fine */
char **words_dup(char *const *words);
