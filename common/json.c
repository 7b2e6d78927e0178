/* SPDX-License-Identifier: Apache-2.0 */
/* Typed getters over jansson, and printing of strings by hand. */
#include "common/json.h"
#include "common/buffer.h"

enum { JSON_DEPTH_MAX = 32 };

/* jansson allows a depth of 2048, which costs stack; ours needs none. */
static bool json_is_shallow(struct slice text) {
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
				return false;
			}
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return true;
}

json_t *json_parse(struct slice text) {
	json_error_t error;
	if (text.len == 0 || !json_is_shallow(text)) {
		return NULL;
	}
	return json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
}

static enum json_found json_find(const json_t *object, const char *key, json_t **out) {
	json_t *value = json_object_get(object, key);
	*out = value;
	return !value || json_is_null(value) ? JSON_ABSENT : JSON_PRESENT;
}

enum json_found json_get_string(const json_t *object, const char *key, struct slice *out) {
	json_t *value;
	if (json_find(object, key, &value) == JSON_ABSENT) {
		return JSON_ABSENT;
	}
	if (!json_is_string(value)) {
		return JSON_WRONG_TYPE;
	}
	*out = (struct slice){json_string_value(value), json_string_length(value)};
	return JSON_PRESENT;
}

enum json_found json_get_integer(const json_t *object, const char *key, int64_t *out) {
	json_t *value;
	if (json_find(object, key, &value) == JSON_ABSENT) {
		return JSON_ABSENT;
	}
	if (!json_is_integer(value)) {
		return JSON_WRONG_TYPE;
	}
	*out = json_integer_value(value);
	return JSON_PRESENT;
}

enum json_found json_get_bool(const json_t *object, const char *key, bool *out) {
	json_t *value;
	if (json_find(object, key, &value) == JSON_ABSENT) {
		return JSON_ABSENT;
	}
	if (!json_is_boolean(value)) {
		return JSON_WRONG_TYPE;
	}
	*out = json_is_true(value);
	return JSON_PRESENT;
}

enum json_found json_get_object(const json_t *object, const char *key, json_t **out) {
	json_t *value;
	if (json_find(object, key, &value) == JSON_ABSENT) {
		return JSON_ABSENT;
	}
	if (!json_is_object(value)) {
		return JSON_WRONG_TYPE;
	}
	*out = value;
	return JSON_PRESENT;
}

/* Length of the UTF-8 sequence at text[0], 0 when it is none (RFC 3629: no surrogates, no overlong
 * forms). */
static size_t json_utf8_length(const unsigned char *text, size_t left) {
	static const unsigned int least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = text[0] < 0x80				? 1
				 : (text[0] & 0xe0) == 0xc0 ? 2
				 : (text[0] & 0xf0) == 0xe0 ? 3
				 : (text[0] & 0xf8) == 0xf0 ? 4
											: 0;
	if (len == 0 || len > left) {
		return 0;
	}
	unsigned int point = len == 1 ? text[0] : text[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80) {
			return 0;
		}
		point = point << 6 | (text[i] & 0x3f);
	}
	return point < least[len] || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff ? 0 : len;
}

bool json_append_string(struct buffer *buffer, struct slice text) {
	const unsigned char *at = (const unsigned char *)text.data;
	bool fits = buffer_append(buffer, "\"", 1);
	for (size_t i = 0; i < text.len && fits;) {
		size_t len = json_utf8_length(at + i, text.len - i);
		if (len == 0) {
			fits = buffer_append(buffer, "\xef\xbf\xbd", 3);
			len = 1;
		} else if (at[i] == '"' || at[i] == '\\') {
			fits = buffer_append(buffer, "\\", 1) && buffer_append(buffer, at + i, 1);
		} else if (at[i] < ' ' || at[i] == 127) {
			fits = buffer_printf(buffer, "\\u%04x", at[i]);
		} else {
			fits = buffer_append(buffer, at + i, len);
		}
		i += len;
	}
	return fits && buffer_append(buffer, "\"", 1);
}
