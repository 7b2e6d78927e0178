/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation, copies and the handling of secrets. */
#include "common/cleanup.h"
#include "common/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void empty_pieces_are_unique_pointers(void **state) {
	(void)state;
	CLEANUP_FREE void *a = mem_alloc(0);
	CLEANUP_FREE void *b = mem_dup(NULL, 0);
	CLEANUP_FREE void *c = mem_zalloc(0);
	CLEANUP_FREE char *d = mem_strndup(NULL, 0);
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_ptr_not_equal(a, b);
	assert_string_equal(d, "");
	a = mem_realloc(a, 0);
	assert_non_null(a);
}

static void copies_are_exact(void **state) {
	(void)state;
	CLEANUP_FREE char *bytes = mem_dup("a\0b", 3);
	CLEANUP_FREE char *cut = mem_strndup("abcdef", 3);
	CLEANUP_FREE char *text = mem_strdup("abc");
	CLEANUP_FREE char *printed = mem_printf("%s-%03d", "x", 7);
	assert_memory_equal(bytes, "a\0b", 3);
	assert_string_equal(cut, "abc");
	assert_string_equal(text, "abc");
	assert_string_equal(printed, "x-007");
	CLEANUP_FREE char *huge = mem_printf("%*s", 100000, "end");
	assert_int_equal(strlen(huge), 100000);
	CLEANUP_FREE unsigned char *zeros = mem_zalloc(1000);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(zeros[i], 0);
	}
}

static void text_is_replaced(void **state) {
	(void)state;
	CLEANUP_FREE char *text = NULL;
	mem_replace_text(&text, slice_of("first"));
	assert_string_equal(text, "first");
	mem_replace_text(&text, (struct slice){text + 2, 3}); /* a piece of the old one */
	assert_string_equal(text, "rst");
	mem_replace_text(&text, (struct slice){NULL, 0});
	assert_string_equal(text, "");
}

static void secrets_compare_and_vanish(void **state) {
	(void)state;
	char secret[] = "a secret";
	assert_true(mem_equal_secret(secret, "a secret", 8));
	assert_false(mem_equal_secret(secret, "a secreT", 8));
	assert_false(mem_equal_secret(secret, "A secret", 8));
	assert_true(mem_equal_secret(NULL, NULL, 0));
	mem_wipe(secret, sizeof secret);
	for (size_t i = 0; i < sizeof secret; i++) {
		assert_int_equal(secret[i], 0);
	}
	mem_wipe(NULL, 0);
}

static void steal_leaves_nothing_behind(void **state) {
	(void)state;
	char *kept;
	{
		CLEANUP_FREE char *made = mem_strdup("kept");
		kept = steal(&made);
		assert_null(made);
	}
	assert_string_equal(kept, "kept");
	free(kept);
	CLEANUP_CLOSE int none = -1;
	assert_int_equal(none, -1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_pieces_are_unique_pointers),
		cmocka_unit_test(copies_are_exact),
		cmocka_unit_test(text_is_replaced),
		cmocka_unit_test(secrets_compare_and_vanish),
		cmocka_unit_test(steal_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
