/* SPDX-License-Identifier: Apache-2.0 */
/* Typed getters that remember what was wrong. */
#include "distributor/load.h"
#include "common/json.h"
#include "common/mem.h"
#include <string.h>

char *load_text(struct load *load, const char *key, size_t max) {
	struct slice text;
	enum json_found found = json_get_string(load->json, key, &text);
	if (found == JSON_ABSENT) {
		return NULL;
	}
	if (found == JSON_WRONG_TYPE || text.len == 0 || text.len > max ||
		memchr(text.data, '\0', text.len)) {
		load->is_wrong = true;
		return NULL;
	}
	return mem_strndup(text.data, text.len);
}

void load_number(struct load *load, const char *key, int64_t *value) {
	int64_t number;
	enum json_found found = json_get_integer(load->json, key, &number);
	if (found == JSON_PRESENT && number >= 0 && number <= INT64_MAX / 2) {
		*value = number;
	} else if (found != JSON_ABSENT) {
		load->is_wrong = true;
	}
}

void load_bool(struct load *load, const char *key, bool *value) {
	load->is_wrong = json_get_bool(load->json, key, value) == JSON_WRONG_TYPE || load->is_wrong;
}
