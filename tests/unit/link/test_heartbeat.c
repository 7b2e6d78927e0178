/* SPDX-License-Identifier: Apache-2.0 */
/* The learned heartbeat: each rule, the file, and the search on simulated networks. */
#include "common/file.h"
#include "distributor/link/heartbeat.h"
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY = 24 * 3600, CEILING = HEARTBEAT_CEILING_SEC };
static const char net[] = "home";

struct step {
	char what; /* 'h'eld, 'f'ailed */
	int times;
	uint32_t interval, next;
};

static void play(struct heartbeats *heartbeats, const struct step *steps, size_t count) {
	for (size_t i = 0; i < count; i++) {
		for (int n = 0; n < steps[i].times; n++) {
			if (steps[i].what == 'h') {
				heartbeats_held(heartbeats, net, steps[i].interval, CEILING, 1000);
			} else {
				heartbeats_failed(heartbeats, net, steps[i].interval, 1000);
			}
		}
		assert_int_equal(heartbeats_interval_sec(heartbeats, net, CEILING, 1000), steps[i].next);
	}
}

/* Removes what was set aside in a folder; how many there were. */
static int remove_kept(const char *directory) {
	int count = 0;
	DIR *entries = opendir(directory);
	const struct dirent *entry;
	while ((entry = readdir(entries))) {
		if (strstr(entry->d_name, ".damaged-")) {
			count += unlinkat(dirfd(entries), entry->d_name, 0) == 0;
		}
	}
	(void)closedir(entries);
	return count;
}

#define PLAY(...)                                                                                  \
	do {                                                                                           \
		const struct step steps[] = {__VA_ARGS__};                                                 \
		struct heartbeats *heartbeats = heartbeats_open(NULL);                                     \
		play(heartbeats, steps, sizeof steps / sizeof steps[0]);                                   \
		heartbeats_close(heartbeats);                                                              \
	} while (0)

static void test_an_unknown_network_starts_at_240(void **state) {
	(void)state;
	struct heartbeats *heartbeats = heartbeats_open(NULL);
	assert_int_equal(heartbeats_interval_sec(heartbeats, net, CEILING, 1), 240);
	assert_int_equal(heartbeats_interval_sec(heartbeats, net, 100, 1), 100);
	heartbeats_close(heartbeats);
}

static void test_three_that_held_lengthen_it(void **state) {
	(void)state;
	PLAY({'h', 2, 240, 240}, {'h', 1, 240, 360}, {'h', 3, 360, 540}, {'h', 3, 540, 810},
		{'h', 3, 810, 900}, {'h', 3, 900, 900});
}

static void test_a_failure_starts_the_three_anew(void **state) {
	(void)state;
	PLAY({'h', 3, 240, 360}, {'h', 2, 360, 360}, {'f', 1, 360, 240}, {'h', 2, 240, 240},
		{'h', 1, 240, 360});
}

static void test_a_shorter_silence_than_the_one_on_trial_says_nothing(void **state) {
	(void)state;
	PLAY({'h', 3, 240, 360}, {'h', 9, 240, 360});
}

static void test_the_first_failure_without_a_good_value_takes_a_quarter_off(void **state) {
	(void)state;
	PLAY({'f', 1, 240, 180}, {'f', 1, 180, 135});
}

static void test_the_second_failure_at_a_value_makes_it_bad(void **state) {
	(void)state;
	/* then midway between good and bad */
	PLAY({'h', 3, 240, 360}, {'f', 1, 360, 240}, {'h', 3, 240, 360}, {'f', 1, 360, 240},
		{'h', 3, 240, 300}, {'h', 3, 300, 330}, {'h', 3, 330, 313}, {'h', 9, 313, 313});
}

static void test_a_value_that_held_since_has_to_fail_twice_again(void **state) {
	(void)state;
	PLAY({'f', 1, 240, 180}, {'h', 3, 180, 270}, {'h', 3, 270, 405}, {'f', 1, 240, 180});
}

static void test_without_a_good_value_the_second_failure_takes_three_tenths(void **state) {
	(void)state;
	PLAY({'f', 2, 240, 168});
}

static void test_the_floor_holds(void **state) {
	(void)state;
	PLAY({'f', 1, 40, 30}, {'f', 1, 30, 25}, {'f', 5, 25, 25});
}

static void test_a_failure_below_good_spoils_good_only_the_second_time(void **state) {
	(void)state;
	PLAY({'h', 3, 240, 360}, {'h', 3, 360, 540}, {'f', 1, 240, 180}, {'h', 3, 180, 540},
		{'f', 1, 240, 168});
}

static void test_after_seven_days_the_bad_value_is_forgotten(void **state) {
	(void)state;
	struct heartbeats *heartbeats = heartbeats_open(NULL);
	static const struct step steps[] = {
		{'h', 3, 240, 360}, {'f', 1, 360, 240}, {'f', 1, 360, 240}, {'h', 3, 240, 300}};
	play(heartbeats, steps, 4);
	assert_int_equal(heartbeats_interval_sec(heartbeats, net, CEILING, 1000 + 7 * DAY), 300);
	assert_int_equal(heartbeats_interval_sec(heartbeats, net, CEILING, 1001 + 7 * DAY), 360);
	heartbeats_close(heartbeats);
}

static void test_networks_are_kept_apart_and_the_oldest_forgotten(void **state) {
	(void)state;
	struct heartbeats *heartbeats = heartbeats_open(NULL);
	char key[16];
	heartbeats_failed(heartbeats, "first", 240, 1);
	assert_int_equal(heartbeats_interval_sec(heartbeats, "second", CEILING, 1), 240);
	assert_int_equal(heartbeats_interval_sec(heartbeats, "first", CEILING, 1), 180);
	for (int i = 0; i < HEARTBEAT_NETWORKS_MAX; i++) {
		(void)snprintf(key, sizeof key, "n%d", i);
		(void)heartbeats_interval_sec(heartbeats, key, CEILING, 2);
	}
	assert_int_equal(heartbeats_interval_sec(heartbeats, "first", CEILING, 3), 240);
	heartbeats_failed(heartbeats, "old", 240, 3);
	(void)heartbeats_interval_sec(heartbeats, "new", CEILING, 3 + 91 * DAY);
	assert_int_equal(heartbeats_interval_sec(heartbeats, "old", CEILING, 3 + 91 * DAY), 240);
	heartbeats_close(heartbeats);
}

/* A path that forgets connections after `nat` seconds of silence. */
static uint32_t settle(uint32_t nat, uint32_t ceiling) {
	struct heartbeats *heartbeats = heartbeats_open(NULL);
	uint32_t interval = 0;
	for (int i = 0; i < 200; i++) {
		interval = heartbeats_interval_sec(heartbeats, net, ceiling, 1000 + i);
		if (interval < nat) {
			heartbeats_held(heartbeats, net, interval, ceiling, 1000 + i);
		} else {
			heartbeats_failed(heartbeats, net, interval, 1000 + i);
		}
	}
	heartbeats_close(heartbeats);
	return interval;
}

static void test_it_settles_within_60_s_below_what_the_network_holds(void **state) {
	(void)state;
	static const uint32_t nats[] = {30, 45, 60, 90, 120, 200, 300, 350, 600, 899, 900};
	for (size_t i = 0; i < sizeof nats / sizeof nats[0]; i++) {
		uint32_t interval = settle(nats[i], CEILING);
		assert_true(interval < nats[i]);
		assert_true(nats[i] - interval <= 60);
	}
	assert_int_equal(settle(7440, CEILING), 900);
	assert_int_equal(settle(7440, HEARTBEAT_CEILING_CELLULAR_SEC), 1680);
	uint32_t cellular = settle(1600, HEARTBEAT_CEILING_CELLULAR_SEC);
	assert_in_range(cellular, 1500, 1599);
}

static char *make_directory(void) {
	static char name[] = "/tmp/test_heartbeat.XXXXXX";
	static char copy[sizeof name];
	memcpy(copy, name, sizeof name);
	assert_non_null(mkdtemp(copy));
	return copy;
}

static void test_it_is_remembered(void **state) {
	(void)state;
	char path[128];
	const char *directory = make_directory();
	(void)snprintf(path, sizeof path, "%s/heartbeats", directory);
	struct heartbeats *heartbeats = heartbeats_open(path);
	heartbeats_failed(heartbeats, "a", 240, 5000);
	heartbeats_failed(heartbeats, "", 240, 5000);
	heartbeats_close(heartbeats);
	heartbeats = heartbeats_open(path);
	assert_int_equal(heartbeats_interval_sec(heartbeats, "a", CEILING, 5001), 180);
	assert_int_equal(heartbeats_interval_sec(heartbeats, "", CEILING, 5001), 240); /* no name */
	heartbeats_close(heartbeats);
	assert_int_equal(file_replace(path, "{\"networks\":", 12, 0600), 0);
	heartbeats = heartbeats_open(path);
	assert_int_equal(heartbeats_interval_sec(heartbeats, "a", CEILING, 5001), 240);
	heartbeats_close(heartbeats);
	assert_int_equal(remove_kept(directory), 1);
	(void)unlink(path);
	assert_int_equal(rmdir(directory), 0);
}

static void test_nonsense_in_the_file_is_tamed(void **state) {
	(void)state;
	static const char text[] =
		"{\"v\":1,\"networks\":[7,{},{\"key\":\"\"},{\"key\":\"a\",\"cur\":-5},"
		"{\"key\":\"b\",\"cur\":1e9},{\"key\":\"c\",\"cur\":99999999},{\"key\":\"d\",\"cur\":2}]}";
	char path[128];
	const char *directory = make_directory();
	(void)snprintf(path, sizeof path, "%s/heartbeats", directory);
	assert_int_equal(file_replace(path, text, sizeof text - 1, 0600), 0);
	struct heartbeats *heartbeats = heartbeats_open(path);
	static const char *const keys[] = {"a", "b", "c", "d"};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(heartbeats_interval_sec(heartbeats, keys[i], CEILING, 1), 240);
	}
	heartbeats_close(heartbeats);
	assert_int_equal(remove_kept(directory), 1);
	(void)unlink(path);
	assert_int_equal(rmdir(directory), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_unknown_network_starts_at_240),
		cmocka_unit_test(test_three_that_held_lengthen_it),
		cmocka_unit_test(test_a_failure_starts_the_three_anew),
		cmocka_unit_test(test_a_shorter_silence_than_the_one_on_trial_says_nothing),
		cmocka_unit_test(test_the_first_failure_without_a_good_value_takes_a_quarter_off),
		cmocka_unit_test(test_the_second_failure_at_a_value_makes_it_bad),
		cmocka_unit_test(test_a_value_that_held_since_has_to_fail_twice_again),
		cmocka_unit_test(test_without_a_good_value_the_second_failure_takes_three_tenths),
		cmocka_unit_test(test_the_floor_holds),
		cmocka_unit_test(test_a_failure_below_good_spoils_good_only_the_second_time),
		cmocka_unit_test(test_after_seven_days_the_bad_value_is_forgotten),
		cmocka_unit_test(test_networks_are_kept_apart_and_the_oldest_forgotten),
		cmocka_unit_test(test_it_settles_within_60_s_below_what_the_network_holds),
		cmocka_unit_test(test_it_is_remembered),
		cmocka_unit_test(test_nonsense_in_the_file_is_tamed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
