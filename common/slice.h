/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of borrowed text or bytes, without a terminating NUL. data may be NULL when len is 0. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *data;
	size_t len;
};

static inline struct slice slice_of(const char *text) {
	return (struct slice){text, text ? strlen(text) : 0};
}
static inline bool slice_equals(struct slice s, const char *text) {
	return s.len == strlen(text) && (s.len == 0 || memcmp(s.data, text, s.len) == 0);
}
static inline bool slice_equals_nocase(struct slice s, const char *text) {
	return s.len == strlen(text) && (s.len == 0 || strncasecmp(s.data, text, s.len) == 0);
}
static inline bool slice_starts_with(struct slice s, const char *prefix) {
	size_t len = strlen(prefix);
	return s.len >= len && memcmp(s.data, prefix, len) == 0;
}
/* Without blanks and tabs at both ends (OWS of RFC 9110 5.6.3). */
static inline struct slice slice_trim(struct slice s) {
	while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
		s.data++;
		s.len--;
	}
	while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
		s.len--;
	}
	return s;
}
