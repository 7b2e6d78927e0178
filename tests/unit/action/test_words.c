/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines as a person would write them. */
#include "common/slice.h"
#include "distributor/action/words.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void good_lines_by_table(void **state) {
	(void)state;
	static const struct {
		const char *text, *words; /* each with | behind it */
	} cases[] = {
		{"mbsync work", "mbsync|work|"},
		{"  mbsync\t -q   work  ", "mbsync|-q|work|"},
		{"sh -c 'mbsync work && notify \"$1\"'", "sh|-c|mbsync work && notify \"$1\"|"},
		{"a \"b c\" d", "a|b c|d|"},
		{"a \"b \\\"c\\\" \\\\ \\n\"", "a|b \"c\" \\ \\n|"},
		{"a b\\ c \\$HOME \\\\", "a|b c|$HOME|\\|"},
		{"a '' \"\"", "a|||"},
		{"a b'c d'e\"f g\"", "a|bc def g|"},
		{"~/bin/hook ~/x a~/b ~ '~/x' \\~/x ~user",
			"/home/u/bin/hook|/home/u/x|a~/b|/home/u|~/x|~/x|~user|"},
		{"a *.txt # b = [c] {d}", "a|*.txt|#|b|=|[c]|{d}|"},
		{"\"my program\" x", "my program|x|"},
		{"gr\xc3\xbc\xc3\x9f"
		 "e \xe2\x9c\x93",
			"gr\xc3\xbc\xc3\x9f"
			"e|\xe2\x9c\x93|"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char **words, joined[256] = "";
		const char *why;
		assert_true(words_split(cases[i].text, "/home/u", &words, &why));
		size_t at = 0;
		for (size_t w = 0; words[w]; w++) {
			at += (size_t)snprintf(joined + at, sizeof joined - at, "%s|", words[w]);
		}
		assert_string_equal(joined, cases[i].words);
		words_free(words);
	}
}

static void bad_lines_say_why(void **state) {
	(void)state;
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "must begin with a program"},
		{"   ", "must begin with a program"},
		{"'' a", "must begin with a program"},
		{"a 'b", "has a ' without its end"},
		{"a \"b", "has a \" without its end"},
		{"a \"b\\\"", "has a \" without its end"},
		{"a b\\", "ends in a \\"},
		{"a | b", "is run without a shell: quote | & ; < > ` $, or use sh -c '…'"},
		{"a && b", "is run without a shell: quote | & ; < > ` $, or use sh -c '…'"},
		{"a >b", "is run without a shell: quote | & ; < > ` $, or use sh -c '…'"},
		{"a $HOME", "is run without a shell: quote | & ; < > ` $, or use sh -c '…'"},
		{"a \"$HOME\"", "has $ or ` in \"…\", and nothing is expanded here; use '…', or sh -c '…'"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char **words;
		const char *why;
		assert_false(words_split(cases[i].text, "/home/u", &words, &why));
		assert_string_equal(why, cases[i].why);
	}
	char **words;
	const char *why;
	assert_false(words_split("~/a", NULL, &words, &why));
	assert_string_equal(why, "begins a word with ~/, and HOME is not set");
}

static void words_are_counted(void **state) {
	(void)state;
	char text[2 * (WORDS_MAX + 1) + 1] = "";
	for (size_t i = 0; i < WORDS_MAX; i++) {
		text[2 * i] = 'a';
		text[2 * i + 1] = ' ';
	}
	char **words;
	const char *why;
	assert_true(words_split(text, NULL, &words, &why));
	words_free(words);
	text[2 * (size_t)WORDS_MAX] = 'b';
	assert_false(words_split(text, NULL, &words, &why));
	words_free(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines_by_table),
		cmocka_unit_test(bad_lines_say_why),
		cmocka_unit_test(words_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
