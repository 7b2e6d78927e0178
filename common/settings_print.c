/* SPDX-License-Identifier: Apache-2.0 */
/* Prints settings: as an INI file, as the commented sample, as help. */
#include "common/settings.h"
#include <inttypes.h>
#include <string.h>

static const char *settings_member(const void *target, const struct setting *setting) {
	return (const char *)target + setting->offset;
}

static void settings_print_list(const struct setting *setting, const void *target, FILE *out) {
	const struct settings_list *list = (const void *)settings_member(target, setting);
	for (size_t i = 0; i < list->count; i++) {
		fprintf(out, "%s = %s\n", setting->name, list->items[i]);
	}
}

static void settings_print_one(const struct setting *setting, const void *target, FILE *out) {
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
			fprintf(out, "%s%s = %s\n", setting->is_secret ? "; " : "", setting->name,
				setting->is_secret ? "(set)" : text);
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
	if (!*section || strcmp(*section, setting->section) != 0) {
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
		"; Settings of %s. Lines that begin with ';' are comments; what is commented out\n"
		"; shows the default. Each setting is also a --flag and a %sVARIABLE.\n\n",
		program->name, program->env_prefix);
	for (size_t i = 0; i < program->count; i++) {
		const struct setting *setting = &program->table[i];
		settings_print_section(setting, &section, out);
		fputc('\n', out);
		settings_print_text("; ", setting->help, out);
		fprintf(out, ";%s = %s\n", setting->name, setting->initial ? setting->initial : "");
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
			fprintf(out, " %s", setting->value_name ? setting->value_name : "on|off");
		}
		fprintf(out, "%s%s%s\n", setting->initial ? "  (" : "",
			setting->initial ? setting->initial : "", setting->initial ? ")" : "");
		settings_print_text("      ", setting->help, out);
	}
	fputs("\n  --check-config   check the settings and end\n  --print-config   print them and end\n"
		  "  --version\n  --help\n",
		out);
}
