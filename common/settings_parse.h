/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of settings.c: one setting's text to its value, and names. Apart so that it can be
 * tested and fuzzed. */
#pragma once
#include "common/settings.h"
#include "common/slice.h"

enum { SETTINGS_VALUE_MAX = 4096, SETTINGS_WHY_MAX = 512 };

/* Stores the value in target, replacing what was there; a list is appended to. Blanks around it do
 * not count, except in a secret. False with what would do in why; target is then unchanged. */
bool settings_parse(
	const struct setting *setting, const char *text, void *target, char why[SETTINGS_WHY_MAX]);
/* Releases and empties one setting's value. */
void settings_clear(const struct setting *setting, void *target);
bool settings_is_bool(const char *text);
/* A section of the file that the program leaves to others. */
bool settings_is_of_others(const struct settings_program *program, const char *section);
/* "--help" and its like. */
bool settings_action_find(const char *word, enum settings_action *out_action);
/* By name, with '-' for '_' allowed. NULL when unknown. */
const struct setting *settings_find(
	const struct settings_program *program, const char *name, size_t len);
/* The known name nearest to a misspelt one, without dashes in front, NULL when none is near. Flags
 * are also those that are no settings. */
const char *settings_nearest(
	const struct settings_program *program, const char *name, size_t len, bool is_flag);
/* As settings_load, from defaults and the text of one file alone. */
int settings_load_text(const struct settings_program *program, struct slice text, const char *name,
	void *target, FILE *err);
