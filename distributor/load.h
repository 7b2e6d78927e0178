/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading back what we wrote to the state directory, where anything may have happened to it: what
 * is absent keeps its default, what cannot be ours is left out and remembered as wrong.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load {
	const json_t *json;
	bool is_wrong; /* something in it cannot be ours */
};

/* Fresh text of 1 to max bytes; NULL when there is none. */
char *load_text(struct load *load, const char *key, size_t max);
/* 0 to INT64_MAX / 2, so that sums of times cannot overflow. */
void load_number(struct load *load, const char *key, int64_t *value);
void load_bool(struct load *load, const char *key, bool *value);
