/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parsing of HTTP/1.1 request heads and chunked bodies (RFC 9112). */
#include "relay/http/parse.h"

enum { CHUNK_LINE_MAX = 1024, CHUNK_TRAILERS_MAX = 8192, HTTP_EMPTY_LINES_MAX = 4 };

static bool http_is_token_char(unsigned char c) {
	static const char others[] = "!#$%&'*+-.^_`|~";
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   (c != '\0' && strchr(others, c));
}

static bool http_is_token(struct slice text) {
	for (size_t i = 0; i < text.len; i++) {
		if (!http_is_token_char((unsigned char)text.data[i])) {
			return false;
		}
	}
	return text.len > 0;
}

/* ---- request line ---- */

static enum http_method http_method_parse(struct slice text) {
	static const char *const names[] = {
		[HTTP_GET] = "GET",
		[HTTP_HEAD] = "HEAD",
		[HTTP_POST] = "POST",
		[HTTP_PUT] = "PUT",
		[HTTP_DELETE] = "DELETE",
		[HTTP_OPTIONS] = "OPTIONS",
		[HTTP_PATCH] = "PATCH",
	};
	for (int i = 0; i < HTTP_OTHER; i++) {
		if (slice_equals(text, names[i])) {
			return (enum http_method)i;
		}
	}
	return HTTP_OTHER;
}

static bool http_target_parse(struct slice target, struct http_head *head) {
	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.data[i];
		if (c <= ' ' || c >= 127) {
			return false;
		}
	}
	head->target = target;
	struct slice path = target;
	if (target.len > 0 && target.data[0] != '/' && !slice_equals(target, "*")) {
		/* absolute-form: everything up to the first '/' behind "://" is the authority */
		const char *colon = memchr(target.data, ':', target.len);
		size_t at = colon ? (size_t)(colon - target.data) : target.len;
		if (at == 0 || target.len - at < 4 || memcmp(colon, "://", 3) != 0) {
			return false;
		}
		for (at += 3; at < target.len && target.data[at] != '/' && target.data[at] != '?'; at++) {
		}
		path = (struct slice){target.data + at, target.len - at};
		if (path.len == 0) {
			path = slice_of("/");
		}
	}
	const char *query = path.len > 0 ? memchr(path.data, '?', path.len) : NULL;
	head->path = query ? (struct slice){path.data, (size_t)(query - path.data)} : path;
	head->query =
		query ? (struct slice){query + 1, path.len - head->path.len - 1} : (struct slice){NULL, 0};
	return target.len > 0;
}

static enum http_parse_result http_request_line(struct slice line, struct http_head *head) {
	const char *first = line.len > 0 ? memchr(line.data, ' ', line.len) : NULL;
	if (!first) {
		return HTTP_PARSE_BAD;
	}
	struct slice method = {line.data, (size_t)(first - line.data)};
	struct slice rest = {first + 1, line.len - method.len - 1};
	const char *second = rest.len > 0 ? memchr(rest.data, ' ', rest.len) : NULL;
	if (!second || !http_is_token(method)) {
		return HTTP_PARSE_BAD;
	}
	struct slice target = {rest.data, (size_t)(second - rest.data)};
	struct slice version = {second + 1, rest.len - target.len - 1};
	if (target.len > HTTP_TARGET_MAX_BYTES) {
		return HTTP_PARSE_TARGET_TOO_LONG;
	}
	head->method = http_method_parse(method);
	if (!http_target_parse(target, head) || version.len != 8 ||
		memcmp(version.data, "HTTP/", 5) != 0 || version.data[6] != '.' || version.data[5] < '0' ||
		version.data[5] > '9' || version.data[7] < '0' || version.data[7] > '9') {
		return HTTP_PARSE_BAD;
	}
	if (version.data[5] != '1') {
		return HTTP_PARSE_BAD_VERSION;
	}
	head->minor_version = version.data[7] - '0';
	return HTTP_PARSE_OK;
}

/* ---- headers ---- */

static enum http_parse_result http_header_line(struct slice line, struct http_head *head) {
	const char *colon = memchr(line.data, ':', line.len);
	if (!colon) {
		return HTTP_PARSE_BAD;
	}
	struct slice name = {line.data, (size_t)(colon - line.data)};
	struct slice value = slice_trim((struct slice){colon + 1, line.len - name.len - 1});
	if (!http_is_token(name)) { /* also blanks before the colon and folded lines */
		return HTTP_PARSE_BAD;
	}
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];
		if ((c < ' ' && c != '\t') || c == 127) {
			return HTTP_PARSE_BAD;
		}
	}
	if (value.len > HTTP_FIELD_MAX_BYTES || head->header_count == HTTP_HEADERS_MAX) {
		return HTTP_PARSE_HEAD_TOO_LARGE;
	}
	head->headers[head->header_count++] = (struct http_header){name, value};
	return HTTP_PARSE_OK;
}

/* Is word one of the comma-separated words of list? */
static bool http_list_has(struct slice list, const char *word) {
	while (list.len > 0) {
		const char *comma = memchr(list.data, ',', list.len);
		size_t len = comma ? (size_t)(comma - list.data) : list.len;
		if (slice_equals_nocase(slice_trim((struct slice){list.data, len}), word)) {
			return true;
		}
		list.data += comma ? len + 1 : len;
		list.len -= comma ? len + 1 : len;
	}
	return false;
}

static bool http_length_parse(struct slice text, uint64_t *out) {
	uint64_t value = 0;
	if (text.len == 0 || text.len > 18) {
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9') {
			return false;
		}
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	*out = value;
	return true;
}

/* What the headers mean for the connection, gathered in one pass. */
struct http_framing {
	unsigned hosts, lengths, codings, expects;
	struct slice coding, expect;
	bool says_close, says_keep_alive, says_upgrade, is_websocket;
};

static enum http_parse_result http_frame_header(
	const struct http_header *header, struct http_head *head, struct http_framing *framing) {
	/* By length first: most headers are none of these. */
	switch (header->name.len) {
	case 4:
		framing->hosts += slice_equals_nocase(header->name, "host");
		break;
	case 6:
		if (slice_equals_nocase(header->name, "expect")) {
			framing->expects++;
			framing->expect = header->value;
		}
		break;
	case 7:
		if (slice_equals_nocase(header->name, "upgrade")) {
			framing->is_websocket |= http_list_has(header->value, "websocket");
		}
		break;
	case 10:
		if (slice_equals_nocase(header->name, "connection")) {
			framing->says_close |= http_list_has(header->value, "close");
			framing->says_keep_alive |= http_list_has(header->value, "keep-alive");
			framing->says_upgrade |= http_list_has(header->value, "upgrade");
		}
		break;
	case 14:
		if (slice_equals_nocase(header->name, "content-length")) {
			framing->lengths++;
			head->has_content_length = true;
			if (!http_length_parse(header->value, &head->content_length)) {
				return HTTP_PARSE_BAD;
			}
		}
		break;
	case 17:
		if (slice_equals_nocase(header->name, "transfer-encoding")) {
			framing->codings++;
			framing->coding = header->value;
		}
		break;
	default:
		break;
	}
	return HTTP_PARSE_OK;
}

static enum http_parse_result http_frame(struct http_head *head) {
	struct http_framing framing = {0};
	for (size_t i = 0; i < head->header_count; i++) {
		if (http_frame_header(&head->headers[i], head, &framing) != HTTP_PARSE_OK) {
			return HTTP_PARSE_BAD;
		}
	}
	if (framing.lengths > 1 || framing.codings > 1 || (framing.lengths && framing.codings) ||
		framing.hosts > 1 || (framing.hosts == 0 && head->minor_version > 0) ||
		(framing.codings && head->minor_version == 0)) {
		return HTTP_PARSE_BAD;
	}
	if (framing.codings && !slice_equals_nocase(framing.coding, "chunked")) {
		return HTTP_PARSE_BAD_CODING;
	}
	head->is_chunked = framing.codings > 0;
	head->keep_alive = head->minor_version > 0 ? !framing.says_close : false;
	head->is_websocket_upgrade = head->method == HTTP_GET && framing.is_websocket &&
								 framing.says_upgrade && head->minor_version > 0 &&
								 !head->is_chunked && head->content_length == 0;
	if (framing.expects > 0) {
		if (framing.expects > 1 || !slice_equals_nocase(framing.expect, "100-continue")) {
			return HTTP_PARSE_BAD_EXPECTATION;
		}
		head->expects_continue = head->minor_version > 0;
	}
	return HTTP_PARSE_OK;
}

/* ---- the head as a whole ---- */

/* Length of the head at text with its empty line, 0 when the end is not there. */
static size_t http_head_length(struct slice text, size_t *scanned) {
	size_t at = *scanned > 3 ? *scanned - 3 : 0;
	while (at + 4 <= text.len) {
		const char *found = memchr(text.data + at, '\r', text.len - at - 3);
		if (!found) {
			break;
		}
		at = (size_t)(found - text.data);
		if (memcmp(found, "\r\n\r\n", 4) == 0) {
			return at + 4;
		}
		at++;
	}
	*scanned = text.len;
	return 0;
}

/* Too much without an end: which limit is it? */
static enum http_parse_result http_head_overflow(struct slice text) {
	const char *line_end = memchr(text.data, '\r', text.len);
	size_t line = line_end ? (size_t)(line_end - text.data) : text.len;
	return line > HTTP_TARGET_MAX_BYTES ? HTTP_PARSE_TARGET_TOO_LONG : HTTP_PARSE_HEAD_TOO_LARGE;
}

static enum http_parse_result http_head_lines(struct slice text, struct http_head *head) {
	bool is_first = true;
	while (text.len > 2) { /* the last two bytes are the empty line */
		const char *end = memchr(text.data, '\r', text.len);
		size_t len = (size_t)(end - text.data);
		struct slice line = {text.data, len};
		if (end[1] != '\n' || memchr(line.data, '\n', line.len)) {
			return HTTP_PARSE_BAD;
		}
		enum http_parse_result result =
			is_first ? http_request_line(line, head) : http_header_line(line, head);
		if (result != HTTP_PARSE_OK) {
			return result;
		}
		is_first = false;
		text.data += len + 2;
		text.len -= len + 2;
	}
	return http_frame(head);
}

enum http_parse_result http_parse_head(
	struct slice text, size_t *scanned, struct http_head *out_head, size_t *out_bytes) {
	/* All but the array of headers, of which only header_count are read. */
	out_head->method = HTTP_OTHER;
	out_head->target = out_head->path = out_head->query = (struct slice){NULL, 0};
	out_head->minor_version = 1;
	out_head->header_count = 0;
	out_head->is_chunked = out_head->has_content_length = out_head->keep_alive = false;
	out_head->expects_continue = out_head->is_websocket_upgrade = false;
	out_head->content_length = 0;
	size_t skipped = 0;
	while (
		skipped < 2 * HTTP_EMPTY_LINES_MAX && text.len >= 2 && memcmp(text.data, "\r\n", 2) == 0) {
		text.data += 2; /* RFC 9112 2.2 */
		text.len -= 2;
		skipped += 2;
	}
	if (text.len > 0 && !http_is_token_char((unsigned char)text.data[0]) && text.data[0] != '\r') {
		return HTTP_PARSE_BAD; /* no request begins so: TLS, or worse */
	}
	size_t known = *scanned > skipped ? *scanned - skipped : 0;
	size_t bytes = http_head_length(text, &known);
	*scanned = known + skipped;
	if (bytes == 0) {
		return text.len > HTTP_HEAD_MAX_BYTES ? http_head_overflow(text) : HTTP_PARSE_MORE;
	}
	if (bytes > HTTP_HEAD_MAX_BYTES) {
		return http_head_overflow((struct slice){text.data, bytes});
	}
	*out_bytes = bytes + skipped;
	return http_head_lines((struct slice){text.data, bytes}, out_head);
}

/* ---- chunked bodies ---- */

enum {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_START,
	CHUNK_TRAILER,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF
};

void http_chunks_init(struct http_chunks *chunks) {
	*chunks = (struct http_chunks){.state = CHUNK_SIZE};
}

static int http_hex_value(char c) {
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a size line. */
static bool http_chunk_size(struct http_chunks *chunks, char c) {
	int value = http_hex_value(c);
	if (value >= 0) {
		if (++chunks->line_bytes > 15) {
			return false;
		}
		chunks->left = chunks->left << 4 | (uint64_t)value;
		return true;
	}
	chunks->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
	return chunks->line_bytes > 0 && (c == '\r' || c == ';' || c == ' ' || c == '\t');
}

/* One byte outside of data. OK at the end of the body. */
static enum http_parse_result http_chunk_byte(struct http_chunks *chunks, char c) {
	bool good = true;
	switch (chunks->state) {
	case CHUNK_SIZE:
		good = http_chunk_size(chunks, c);
		break;
	case CHUNK_EXTENSION:
		if (c == '\r') {
			chunks->state = CHUNK_SIZE_LF;
		}
		good = c != '\n' && c != '\0' && ++chunks->line_bytes <= CHUNK_LINE_MAX;
		break;
	case CHUNK_SIZE_LF:
		good = c == '\n';
		chunks->line_bytes = 0;
		chunks->state = chunks->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_START;
		break;
	case CHUNK_DATA_CR:
		good = c == '\r';
		chunks->state = CHUNK_DATA_LF;
		break;
	case CHUNK_DATA_LF:
		good = c == '\n';
		chunks->state = CHUNK_SIZE;
		break;
	case CHUNK_TRAILER_START:
		chunks->state = c == '\r' ? CHUNK_END_LF : CHUNK_TRAILER;
		good = c == '\r' || http_is_token_char((unsigned char)c);
		break;
	case CHUNK_TRAILER:
		if (c == '\r') {
			chunks->state = CHUNK_TRAILER_LF;
		}
		good = c != '\n' && c != '\0' && ++chunks->line_bytes <= CHUNK_TRAILERS_MAX;
		break;
	case CHUNK_TRAILER_LF:
		good = c == '\n';
		chunks->state = CHUNK_TRAILER_START;
		break;
	case CHUNK_END_LF:
		return c == '\n' ? HTTP_PARSE_OK : HTTP_PARSE_BAD;
	default:
		return HTTP_PARSE_BAD;
	}
	return good ? HTTP_PARSE_MORE : HTTP_PARSE_BAD;
}

enum http_parse_result http_chunks_feed(struct http_chunks *chunks, char *data, size_t bytes,
	size_t *out_payload, size_t *out_consumed) {
	size_t payload = 0, at = 0;
	enum http_parse_result result = HTTP_PARSE_MORE;
	while (at < bytes && result == HTTP_PARSE_MORE) {
		if (chunks->state == CHUNK_DATA) {
			size_t take = bytes - at < chunks->left ? bytes - at : (size_t)chunks->left;
			memmove(data + payload, data + at, take);
			payload += take;
			at += take;
			chunks->left -= take;
			if (chunks->left == 0) {
				chunks->state = CHUNK_DATA_CR;
			}
		} else {
			result = http_chunk_byte(chunks, data[at++]);
		}
	}
	*out_payload = payload;
	*out_consumed = at;
	return result;
}
