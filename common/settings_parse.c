/* SPDX-License-Identifier: Apache-2.0 */
/* Text to typed values, by the settings table. */
#include "common/settings_parse.h"
#include "common/mem.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Index of text in the pairs off, on; -1 when it is neither. */
static int settings_bool_index(const char *text) {
	static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
	for (int i = 0; i < (int)(sizeof words / sizeof words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			return i % 2;
		}
	}
	return -1;
}

bool settings_is_bool(const char *text) {
	return settings_bool_index(text) >= 0;
}

static bool settings_parse_bool(const char *text, void *member, char *why) {
	int index = settings_bool_index(text);
	if (index < 0) {
		(void)snprintf(why, SETTINGS_WHY_MAX, "must be on or off");
		return false;
	}
	bool value = index == 1;
	memcpy(member, &value, sizeof value);
	return true;
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
	const struct setting *setting, const char *text, void *member, char *why) {
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
		(void)snprintf(why, SETTINGS_WHY_MAX, "must be %" PRId64 " to %" PRId64 "%s", setting->min,
			setting->max, unit);
		return false;
	}
	memcpy(member, &value, sizeof value);
	return true;
}

static bool settings_parse_choice(
	const struct setting *setting, const char *text, void *member, char *why) {
	size_t len = (size_t)snprintf(why, SETTINGS_WHY_MAX, "must be one of");
	for (int i = 0; setting->choices[i]; i++) {
		if (strcmp(text, setting->choices[i]) == 0) {
			memcpy(member, &i, sizeof i);
			return true;
		}
		if (len < SETTINGS_WHY_MAX) {
			len += (size_t)snprintf(
				why + len, SETTINGS_WHY_MAX - len, "%s %s", i > 0 ? "," : "", setting->choices[i]);
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

static bool settings_store(
	const struct setting *setting, const char *text, void *target, char *why) {
	char *member = (char *)target + setting->offset;
	switch (setting->kind) {
	case SETTING_BOOL:
		return settings_parse_bool(text, member, why);
	case SETTING_INTEGER:
	case SETTING_SIZE:
	case SETTING_DURATION:
		return settings_parse_number(setting, text, member, why);
	case SETTING_CHOICE:
		return settings_parse_choice(setting, text, member, why);
	case SETTING_LIST:
		settings_parse_list(text, (void *)member);
		return true;
	case SETTING_TEXT:
		settings_clear(setting, target);
		if (text[0]) {
			char *copy = mem_strdup(text);
			memcpy(member, &copy, sizeof copy);
		}
		return true;
	}
	return false;
}

static bool settings_has_control(struct slice text) {
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			return true;
		}
	}
	return false;
}

bool settings_parse(
	const struct setting *setting, const char *text, void *target, char why[SETTINGS_WHY_MAX]) {
	struct slice trimmed = slice_of(text);
	if (!setting->is_secret) {
		trimmed = slice_trim(trimmed);
	}
	if (trimmed.len > SETTINGS_VALUE_MAX) {
		(void)snprintf(why, SETTINGS_WHY_MAX, "must not be longer than %d", SETTINGS_VALUE_MAX);
		return false;
	}
	if (settings_has_control(trimmed)) {
		(void)snprintf(why, SETTINGS_WHY_MAX, "must be without control characters");
		return false;
	}
	char *copy = mem_strndup(trimmed.data, trimmed.len);
	bool is_good = settings_store(setting, copy, target, why);
	mem_wipe(copy, trimmed.len);
	free(copy);
	return is_good;
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
		return WORD_MAX; /* that is: far away */
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

/* Flags that are no settings; --config belongs to them, but takes a value. */
static const struct {
	const char *name;
	enum settings_action action;
} settings_actions[] = {
	{"check-config", SETTINGS_CHECK},
	{"print-config", SETTINGS_PRINT},
	{"help", SETTINGS_HELP},
	{"version", SETTINGS_VERSION},
	{"config", SETTINGS_RUN},
};
enum { SETTINGS_ACTION_COUNT = sizeof settings_actions / sizeof settings_actions[0] };

bool settings_action_find(const char *word, enum settings_action *out_action) {
	if (strcmp(word, "-h") == 0) {
		*out_action = SETTINGS_HELP;
		return true;
	}
	for (size_t i = 0; i < SETTINGS_ACTION_COUNT && strncmp(word, "--", 2) == 0; i++) {
		if (settings_actions[i].action != SETTINGS_RUN &&
			strcmp(word + 2, settings_actions[i].name) == 0) {
			*out_action = settings_actions[i].action;
			return true;
		}
	}
	return false;
}

enum { SETTINGS_BEGIN_MIN = 4 };

/* "password" for password_command, "relay wss" for relay; NULL when there is none, or several. */
static const char *settings_nearest_by_begin(
	const struct settings_program *program, const char *name, size_t len) {
	const char *nearest = NULL;
	for (size_t i = 0; i < program->count; i++) {
		const char *known = program->table[i].name;
		size_t known_len = strlen(known);
		bool is_begun = len >= SETTINGS_BEGIN_MIN && strncmp(known, name, len) == 0;
		bool is_followed = len > known_len && strncmp(name, known, known_len) == 0 &&
						   strchr(" \t", name[known_len]);
		if (is_begun || is_followed) {
			if (nearest) {
				return NULL;
			}
			nearest = known;
		}
	}
	return nearest;
}

const char *settings_nearest(
	const struct settings_program *program, const char *name, size_t len, bool is_flag) {
	while (len > 0 && *name == '-') {
		name++;
		len--;
	}
	const char *nearest = NULL;
	/* Three slips, but not as many as there are letters. */
	size_t least = len / 2 + 1 < 4 ? len / 2 + 1 : 4;
	size_t names = program->count + (is_flag ? SETTINGS_ACTION_COUNT : 0);
	for (size_t i = 0; i < names; i++) {
		const char *known =
			i < program->count ? program->table[i].name : settings_actions[i - program->count].name;
		size_t distance = settings_distance(name, len, known, strlen(known));
		if (distance < least) {
			least = distance;
			nearest = known;
		}
	}
	return nearest ? nearest : settings_nearest_by_begin(program, name, len);
}
