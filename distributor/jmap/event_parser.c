/* SPDX-License-Identifier: Apache-2.0 */
/* Lines become fields, fields an event at the next empty line. */
#include "distributor/jmap/event_parser.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <stdlib.h>
#include <string.h>

enum { EVENT_RETRY_DIGITS_MAX = 15 };

struct event_parser {
	event_fn *event;
	void *ctx;
	struct buffer line, data;
	char *name, *id; /* of the event in the making; NULL: none */
	char *last_id;
	int64_t retry_ms;
	bool is_begun; /* the first line is over, before which a byte order mark may stand */
	bool is_after_cr; /* a LF now belongs to it */
};

struct event_parser *event_parser_create(event_fn *event, void *ctx) {
	struct event_parser *parser = mem_zalloc(sizeof *parser);
	parser->event = event;
	parser->ctx = ctx;
	parser->last_id = mem_strdup("");
	parser->retry_ms = -1;
	buffer_init(&parser->line, EVENT_LINE_MAX);
	buffer_init(&parser->data, EVENT_DATA_MAX);
	return parser;
}

void event_parser_destroy(struct event_parser *parser) {
	if (parser) {
		buffer_finish(&parser->line);
		buffer_finish(&parser->data);
		free(parser->name);
		free(parser->id);
		free(parser->last_id);
		free(parser);
	}
}

const char *event_parser_last_id(const struct event_parser *parser) {
	return parser->last_id;
}

int64_t event_parser_retry_ms(const struct event_parser *parser) {
	return parser->retry_ms;
}

static void event_parser_forget(struct event_parser *parser) {
	buffer_clear(&parser->data);
	free(steal(&parser->name));
	free(steal(&parser->id));
}

void event_parser_restart(struct event_parser *parser) {
	event_parser_forget(parser);
	buffer_clear(&parser->line);
	parser->is_begun = parser->is_after_cr = false;
}

/* ---- fields ---- */

static void event_parser_set(char **text, struct slice value) {
	free(*text);
	*text = mem_strndup(value.len > 0 ? value.data : "", value.len);
}

static void event_parser_read_retry(struct event_parser *parser, struct slice value) {
	int64_t ms = 0;
	if (value.len == 0 || value.len > EVENT_RETRY_DIGITS_MAX) {
		return;
	}
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] < '0' || value.data[i] > '9') {
			return;
		}
		ms = ms * 10 + (value.data[i] - '0');
	}
	parser->retry_ms = ms;
}

static bool event_parser_field(struct event_parser *parser, struct slice name, struct slice value) {
	if (slice_equals(name, "data")) {
		return buffer_append(&parser->data, value.data, value.len) &&
			   buffer_append(&parser->data, "\n", 1);
	}
	if (slice_equals(name, "event")) {
		event_parser_set(&parser->name, value);
	} else if (slice_equals(name, "id")) {
		if (value.len == 0 || !memchr(value.data, '\0', value.len)) {
			event_parser_set(&parser->id, value);
		}
	} else if (slice_equals(name, "retry")) {
		event_parser_read_retry(parser, value);
	}
	return true;
}

/* An empty line. Without data there is no event, but its id counts. */
static void event_parser_finish_event(struct event_parser *parser) {
	if (parser->id) {
		free(parser->last_id);
		parser->last_id = steal(&parser->id);
	}
	size_t bytes = buffer_length(&parser->data);
	if (bytes > 0) {
		const struct event event = {
			.name = slice_of(parser->name && parser->name[0] ? parser->name : "message"),
			.data = {buffer_begin(&parser->data), bytes - 1}, /* without the last line's end */
			.id = slice_of(parser->last_id),
		};
		parser->event(&event, parser->ctx);
	}
	event_parser_forget(parser);
}

static bool event_parser_finish_line(struct event_parser *parser) {
	struct slice line = {buffer_begin(&parser->line), buffer_length(&parser->line)};
	if (!parser->is_begun && slice_starts_with(line, "\xef\xbb\xbf")) {
		line = (struct slice){line.data + 3, line.len - 3};
	}
	parser->is_begun = true;
	bool fits = true;
	const char *colon = line.len > 0 ? memchr(line.data, ':', line.len) : NULL;
	if (line.len == 0) {
		event_parser_finish_event(parser);
	} else if (!colon) {
		fits = event_parser_field(parser, line, (struct slice){line.data, 0});
	} else if (colon > line.data) { /* else it is a comment */
		struct slice name = {line.data, (size_t)(colon - line.data)};
		struct slice value = {colon + 1, line.len - name.len - 1};
		if (value.len > 0 && value.data[0] == ' ') {
			value = (struct slice){value.data + 1, value.len - 1};
		}
		fits = event_parser_field(parser, name, value);
	}
	buffer_clear(&parser->line);
	return fits;
}

/* ---- lines ---- */

static size_t event_parser_line_length(struct slice text) {
	size_t len = 0;
	while (len < text.len && text.data[len] != '\r' && text.data[len] != '\n') {
		len++;
	}
	return len;
}

bool event_parser_feed(struct event_parser *parser, struct slice piece) {
	while (piece.len > 0) {
		bool is_rest_of_end = parser->is_after_cr && piece.data[0] == '\n';
		parser->is_after_cr = false;
		if (is_rest_of_end) {
			piece = (struct slice){piece.data + 1, piece.len - 1};
			continue;
		}
		size_t len = event_parser_line_length(piece);
		if (!buffer_append(&parser->line, piece.data, len)) {
			return false;
		}
		if (len == piece.len) {
			return true;
		}
		parser->is_after_cr = piece.data[len] == '\r';
		piece = (struct slice){piece.data + len + 1, piece.len - len - 1};
		if (!event_parser_finish_line(parser)) {
			return false;
		}
	}
	return true;
}
