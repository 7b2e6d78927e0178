/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key file: a header line, then a line a key, oldest first: `number created base64url`, where
 * created is in Unix seconds. Kept 0600 and replaced as a whole.
 */
#pragma once
#include "relay/push/token.h"

struct token_file_key {
	uint8_t number; /* first byte of the tokens it makes; unique */
	int64_t created_sec;
	uint8_t secret[TOKEN_KEY_BYTES];
};

struct token_file {
	size_t count; /* at least 1 once read */
	struct token_file_key keys[TOKEN_KEYS_MAX];
};

/* Pure. The number of the line that is wrong, 0 when none is. */
size_t token_file_parse(struct slice text, struct token_file *out_file);
/* Reads the file, or makes it with one key. 0, or negative errno with a sentence in *out_error. */
int token_file_open(const char *path, bool create, struct token_file *out_file, char **out_error);
