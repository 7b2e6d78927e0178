/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections `[kind NAME]` of a config file: each fills a struct of its own by a table of settings.
 * They are read beside the settings, which leave them alone (settings_program::other_sections).
 */
#pragma once
#include "common/settings.h"

enum { SECTIONS_NAME_MAX = 40 };

struct sections_kind {
	const char *prefix; /* "hook " */
	const char *one, *many; /* for messages: "a hook", "hooks" */
	const char *example; /* "[hook my-mail]" */
	struct settings_program program; /* table and count alone */
	size_t item_bytes; /* of the struct, which begins with `char *name` */
	size_t max;
};

/* Fills an item (zeroed) with its name and the defaults; releases name and settings. */
void sections_item_init(const struct sections_kind *kind, void *item, const char *name);
void sections_item_finish(const struct sections_kind *kind, void *item);
/* NULL for a good name: letters, digits, '-' and '_'; else what would do. */
const char *sections_name_trouble(const char *name);

struct sections;
/* path NULL, or no file there: no sections. Problems go to err, one a line. Never NULL. */
struct sections *sections_read(const struct sections_kind *kind, const char *path, FILE *err);
size_t sections_count(const struct sections *sections);
void *sections_item(const struct sections *sections, size_t at);
bool sections_has(const struct sections *sections, size_t at, const char *key);
/* A problem of a whole section: printed with the line of `key`, or of the section when that is NULL
 * or not given. */
void sections_complain(struct sections *sections, size_t at, const char *key, const char *format,
	...) __attribute__((format(printf, 4, 5)));
/* Ends the reading and hands out the array of items, NULL for none. False when there was a problem
 * (the items are to be released nonetheless). */
bool sections_finish(struct sections *take_sections, void **out_items, size_t *out_count);

/* The section as it can be read again: what differs from the defaults. */
void sections_print_item(const struct sections_kind *kind, const void *item, FILE *out);
/* Every key with its help and default, as comments for a sample file. */
void sections_print_sample(const struct sections_kind *kind, FILE *out);
