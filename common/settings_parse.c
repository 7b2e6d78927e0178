/* SPDX-License-Identifier: Apache-2.0 */
/* Text to typed values, by the settings table. */
#include "common/settings_parse.h"
#include "common/mem.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool settings_parse_bool(const char *text, void *member, char *why, size_t why_bytes) {
	static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*(bool *)member = i % 2 == 1;
			return true;
		}
	}
	(void)snprintf(why, why_bytes, "must be on or off");
	return false;
}

static int64_t settings_suffix(enum setting_kind kind, const char *suffix) {
	static const struct {
		char letter;
		enum setting_kind kind;
		int64_t factor;
	} suffixes[] = {
		{'k', SETTING_SIZE, 1 << 10},
		{'m', SETTING_SIZE, 1 << 20},
		{'g', SETTING_SIZE, 1 << 30},
		{'s', SETTING_DURATION, 1},
		{'m', SETTING_DURATION, 60},
		{'h', SETTING_DURATION, 3600},
		{'d', SETTING_DURATION, 86400},
	};
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		if (suffixes[i].kind == kind && suffixes[i].letter == (suffix[0] | 0x20) && !suffix[1]) {
			return suffixes[i].factor;
		}
	}
	return suffix[0] == '\0' ? 1 : 0;
}

static bool settings_parse_number(
	const struct setting *setting, const char *text, void *member, char *why, size_t why_bytes) {
	char *end;
	errno = 0;
	int64_t value = strtoll(text, &end, 10);
	int64_t factor = settings_suffix(setting->kind, end);
	bool good = errno == 0 && end != text && text[0] > ' ' && text[0] != '+' && factor > 0 &&
				!__builtin_mul_overflow(value, factor, &value) && value >= setting->min &&
				value <= setting->max;
	if (!good) {
		const char *unit = setting->kind == SETTING_SIZE	   ? " bytes (k, m, g may follow)"
						   : setting->kind == SETTING_DURATION ? " seconds (m, h, d may follow)"
															   : "";
		(void)snprintf(why, why_bytes, "must be %" PRId64 " to %" PRId64 "%s", setting->min,
			setting->max, unit);
		return false;
	}
	memcpy(member, &value, sizeof value);
	return true;
}

static bool settings_parse_choice(
	const struct setting *setting, const char *text, void *member, char *why, size_t why_bytes) {
	size_t len = (size_t)snprintf(why, why_bytes, "must be one of");
	for (int i = 0; setting->choices[i]; i++) {
		if (strcmp(text, setting->choices[i]) == 0) {
			memcpy(member, &i, sizeof i);
			return true;
		}
		if (len < why_bytes) {
			len += (size_t)snprintf(
				why + len, why_bytes - len, "%s %s", i > 0 ? "," : "", setting->choices[i]);
		}
	}
	return false;
}

static void settings_parse_list(const char *text, struct settings_list *list) {
	for (const char *at = text; *at;) {
		at += strspn(at, " \t");
		size_t len = strcspn(at, " \t");
		if (len > 0) {
			list->items = mem_realloc(list->items, (list->count + 1) * sizeof *list->items);
			list->items[list->count++] = mem_strndup(at, len);
		}
		at += len;
	}
}

bool settings_parse(
	const struct setting *setting, const char *text, void *target, char *why, size_t why_bytes) {
	char *member = (char *)target + setting->offset;
	if (strlen(text) > SETTINGS_VALUE_MAX) {
		(void)snprintf(why, why_bytes, "is longer than %d bytes", SETTINGS_VALUE_MAX);
		return false;
	}
	switch (setting->kind) {
	case SETTING_BOOL:
		return settings_parse_bool(text, member, why, why_bytes);
	case SETTING_INTEGER:
	case SETTING_SIZE:
	case SETTING_DURATION:
		return settings_parse_number(setting, text, member, why, why_bytes);
	case SETTING_CHOICE:
		return settings_parse_choice(setting, text, member, why, why_bytes);
	case SETTING_LIST:
		settings_parse_list(text, (void *)member);
		return true;
	case SETTING_TEXT: {
		settings_clear(setting, target);
		char *copy = text[0] ? mem_strdup(text) : NULL;
		memcpy(member, &copy, sizeof copy);
		return true;
	}
	}
	return false;
}

void settings_clear(const struct setting *setting, void *target) {
	char *member = (char *)target + setting->offset;
	if (setting->kind == SETTING_TEXT) {
		char *text;
		memcpy(&text, member, sizeof text);
		if (text && setting->is_secret) {
			mem_wipe(text, strlen(text));
		}
		free(text);
		text = NULL;
		memcpy(member, &text, sizeof text);
	} else if (setting->kind == SETTING_LIST) {
		struct settings_list *list = (void *)member;
		for (size_t i = 0; i < list->count; i++) {
			free(list->items[i]);
		}
		free(list->items);
		*list = (struct settings_list){0};
	}
}

const struct setting *settings_find(
	const struct settings_program *program, const char *name, size_t len) {
	for (size_t i = 0; i < program->count; i++) {
		const char *known = program->table[i].name;
		size_t at = 0;
		while (at < len && known[at] &&
			   (known[at] == name[at] || (known[at] == '_' && name[at] == '-'))) {
			at++;
		}
		if (at == len && known[at] == '\0') {
			return &program->table[i];
		}
	}
	return NULL;
}

/* Edit distance, for short words. */
static size_t settings_distance(const char *a, size_t a_len, const char *b, size_t b_len) {
	enum { WORD_MAX = 40 };
	size_t row[WORD_MAX + 1];
	if (a_len > WORD_MAX || b_len > WORD_MAX) {
		return WORD_MAX;
	}
	for (size_t j = 0; j <= b_len; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			bool same = a[i - 1] == b[j - 1] || (a[i - 1] == '-' && b[j - 1] == '_');
			size_t best = diagonal + !same;
			diagonal = row[j];
			best = best < row[j] + 1 ? best : row[j] + 1;
			row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
		}
	}
	return row[b_len];
}

const char *settings_nearest(const struct settings_program *program, const char *name, size_t len) {
	const char *nearest = NULL;
	size_t least = 4;
	for (size_t i = 0; i < program->count; i++) {
		const char *known = program->table[i].name;
		size_t distance = settings_distance(name, len, known, strlen(known));
		if (distance < least) {
			least = distance;
			nearest = known;
		}
	}
	return nearest;
}
