/* SPDX-License-Identifier: Apache-2.0 */
/* Placeholders, filled from text, from JSON, and from what is neither. */
#include "distributor/action/template.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static const char mail[] =
	"{\"title\":\"New mail\",\"message\":\"from A\",\"n\":3,\"ok\":true,\"nil\":null,"
	"\"list\":[{\"from\":\"B\"},\"two\"],\"deep\":{\"a.b\":1,\"c\":{\"d\":\"e\"}}}";

static void fills_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text, *message, *shown;
	} cases[] = {
		{"", "x", ""},
		{"plain", "x", "plain"},
		{"{title}: {text}", "hello", "mail: hello"},
		{"{title}: {text}", mail, "New mail: from A"},
		{"{title}: {text}", "{\"subject\":\"S\",\"body\":\"B\"}", "S: B"},
		{"{title}", "{\"title\":7}", "mail"},
		{"{text}", "[1,2]", "[1,2]"},
		{"{json.n}/{json.ok}/{json.nil}/{json.none}", mail, "3/true//"},
		{"{json.list.0.from} {json.list.1} {json.list.2} {json.list.x}", mail, "B two  "},
		{"{json.list}", mail, "[{\"from\":\"B\"},\"two\"]"},
		{"{json.deep.c.d} {json.deep.c}", mail, "e {\"d\":\"e\"}"},
		{"{json.title.x}", mail, ""},
		{"{json.a}", "no json", ""},
		{"{json.0}", "[\"first\"]", "first"},
		{"{{{hook}}} {count} {urgency} [{topic}]", "x", "{mail} 2 high [t]"},
		{"a}}b{{c", "x", "a}b{c"},
		{"{text}", "\xff\xfe", "(a message that is no text)"},
		{"{text}", "", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *why;
		assert_true(template_check(cases[i].text, &why));
		const struct template_facts facts = {.hook = "mail",
			.topic = "t",
			.urgency = URGENCY_HIGH,
			.count = 2,
			.message = slice_of(cases[i].message),
			.is_readable = true};
		char *shown = template_fill_dup(cases[i].text, &facts);
		assert_string_equal(shown, cases[i].shown);
		free(shown);
	}
}

static void what_was_not_decrypted_is_not_shown(void **state) {
	(void)state;
	const struct template_facts facts = {
		.hook = "mail", .topic = "", .message = slice_of("{\"title\":\"x\"}")};
	char *shown = template_fill_dup("{title} {text} {json.title}", &facts);
	assert_string_equal(shown, "mail (a message that could not be decrypted) ");
	free(shown);
}

static void bad_templates_say_why(void **state) {
	(void)state;
	static const char *const braces =
		"has a brace without its other half; a brace itself is {{ or }}";
	static const char *const names =
		"may hold {title} {text} {json.PATH} {hook} {count} {urgency} {topic} only";
	const struct {
		const char *text, *why;
	} cases[] = {
		{"{title", braces},
		{"title}", braces},
		{"a {{title}", braces},
		{"{", braces},
		{"{tilte}", names},
		{"{}", names},
		{"{json.}", names},
		{"{json}", names},
		{"{ title }", names},
		{"{title{text}}", names},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *why;
		assert_false(template_check(cases[i].text, &why));
		assert_string_equal(why, cases[i].why);
	}
	char longest[TEMPLATE_MAX + 2];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	const char *why;
	assert_false(template_check(longest, &why));
}

static void long_results_are_cut(void **state) {
	(void)state;
	char *body = malloc(100000);
	memset(body, 'x', 100000);
	const struct template_facts facts = {
		.hook = "h", .topic = "", .message = {body, 100000}, .is_readable = true};
	char *shown = template_fill_dup("{text}{text}", &facts);
	assert_int_equal(strlen(shown), TEMPLATE_OUT_MAX);
	free(shown);
	free(body);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_by_table),
		cmocka_unit_test(what_was_not_decrypted_is_not_shown),
		cmocka_unit_test(bad_templates_say_why),
		cmocka_unit_test(long_results_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
