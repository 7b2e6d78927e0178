/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines as they reach standard error, which is a pipe here. */
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* Runs body in a child whose standard error is a pipe, kept as datagram-like packets (O_DIRECT), so
 * that each write(2) can be told from the next. */
static size_t capture(void (*body)(void), bool is_journal, char packets[][16384], size_t most) {
	int ends[2];
	assert_int_equal(pipe2(ends, O_DIRECT | O_CLOEXEC), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct stat status;
		(void)dup2(ends[1], STDERR_FILENO);
		char stream[64] = "1:1";
		if (is_journal && fstat(STDERR_FILENO, &status) == 0) {
			(void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev,
				(unsigned long long)status.st_ino);
		}
		(void)setenv("JOURNAL_STREAM", stream, 1);
		body();
		_exit(0);
	}
	(void)close(ends[1]);
	size_t count = 0;
	while (count < most) {
		ssize_t got = read(ends[0], packets[count], sizeof packets[count] - 1);
		if (got <= 0) {
			break;
		}
		packets[count++][got] = '\0';
	}
	(void)close(ends[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return count;
}

static char lines[8][16384];

static void say_each_level(void) {
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("broken n=%d", 1);
	log_warn("odd");
	log_info("event id=%s", "3f9c");
	log_debug("store", "detail");
}

static void text_has_time_and_level(void **state) {
	(void)state;
	assert_int_equal(capture(say_each_level, false, lines, 8), 4);
	static const char *const ends[] = {"Z error broken n=1\n", "Z warn  odd\n",
		"Z info  event id=3f9c\n", "Z debug store: detail\n"};
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(lines[i] + 23, ends[i]);
		assert_int_equal(lines[i][10], 'T');
		assert_int_equal(lines[i][19], '.');
	}
}

static void journal_gets_priorities(void **state) {
	(void)state;
	assert_int_equal(capture(say_each_level, true, lines, 8), 4);
	assert_string_equal(lines[0], "<3>broken n=1\n");
	assert_string_equal(lines[1], "<4>odd\n");
	assert_string_equal(lines[2], "<6>event id=3f9c\n");
	assert_string_equal(lines[3], "<7>store: detail\n");
}

static void say_little(void) {
	log_info("seen");
	log_debug("store", "not seen");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("not seen");
	log_error("seen");
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_areas("device, store");
	log_debug("store", "seen");
	log_debug("stor", "not seen");
	log_debug("devices", "not seen");
	log_debug("device", "seen");
	log_set_areas("push");
	log_debug("device", "not seen");
	log_set_areas(NULL);
	log_debug("any", "seen");
}

static void keeps_to_level_and_areas(void **state) {
	(void)state;
	size_t count = capture(say_little, true, lines, 8);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++) {
		assert_non_null(strstr(lines[i], "seen\n"));
		assert_null(strstr(lines[i], "not"));
	}
}

/* Right-to-left override, isolate, mark; a line separator; and "…", which is none of them. */
#define TURNING "\xe2\x80\xae \xe2\x81\xa6 \xd8\x9c \xe2\x80\xa8 \xe2\x80\xa6"

static void say_hostile(void) {
	log_info("a=%s", "x\n<3>forged\r\t\x1b[31m\x7f");
	log_info("a=%s", "\xc3\xa4 \xff \xc2\x9b"
					 "2J \"q\" \\");
	log_info("%s", TURNING);
	log_set_format(LOG_FORMAT_JSON);
	log_info("a=%s", "x\n\"},{\x1b\x7f");
	log_info("a=%s", "\xc3\xa4 \xff \xc2\x9b"
					 "2J \\");
	log_info("%s", TURNING);
}

static void nothing_forges_a_line(void **state) {
	(void)state;
	assert_int_equal(capture(say_hostile, true, lines, 8), 6);
	assert_string_equal(lines[0], "<6>a=x\\x0a<3>forged\\x0d\\x09\\x1b[31m\\x7f\n");
	assert_string_equal(lines[1], "<6>a=\xc3\xa4 \\xff \\x9b2J \"q\" \\\n");
	assert_string_equal(lines[2], "<6>\\u202e \\u2066 \\u061c \\u2028 \xe2\x80\xa6\n");
	static const char *const messages[] = {"a=x\n\"},{\x1b\x7f",
		("a=\xc3\xa4 \xef\xbf\xbd \xc2\x9b"
		 "2J \\"),
		TURNING};
	for (size_t i = 0; i < 3; i++) {
		const char *line = lines[3 + i];
		struct slice text;
		assert_int_equal(strncmp(line, "<6>{\"time\":\"2", 13), 0);
		assert_null(strchr(line, 0x1b));
		assert_null(strstr(line, "\xe2\x80\xae"));
		json_t *json = json_parse(slice_of(line + 3));
		assert_non_null(json);
		assert_int_equal(json_get_string(json, "level", &text), JSON_PRESENT);
		assert_true(slice_equals(text, "info"));
		assert_int_equal(json_get_string(json, "message", &text), JSON_PRESENT);
		assert_true(slice_equals(text, messages[i]));
		json_decref(json);
	}
}

/* A pipe's packet holds 4096 bytes; a longer line would come as several. */
static void say_much(void) {
	char *plain = mem_zalloc(100001);
	memset(plain, 'x', 100000);
	log_info("%s", plain);
	memset(plain, 1, 100000);
	log_info("%s", plain);
	free(plain);
}

static void long_lines_are_cut(void **state) {
	(void)state;
	size_t count = capture(say_much, true, lines, 8);
	assert_true(count >= 2);
	assert_true(strlen(lines[0]) < 4096);
	assert_string_equal(lines[0] + strlen(lines[0]) - 5, "x...\n");
	size_t last = count - 1;
	assert_string_equal(lines[last] + strlen(lines[last]) - 5, "1...\n");
}

static void say_fatal(void) {
	log_set_level(LOG_LEVEL_ERROR);
	log_fatal("cannot go on");
}

static void fatal_is_said_and_ends(void **state) {
	(void)state;
	assert_int_equal(capture(say_fatal, true, lines, 8), 1);
	assert_string_equal(lines[0], "<3>cannot go on\n");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_has_time_and_level),
		cmocka_unit_test(journal_gets_priorities),
		cmocka_unit_test(keeps_to_level_and_areas),
		cmocka_unit_test(nothing_forges_a_line),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(fatal_is_said_and_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
