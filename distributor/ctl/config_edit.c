/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the lines as the daemon's reader does, then copies the text line by line. */
#include "distributor/ctl/config_edit.h"
#include "common/ini_file.h"
#include "common/log.h"
#include "common/settings_parse.h"
#include "common/slice.h"
#include "distributor/config.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_EDIT_CHANGES_MAX = 8 };

struct config_edit {
	struct config_change *changes;
	size_t count;
	int lines[CONFIG_EDIT_CHANGES_MAX]; /* where each stands; 0: nowhere */
	FILE *out;
};

static void config_edit_on_pair(const struct ini_pair *pair, void *ctx) {
	struct config_edit *edit = ctx;
	if (settings_is_of_others(config_program(), pair->section)) {
		return;
	}
	for (size_t i = 0; i < edit->count; i++) {
		struct config_change *change = &edit->changes[i];
		if (change->value && edit->lines[i] == 0 && strcmp(pair->name, change->name) == 0) {
			edit->lines[i] = pair->line;
			change->is_news = strcmp(pair->value, change->value) != 0;
		}
	}
}

static void config_edit_on_trouble(int line, const char *what, void *ctx) {
	(void)line; /* the line stays, and the daemon complains of it */
	(void)what;
	(void)ctx;
}

static void config_edit_find(struct config_edit *edit, const char *text) {
	for (size_t i = 0; i < edit->count; i++) {
		edit->changes[i].is_news = edit->changes[i].value != NULL;
	}
	FILE *file = *text ? fmemopen((char *)text, strlen(text), "r") : NULL; /* only read */
	if (file) {
		ini_file_read(file, config_edit_on_pair, config_edit_on_trouble, edit);
		(void)fclose(file);
	}
}

/* Writes the changes that stand in the line; 0: those that stand nowhere. False when there are
 * none. */
static bool config_edit_put(const struct config_edit *edit, int line) {
	bool is_there = false;
	for (size_t i = 0; i < edit->count; i++) {
		const struct config_change *change = &edit->changes[i];
		if (change->value && edit->lines[i] == line) {
			(void)fprintf(edit->out, "%s = %s\n", change->name, change->value);
			is_there = true;
		}
	}
	return is_there;
}

static bool config_edit_has_homeless(const struct config_edit *edit) {
	for (size_t i = 0; i < edit->count; i++) {
		if (edit->changes[i].value && edit->lines[i] == 0) {
			return true;
		}
	}
	return false;
}

static bool config_edit_is_header(const char *line, size_t len) {
	return slice_starts_with(slice_trim((struct slice){line, len}), "[distributor]");
}

static bool config_edit_has_header(const char *text) {
	while (*text) {
		size_t len = strcspn(text, "\n");
		if (config_edit_is_header(text, len)) {
			return true;
		}
		text += len + (text[len] == '\n');
	}
	return false;
}

static void config_edit_copy(const struct config_edit *edit, const char *text) {
	bool is_put = !config_edit_has_homeless(edit);
	if (!is_put && !config_edit_has_header(text)) {
		(void)fputs("[distributor]\n", edit->out);
		is_put = config_edit_put(edit, 0);
		(void)fputs(*text ? "\n" : "", edit->out);
	}
	for (int line = 1; *text; line++) {
		size_t len = strcspn(text, "\n");
		if (!config_edit_put(edit, line)) {
			(void)fprintf(edit->out, "%.*s\n", (int)len, text);
		}
		if (!is_put && config_edit_is_header(text, len)) {
			is_put = config_edit_put(edit, 0);
		}
		text += len + (text[len] == '\n');
	}
}

char *config_edit_dup(const char *text, struct config_change *changes, size_t count) {
	char *edited = NULL;
	size_t bytes = 0;
	struct config_edit edit = {.changes = changes, .count = count};
	assert(count <= CONFIG_EDIT_CHANGES_MAX);
	config_edit_find(&edit, text);
	edit.out = open_memstream(&edited, &bytes);
	if (!edit.out) {
		log_fatal("out of memory");
	}
	config_edit_copy(&edit, text);
	(void)fclose(edit.out); /* memory */
	return edited;
}
