/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings by table: one entry names a setting, its kind, where in the program's struct it lies,
 * range, default and help. The same name works in the INI file (key = value; ';' or '#' begins a
 * line of comment), as --flag (with '-' for '_') and as environment variable (prefix, upper case).
 * Later sources win: defaults, file, environment, flags; a list is replaced as a whole by the next
 * source that names it, and an empty value unsets a text or list. Everything is checked before
 * anything starts; each message names source, line, key and what would do. A variable that names no
 * setting is ignored; an unknown key or flag, or a key twice in the file, is an error.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum setting_kind {
	SETTING_BOOL, /* bool: on/off, yes/no, true/false, 1/0; a flag without value means on */
	SETTING_INTEGER, /* int64_t within min..max */
	SETTING_SIZE, /* int64_t bytes within min..max; suffix k, m, g (1024) */
	SETTING_DURATION, /* int64_t seconds within min..max; suffix s, m, h, d */
	SETTING_TEXT, /* char *, NULL when unset */
	SETTING_CHOICE, /* int: index into choices */
	/* struct settings_list: repeat the flag or the key; in one value split at blanks */
	SETTING_LIST,
};

/* Where the values of one target came from. A program's struct begins with a pointer to one, which
 * settings_load fills and settings_free empties. */
struct settings_origin;

struct settings_list {
	char **items;
	size_t count;
};

struct setting {
	const char *name; /* lower_case; the flag spells '_' as '-' */
	enum setting_kind kind;
	size_t offset; /* in the program's struct */
	const char *initial; /* default as text, NULL for none */
	int64_t min, max;
	const char *const *choices; /* NULL-terminated */
	const char *section; /* INI section it is printed under; any section is accepted on reading */
	const char *value_name; /* for the usage: "HOST:PORT" */
	const char *help; /* full sentences, one line each, split by '\n' */
	bool is_secret; /* printed as "(set)" */
};

struct settings_program {
	const char *name; /* "bellwire-relay" */
	const char *env_prefix; /* "BELLWIRE_" */
	const char *config_path; /* read when it exists and --config is not given; NULL for none */
	const struct setting *table;
	size_t count;
	/* Sections of the file whose names begin like one of these are left to others (sections.h);
	 * NULL-terminated, NULL: none. */
	const char *const *other_sections;
};

enum settings_action {
	SETTINGS_RUN,
	SETTINGS_CHECK, /* --check-config */
	SETTINGS_PRINT, /* --print-config */
	SETTINGS_HELP, /* --help */
	SETTINGS_VERSION, /* --version */
};

/* Fills target (zeroed by the caller, see settings_origin; settings_free comes before another
 * load). argv[0] is skipped; words that are no flags, and all after "--", end up in out_rest,
 * out_rest_count (pointers into argv, the array lives until settings_free). Flags are `--flag
 * value` and `--flag=value`, also
 * --config FILE, which must be readable. Returns 0, or -EINVAL with every problem printed to err,
 * one a line. When help or the version is asked for, nothing else is read. In any case the target
 * needs settings_free. */
int settings_load(const struct settings_program *program, int argc, char **argv, void *target,
	enum settings_action *out_action, char ***out_rest, size_t *out_rest_count, FILE *err);
void settings_free(const struct settings_program *program, void *target);
/* Where the value of a setting came from, for messages: "relay.conf:12", "--listen",
 * "BELLWIRE_LISTEN", "default". The text lives until settings_free. */
const char *settings_source(const void *target, const char *name);

/* The file that was read, NULL for none. Lives until settings_free. */
const char *settings_file(const void *target);

/* The effective settings as an INI file that settings_load reads back. Secrets, and URLs with a
 * password, are a comment that hides it. */
void settings_print(const struct settings_program *program, const void *target, FILE *out);
/* One of them: "name = value". */
void settings_print_one(const struct setting *setting, const void *target, FILE *out);
/* The commented sample file made of defaults and help. */
void settings_print_sample(const struct settings_program *program, FILE *out);
void settings_print_help(const struct settings_program *program, const char *usage, FILE *out);
