/* SPDX-License-Identifier: Apache-2.0 */
/* base64url without padding: three bytes are four characters. */
#include "common/base64url.h"
#include "common/mem.h"

static const char base64url_alphabet[64] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { NONE = 255 }; /* the value of a character outside of the alphabet */
#define VALUES_UPPER                                                                               \
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25
#define VALUES_LOWER                                                                               \
	26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,    \
		49, 50, 51
#define VALUES_DIGITS 52, 53, 54, 55, 56, 57, 58, 59, 60, 61

/* clang-format off */
static const uint8_t base64url_values[256] = {
	[0 ... ','] = NONE, ['-'] = 62, ['.' ... '/'] = NONE,
	['0'] = VALUES_DIGITS, [':' ... '@'] = NONE,
	['A'] = VALUES_UPPER, ['[' ... '^'] = NONE, ['_'] = 63, ['`'] = NONE,
	['a'] = VALUES_LOWER, ['{' ... 255] = NONE,
};
/* Both alphabets. */
static const uint8_t base64url_values_both[256] = {
	[0 ... '*'] = NONE, ['+'] = 62, [','] = NONE, ['-'] = 62, ['.'] = NONE, ['/'] = 63,
	['0'] = VALUES_DIGITS, [':' ... '@'] = NONE,
	['A'] = VALUES_UPPER, ['[' ... '^'] = NONE, ['_'] = 63, ['`'] = NONE,
	['a'] = VALUES_LOWER, ['{' ... 255] = NONE,
};
/* clang-format on */

size_t base64url_encode(char *out, const void *data, size_t bytes) {
	const uint8_t *in = data;
	char *at = out;
	for (; bytes >= 3; in += 3, bytes -= 3, at += 4) {
		uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		at[0] = base64url_alphabet[group >> 18];
		at[1] = base64url_alphabet[group >> 12 & 63];
		at[2] = base64url_alphabet[group >> 6 & 63];
		at[3] = base64url_alphabet[group & 63];
	}
	if (bytes > 0) {
		uint32_t group = (uint32_t)in[0] << 16 | (bytes == 2 ? (uint32_t)in[1] << 8 : 0);
		*at++ = base64url_alphabet[group >> 18];
		*at++ = base64url_alphabet[group >> 12 & 63];
		if (bytes == 2) {
			*at++ = base64url_alphabet[group >> 6 & 63];
		}
	}
	return (size_t)(at - out);
}

char *base64url_print(const void *data, size_t bytes) {
	char *text = mem_alloc(BASE64URL_LENGTH(bytes) + 1);
	text[base64url_encode(text, data, bytes)] = '\0';
	return text;
}

/* The last two or three characters; false when they are no characters of the alphabet. spare_out
 * gets the bits that make no byte. */
static bool base64url_decode_tail(
	const uint8_t values[256], const uint8_t *in, size_t left, uint8_t *at, uint32_t *spare_out) {
	uint8_t a = values[in[0]], b = values[in[1]], c = left == 3 ? values[in[2]] : 0;
	if ((a | b | c) & 0xc0) {
		return false;
	}
	uint32_t group = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6;
	at[0] = (uint8_t)(group >> 16);
	if (left == 3) {
		at[1] = (uint8_t)(group >> 8);
	}
	*spare_out = left == 3 ? group & 0xff : group & 0xffff;
	return true;
}

static bool base64url_decode_by(const uint8_t values[256], bool is_strict, struct slice text,
	uint8_t *out, size_t max, size_t *out_bytes) {
	size_t left = text.len % 4;
	size_t bytes = text.len / 4 * 3 + (left ? left - 1 : 0);
	if (left == 1 || bytes > max) {
		return false;
	}
	const uint8_t *in = (const uint8_t *)text.data;
	uint8_t *at = out;
	for (size_t groups = text.len / 4; groups > 0; groups--, in += 4, at += 3) {
		uint8_t a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];
		if ((a | b | c | d) & 0xc0) {
			return false;
		}
		uint32_t group = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | d;
		at[0] = (uint8_t)(group >> 16);
		at[1] = (uint8_t)(group >> 8);
		at[2] = (uint8_t)group;
	}
	uint32_t spare = 0;
	if (left > 0 && !base64url_decode_tail(values, in, left, at, &spare)) {
		return false;
	}
	if (is_strict && spare != 0) {
		return false;
	}
	*out_bytes = bytes;
	return true;
}

bool base64url_decode(struct slice text, uint8_t *out, size_t max, size_t *out_bytes) {
	return base64url_decode_by(base64url_values, true, text, out, max, out_bytes);
}

bool base64url_decode_lenient(struct slice text, uint8_t *out, size_t max, size_t *out_bytes) {
	for (int i = 0; i < 2 && text.len > 0 && text.data[text.len - 1] == '='; i++) {
		text.len--;
	}
	return base64url_decode_by(base64url_values_both, false, text, out, max, out_bytes);
}
