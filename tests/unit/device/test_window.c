/* SPDX-License-Identifier: Apache-2.0 */
/* The sliding window of one session. */
#include "relay/device/window.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct channel_id mail = {{1, 2, 3, 4}};
static const struct channel_id news = {{5, 6, 7, 8}};

static struct message_id id(uint64_t n) {
	return (struct message_id){n >> 4, n};
}

static void add_range(struct window *window, uint64_t from, uint64_t to, uint32_t now_sec) {
	for (uint64_t n = from; n <= to; n++) {
		window_add(window, id(n), mail, now_sec);
	}
}

static void is_empty_without_memory(void **state) {
	(void)state;
	struct window window = {0};
	assert_false(window_knows(&window, id(1)));
	assert_false(window_ack(&window, id(1), mail, false));
	assert_false(window_release_held(&window));
	window_settle(&window);
	assert_null(window.entries);
	window_add(&window, id(1), mail, 1);
	assert_true(window_ack(&window, id(1), mail, false));
	assert_null(window.entries);
}

static void counts_what_is_in_flight(void **state) {
	(void)state;
	struct window window = {0};
	add_range(&window, 1, 40, 5);
	assert_int_equal(window.in_flight, 40);
	for (uint64_t n = 40; n >= 1; n--) {
		assert_true(window_knows(&window, id(n)));
		assert_true(window_ack(&window, id(n), mail, false));
		assert_false(window_ack(&window, id(n), mail, false));
		assert_int_equal(window.in_flight, n - 1);
	}
	window_finish(&window);
}

static void takes_ids_in_any_order(void **state) {
	(void)state;
	struct window window = {0};
	const uint64_t order[] = {500, 3, 77, 1, 200, 76, 78, 2};
	for (size_t i = 0; i < 8; i++) {
		window_add(&window, id(order[i]), mail, 1);
	}
	for (size_t i = 0; i < 8; i++) {
		assert_true(window_knows(&window, id(order[i])));
	}
	assert_false(window_knows(&window, id(79)));
	struct message_id ids[8];
	assert_int_equal(window_sent_ids(&window, ids, 8), 8);
	for (size_t i = 1; i < 8; i++) {
		assert_true(message_id_compare(ids[i - 1], ids[i]) < 0);
	}
	window_finish(&window);
}

static void ignores_an_ack_for_another_channel(void **state) {
	(void)state;
	struct window window = {0};
	window_add(&window, id(1), mail, 1);
	assert_false(window_ack(&window, id(1), news, false));
	assert_int_equal(window.in_flight, 1);
	assert_true(window_ack(&window, id(1), mail, false));
	window_finish(&window);
}

static void frees_places_of_the_overdue_but_knows_them(void **state) {
	(void)state;
	struct window window = {0};
	add_range(&window, 1, 3, 10);
	add_range(&window, 4, 5, 20);
	assert_int_equal(window_oldest_sec(&window), 10);
	assert_false(window_expire(&window, 9));
	assert_true(window_expire(&window, 10));
	assert_int_equal(window.in_flight, 2);
	assert_int_equal(window_oldest_sec(&window), 20);
	assert_true(window_knows(&window, id(2)));
	assert_false(window_ack(&window, id(2), mail, false)); /* its place was free already */
	assert_false(window_knows(&window, id(2)));
	window_finish(&window);
}

static void forgets_the_oldest_overdue_beyond_a_number(void **state) {
	(void)state;
	struct window window = {0};
	window_hold(&window, id(1));
	add_range(&window, 2, 2, 20);
	add_range(&window, 3, 10, 10);
	assert_true(window_expire(&window, 10));
	window_trim(&window, 10);
	assert_true(window_knows(&window, id(3)));
	window_trim(&window, 6);
	for (uint64_t n = 1; n <= 10; n++) {
		assert_int_equal(window_knows(&window, id(n)), n <= 2 || n >= 7);
	}
	window_trim(&window, 0); /* what is in flight or held stays */
	assert_int_equal(window.count, 2);
	assert_int_equal(window.in_flight, 1);
	assert_int_equal(window.held, 1);
	add_range(&window, 20, 5000, 30);
	assert_true(window_expire(&window, 30));
	window_trim(&window, 1000);
	assert_int_equal(window.count, 1000);
	assert_true(window_knows(&window, id(5000)));
	window_finish(&window);
}

/* A fetch under way may have read what was acknowledged meanwhile. */
static void keeps_the_acknowledged_during_a_fetch(void **state) {
	(void)state;
	struct window window = {0};
	window_add(&window, id(1), mail, 1);
	assert_true(window_ack(&window, id(1), mail, true));
	assert_false(window_ack(&window, id(2), news, true)); /* of an earlier connection */
	assert_int_equal(window.in_flight, 0);
	assert_true(window_knows(&window, id(1)));
	assert_true(window_knows(&window, id(2)));
	window_settle(&window);
	assert_false(window_knows(&window, id(1)));
	assert_null(window.entries);
}

static void holds_what_another_socket_has(void **state) {
	(void)state;
	struct window window = {0};
	window_add(&window, id(2), mail, 1);
	window_hold(&window, id(1));
	window_hold(&window, id(2)); /* known: stays in flight */
	window_hold(&window, id(3));
	assert_int_equal(window.held, 2);
	assert_int_equal(window.in_flight, 1);
	assert_false(window_ack(&window, id(1), news, false)); /* any channel: it was sent elsewhere */
	assert_int_equal(window.held, 1);
	struct message_id ids[4];
	assert_int_equal(window_sent_ids(&window, ids, 4), 1);
	assert_true(window_release_held(&window));
	assert_false(window_release_held(&window));
	assert_false(window_knows(&window, id(3)));
	assert_true(window_knows(&window, id(2)));
	window_finish(&window);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_empty_without_memory),
		cmocka_unit_test(counts_what_is_in_flight),
		cmocka_unit_test(takes_ids_in_any_order),
		cmocka_unit_test(ignores_an_ack_for_another_channel),
		cmocka_unit_test(frees_places_of_the_overdue_but_knows_them),
		cmocka_unit_test(forgets_the_oldest_overdue_beyond_a_number),
		cmocka_unit_test(keeps_the_acknowledged_during_a_fetch),
		cmocka_unit_test(holds_what_another_socket_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
