/* SPDX-License-Identifier: Apache-2.0 */
/* The data rules of UnifiedPush: token, service, description, VAPID key. */
#include "distributor/bus/rules.h"
#include "common/base64url.h"
#include "common/jwt.h"
#include "common/mem.h"
#include "common/utf8.h"

bool rules_token_is_valid(struct slice token) {
	return token.len >= 1 && token.len <= REGISTRATION_TOKEN_MAX;
}

bool rules_service_is_unique(struct slice service) {
	return slice_starts_with(service, ":");
}

static bool rules_is_digit(char c) {
	return c >= '0' && c <= '9';
}

static bool rules_is_name_character(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || rules_is_digit(c) || c == '_' ||
		   c == '-';
}

bool rules_service_is_valid(struct slice service) {
	if (service.len > REGISTRATION_SERVICE_MAX || slice_equals(service, "org.freedesktop.DBus")) {
		return false;
	}
	bool is_unique = rules_service_is_unique(service);
	size_t dots = 0;
	bool at_start = true; /* of an element */
	for (size_t i = is_unique ? 1 : 0; i < service.len; i++) {
		char c = service.data[i];
		if (c == '.') {
			if (at_start) {
				return false;
			}
			dots++;
			at_start = true;
			continue;
		}
		if (!rules_is_name_character(c) || (at_start && rules_is_digit(c) && !is_unique)) {
			return false;
		}
		at_start = false;
	}
	return dots > 0 && !at_start;
}

/* Controls (C0, DEL, C1), line and paragraph separators, and what turns the direction of text. */
static bool rules_is_unseen(const uint8_t *at, size_t bytes) {
	if (bytes == 1) {
		return at[0] < 0x20 || at[0] == 0x7f;
	}
	if (bytes == 2) {
		return at[0] == 0xc2 && at[1] < 0xa0;
	}
	if (bytes != 3 || at[0] != 0xe2) {
		return false;
	}
	return (at[1] == 0x80 &&
			   (at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae))) ||
		   (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);
}

char *rules_description_clean_dup(struct slice description) {
	char clean[REGISTRATION_DESCRIPTION_MAX];
	size_t length = 0;
	const uint8_t *text = (const uint8_t *)description.data;
	for (size_t at = 0; at < description.len;) {
		size_t bytes = utf8_character(text + at, description.len - at);
		if (bytes == 0) {
			at++; /* the bus lets no such byte through */
			continue;
		}
		if (!rules_is_unseen(text + at, bytes)) {
			if (length + bytes > sizeof clean) {
				break;
			}
			memcpy(clean + length, text + at, bytes);
			length += bytes;
		}
		at += bytes;
	}
	return mem_strndup(clean, length);
}

bool rules_vapid_normalise(struct slice key, char out_key[REGISTRATION_VAPID_LENGTH + 1]) {
	uint8_t point[P256_POINT_BYTES];
	size_t bytes;
	if (!base64url_decode_lenient(key, point, sizeof point, &bytes) || bytes != sizeof point ||
		point[0] != 4 || !p256_point_is_valid(point)) {
		return false;
	}
	out_key[base64url_encode(out_key, point, sizeof point)] = '\0';
	return true;
}
