/* SPDX-License-Identifier: Apache-2.0 */
/* Fills a program's settings from defaults, file, environment and flags, in this order. */
#include "common/settings.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/settings_parse.h"
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Where each value of one target came from. */
struct settings_origin {
	struct settings_origin *next;
	const void *target;
	size_t count;
	const struct setting *table;
	char *sources[];
};

static struct settings_origin *settings_origins;

/* Loading under way. */
struct settings_loader {
	const struct settings_program *program;
	void *target;
	struct settings_origin *origin;
	FILE *err;
	bool failed;
	int stage; /* which source runs now */
	int *set_in; /* per setting: the stage that set it last */
	const char *file; /* during the file */
	int line;
};

static void __attribute__((format(printf, 3, 4)))
settings_complain(struct settings_loader *loader, const char *source, const char *format, ...) {
	loader->failed = true;
	fprintf(loader->err, "%s: ", source);
	va_list args;
	va_start(args, format);
	vfprintf(loader->err, format, args);
	va_end(args);
	fputc('\n', loader->err);
}

static void settings_set(struct settings_loader *loader, const struct setting *setting,
	const char *text, const char *source) {
	size_t at = (size_t)(setting - loader->program->table);
	char why[512] = "";
	if (setting->kind == SETTING_LIST && loader->set_in[at] != loader->stage) {
		settings_clear(setting, loader->target); /* a later source replaces the whole list */
	}
	loader->set_in[at] = loader->stage;
	if (!settings_parse(setting, text, loader->target, why, sizeof why)) {
		settings_complain(loader, source, "%s = %s: %s", setting->name,
			setting->is_secret ? "(hidden)" : text, why);
	}
	free(loader->origin->sources[at]);
	loader->origin->sources[at] = mem_strdup(source);
}

static void settings_complain_unknown(
	struct settings_loader *loader, const char *source, const char *name, size_t len) {
	const char *nearest = settings_nearest(loader->program, name, len);
	settings_complain(loader, source, "%.*s is unknown%s%s%s", (int)len, name,
		nearest ? "; did you mean " : "; see --help for what there is", nearest ? nearest : "",
		nearest ? "?" : "");
}

/* ---- the file
 * ------------------------------------------------------------------------------------ */

static int settings_on_line(void *user, const char *section, const char *name, const char *value) {
	struct settings_loader *loader = user;
	(void)section;
	const struct setting *setting = settings_find(loader->program, name, strlen(name));
	CLEANUP_FREE char *source = mem_printf("%s:%d", loader->file, loader->line);
	if (setting) {
		settings_set(loader, setting, value, source);
	} else {
		settings_complain_unknown(loader, source, name, strlen(name));
	}
	return 1;
}

/* Counts lines for messages: inih's handler is not told. */
static char *settings_read_line(char *text, int max, void *stream) {
	struct settings_loader *loader = ((void **)stream)[0];
	loader->line++;
	return fgets(text, max, ((void **)stream)[1]);
}

static void settings_load_file(struct settings_loader *loader, const char *path, bool is_named) {
	FILE *file = fopen(path, "re");
	if (!file) {
		if (is_named || errno != ENOENT) {
			settings_complain(loader, path, "cannot be read: %s", strerror(errno));
		}
		return;
	}
	void *stream[2] = {loader, file};
	loader->file = path;
	int bad_line = ini_parse_stream(settings_read_line, stream, settings_on_line, loader);
	if (ferror(file)) {
		settings_complain(loader, path, "cannot be read: %s", strerror(errno));
	} else if (bad_line > 0) {
		CLEANUP_FREE char *source = mem_printf("%s:%d", path, bad_line);
		settings_complain(loader, source, "is no \"name = value\" line");
	}
	(void)fclose(file);
}

/* ---- environment and flags
 * ----------------------------------------------------------------------- */

static void settings_load_environment(struct settings_loader *loader) {
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

/* Handles argv[i], a flag; returns how many words it took. */
static int settings_load_flag(struct settings_loader *loader, int argc, char **argv, int i) {
	const char *name = argv[i] + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	const struct setting *setting = settings_find(loader->program, name, len);
	CLEANUP_FREE char *source = mem_printf("--%.*s", (int)len, name);
	if (!setting) {
		settings_complain_unknown(loader, source, name, len);
		return 1;
	}
	int used = 1;
	if (!value && i + 1 < argc && argv[i + 1][0] != '\0' &&
		!(argv[i + 1][0] == '-' && argv[i + 1][1] == '-')) {
		char why[512];
		bool ignored;
		const struct setting probe = {.kind = SETTING_BOOL};
		if (setting->kind != SETTING_BOOL ||
			settings_parse(&probe, argv[i + 1], &ignored, why, sizeof why)) {
			value = argv[i + 1];
			used = 2;
		}
	}
	if (!value && setting->kind != SETTING_BOOL) {
		settings_complain(loader, source, "needs a value: %s %s", source,
			setting->value_name ? setting->value_name : "VALUE");
		return used;
	}
	settings_set(loader, setting, value ? value : "on", source);
	return used;
}

static const struct {
	const char *flag;
	enum settings_action action;
} settings_actions[] = {
	{"--check-config", SETTINGS_CHECK},
	{"--print-config", SETTINGS_PRINT},
	{"--help", SETTINGS_HELP},
	{"-h", SETTINGS_HELP},
	{"--version", SETTINGS_VERSION},
};

static bool settings_take_action(const char *word, enum settings_action *action) {
	for (size_t i = 0; i < sizeof settings_actions / sizeof settings_actions[0]; i++) {
		if (strcmp(word, settings_actions[i].flag) == 0) {
			*action = settings_actions[i].action;
			return true;
		}
	}
	return false;
}

/* --config FILE and --config=FILE: how many words, 0 when argv[i] is neither. */
static int settings_take_config(int argc, char **argv, int i, const char **out_path) {
	if (strncmp(argv[i], "--config=", 9) == 0) {
		*out_path = argv[i] + 9;
		return 1;
	}
	if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
		*out_path = argv[i + 1];
		return 2;
	}
	return 0;
}

static void settings_load_flags(struct settings_loader *loader, int argc, char **argv,
	enum settings_action *action, char **rest, size_t *rest_count) {
	const char *ignored;
	for (int i = 1; i < argc;) {
		int config_words = settings_take_config(argc, argv, i, &ignored);
		if (config_words > 0) {
			i += config_words;
		} else if (settings_take_action(argv[i], action)) {
			i++;
		} else if (argv[i][0] == '-' && argv[i][1] == '-') {
			i += settings_load_flag(loader, argc, argv, i);
		} else if (argv[i][0] == '-' && argv[i][1] != '\0') {
			settings_complain_unknown(loader, argv[i], argv[i], strlen(argv[i]));
			i++;
		} else {
			rest[(*rest_count)++] = argv[i++];
		}
	}
}

/* ---- the whole
 * ------------------------------------------------------------------------------------ */

static struct settings_origin *settings_origin_of(
	const void *target, bool make, size_t count, const struct setting *table) {
	for (struct settings_origin *origin = settings_origins; origin; origin = origin->next) {
		if (origin->target == target) {
			return origin;
		}
	}
	if (!make) {
		return NULL;
	}
	struct settings_origin *origin = mem_zalloc(sizeof *origin + (count + 1) * sizeof(char *));
	*origin = (struct settings_origin){settings_origins, target, count + 1, table};
	settings_origins = origin;
	return origin;
}

int settings_load(const struct settings_program *program, int argc, char **argv, void *target,
	enum settings_action *out_action, char ***out_rest, size_t *out_rest_count, FILE *err) {
	struct settings_loader loader = {
		.program = program,
		.target = target,
		.err = err,
		.origin = settings_origin_of(target, true, program->count, program->table),
		.set_in = mem_zalloc(program->count * sizeof(int)),
	};
	for (size_t i = 0; i < program->count; i++) {
		if (program->table[i].initial) {
			settings_set(&loader, &program->table[i], program->table[i].initial, "default");
		}
	}
	loader.stage = 1;
	const char *path = NULL;
	for (int i = 1; i < argc; i++) {
		(void)settings_take_config(argc, argv, i, &path);
	}
	if (path || program->config_path) {
		settings_load_file(&loader, path ? path : program->config_path, path != NULL);
	}
	loader.stage = 2;
	settings_load_environment(&loader);
	loader.stage = 3;
	/* The words that are no flags live as long as the target, behind the sources. */
	char **rest = mem_zalloc((size_t)(argc + 1) * sizeof *rest);
	*out_action = SETTINGS_RUN;
	*out_rest_count = 0;
	settings_load_flags(&loader, argc, argv, out_action, rest, out_rest_count);
	free(loader.origin->sources[program->count]);
	loader.origin->sources[program->count] = (char *)(void *)rest;
	*out_rest = rest;
	free(loader.set_in);
	return loader.failed ? -EINVAL : 0;
}

void settings_free(const struct settings_program *program, void *target) {
	for (size_t i = 0; i < program->count; i++) {
		settings_clear(&program->table[i], target);
	}
	for (struct settings_origin **at = &settings_origins; *at; at = &(*at)->next) {
		struct settings_origin *origin = *at;
		if (origin->target == target) {
			*at = origin->next;
			for (size_t i = 0; i < origin->count; i++) {
				free(origin->sources[i]);
			}
			free(origin);
			return;
		}
	}
}

const char *settings_source(const void *target, const char *name) {
	const struct settings_origin *origin = settings_origin_of(target, false, 0, NULL);
	for (size_t i = 0; origin && i + 1 < origin->count; i++) {
		if (strcmp(origin->table[i].name, name) == 0 && origin->sources[i]) {
			return origin->sources[i];
		}
	}
	return "default";
}
