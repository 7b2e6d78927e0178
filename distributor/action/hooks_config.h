/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `[hook NAME]` sections of the config file, read beside the settings (which leave sections
 * that begin with HOOKS_SECTION alone).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HOOKS_SECTION "hook "
enum { HOOKS_MAX = 64 };

/* What the command finds on its standard input. */
enum hook_input {
	HOOK_INPUT_LAST, /* the newest message, byte for byte */
	HOOK_INPUT_LINES, /* every message of the run as a line of JSON, oldest first */
	HOOK_INPUT_NONE,
	HOOK_INPUT_COUNT
};
const char *hook_input_name(enum hook_input input);

struct hook_config {
	char *name; /* letters, digits, '-', '_' */
	char *command_line; /* as written */
	char **command; /* its words, NULL-terminated; NULL: none */
	int input; /* enum hook_input */
	char *notify_title, *notify_text, *notify_icon; /* templates; no title: no notification */
	char *vapid_key; /* only its holder may send; NULL: anybody */
	bool catch_up; /* runs at start and after gaps; needs a command */
	int64_t quiet_ms, max_delay_ms; /* coalescing; quiet 0: a run a message, as soon as possible */
	int64_t timeout_ms; /* of a run; then SIGTERM, and SIGKILL 5 s later */
	bool as_unit; /* through systemd's user manager when it is there (default) */
};

struct hooks_config {
	struct hook_config *hooks;
	size_t count;
};
/* Reads the [hook NAME] sections of the config file (NULL: none). 0, or -EINVAL with each problem
 * on err: file, line, key, and what would do; out_config is then empty. */
int hooks_config_load(const char *path, struct hooks_config *out_config, FILE *err);
/* What is well written and will still not work as things are: programs that are not there. One line
 * each on err. */
void hooks_config_doubt(const struct hooks_config *config, FILE *err);
void hooks_config_free(struct hooks_config *config);
/* What can be written in such a section, with defaults, as comments for a sample file. */
void hooks_config_print_sample(FILE *out);
