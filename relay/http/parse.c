/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parser of HTTP/1.1 request heads; the chunked coding is in chunks.c. */
#include "relay/http/parse.h"
#include <assert.h>

enum {
	PARSE_EMPTY_LINES_MAX = 2, /* tolerated before the request line, RFC 9112 2.2 */
	PARSE_REQUEST_LINE_MAX_BYTES = HTTP_TARGET_MAX_BYTES + 64,
};

/* tchar of RFC 9110 5.6.2. */
static const bool parse_token_chars[256] = {
	['!'] = 1,
	['#'] = 1,
	['$'] = 1,
	['%'] = 1,
	['&'] = 1,
	['\''] = 1,
	['*'] = 1,
	['+'] = 1,
	['-'] = 1,
	['.'] = 1,
	['^'] = 1,
	['_'] = 1,
	['`'] = 1,
	['|'] = 1,
	['~'] = 1,
	['0' ... '9'] = 1,
	['A' ... 'Z'] = 1,
	['a' ... 'z'] = 1,
};
/* field-vchar, blank and tab: all but the control characters. */
static const bool parse_value_chars[256] = {
	['\t'] = 1,
	[' ' ... '~'] = 1,
	[0x80 ... 0xff] = 1,
};

/* What the framing headers said, until all are read. */
struct parse_framing {
	unsigned hosts, lengths, codings;
	struct slice coding;
	bool is_bad, is_bad_expectation;
	bool has_close, has_keep_alive, has_upgrade, upgrades_to_websocket;
};

static bool parse_is_token(struct slice text) {
	for (size_t i = 0; i < text.len; i++) {
		if (!parse_token_chars[(unsigned char)text.data[i]]) {
			return false;
		}
	}
	return text.len > 0;
}

static struct slice parse_sub(const char *begin, const char *end) {
	return (struct slice){begin, (size_t)(end - begin)};
}

/* ---- the request line ---- */

static enum http_method parse_method(struct slice text) {
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = {
		{"POST", HTTP_POST},
		{"GET", HTTP_GET},
		{"HEAD", HTTP_HEAD},
		{"DELETE", HTTP_DELETE},
		{"PUT", HTTP_PUT},
		{"OPTIONS", HTTP_OPTIONS},
		{"PATCH", HTTP_PATCH},
	};
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		if (slice_equals(text, methods[i].name)) {
			return methods[i].method;
		}
	}
	return HTTP_OTHER;
}

/* The bytes of the scheme and "//" of an absolute-form target, 0 for another form. */
static size_t parse_scheme(struct slice target) {
	static const char *const schemes[] = {"http://", "https://"};
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t len = strlen(schemes[i]);
		if (target.len >= len && strncasecmp(target.data, schemes[i], len) == 0) {
			return len;
		}
	}
	return 0;
}

static enum http_parse_result parse_target(struct slice target, struct http_head *head) {
	if (target.len > HTTP_TARGET_MAX_BYTES) {
		return HTTP_PARSE_TARGET_TOO_LONG;
	}
	head->target = target;
	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.data[i];
		if (c <= ' ' || c >= 0x7f || c == '#') {
			return HTTP_PARSE_BAD;
		}
	}
	struct slice rest = target;
	size_t scheme = parse_scheme(target);
	if (scheme > 0) {
		rest = (struct slice){target.data + scheme, target.len - scheme};
		size_t authority = 0;
		while (authority < rest.len && rest.data[authority] != '/' && rest.data[authority] != '?') {
			authority++;
		}
		if (authority == 0) {
			return HTTP_PARSE_BAD;
		}
		rest = (struct slice){rest.data + authority, rest.len - authority};
	} else if (slice_equals(target, "*") && head->method == HTTP_OPTIONS) {
		head->path = target;
		return HTTP_PARSE_OK;
	} else if (target.len == 0 || target.data[0] != '/') {
		return HTTP_PARSE_BAD;
	}
	const char *mark = rest.len > 0 ? memchr(rest.data, '?', rest.len) : NULL;
	const char *end = rest.data + rest.len;
	head->path = mark ? parse_sub(rest.data, mark) : rest;
	head->query = mark ? parse_sub(mark + 1, end) : (struct slice){end, 0};
	if (head->path.len == 0) {
		head->path = slice_of("/");
	}
	return HTTP_PARSE_OK;
}

/* 505 only for what is HTTP beyond doubt and not the preface of HTTP/2. */
static enum http_parse_result parse_version(
	struct slice version, struct slice method, struct http_head *head) {
	if (version.len != 8 || !slice_starts_with(version, "HTTP/") || version.data[6] != '.' ||
		version.data[5] < '0' || version.data[5] > '9' || version.data[7] < '0' ||
		version.data[7] > '9') {
		return HTTP_PARSE_BAD;
	}
	if (version.data[5] != '1') {
		return slice_equals(method, "PRI") ? HTTP_PARSE_BAD : HTTP_PARSE_BAD_VERSION;
	}
	head->minor_version = version.data[7] - '0';
	return HTTP_PARSE_OK;
}

/* line is without its CRLF. */
static enum http_parse_result parse_request_line(struct slice line, struct http_head *head) {
	const char *end = line.data + line.len;
	const char *space = memchr(line.data, ' ', line.len);
	if (!space) {
		return HTTP_PARSE_BAD;
	}
	struct slice method = parse_sub(line.data, space);
	if (!parse_is_token(method)) {
		return HTTP_PARSE_BAD;
	}
	head->method = parse_method(method);
	const char *target = space + 1;
	space = memchr(target, ' ', (size_t)(end - target));
	if (!space) {
		return line.len > PARSE_REQUEST_LINE_MAX_BYTES ? HTTP_PARSE_TARGET_TOO_LONG
													   : HTTP_PARSE_BAD;
	}
	enum http_parse_result result = parse_target(parse_sub(target, space), head);
	if (result != HTTP_PARSE_OK) {
		return result;
	}
	return parse_version(parse_sub(space + 1, end), method, head);
}

/* ---- headers ---- */

/* Takes the next element of a comma-separated list from *rest; false at its end. */
static bool parse_list_next(struct slice *rest, struct slice *out_element) {
	if (!rest->data) {
		return false;
	}
	const char *comma = rest->len > 0 ? memchr(rest->data, ',', rest->len) : NULL;
	if (comma) {
		*out_element = slice_trim(parse_sub(rest->data, comma));
		*rest = parse_sub(comma + 1, rest->data + rest->len);
	} else {
		*out_element = slice_trim(*rest);
		*rest = (struct slice){NULL, 0};
	}
	return true;
}

static void parse_content_length(
	struct slice value, struct http_head *head, struct parse_framing *framing) {
	framing->lengths++;
	head->has_content_length = true;
	if (value.len == 0 || value.len > 18) {
		framing->is_bad = true;
		return;
	}
	uint64_t length = 0;
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] < '0' || value.data[i] > '9') {
			framing->is_bad = true;
			return;
		}
		length = length * 10 + (uint64_t)(value.data[i] - '0');
	}
	head->content_length = length;
}

static void parse_connection(struct slice value, struct parse_framing *framing) {
	struct slice element;
	while (parse_list_next(&value, &element)) {
		framing->has_close |= slice_equals_nocase(element, "close");
		framing->has_keep_alive |= slice_equals_nocase(element, "keep-alive");
		framing->has_upgrade |= slice_equals_nocase(element, "upgrade");
	}
}

static void parse_upgrade(struct slice value, struct parse_framing *framing) {
	struct slice element;
	while (parse_list_next(&value, &element)) {
		framing->upgrades_to_websocket |= slice_equals_nocase(element, "websocket");
	}
}

static void parse_expect(
	struct slice value, struct http_head *head, struct parse_framing *framing) {
	if (slice_equals_nocase(value, "100-continue")) {
		head->expects_continue = true;
	} else {
		framing->is_bad_expectation = true;
	}
}

/* Looks at the headers that frame the message or speak of the connection; told apart by length
 * first, for this runs for every header of every request. */
static void parse_known_header(
	const struct http_header *header, struct http_head *head, struct parse_framing *framing) {
	switch (header->name.len) {
	case 4:
		if (slice_equals_nocase(header->name, "Host")) {
			framing->hosts++; /* its value is never compared */
		}
		break;
	case 6:
		if (slice_equals_nocase(header->name, "Expect")) {
			parse_expect(header->value, head, framing);
		}
		break;
	case 7:
		if (slice_equals_nocase(header->name, "Upgrade")) {
			parse_upgrade(header->value, framing);
		}
		break;
	case 10:
		if (slice_equals_nocase(header->name, "Connection")) {
			parse_connection(header->value, framing);
		}
		break;
	case 14:
		if (slice_equals_nocase(header->name, "Content-Length")) {
			parse_content_length(header->value, head, framing);
		}
		break;
	case 17:
		if (slice_equals_nocase(header->name, "Transfer-Encoding")) {
			framing->codings++;
			framing->coding = header->value;
		}
		break;
	default:
		break;
	}
}

/* Reads one header line that begins at p; *out_next is behind its CRLF. The caller has seen that
 * the text ends with CRLF CRLF and that each LF follows a CR. */
static enum http_parse_result parse_header(
	const char *p, const char *end, struct http_header *out_header, const char **out_next) {
	const char *name = p;
	while (parse_token_chars[(unsigned char)*p]) {
		p++;
	}
	if (p == name || *p != ':') {
		return HTTP_PARSE_BAD; /* also a folded line and a blank before the colon */
	}
	out_header->name = parse_sub(name, p);
	const char *value = ++p;
	while (parse_value_chars[(unsigned char)*p]) {
		p++;
	}
	if (*p != '\r' || p + 1 >= end || p[1] != '\n') {
		return HTTP_PARSE_BAD;
	}
	out_header->value = slice_trim(parse_sub(value, p));
	*out_next = p + 2;
	return out_header->value.len > HTTP_FIELD_MAX_BYTES ? HTTP_PARSE_HEAD_TOO_LARGE : HTTP_PARSE_OK;
}

/* RFC 9112 6.1: chunked is the only coding we know; what might hide one from another parser is
 * bad, what is merely unknown is 501. */
static enum http_parse_result parse_coding(
	const struct parse_framing *framing, struct http_head *head) {
	if (framing->codings > 1 || framing->lengths > 0 || head->minor_version == 0) {
		return HTTP_PARSE_BAD;
	}
	if (slice_equals_nocase(framing->coding, "chunked")) {
		head->is_chunked = true;
		return HTTP_PARSE_OK;
	}
	struct slice rest = framing->coding, element = {NULL, 0};
	unsigned elements = 0, chunked = 0;
	while (parse_list_next(&rest, &element)) {
		elements++;
		chunked += slice_equals_nocase(element, "chunked");
		if (!parse_is_token(element)) {
			return HTTP_PARSE_BAD;
		}
	}
	if (chunked > 1 || (chunked == 1 && !slice_equals_nocase(element, "chunked")) ||
		(chunked == 1 && elements == 1)) {
		return HTTP_PARSE_BAD;
	}
	return HTTP_PARSE_BAD_CODING;
}

static enum http_parse_result parse_finish(struct parse_framing *framing, struct http_head *head) {
	if (framing->is_bad || framing->lengths > 1 || framing->hosts > 1 ||
		(framing->hosts == 0 && head->minor_version > 0)) {
		return HTTP_PARSE_BAD;
	}
	if (framing->codings > 0) {
		enum http_parse_result result = parse_coding(framing, head);
		if (result != HTTP_PARSE_OK) {
			return result;
		}
	}
	if (framing->is_bad_expectation) {
		return HTTP_PARSE_BAD_EXPECTATION;
	}
	bool has_body = head->is_chunked || head->content_length > 0;
	head->expects_continue = head->expects_continue && has_body && head->minor_version > 0;
	head->keep_alive = !framing->has_close && (head->minor_version > 0 || framing->has_keep_alive);
	head->is_websocket_upgrade = head->method == HTTP_GET && head->minor_version > 0 && !has_body &&
								 framing->has_upgrade && framing->upgrades_to_websocket;
	return HTTP_PARSE_OK;
}

/* text begins with the request line and ends with an empty line. */
static enum http_parse_result parse_complete(struct slice text, struct http_head *head) {
	const char *end = text.data + text.len;
	const char *line_end = memchr(text.data, '\r', text.len);
	assert(line_end);
	enum http_parse_result result = parse_request_line(parse_sub(text.data, line_end), head);
	if (result != HTTP_PARSE_OK) {
		return result;
	}
	if (text.len > HTTP_HEAD_MAX_BYTES) {
		return HTTP_PARSE_HEAD_TOO_LARGE;
	}
	struct parse_framing framing = {0};
	const char *p = line_end + 1;
	if (*p++ != '\n') {
		return HTTP_PARSE_BAD; /* a bare CR */
	}
	while (*p != '\r') {
		if (head->header_count == HTTP_HEADERS_MAX) {
			return HTTP_PARSE_HEAD_TOO_LARGE;
		}
		struct http_header *header = &head->headers[head->header_count];
		result = parse_header(p, end, header, &p);
		if (result != HTTP_PARSE_OK) {
			return result;
		}
		head->header_count++;
		parse_known_header(header, head, &framing);
	}
	if (p + 2 != end) {
		return HTTP_PARSE_BAD; /* a bare CR at the beginning of a line */
	}
	return parse_finish(&framing, head);
}

/* ---- where the head ends ---- */

/* Empty lines before the request line. */
static enum http_parse_result parse_skip_empty(struct slice text, size_t *out_start) {
	size_t at = 0;
	for (unsigned lines = 0; at < text.len && (text.data[at] == '\r' || text.data[at] == '\n');
		 lines++) {
		if (text.data[at] == '\n' || lines == PARSE_EMPTY_LINES_MAX) {
			return HTTP_PARSE_BAD;
		}
		if (at + 1 == text.len) {
			break;
		}
		if (text.data[at + 1] != '\n') {
			return HTTP_PARSE_BAD;
		}
		at += 2;
	}
	*out_start = at;
	return HTTP_PARSE_OK;
}

/* No end of the head so far: refuses at once what can only get worse. */
static enum http_parse_result parse_partial(
	struct slice text, size_t seen_before, struct http_head *head) {
	if (text.len == 0 || text.data[0] == '\r') {
		return HTTP_PARSE_MORE;
	}
	if (!parse_token_chars[(unsigned char)text.data[0]]) {
		return HTTP_PARSE_BAD; /* a TLS handshake, say */
	}
	const char *line_feed = memchr(text.data, '\n', text.len);
	if (!line_feed) {
		return text.len > PARSE_REQUEST_LINE_MAX_BYTES ? HTTP_PARSE_TARGET_TOO_LONG
													   : HTTP_PARSE_MORE;
	}
	if ((size_t)(line_feed - text.data) >= seen_before || text.len > HTTP_HEAD_MAX_BYTES) {
		enum http_parse_result result =
			parse_request_line(parse_sub(text.data, line_feed - 1), head);
		if (result != HTTP_PARSE_OK) {
			return result;
		}
	}
	return text.len > HTTP_HEAD_MAX_BYTES ? HTTP_PARSE_HEAD_TOO_LARGE : HTTP_PARSE_MORE;
}

static void parse_reset(struct http_head *head) {
	memset(head, 0, offsetof(struct http_head, headers)); /* the table needs no zeroes */
	head->method = HTTP_OTHER;
	head->header_count = 0;
	head->is_chunked = head->has_content_length = false;
	head->content_length = 0;
	head->keep_alive = head->expects_continue = head->is_websocket_upgrade = false;
}

enum http_parse_result http_parse_head(
	struct slice text, size_t *scanned, struct http_head *out_head, size_t *out_bytes) {
	parse_reset(out_head);
	size_t start = 0;
	if (parse_skip_empty(text, &start) != HTTP_PARSE_OK) {
		return HTTP_PARSE_BAD;
	}
	size_t seen_before = *scanned > start ? *scanned : start;
	const char *end = text.data + text.len;
	const char *p = text.data + seen_before;
	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		size_t at = (size_t)(p - text.data);
		if (at <= start || text.data[at - 1] != '\r') {
			return HTTP_PARSE_BAD; /* a bare LF */
		}
		if (at >= start + 3 && text.data[at - 2] == '\n') {
			struct slice head = {text.data + start, at + 1 - start};
			*out_bytes = at + 1;
			return parse_complete(head, out_head);
		}
		p++;
	}
	*scanned = text.len;
	return parse_partial(
		(struct slice){text.data + start, text.len - start}, seen_before - start, out_head);
}
