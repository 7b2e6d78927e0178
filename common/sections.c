/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the file: a pair goes to the section's item, which is made by its first pair. */
#include "common/sections.h"
#include "common/cleanup.h"
#include "common/ini_file.h"
#include "common/mem.h"
#include "common/settings_parse.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct sections {
	const struct sections_kind *kind;
	const char *path;
	FILE *err;
	char *items; /* count times kind->item_bytes */
	int *lines; /* of an item: that of its first pair, then one for each key; 0: not given */
	size_t count;
	bool failed;
};

static size_t sections_lines_each(const struct sections *sections) {
	return sections->kind->program.count + 1;
}

static void __attribute__((format(printf, 3, 0)))
sections_vcomplain(struct sections *sections, int line, const char *format, va_list args) {
	sections->failed = true;
	(void)fprintf(sections->err, line > 0 ? "%s:%d: " : "%s: ", sections->path, line);
	(void)vfprintf(sections->err, format, args);
	(void)fputc('\n', sections->err);
}

static void __attribute__((format(printf, 3, 4)))
sections_complain_at(struct sections *sections, int line, const char *format, ...) {
	va_list args;
	va_start(args, format);
	sections_vcomplain(sections, line, format, args);
	va_end(args);
}

/* ---- items ---- */

void sections_item_init(const struct sections_kind *kind, void *item, const char *name) {
	char why[SETTINGS_WHY_MAX];
	char *copy = mem_strdup(name);
	memcpy(item, &copy, sizeof copy);
	for (size_t i = 0; i < kind->program.count; i++) {
		const struct setting *setting = &kind->program.table[i];
		if (setting->initial) {
			(void)settings_parse(setting, setting->initial, item, why); /* is valid */
		}
	}
}

void sections_item_finish(const struct sections_kind *kind, void *item) {
	char *name;
	for (size_t i = 0; i < kind->program.count; i++) {
		settings_clear(&kind->program.table[i], item);
	}
	memcpy(&name, item, sizeof name);
	free(name);
}

const char *sections_name_trouble(const char *name) {
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t len = strlen(name);
	if (len == 0 || strspn(name, good) != len) {
		return "may hold letters, digits, - and _ only";
	}
	return len > SECTIONS_NAME_MAX ? "must not be longer than 40 characters" : NULL;
}

static bool sections_name_is_good(
	struct sections *sections, const struct ini_pair *pair, const char *name) {
	const struct sections_kind *kind = sections->kind;
	const char *trouble = sections_name_trouble(name);
	if (!trouble && strlen(pair->section) > INI_SECTION_MAX) {
		trouble = "must not be longer than 40 characters";
	}
	if (trouble) {
		sections_complain_at(sections, pair->line, "[%s]: %s's name %s: %s", pair->section,
			kind->one, trouble, kind->example);
	}
	return !trouble;
}

/* The index of the item with this name, made if need be; -1 when there are too many. */
static long sections_find_or_add(struct sections *sections, const char *name, int line) {
	size_t bytes = sections->kind->item_bytes, each = sections_lines_each(sections);
	for (size_t i = 0; i < sections->count; i++) {
		char *known;
		memcpy(&known, sections->items + i * bytes, sizeof known);
		if (strcmp(known, name) == 0) {
			return (long)i;
		}
	}
	if (sections->count == sections->kind->max) {
		return -1;
	}
	size_t at = sections->count++;
	sections->items = mem_realloc(sections->items, sections->count * bytes);
	sections->lines =
		mem_realloc(sections->lines, sections->count * each * sizeof *sections->lines);
	memset(sections->items + at * bytes, 0, bytes);
	memset(sections->lines + at * each, 0, each * sizeof *sections->lines);
	sections->lines[at * each] = line;
	sections_item_init(sections->kind, sections->items + at * bytes, name);
	return (long)at;
}

/* ---- reading ---- */

static int *sections_line(const struct sections *sections, size_t at, size_t setting) {
	return &sections->lines[at * sections_lines_each(sections) + 1 + setting];
}

static void sections_set(struct sections *sections, size_t at, const struct ini_pair *pair) {
	const struct settings_program *program = &sections->kind->program;
	const struct setting *setting = settings_find(program, pair->name, strlen(pair->name));
	if (!setting) {
		const char *nearest = settings_nearest(program, pair->name, strlen(pair->name), false);
		sections_complain_at(sections, pair->line, "%s: %s have no such key%s%s%s", pair->name,
			sections->kind->many, nearest ? "; did you mean " : "", nearest ? nearest : "",
			nearest ? "?" : "");
		return;
	}
	int *line = sections_line(sections, at, (size_t)(setting - program->table));
	if (*line > 0) {
		sections_complain_at(sections, pair->line, "%s was set before at %s:%d", setting->name,
			sections->path, *line);
		return;
	}
	*line = pair->line;
	char why[SETTINGS_WHY_MAX];
	if (!settings_parse(setting, pair->value, sections_item(sections, at), why)) {
		sections_complain_at(sections, pair->line, "%s = %s: %s", setting->name, pair->value, why);
	}
}

static void sections_on_pair(const struct ini_pair *pair, void *ctx) {
	struct sections *sections = ctx;
	const struct sections_kind *kind = sections->kind;
	if (strncmp(pair->section, kind->prefix, strlen(kind->prefix)) != 0) {
		return;
	}
	const char *name = pair->section + strlen(kind->prefix);
	name += strspn(name, " \t");
	if (!sections_name_is_good(sections, pair, name)) {
		return;
	}
	bool had_failed = sections->failed;
	long at = sections_find_or_add(sections, name, pair->line);
	if (at >= 0) {
		sections_set(sections, (size_t)at, pair);
	} else if (!had_failed) {
		sections_complain_at(sections, pair->line, "[%s]: there may be %zu %s", pair->section,
			kind->max, kind->many);
	}
}

/* The settings are read from the same file, and complain of it. */
static void sections_on_trouble(int line, const char *what, void *ctx) {
	(void)line;
	(void)what;
	(void)ctx;
}

struct sections *sections_read(const struct sections_kind *kind, const char *path, FILE *err) {
	struct sections *sections = mem_zalloc(sizeof *sections);
	sections->kind = kind;
	sections->path = path;
	sections->err = err;
	FILE *file = path ? fopen(path, "re") : NULL;
	if (path && !file && errno != ENOENT && errno != ENOTDIR) { /* nothing there: no sections */
		sections_complain_at(sections, 0, "cannot be read: %s", strerror(errno));
	}
	if (file) {
		ini_file_read(file, sections_on_pair, sections_on_trouble, sections);
		(void)fclose(file); /* only read */
	}
	return sections;
}

/* ---- whole sections ---- */

size_t sections_count(const struct sections *sections) {
	return sections->count;
}

void *sections_item(const struct sections *sections, size_t at) {
	assert(at < sections->count);
	return sections->items + at * sections->kind->item_bytes;
}

static int sections_line_of(const struct sections *sections, size_t at, const char *key) {
	const struct settings_program *program = &sections->kind->program;
	const struct setting *setting = settings_find(program, key, strlen(key));
	assert(setting);
	return *sections_line(sections, at, (size_t)(setting - program->table));
}

bool sections_has(const struct sections *sections, size_t at, const char *key) {
	return sections_line_of(sections, at, key) > 0;
}

void sections_complain(
	struct sections *sections, size_t at, const char *key, const char *format, ...) {
	int line = key ? sections_line_of(sections, at, key) : 0;
	va_list args;
	va_start(args, format);
	sections_vcomplain(sections,
		line > 0 ? line : sections->lines[at * sections_lines_each(sections)], format, args);
	va_end(args);
}

bool sections_finish(struct sections *take_sections, void **out_items, size_t *out_count) {
	bool is_good = !take_sections->failed;
	*out_items = take_sections->items;
	*out_count = take_sections->count;
	free(take_sections->lines);
	free(take_sections);
	return is_good;
}

/* As one line, fresh. */
static char *sections_line_dup(const struct setting *setting, const void *item) {
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	if (out) {
		settings_print_one(setting, item, out);
		(void)fclose(out); /* memory alone */
	}
	return text ? text : mem_strdup("");
}

void sections_print_item(const struct sections_kind *kind, const void *item, FILE *out) {
	CLEANUP_FREE void *plain = mem_zalloc(kind->item_bytes);
	char *name;
	memcpy(&name, item, sizeof name);
	sections_item_init(kind, plain, name);
	(void)fprintf(out, "[%s%s]\n", kind->prefix, name);
	for (size_t i = 0; i < kind->program.count; i++) {
		CLEANUP_FREE char *line = sections_line_dup(&kind->program.table[i], item);
		CLEANUP_FREE char *usual = sections_line_dup(&kind->program.table[i], plain);
		if (strcmp(line, usual) != 0) {
			(void)fputs(line, out);
		}
	}
	sections_item_finish(kind, plain);
}

void sections_print_sample(const struct sections_kind *kind, FILE *out) {
	for (size_t i = 0; i < kind->program.count; i++) {
		const struct setting *setting = &kind->program.table[i];
		for (const char *line = setting->help; *line;) {
			size_t len = strcspn(line, "\n");
			(void)fprintf(out, "; %.*s\n", (int)len, line);
			line += len + (line[len] == '\n');
		}
		(void)fprintf(out, ";%s = %s\n\n", setting->name,
			setting->initial ? setting->initial : setting->value_name);
	}
}
