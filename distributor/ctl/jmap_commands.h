/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `bellwire jmap`; argv[0] is their name, --help is dealt with before. */
#pragma once
#include <stdbool.h>

/* Written, but the server does not push yet: why has been said. */
enum { JMAP_NOT_VERIFIED = 3 };

int jmap_add_command(int argc, char **argv);
int jmap_remove_command(int argc, char **argv);
int jmap_password_command(int argc, char **argv);
int jmap_list_command(int argc, char **argv);
int jmap_test_command(int argc, char **argv);
int jmap_pause_command(int argc, char **argv);
int jmap_resume_command(int argc, char **argv);

/* NAME [--config FILE] [--state-dir DIR] [--json] */
struct jmap_words {
	const char *name, *path, *state_dir;
	bool json;
};
/* COMMAND_OK, or the status to end with. */
int jmap_words_parse(int argc, char **argv, struct jmap_words *out_words);
