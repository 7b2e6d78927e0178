/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands of `bellwire`. Each gets its own words (argv[0] is its name) and returns the exit
 * status: 0, 1 for a failure that it has explained on standard error, 2 for wrong usage.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { COMMAND_OK, COMMAND_FAILED, COMMAND_USAGE };

int jmap_command(int argc, char **argv);
int keys_command(int argc, char **argv);
int listen_command(int argc, char **argv);
int login_command(int argc, char **argv);
int manage_command(int argc, char **argv); /* unregister, block, pause, move, … by argv[0] */
int prefer_command(int argc, char **argv);
int register_command(int argc, char **argv);
int send_command(int argc, char **argv);
int status_command(int argc, char **argv); /* status, apps, log by argv[0] */
int test_command(int argc, char **argv);
int vapid_command(int argc, char **argv);

/* "bellwire: …" on standard error; returns COMMAND_FAILED. */
int command_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for news that are no failure. Both are made safe for a terminal. */
void command_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What others said, in one line and without what a terminal would obey; fresh. */
char *command_safe_dup(const char *text);
/* As command_fail, with a pointer to the help; returns COMMAND_USAGE. */
int command_misused(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A decimal number up to max; negative when it is none. */
int64_t command_number(const char *text, int64_t max);
/* Has whoever reads standard output enough of it? */
bool command_reader_is_gone(void);
/* Is what was printed out of our hands? Else why not is said, unless the reader is gone. */
bool command_flush(void);
/* One JSON line on standard output, flushed; false as from command_flush. */
bool command_print_json(json_t *take_value);
