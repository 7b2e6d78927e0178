/* SPDX-License-Identifier: Apache-2.0 */
/* base64url by table. */
#include "common/base64url.h"
#include "common/mem.h"

static const char base64url_alphabet[64] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url_encode(char *out, const void *data, size_t bytes) {
	const uint8_t *in = data;
	char *at = out;
	for (; bytes >= 3; bytes -= 3, in += 3) {
		uint32_t word = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		*at++ = base64url_alphabet[word >> 18];
		*at++ = base64url_alphabet[word >> 12 & 63];
		*at++ = base64url_alphabet[word >> 6 & 63];
		*at++ = base64url_alphabet[word & 63];
	}
	if (bytes > 0) {
		uint32_t word = (uint32_t)in[0] << 16 | (bytes > 1 ? (uint32_t)in[1] << 8 : 0);
		*at++ = base64url_alphabet[word >> 18];
		*at++ = base64url_alphabet[word >> 12 & 63];
		if (bytes > 1) {
			*at++ = base64url_alphabet[word >> 6 & 63];
		}
	}
	return (size_t)(at - out);
}

char *base64url_print(const void *data, size_t bytes) {
	char *text = mem_alloc(BASE64URL_LENGTH(bytes) + 1);
	text[base64url_encode(text, data, bytes)] = '\0';
	return text;
}

static int base64url_value(char c, bool lenient) {
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	if (c == '-' || (lenient && c == '+')) {
		return 62;
	}
	return c == '_' || (lenient && c == '/') ? 63 : -1;
}

static bool base64url_read(
	struct slice text, bool lenient, uint8_t *out, size_t max, size_t *out_bytes) {
	if (text.len % 4 == 1 || text.len / 4 * 3 + (text.len % 4 ? text.len % 4 - 1 : 0) > max) {
		return false;
	}
	uint32_t bits = 0;
	int held = 0;
	size_t bytes = 0;
	for (size_t i = 0; i < text.len; i++) {
		int value = base64url_value(text.data[i], lenient);
		if (value < 0) {
			return false;
		}
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[bytes++] = (uint8_t)(bits >> held);
		}
	}
	if (!lenient && (bits & ((1u << held) - 1)) != 0) {
		return false;
	}
	*out_bytes = bytes;
	return true;
}

bool base64url_decode(struct slice text, uint8_t *out, size_t max, size_t *out_bytes) {
	return base64url_read(text, false, out, max, out_bytes);
}

bool base64url_decode_lenient(struct slice text, uint8_t *out, size_t max, size_t *out_bytes) {
	while (text.len > 0 && text.data[text.len - 1] == '=') {
		text.len--;
	}
	return base64url_read(text, true, out, max, out_bytes);
}
