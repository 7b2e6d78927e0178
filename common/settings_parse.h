/* SPDX-License-Identifier: Apache-2.0 */
/* One setting's text to its value; the inside of settings.c, apart so that it can be tested and
 * fuzzed. */
#pragma once
#include "common/settings.h"

enum { SETTINGS_VALUE_MAX = 4096 };

/* Stores the value in target, replacing what was there; a list is appended to. False with what
 * would do in why. */
bool settings_parse(
	const struct setting *setting, const char *text, void *target, char *why, size_t why_bytes);
/* Releases and empties one setting's value. */
void settings_clear(const struct setting *setting, void *target);
/* By name, with '-' for '_' allowed. NULL when unknown. */
const struct setting *settings_find(
	const struct settings_program *program, const char *name, size_t len);
/* The known name nearest to a misspelt one, NULL when none is near. */
const char *settings_nearest(const struct settings_program *program, const char *name, size_t len);
