/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded growing buffer. */
#include "common/buffer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void assert_content(const struct buffer *buffer, const char *text) {
	assert_int_equal(buffer_length(buffer), strlen(text));
	assert_memory_equal(buffer_begin(buffer), text, strlen(text));
}

static void takes_no_memory_while_unused(void **state) {
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 100);
	assert_null(buffer_begin(&buffer));
	assert_int_equal(buffer_length(&buffer), 0);
	assert_true(buffer_append(&buffer, NULL, 0));
	buffer_consume(&buffer, 0);
	buffer_clear(&buffer);
	assert_null(buffer.data);
	buffer_finish(&buffer);
}

static void appends_prints_and_consumes(void **state) {
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	assert_true(buffer_append(&buffer, "abc", 3));
	assert_true(buffer_printf(&buffer, "%d-%s", 42, "x"));
	assert_content(&buffer, "abc42-x");
	buffer_consume(&buffer, 3);
	assert_content(&buffer, "42-x");
	char *at = buffer_reserve(&buffer, 2);
	memcpy(at, "yz", 2);
	buffer_commit(&buffer, 1);
	assert_content(&buffer, "42-xy");
	buffer_clear(&buffer);
	assert_int_equal(buffer_length(&buffer), 0);
	buffer_finish(&buffer);
	assert_null(buffer.data);
	assert_true(buffer_append(&buffer, "again", 5));
	assert_content(&buffer, "again");
	buffer_finish(&buffer);
}

static void stops_exactly_at_its_limit(void **state) {
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 8);
	assert_true(buffer_printf(&buffer, "%s", "12345678"));
	assert_content(&buffer, "12345678");
	assert_false(buffer_append(&buffer, "9", 1));
	assert_false(buffer_printf(&buffer, "9"));
	assert_null(buffer_reserve(&buffer, 1));
	assert_non_null(buffer_reserve(&buffer, 0));
	assert_true(buffer_append(&buffer, "", 0));
	assert_content(&buffer, "12345678");
	buffer_consume(&buffer, 2);
	assert_true(buffer_append(&buffer, "ab", 2));
	assert_content(&buffer, "345678ab");
	assert_false(buffer_append(&buffer, "123456789", 9));
	assert_null(buffer_reserve(&buffer, SIZE_MAX));
	assert_content(&buffer, "345678ab");
	buffer_finish(&buffer);
	buffer_init(&buffer, 0);
	assert_false(buffer_append(&buffer, "x", 1));
	assert_null(buffer_reserve(&buffer, 1));
	buffer_finish(&buffer);
}

static void prints_longer_than_its_memory(void **state) {
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 100000);
	for (int width = 1; width < 3000; width *= 2) {
		buffer_clear(&buffer);
		assert_true(buffer_append(&buffer, "<", 1));
		assert_true(buffer_printf(&buffer, "%*s", width, ">"));
		assert_int_equal(buffer_length(&buffer), width + 1);
		const char *text = buffer.data; /* nothing was consumed */
		assert_memory_equal(text, "<", 1);
		assert_memory_equal(text + width, ">", 1);
	}
	buffer_finish(&buffer);
}

/* A queue that never runs empty: every byte comes out in order, and the memory stays bounded. */
static void streams_within_bounded_memory(void **state) {
	(void)state;
	enum { LIMIT = 5000 };
	struct buffer buffer;
	buffer_init(&buffer, LIMIT);
	uint8_t in = 0, out = 0;
	srand(1);
	for (int round = 0; round < 200000; round++) {
		uint8_t piece[40];
		size_t bytes = (size_t)rand() % sizeof piece;
		for (size_t i = 0; i < bytes; i++) {
			piece[i] = (uint8_t)(in + i);
		}
		if (buffer_append(&buffer, piece, bytes)) {
			in = (uint8_t)(in + bytes);
		} else {
			assert_true(buffer_length(&buffer) + bytes > LIMIT);
		}
		size_t taken = (size_t)rand() % 41;
		if (taken < buffer_length(&buffer)) {
			for (size_t i = 0; i < taken; i++) {
				assert_int_equal((uint8_t)buffer_begin(&buffer)[i], out++);
			}
			buffer_consume(&buffer, taken);
		}
		assert_true(buffer.capacity <= 4 * LIMIT);
	}
	buffer_finish(&buffer);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_no_memory_while_unused),
		cmocka_unit_test(appends_prints_and_consumes),
		cmocka_unit_test(stops_exactly_at_its_limit),
		cmocka_unit_test(prints_longer_than_its_memory),
		cmocka_unit_test(streams_within_bounded_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
