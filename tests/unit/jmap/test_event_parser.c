/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events, cut at every place. */
#include "common/buffer.h"
#include "common/mem.h"
#include "distributor/jmap/event_parser.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* Events as text: "name|id|data;" */
static void note(const struct event *event, void *ctx) {
	assert_true(buffer_printf(ctx, "%.*s|%.*s|%.*s;", (int)event->name.len, event->name.data,
		(int)event->id.len, event->id.len > 0 ? event->id.data : "", (int)event->data.len,
		event->data.data));
}

static const struct {
	const char *text, *events;
} cases[] = {
	{"", ""},
	{"data: a\n\n", "message||a;"},
	{"data:a\r\r", "message||a;"},
	{"data: a\r\n\r\n", "message||a;"},
	{"data:  a\n\n", "message|| a;"}, /* one blank goes */
	{"data: a\ndata: b\n\n", "message||a\nb;"},
	{"data: a\r\ndata\r\ndata:\n\r", "message||a\n\n;"},
	{"data\n\n", "message||;"},
	{"event: state\nid: 7\ndata: x\n\n", "state|7|x;"},
	{"event:\ndata: x\n\n", "message||x;"},
	{"event: gone\n\ndata: x\n\n", "message||x;"}, /* without data there is no event */
	{"id: 7\n\ndata: x\n\n", "message|7|x;"}, /* but its id counts */
	{"id: 7\ndata: x\n\ndata: y\n\nid\ndata: z\n\n", "message|7|x;message|7|y;message||z;"},
	{": comment\ndata: x\n:\n\n", "message||x;"},
	{"\xef\xbb\xbf"
	 "data: x\n\n",
		"message||x;"},
	{"\n\xef\xbb\xbf"
	 "data: x\n\n",
		""}, /* only at the very beginning */
	{"\xef\xbb\xbf\n\n", ""},
	{"Data: x\ndatum: x\n data: x\n\n", ""},
	{"data: x\n", ""}, /* the connection ended */
	{"data: x", ""},
	{"\n\n\r\r\r\n\r\n", ""},
	{"data: a:b: c\n\n", "message||a:b: c;"},
	{"data: \xc3\xa9\n\n", "message||\xc3\xa9;"},
};

static char *events_in_pieces(const char *text, size_t first, size_t second) {
	struct buffer events;
	size_t len = strlen(text), sizes[] = {first, second, len - first - second};
	buffer_init(&events, 65536);
	struct event_parser *parser = event_parser_create(note, &events);
	for (size_t i = 0; i < 3; text += sizes[i++]) {
		/* memory of just this piece, so that reading beyond it is seen */
		char *piece = mem_dup(text, sizes[i]);
		assert_true(event_parser_feed(parser, (struct slice){piece, sizes[i]}));
		free(piece);
	}
	event_parser_destroy(parser);
	char *made =
		mem_strndup(buffer_begin(&events) ? buffer_begin(&events) : "", buffer_length(&events));
	buffer_finish(&events);
	return made;
}

static void events_by_table_cut_at_every_two_places(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t len = strlen(cases[i].text);
		for (size_t first = 0; first <= len; first++) {
			for (size_t second = 0; first + second <= len; second++) {
				char *events = events_in_pieces(cases[i].text, first, second);
				assert_string_equal(events, cases[i].events);
				free(events);
			}
		}
	}
}

static void feed(struct event_parser *parser, const char *text) {
	assert_true(event_parser_feed(parser, slice_of(text)));
}

static void retry_is_a_number_of_milliseconds(void **state) {
	(void)state;
	struct buffer events;
	buffer_init(&events, 100);
	struct event_parser *parser = event_parser_create(note, &events);
	assert_int_equal(event_parser_retry_ms(parser), -1);
	feed(parser, "retry: x\nretry: -5\nretry: 5s\nretry:\nretry: 9999999999999999\n");
	assert_int_equal(event_parser_retry_ms(parser), -1);
	feed(parser, "retry: 1500\n");
	assert_int_equal(event_parser_retry_ms(parser), 1500);
	feed(parser, "retry:0\n");
	assert_int_equal(event_parser_retry_ms(parser), 0);
	event_parser_destroy(parser);
	buffer_finish(&events);
}

static void the_last_id_is_of_a_whole_event(void **state) {
	(void)state;
	struct buffer events;
	buffer_init(&events, 100);
	struct event_parser *parser = event_parser_create(note, &events);
	assert_string_equal(event_parser_last_id(parser), "");
	feed(parser, "id: 7\ndata: x\n");
	assert_string_equal(event_parser_last_id(parser), "");
	feed(parser, "\nid: 8\ndata: y\n");
	assert_string_equal(event_parser_last_id(parser), "7");
	event_parser_restart(parser); /* the connection broke: 8 was never seen whole */
	assert_string_equal(event_parser_last_id(parser), "7");
	feed(parser, "\ndata: z\n\n");
	assert_string_equal(event_parser_last_id(parser), "7");
	assert_true(event_parser_feed(parser, (struct slice){"id: 9\0\n\n", 8})); /* is ignored */
	assert_string_equal(event_parser_last_id(parser), "7");
	feed(parser, "id\n\n");
	assert_string_equal(event_parser_last_id(parser), "");
	assert_memory_equal(buffer_begin(&events), "message|7|x;message|7|z;", 24);
	event_parser_destroy(parser);
	buffer_finish(&events);
}

static void a_restart_allows_another_byte_order_mark(void **state) {
	(void)state;
	struct buffer events;
	buffer_init(&events, 100);
	struct event_parser *parser = event_parser_create(note, &events);
	feed(parser, "data: x\r");
	event_parser_restart(parser);
	feed(parser, "\xef\xbb\xbf"
				 "data: y\n\n");
	assert_int_equal(buffer_length(&events), 11);
	assert_memory_equal(buffer_begin(&events), "message||y;", 11);
	event_parser_destroy(parser);
	buffer_finish(&events);
}

static void count(const struct event *event, void *ctx) {
	(void)event;
	++*(size_t *)ctx;
}

static void lines_and_data_have_limits(void **state) {
	(void)state;
	size_t events = 0;
	char *line = mem_alloc(EVENT_LINE_MAX);
	memset(line, 'x', EVENT_LINE_MAX);
	struct event_parser *parser = event_parser_create(count, &events);
	assert_true(event_parser_feed(parser, (struct slice){line, EVENT_LINE_MAX}));
	assert_true(event_parser_feed(parser, slice_of("\n")));
	assert_true(event_parser_feed(parser, (struct slice){line, EVENT_LINE_MAX}));
	assert_false(event_parser_feed(parser, slice_of("x")));
	event_parser_destroy(parser);

	parser = event_parser_create(count, &events);
	memcpy(line, "data:", 5);
	line[EVENT_LINE_MAX - 1] = '\n';
	bool fits = true;
	size_t lines = 0;
	while (fits && lines < 100) {
		fits = event_parser_feed(parser, (struct slice){line, EVENT_LINE_MAX});
		lines += fits;
	}
	assert_int_equal(lines, EVENT_DATA_MAX / (EVENT_LINE_MAX - 5));
	assert_int_equal(events, 0);
	event_parser_destroy(parser);
	free(line);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_by_table_cut_at_every_two_places),
		cmocka_unit_test(retry_is_a_number_of_milliseconds),
		cmocka_unit_test(the_last_id_is_of_a_whole_event),
		cmocka_unit_test(a_restart_allows_another_byte_order_mark),
		cmocka_unit_test(lines_and_data_have_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
