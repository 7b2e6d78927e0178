/* SPDX-License-Identifier: Apache-2.0 */
/* Typed getters over jansson, and the JSON string printer. */
#include "common/json.h"
#include "common/buffer.h"
#include "common/mem.h"
#include "common/utf8.h"

enum { JSON_DEPTH_MAX = 32 };

/* jansson recurses up to 2048 levels; whatever it would accept has its brackets counted here. */
static bool json_is_too_deep(struct slice text) {
	int depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (in_string) {
			if (c == '\\') {
				i++;
			} else if (c == '"') {
				in_string = false;
			}
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX) {
				return true;
			}
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return false;
}

json_t *json_parse(struct slice text) {
	if (text.len == 0 || json_is_too_deep(text)) {
		return NULL;
	}
	return json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

/* NULL when absent or null. */
static json_t *json_member(const json_t *object, const char *key) {
	json_t *value = json_object_get(object, key);
	return json_is_null(value) ? NULL : value;
}

enum json_found json_get_string(const json_t *object, const char *key, struct slice *out) {
	const json_t *value = json_member(object, key);
	if (!value) {
		return JSON_ABSENT;
	}
	if (!json_is_string(value)) {
		return JSON_WRONG_TYPE;
	}
	*out = (struct slice){json_string_value(value), json_string_length(value)};
	return JSON_PRESENT;
}

char *json_get_string_dup(const json_t *object, const char *key) {
	struct slice text;
	return json_get_string(object, key, &text) == JSON_PRESENT ? mem_strndup(text.data, text.len)
															   : NULL;
}

void json_load_text(const json_t *object, const char *key, char **text) {
	struct slice value;
	if (json_get_string(object, key, &value) == JSON_PRESENT) {
		mem_replace_text(text, value);
	}
}

enum json_found json_get_integer(const json_t *object, const char *key, int64_t *out) {
	const json_t *value = json_member(object, key);
	if (!value) {
		return JSON_ABSENT;
	}
	if (!json_is_integer(value)) {
		return JSON_WRONG_TYPE;
	}
	*out = json_integer_value(value);
	return JSON_PRESENT;
}

enum json_found json_get_bool(const json_t *object, const char *key, bool *out) {
	const json_t *value = json_member(object, key);
	if (!value) {
		return JSON_ABSENT;
	}
	if (!json_is_boolean(value)) {
		return JSON_WRONG_TYPE;
	}
	*out = json_is_true(value);
	return JSON_PRESENT;
}

enum json_found json_get_object(const json_t *object, const char *key, json_t **out) {
	json_t *value = json_member(object, key);
	if (!value) {
		return JSON_ABSENT;
	}
	if (!json_is_object(value)) {
		return JSON_WRONG_TYPE;
	}
	*out = value;
	return JSON_PRESENT;
}

/* Length of the run at the start that needs no escape. */
static size_t json_plain_run(const uint8_t *text, size_t len) {
	size_t i = 0;
	while (i < len && text[i] != '"' && text[i] != '\\' && text[i] >= 0x20 && text[i] != 0x7f) {
		size_t step = utf8_character(text + i, len - i);
		if (step == 0) {
			break;
		}
		i += step;
	}
	return i;
}

static bool json_append_escaped(struct buffer *buffer, const uint8_t *at, size_t len) {
	switch (*at) {
	case '"':
		return buffer_append(buffer, "\\\"", 2);
	case '\\':
		return buffer_append(buffer, "\\\\", 2);
	case '\n':
		return buffer_append(buffer, "\\n", 2);
	case '\t':
		return buffer_append(buffer, "\\t", 2);
	case '\r':
		return buffer_append(buffer, "\\r", 2);
	}
	if (utf8_character(at, len) == 0) {
		return buffer_append(buffer, "\xef\xbf\xbd", 3); /* U+FFFD */
	}
	return buffer_printf(buffer, "\\u%04x", *at);
}

bool json_append_string(struct buffer *buffer, struct slice text) {
	size_t length_before = buffer_length(buffer);
	bool fits = buffer_append(buffer, "\"", 1);
	const uint8_t *at = (const uint8_t *)text.data;
	for (size_t left = text.len; fits && left > 0;) {
		size_t run = json_plain_run(at, left);
		fits = buffer_append(buffer, at, run);
		at += run;
		left -= run;
		if (fits && left > 0) {
			fits = json_append_escaped(buffer, at, left);
			at++;
			left--;
		}
	}
	fits = fits && buffer_append(buffer, "\"", 1);
	if (!fits) {
		buffer->end = buffer->start + length_before; /* all or nothing */
	}
	return fits;
}
