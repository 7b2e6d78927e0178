/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `bellwire jmap`; argv[0] is their name, --help is dealt with before. */
#pragma once

/* Written, but the server does not push yet: why has been said. */
enum { JMAP_NOT_VERIFIED = 3 };

int jmap_add_command(int argc, char **argv);
int jmap_remove_command(int argc, char **argv);
int jmap_password_command(int argc, char **argv);
int jmap_list_command(int argc, char **argv);
int jmap_test_command(int argc, char **argv);
int jmap_pause_command(int argc, char **argv);
int jmap_resume_command(int argc, char **argv);

/* The help of all of them, on standard error; COMMAND_USAGE. */
int jmap_misused(void);
