/* SPDX-License-Identifier: Apache-2.0 */
/* The intrusive list and the slice helpers, which live in headers alone. */
#include "common/list.h"
#include "common/slice.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

struct number {
	int value;
	struct list link;
};

/* Reads the list as decimal digits, the first leading. */
static int list_digits(struct list *head) {
	int digits = 0;
	struct number *number;
	LIST_FOREACH (number, head, link) {
		digits = digits * 10 + number->value;
	}
	return digits;
}

static void keeps_the_order(void **state) {
	(void)state;
	struct list head;
	struct number n[5];
	list_init(&head);
	assert_true(list_is_empty(&head));
	assert_null(list_first(&head, struct number, link));
	for (int i = 1; i <= 4; i++) {
		n[i].value = i;
	}
	list_append(&head, &n[2].link);
	list_append(&head, &n[3].link);
	list_prepend(&head, &n[1].link);
	list_insert_before(&n[3].link, &n[4].link);
	assert_int_equal(list_digits(&head), 1243);
	assert_ptr_equal(list_first(&head, struct number, link), &n[1]);
	list_remove(&n[4].link);
	list_remove(&n[4].link); /* twice is fine */
	assert_int_equal(list_digits(&head), 123);
}

static void may_shrink_while_walked(void **state) {
	(void)state;
	struct list head;
	struct number n[6], *at, *next;
	list_init(&head);
	for (int i = 1; i <= 5; i++) {
		n[i].value = i;
		list_append(&head, &n[i].link);
	}
	LIST_FOREACH_SAFE (at, next, &head, link) {
		if (at->value % 2) {
			list_remove(&at->link);
		}
	}
	assert_int_equal(list_digits(&head), 24);
}

static void splices_to_the_end(void **state) {
	(void)state;
	struct list a, b;
	struct number n[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};
	list_init(&a);
	list_init(&b);
	list_splice(&a, &b);
	assert_true(list_is_empty(&a));
	list_append(&a, &n[1].link);
	list_append(&b, &n[2].link);
	list_append(&b, &n[3].link);
	list_splice(&a, &b);
	assert_int_equal(list_digits(&a), 123);
	assert_true(list_is_empty(&b));
}

static void slices_compare_and_trim(void **state) {
	(void)state;
	struct slice none = {NULL, 0};
	assert_true(slice_equals(none, ""));
	assert_true(slice_equals_nocase(none, ""));
	assert_false(slice_equals(none, "a"));
	assert_true(slice_equals((struct slice){"abc", 2}, "ab"));
	assert_false(slice_equals((struct slice){"a\0b", 3}, "a"));
	assert_true(slice_equals_nocase(slice_of("TtL"), "ttl"));
	assert_true(slice_starts_with(slice_of("vapid t=1"), "vapid "));
	assert_false(slice_starts_with(slice_of("vap"), "vapid"));
	assert_true(slice_equals(slice_trim(slice_of(" \t a b\t ")), "a b"));
	assert_true(slice_equals(slice_trim(slice_of(" \t ")), ""));
	assert_int_equal(slice_trim(none).len, 0);
	assert_int_equal(slice_of(NULL).len, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_order),
		cmocka_unit_test(may_shrink_while_walked),
		cmocka_unit_test(splices_to_the_end),
		cmocka_unit_test(slices_compare_and_trim),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
