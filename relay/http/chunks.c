/* SPDX-License-Identifier: Apache-2.0 */
/* The chunked coding of RFC 9112 7.1, decoded in place, at any split. */
#include "relay/http/parse.h"

enum {
	CHUNKS_SIZE_DIGITS_MAX = 12,
	CHUNKS_LINE_MAX_BYTES = 256, /* a size line with its extensions */
	CHUNKS_TRAILERS_MAX_BYTES = 4096,
};

enum chunks_state {
	CHUNKS_SIZE,
	CHUNKS_EXTENSION,
	CHUNKS_SIZE_LF,
	CHUNKS_DATA,
	CHUNKS_DATA_CR,
	CHUNKS_DATA_LF,
	CHUNKS_TRAILER_START,
	CHUNKS_TRAILER,
	CHUNKS_TRAILER_LF,
	CHUNKS_LAST_LF,
	CHUNKS_END,
	CHUNKS_BAD,
};

void http_chunks_init(struct http_chunks *chunks) {
	*chunks = (struct http_chunks){.state = CHUNKS_SIZE};
}

static int chunks_hex_digit(char c) {
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool chunks_is_text(char c) {
	return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

static enum chunks_state chunks_on_size(struct http_chunks *chunks, char c) {
	int digit = chunks_hex_digit(c);
	if (digit >= 0) {
		chunks->left = chunks->left << 4 | (uint64_t)digit;
		return ++chunks->line_bytes <= CHUNKS_SIZE_DIGITS_MAX ? CHUNKS_SIZE : CHUNKS_BAD;
	}
	if (chunks->line_bytes == 0) {
		return CHUNKS_BAD;
	}
	return c == '\r' ? CHUNKS_SIZE_LF : c == ';' ? CHUNKS_EXTENSION : CHUNKS_BAD;
}

static enum chunks_state chunks_on_extension(struct http_chunks *chunks, char c) {
	if (c == '\r') {
		return CHUNKS_SIZE_LF;
	}
	return chunks_is_text(c) && ++chunks->line_bytes <= CHUNKS_LINE_MAX_BYTES ? CHUNKS_EXTENSION
																			  : CHUNKS_BAD;
}

static enum chunks_state chunks_on_size_lf(struct http_chunks *chunks, char c) {
	chunks->line_bytes = 0;
	if (c != '\n') {
		return CHUNKS_BAD;
	}
	return chunks->left > 0 ? CHUNKS_DATA : CHUNKS_TRAILER_START;
}

/* Trailer fields are looked through and dropped. */
static enum chunks_state chunks_on_trailer(struct http_chunks *chunks, char c) {
	if (c == '\r') {
		return chunks->state == CHUNKS_TRAILER_START ? CHUNKS_LAST_LF : CHUNKS_TRAILER_LF;
	}
	if (chunks->state == CHUNKS_TRAILER_START && (c == ' ' || c == '\t' || c == ':')) {
		return CHUNKS_BAD;
	}
	return chunks_is_text(c) && ++chunks->line_bytes <= CHUNKS_TRAILERS_MAX_BYTES ? CHUNKS_TRAILER
																				  : CHUNKS_BAD;
}

static enum chunks_state chunks_step(struct http_chunks *chunks, char c) {
	switch ((enum chunks_state)chunks->state) {
	case CHUNKS_SIZE:
		return chunks_on_size(chunks, c);
	case CHUNKS_EXTENSION:
		return chunks_on_extension(chunks, c);
	case CHUNKS_SIZE_LF:
		return chunks_on_size_lf(chunks, c);
	case CHUNKS_DATA_CR:
		return c == '\r' ? CHUNKS_DATA_LF : CHUNKS_BAD;
	case CHUNKS_DATA_LF:
		return c == '\n' ? CHUNKS_SIZE : CHUNKS_BAD;
	case CHUNKS_TRAILER_START:
	case CHUNKS_TRAILER:
		return chunks_on_trailer(chunks, c);
	case CHUNKS_TRAILER_LF:
		return c == '\n' ? CHUNKS_TRAILER_START : CHUNKS_BAD;
	case CHUNKS_LAST_LF:
		return c == '\n' ? CHUNKS_END : CHUNKS_BAD;
	case CHUNKS_DATA:
	case CHUNKS_END:
	case CHUNKS_BAD:
		break;
	}
	return CHUNKS_BAD;
}

enum http_parse_result http_chunks_feed(struct http_chunks *chunks, char *data, size_t bytes,
	size_t *out_payload, size_t *out_consumed) {
	size_t at = 0, payload = 0;
	while (at < bytes && chunks->state != CHUNKS_END && chunks->state != CHUNKS_BAD) {
		if (chunks->state != CHUNKS_DATA) {
			chunks->state = (int)chunks_step(chunks, data[at++]);
			continue;
		}
		size_t piece = bytes - at < chunks->left ? bytes - at : (size_t)chunks->left;
		memmove(data + payload, data + at, piece);
		payload += piece;
		at += piece;
		chunks->left -= piece;
		if (chunks->left == 0) {
			chunks->state = CHUNKS_DATA_CR;
		}
	}
	*out_payload = payload;
	*out_consumed = at;
	if (chunks->state == CHUNKS_BAD) {
		return HTTP_PARSE_BAD;
	}
	return chunks->state == CHUNKS_END ? HTTP_PARSE_OK : HTTP_PARSE_MORE;
}
