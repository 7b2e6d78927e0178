/* SPDX-License-Identifier: Apache-2.0 */
/* Fills a program's settings from defaults, file, environment and flags, in this order. */
#include "common/settings.h"
#include "common/cleanup.h"
#include "common/ini_file.h"
#include "common/mem.h"
#include "common/settings_parse.h"
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_SHOWN_MAX = 200 };

struct settings_origin {
	const struct settings_program *program;
	char **rest; /* given out by settings_load */
	char *file; /* the one that was read; NULL for none */
	char *sources[]; /* one per setting, NULL for the default */
};

enum settings_stage { SETTINGS_DEFAULTS, SETTINGS_FILE, SETTINGS_ENVIRONMENT, SETTINGS_FLAGS };

/* Loading under way. */
struct settings_loader {
	const struct settings_program *program;
	void *target;
	struct settings_origin *origin;
	FILE *err;
	bool failed;
	enum settings_stage stage;
	enum settings_stage *set_in; /* per setting: the stage that set it last */
	const char *file_name;
};

/* The first member of the program's struct. */
static struct settings_origin **settings_origin_of(void *target) {
	return target;
}

static struct settings_origin *settings_origin_create(
	const struct settings_program *program, void *target) {
	struct settings_origin **place = settings_origin_of(target);
	assert(!*place); /* settings_free comes before a second load */
	*place = mem_zalloc(sizeof **place + program->count * sizeof(char *));
	(*place)->program = program;
	return *place;
}

static void settings_origin_destroy(void *target) {
	struct settings_origin **place = settings_origin_of(target), *origin = *place;
	*place = NULL;
	for (size_t i = 0; origin && i < origin->program->count; i++) {
		free(origin->sources[i]);
	}
	free(origin ? origin->rest : NULL);
	free(origin ? origin->file : NULL);
	free(origin);
}

/* ---- complaints ---- */

/* A peer of the terminal might have written it: escaped, and cut when long. */
static char *settings_shown_dup(const char *text, size_t len) {
	bool is_cut = len > SETTINGS_SHOWN_MAX;
	size_t shown = is_cut ? SETTINGS_SHOWN_MAX : len;
	char *out = mem_alloc(shown * 4 + 4), *at = out;
	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < ' ' || c == 0x7f) {
			at += snprintf(at, 5, "\\x%02x", c);
		} else {
			*at++ = (char)c;
		}
	}
	memcpy(at, is_cut ? "..." : "", is_cut ? 4 : 1);
	return out;
}

static void __attribute__((format(printf, 3, 4)))
settings_complain(struct settings_loader *loader, const char *source, const char *format, ...) {
	loader->failed = true;
	CLEANUP_FREE char *shown = settings_shown_dup(source, strlen(source));
	fprintf(loader->err, "%s: ", shown);
	va_list args;
	va_start(args, format);
	vfprintf(loader->err, format, args);
	va_end(args);
	fputc('\n', loader->err);
}

/* mark is "--" for a flag. */
static void settings_complain_unknown(
	struct settings_loader *loader, const char *source, const char *name, size_t len) {
	bool is_flag = loader->stage == SETTINGS_FLAGS;
	const char *nearest = settings_nearest(loader->program, name, len, is_flag);
	CLEANUP_FREE char *shown = settings_shown_dup(name, len);
	const char *what = is_flag ? "unknown flag" : "unknown setting";
	if (!nearest) {
		settings_complain(loader, source, "%s: %s; see --help for all", shown, what);
		return;
	}
	CLEANUP_FREE char *spelt = mem_printf("%s%s", is_flag ? "--" : "", nearest);
	for (char *c = spelt; is_flag && *c; c++) {
		*c = *c == '_' ? '-' : *c;
	}
	settings_complain(loader, source, "%s: %s; did you mean %s?", shown, what, spelt);
}

static void settings_set(struct settings_loader *loader, const struct setting *setting,
	const char *text, const char *source) {
	size_t at = (size_t)(setting - loader->program->table);
	bool is_first = loader->set_in[at] != loader->stage;
	char why[SETTINGS_WHY_MAX];
	if (setting->kind == SETTING_LIST && is_first) {
		settings_clear(setting, loader->target); /* a later source replaces the whole list */
	}
	if (setting->kind != SETTING_LIST && !is_first && loader->stage == SETTINGS_FILE) {
		settings_complain(
			loader, source, "%s was set before at %s", setting->name, loader->origin->sources[at]);
		return;
	}
	loader->set_in[at] = loader->stage;
	if (!settings_parse(setting, text, loader->target, why)) {
		CLEANUP_FREE char *shown = settings_shown_dup(text, strlen(text));
		settings_complain(loader, source, "%s = %s: %s", setting->name,
			setting->is_secret ? "(hidden)" : shown, why);
	}
	if (loader->stage != SETTINGS_DEFAULTS) {
		free(loader->origin->sources[at]);
		loader->origin->sources[at] = mem_strdup(source);
	}
}

/* ---- the file ---- */

/* Sections are for the reader's eye, but for those that somebody else reads. */
bool settings_is_of_others(const struct settings_program *program, const char *section) {
	for (const char *const *other = program->other_sections; other && *other; other++) {
		if (strncmp(section, *other, strlen(*other)) == 0) {
			return true;
		}
	}
	return false;
}

/* May a setting of the program stand there? Any may, but a name that is none is looked at. */
static bool settings_has_section(const struct settings_program *program, const char *section) {
	for (size_t i = 0; i < program->count; i++) {
		if (program->table[i].section && strcmp(program->table[i].section, section) == 0) {
			return true;
		}
	}
	return section[0] == '\0' || !program->other_sections;
}

static void settings_complain_section(
	struct settings_loader *loader, const char *source, const struct ini_pair *pair) {
	CLEANUP_FREE char *section = settings_shown_dup(pair->section, strlen(pair->section));
	CLEANUP_FREE char *name = settings_shown_dup(pair->name, strlen(pair->name));
	CLEANUP_FREE char *others = mem_strdup("");
	for (const char *const *other = loader->program->other_sections; *other; other++) {
		char *more = mem_printf("%s%s[%sNAME]", others, others[0] ? " and " : "", *other);
		free(others);
		others = more;
	}
	settings_complain(
		loader, source, "[%s] %s: there is no such section; there are %s", section, name, others);
}

static void settings_on_pair(const struct ini_pair *pair, void *ctx) {
	struct settings_loader *loader = ctx;
	if (settings_is_of_others(loader->program, pair->section)) {
		return;
	}
	const struct setting *setting = settings_find(loader->program, pair->name, strlen(pair->name));
	CLEANUP_FREE char *source = mem_printf("%s:%d", loader->file_name, pair->line);
	if (setting) {
		settings_set(loader, setting, pair->value, source);
	} else if (!settings_has_section(loader->program, pair->section) &&
			   !settings_nearest(loader->program, pair->name, strlen(pair->name), false)) {
		settings_complain_section(loader, source, pair);
	} else {
		settings_complain_unknown(loader, source, pair->name, strlen(pair->name));
	}
}

static void settings_on_trouble(int line, const char *what, void *ctx) {
	struct settings_loader *loader = ctx;
	CLEANUP_FREE char *source =
		line > 0 ? mem_printf("%s:%d", loader->file_name, line) : mem_strdup(loader->file_name);
	settings_complain(loader, source, "%s", what);
}

static void settings_load_stream(struct settings_loader *loader, FILE *file, const char *name) {
	loader->stage = SETTINGS_FILE;
	loader->file_name = name;
	ini_file_read(file, settings_on_pair, settings_on_trouble, loader);
}

static void settings_load_file(struct settings_loader *loader, const char *path, bool is_named) {
	FILE *file = fopen(path, "re");
	if (!file) {
		if (is_named || (errno != ENOENT && errno != ENOTDIR)) {
			settings_complain(loader, path, "cannot be read: %s", strerror(errno));
		}
		return;
	}
	loader->origin->file = mem_strdup(path);
	settings_load_stream(loader, file, path);
	(void)fclose(file); /* only read */
}

/* ---- environment ---- */

static void settings_load_environment(struct settings_loader *loader) {
	loader->stage = SETTINGS_ENVIRONMENT;
	for (size_t i = 0; i < loader->program->count; i++) {
		const struct setting *setting = &loader->program->table[i];
		CLEANUP_FREE char *name = mem_printf("%s%s", loader->program->env_prefix, setting->name);
		for (char *c = name; *c; c++) {
			*c = (char)toupper((unsigned char)*c);
		}
		const char *value = getenv(name);
		if (value) {
			settings_set(loader, setting, value, name);
		}
	}
}

/* ---- flags ---- */

static bool settings_is_flag(const char *word) {
	return word[0] == '-' && word[1] != '\0';
}

static bool settings_ends_flags(const char *word) {
	return strcmp(word, "--") == 0;
}

/* Handles argv[i], a flag that names a setting; returns how many words it took. */
static int settings_load_flag(struct settings_loader *loader, int argc, char **argv, int i) {
	const char *name = argv[i] + strspn(argv[i], "-");
	size_t len = strcspn(name, "=");
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	bool is_long = argv[i][1] == '-';
	const struct setting *setting = is_long ? settings_find(loader->program, name, len) : NULL;
	CLEANUP_FREE char *source = mem_strndup(argv[i], (size_t)(name - argv[i]) + len);
	if (!setting) {
		settings_complain_unknown(loader, loader->program->name, source, strlen(source));
		return 1;
	}
	int used = 1;
	char *next = i + 1 < argc ? argv[i + 1] : NULL;
	if (!value && next && strncmp(next, "--", 2) != 0 &&
		(setting->kind != SETTING_BOOL || settings_is_bool(next))) {
		value = next;
		used = 2;
	}
	if (!value && setting->kind != SETTING_BOOL) {
		settings_complain(loader, source, "needs a value: %s %s", source,
			setting->value_name ? setting->value_name : "VALUE");
		return used;
	}
	settings_set(loader, setting, value ? value : "on", source);
	return used;
}

/* --config FILE and --config=FILE: how many words, 0 when argv[i] is neither. The path is NULL when
 * it is missing. */
static int settings_take_config(int argc, char **argv, int i, const char **out_path) {
	if (strncmp(argv[i], "--config=", 9) == 0) {
		*out_path = argv[i] + 9;
		return 1;
	}
	if (strcmp(argv[i], "--config") != 0) {
		return 0;
	}
	bool has_path = i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0;
	*out_path = has_path ? argv[i + 1] : NULL;
	return has_path ? 2 : 1;
}

/* What has to be known before the rest is read. */
static void settings_look_ahead(struct settings_loader *loader, int argc, char **argv,
	enum settings_action *action, const char **path) {
	for (int i = 1; i < argc && !settings_ends_flags(argv[i]); i++) {
		const char *named;
		(void)settings_action_find(argv[i], action);
		int words = settings_take_config(argc, argv, i, &named);
		if (words > 0 && !named) {
			settings_complain(loader, "--config", "needs a value: --config FILE");
		} else if (words > 0) {
			*path = named;
			i += words - 1;
		}
	}
}

static void settings_load_flags(
	struct settings_loader *loader, int argc, char **argv, char **rest, size_t *rest_count) {
	loader->stage = SETTINGS_FLAGS;
	enum settings_action action;
	const char *path;
	int i = 1;
	while (i < argc && !settings_ends_flags(argv[i])) {
		int config_words = settings_take_config(argc, argv, i, &path);
		if (config_words > 0) {
			i += config_words;
		} else if (settings_action_find(argv[i], &action)) {
			i++;
		} else if (settings_is_flag(argv[i])) {
			i += settings_load_flag(loader, argc, argv, i);
		} else {
			rest[(*rest_count)++] = argv[i++];
		}
	}
	for (i++; i < argc; i++) {
		rest[(*rest_count)++] = argv[i];
	}
}

/* ---- the whole ---- */

static void settings_start(struct settings_loader *loader) {
	const struct settings_program *program = loader->program;
	loader->origin = settings_origin_create(program, loader->target);
	loader->set_in = mem_zalloc(program->count * sizeof *loader->set_in);
	for (size_t i = 0; i < program->count; i++) {
		if (program->table[i].initial) {
			settings_set(loader, &program->table[i], program->table[i].initial, "default");
		}
	}
}

int settings_load(const struct settings_program *program, int argc, char **argv, void *target,
	enum settings_action *out_action, char ***out_rest, size_t *out_rest_count, FILE *err) {
	struct settings_loader loader = {.program = program, .target = target, .err = err};
	settings_start(&loader);
	char **rest = loader.origin->rest = mem_zalloc(((size_t)argc + 1) * sizeof *rest);
	size_t rest_count = 0;
	enum settings_action action = SETTINGS_RUN;
	const char *path = NULL;
	settings_look_ahead(&loader, argc, argv, &action, &path);
	bool is_asked_only = action == SETTINGS_HELP || action == SETTINGS_VERSION;
	if (!is_asked_only) { /* whoever asks how it works may have a broken file */
		if (path || program->config_path) {
			settings_load_file(&loader, path ? path : program->config_path, path != NULL);
		}
		settings_load_environment(&loader);
		settings_load_flags(&loader, argc, argv, rest, &rest_count);
	}
	free(loader.set_in);
	*out_action = action;
	*out_rest = rest;
	*out_rest_count = rest_count;
	return loader.failed ? -EINVAL : 0;
}

int settings_load_text(const struct settings_program *program, struct slice text, const char *name,
	void *target, FILE *err) {
	struct settings_loader loader = {.program = program, .target = target, .err = err};
	settings_start(&loader);
	FILE *file = fmemopen((void *)(uintptr_t)text.data, text.len, "r");
	if (file) {
		settings_load_stream(&loader, file, name);
		(void)fclose(file); /* only read */
	} else {
		settings_complain(&loader, name, "cannot be read: %s", strerror(errno));
	}
	free(loader.set_in);
	return loader.failed ? -EINVAL : 0;
}

void settings_free(const struct settings_program *program, void *target) {
	for (size_t i = 0; i < program->count; i++) {
		settings_clear(&program->table[i], target);
	}
	settings_origin_destroy(target);
}

const char *settings_file(const void *target) {
	const struct settings_origin *origin = *(struct settings_origin *const *)target;
	return origin ? origin->file : NULL;
}

const char *settings_source(const void *target, const char *name) {
	const struct settings_origin *origin = *(struct settings_origin *const *)target;
	for (size_t i = 0; origin && i < origin->program->count; i++) {
		if (strcmp(origin->program->table[i].name, name) == 0 && origin->sources[i]) {
			return origin->sources[i];
		}
	}
	return "default";
}
