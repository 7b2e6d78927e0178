/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands share: messages and numbers. */
#include "distributor/ctl/commands.h"
#include "common/cleanup.h"
#include "distributor/action/sanitize.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

enum { COMMAND_TEXT_MAX = 4096 };

/* Much of it was said by a server, and a terminal obeys what it is shown. */
static void __attribute__((format(printf, 1, 0))) command_say(const char *format, va_list args) {
	char text[COMMAND_TEXT_MAX];
	(void)vsnprintf(text, sizeof text, format, args);
	CLEANUP_FREE char *safe = command_safe_dup(text);
	(void)fprintf(stderr, "bellwire: %s\n", safe);
}

void command_note(const char *format, ...) {
	va_list args;
	va_start(args, format);
	command_say(format, args);
	va_end(args);
}

char *command_safe_dup(const char *text) {
	return sanitize_dup(slice_of(text), COMMAND_TEXT_MAX, SANITIZE_ONE_LINE);
}

int command_fail(const char *format, ...) {
	va_list args;
	va_start(args, format);
	command_say(format, args);
	va_end(args);
	return COMMAND_FAILED;
}

int command_misused(const char *command, const char *format, ...) {
	va_list args;
	va_start(args, format);
	command_say(format, args);
	va_end(args);
	(void)fprintf(stderr, "See: bellwire %s --help\n", command);
	return COMMAND_USAGE;
}

int64_t command_number(const char *text, int64_t max) {
	int64_t number = 0;
	if (!*text) {
		return -1;
	}
	for (; *text; text++) {
		if (*text < '0' || *text > '9') {
			return -1;
		}
		number = number * 10 + (*text - '0');
		if (number > max) {
			return -1;
		}
	}
	return number;
}

bool command_reader_is_gone(void) {
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
	return poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

bool command_flush(void) {
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout)) {
		return true;
	}
	if (!command_reader_is_gone()) {
		(void)command_fail("standard output cannot be written%s%s", errno != 0 ? ": " : "",
			errno != 0 ? strerror(errno) : "");
		__fpurge(stdout); /* once is enough */
		clearerr(stdout);
	}
	return false;
}

bool command_print_json(json_t *take_value) {
	CLEANUP_FREE char *text = take_value ? json_dumps(take_value, JSON_COMPACT) : NULL;
	json_decref(take_value);
	if (!text) {
		(void)command_fail("the result cannot be put into JSON");
		return false;
	}
	return printf("%s\n", text) > 0 && command_flush();
}
