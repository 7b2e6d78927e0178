/* SPDX-License-Identifier: Apache-2.0 */
/* Tells well-formed UTF-8 from other bytes. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Bytes (1-4) of the well-formed character at text, 0 when there is none: not UTF-8, overlong, a
 * surrogate, above U+10FFFF or cut off. len is at least 1. */
static inline size_t utf8_character(const uint8_t *text, size_t len) {
	uint8_t lead = text[0];
	if (lead < 0x80) {
		return 1;
	}
	size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || len < need) {
		return 0;
	}
	uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (text[1] < low || text[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < need; i++) {
		if ((text[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return need;
}

/* The character's number; len as utf8_character() gave it, not 0. */
static inline uint32_t utf8_decode(const uint8_t *text, size_t len) {
	static const uint8_t lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t value = text[0] & lead_bits[len];
	for (size_t i = 1; i < len; i++) {
		value = value << 6 | (text[i] & 0x3f);
	}
	return value;
}
