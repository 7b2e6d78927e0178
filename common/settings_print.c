/* SPDX-License-Identifier: Apache-2.0 */
/* Prints settings: as an INI file, as the commented sample, as help. */
#include "common/settings.h"
#include "common/slice.h"
#include <inttypes.h>
#include <string.h>

static const char *settings_member(const void *target, const struct setting *setting) {
	return (const char *)target + setting->offset;
}

/* Length of "scheme://user:" when a password follows, else 0. */
static size_t settings_before_password(const char *text, size_t *out_password_len) {
	const char *host = strstr(text, "://");
	if (!host) {
		return 0;
	}
	host += 3;
	/* The last '@': whoever forgot to escape one still has a password before it. */
	size_t authority = strcspn(host, "/?#");
	size_t colon = strcspn(host, ":");
	size_t at = authority;
	while (at > 0 && host[at] != '@') {
		at--;
	}
	if (at == 0 || colon >= at) {
		return 0;
	}
	*out_password_len = at - colon - 1;
	return (size_t)(host - text) + colon + 1;
}

/* What cannot be shown whole is shown as a comment, so that the file stays one that can be read. */
static void settings_print_value(const struct setting *setting, const char *text, FILE *out) {
	size_t hidden = 0;
	size_t before = settings_before_password(text, &hidden);
	if (setting->is_secret) {
		fprintf(out, "; %s = (set)\n", setting->name);
	} else if (before > 0) {
		fprintf(out, "; %s = %.*s(hidden)%s\n", setting->name, (int)before, text,
			text + before + hidden);
	} else {
		fprintf(out, "%s = %s\n", setting->name, text);
	}
}

static void settings_print_list(const struct setting *setting, const void *target, FILE *out) {
	const struct settings_list *list = (const void *)settings_member(target, setting);
	for (size_t i = 0; i < list->count; i++) {
		settings_print_value(setting, list->items[i], out);
	}
	if (list->count == 0) {
		fprintf(out, "%s =\n", setting->name);
	}
}

void settings_print_one(const struct setting *setting, const void *target, FILE *out) {
	const char *member = settings_member(target, setting);
	switch (setting->kind) {
	case SETTING_BOOL:
		fprintf(out, "%s = %s\n", setting->name, *(const bool *)member ? "on" : "off");
		return;
	case SETTING_INTEGER:
	case SETTING_SIZE:
	case SETTING_DURATION: {
		int64_t value;
		memcpy(&value, member, sizeof value);
		fprintf(out, "%s = %" PRId64 "\n", setting->name, value);
		return;
	}
	case SETTING_TEXT: {
		const char *text;
		memcpy(&text, member, sizeof text);
		if (text) {
			settings_print_value(setting, text, out);
		} else {
			fprintf(out, "%s =\n", setting->name);
		}
		return;
	}
	case SETTING_CHOICE: {
		int choice;
		memcpy(&choice, member, sizeof choice);
		fprintf(out, "%s = %s\n", setting->name, setting->choices[choice]);
		return;
	}
	case SETTING_LIST:
		settings_print_list(setting, target, out);
		return;
	}
}

static void settings_print_section(const struct setting *setting, const char **section, FILE *out) {
	if (setting->section && (!*section || strcmp(*section, setting->section) != 0)) {
		fprintf(out, "%s[%s]\n", *section ? "\n" : "", setting->section);
		*section = setting->section;
	}
}

void settings_print(const struct settings_program *program, const void *target, FILE *out) {
	const char *section = NULL;
	for (size_t i = 0; i < program->count; i++) {
		settings_print_section(&program->table[i], &section, out);
		settings_print_one(&program->table[i], target, out);
	}
}

/* Each line of help behind a prefix. */
static void settings_print_text(const char *prefix, const char *help, FILE *out) {
	for (const char *at = help; *at;) {
		size_t len = strcspn(at, "\n");
		fprintf(out, "%s%.*s\n", prefix, (int)len, at);
		at += len + (at[len] == '\n');
	}
}

void settings_print_sample(const struct settings_program *program, FILE *out) {
	const char *section = NULL;
	fprintf(out,
		"; Settings of %s. Lines that begin with ';' or '#' are comments; what is commented out\n"
		"; shows the default. Each setting is also a --flag and a %sVARIABLE.\n\n",
		program->name, program->env_prefix);
	for (size_t i = 0; i < program->count; i++) {
		const struct setting *setting = &program->table[i];
		settings_print_section(setting, &section, out);
		fputc('\n', out);
		settings_print_text("; ", setting->help, out);
		fprintf(out, ";%s =%s%s\n", setting->name, setting->initial ? " " : "",
			setting->initial ? setting->initial : "");
	}
}

void settings_print_help(const struct settings_program *program, const char *usage, FILE *out) {
	fprintf(
		out, "usage: %s\n\nSettings, as flags, in the configuration file (--config FILE", usage);
	if (program->config_path) {
		fprintf(out, ", default %s", program->config_path);
	}
	fprintf(out, ") and as %sNAME in the environment:\n", program->env_prefix);
	for (size_t i = 0; i < program->count; i++) {
		const struct setting *setting = &program->table[i];
		fprintf(out, "\n  --");
		for (const char *c = setting->name; *c; c++) {
			fputc(*c == '_' ? '-' : *c, out);
		}
		if (setting->kind == SETTING_CHOICE) {
			for (size_t k = 0; setting->choices[k]; k++) {
				fprintf(out, "%s%s", k == 0 ? " " : "|", setting->choices[k]);
			}
		} else {
			const char *usual = setting->kind == SETTING_BOOL ? "[on|off]" : "VALUE";
			fprintf(out, " %s", setting->value_name ? setting->value_name : usual);
		}
		fprintf(out, "%s%s%s\n", setting->initial ? "  (" : "",
			setting->initial ? setting->initial : "", setting->initial ? ")" : "");
		settings_print_text("      ", setting->help, out);
	}
	fputs("\n  --check-config   check the settings and end\n  --print-config   print them and end\n"
		  "  --version\n  --help\n",
		out);
}
