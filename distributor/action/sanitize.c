/* SPDX-License-Identifier: Apache-2.0 */
/* Character by character: kept, replaced, or left out. */
#include "distributor/action/sanitize.h"
#include "common/mem.h"
#include "common/utf8.h"
#include <string.h>

static const char sanitize_unreadable[] = "\xef\xbf\xbd"; /* U+FFFD */
static const char sanitize_cut[] = "\xe2\x80\xa6"; /* … */
enum { SANITIZE_GROWTH = 6 }; /* bytes that one byte becomes at most: &quot; */

/* Neither seen nor heard, or worse: by ranges, in order. */
static const struct {
	uint32_t first, last;
} sanitize_hidden[] = {
	{0x00, 0x08}, /* controls; tab and line feed have their own rule */
	{0x0b, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, /* soft hyphen */
	{0x34f, 0x34f}, /* grapheme joiner */
	{0x61c, 0x61c}, /* Arabic letter mark */
	{0x115f, 0x1160}, /* blank Hangul */
	{0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f}, /* zero width, direction marks */
	{0x2028, 0x202e}, /* separators, direction */
	{0x2060, 0x206f}, /* joiners, invisible operators, isolates */
	{0x3164, 0x3164}, /* blank Hangul */
	{0xfeff, 0xfeff}, /* byte order mark */
	{0xffa0, 0xffa0}, {0xfff0, 0xfffb}, /* annotations */
	{0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}, /* tags */
};

static bool sanitize_is_hidden(uint32_t character) {
	for (size_t i = 0; i < sizeof sanitize_hidden / sizeof *sanitize_hidden; i++) {
		if (character <= sanitize_hidden[i].last) {
			return character >= sanitize_hidden[i].first;
		}
	}
	return false;
}

/* The character at the beginning of the text; 0: ASCII, none, or one that is left out. */
static uint32_t sanitize_foreign(struct slice text) {
	size_t len = utf8_character((const uint8_t *)text.data, text.len);
	uint32_t character = len > 1 ? utf8_decode((const uint8_t *)text.data, len) : 0;
	return sanitize_is_hidden(character) ? 0 : character;
}

/* Persian, Indic scripts and composed emoji are written with joiners between their characters. The
 * one at the beginning of the text is kept when such characters are on both its sides. */
static bool sanitize_joins(struct slice text, bool is_after_foreign) {
	enum { JOINER_BYTES = 3 };
	return is_after_foreign && text.len > JOINER_BYTES &&
		   (memcmp(text.data, "\xe2\x80\x8c", JOINER_BYTES) == 0 ||
			   memcmp(text.data, "\xe2\x80\x8d", JOINER_BYTES) == 0) &&
		   sanitize_foreign((struct slice){text.data + JOINER_BYTES, text.len - JOINER_BYTES}) != 0;
}

static struct slice sanitize_escape(char c) {
	switch (c) {
	case '&':
		return slice_of("&amp;");
	case '<':
		return slice_of("&lt;");
	case '>':
		return slice_of("&gt;");
	case '"':
		return slice_of("&quot;");
	case '\'':
		return slice_of("&#39;");
	default:
		return (struct slice){NULL, 0};
	}
}

/* What the character at text becomes; it has len bytes, 0 when it is none. */
static struct slice sanitize_one(const char *text, size_t len, unsigned flags) {
	if (len == 0) {
		return slice_of(sanitize_unreadable);
	}
	if (*text == '\t' || (*text == '\n' && flags & SANITIZE_ONE_LINE)) {
		return slice_of(" ");
	}
	struct slice escaped = flags & SANITIZE_MARKUP ? sanitize_escape(*text) : slice_of("");
	if (escaped.len > 0) {
		return escaped;
	}
	bool is_hidden = sanitize_is_hidden(utf8_decode((const uint8_t *)text, len));
	return is_hidden ? slice_of("") : (struct slice){text, len};
}

static bool sanitize_is_blank(char c) {
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

char *sanitize_dup(struct slice text, size_t max_bytes, unsigned flags) {
	while (text.len > 0 && sanitize_is_blank(text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len > 0 && sanitize_is_blank(text.data[text.len - 1])) {
		text.len--;
	}
	size_t most = text.len < max_bytes ? text.len : max_bytes;
	char *out = mem_alloc(most * SANITIZE_GROWTH + sizeof sanitize_cut), *end = out;
	size_t at = 0, kept = 0;
	bool is_after_foreign = false;
	while (at < text.len) {
		struct slice rest = {text.data + at, text.len - at};
		size_t len = utf8_character((const uint8_t *)rest.data, rest.len);
		bool joins = sanitize_joins(rest, is_after_foreign);
		struct slice piece =
			joins ? (struct slice){rest.data, len} : sanitize_one(rest.data, len, flags);
		is_after_foreign = sanitize_foreign(rest) != 0;
		/* An escape counts as the one byte that it stands for. */
		size_t cost = len == 0 ? piece.len : piece.len > 0 ? len : 0;
		if (cost > max_bytes - kept) {
			end = mempcpy(end, sanitize_cut, sizeof sanitize_cut - 1);
			break;
		}
		kept += cost;
		if (piece.len > 0) {
			end = mempcpy(end, piece.data, piece.len);
		}
		at += len ? len : 1;
	}
	*end = '\0';
	return out;
}
