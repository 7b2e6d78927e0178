/* SPDX-License-Identifier: Apache-2.0 */
/* Typed getters over jansson, for objects that come from a peer: absent, null and wrong types are
 * told apart. */
#pragma once
#include "common/slice.h"
#include <jansson.h>
#include <stdint.h>

enum json_found { JSON_ABSENT, JSON_PRESENT, JSON_WRONG_TYPE }; /* null counts as absent */

/* Parses one JSON value of any kind that ends where text ends; depth is limited to 32. NULL when it
 * is none. Duplicate keys: the last counts. The caller calls json_decref. */
json_t *json_parse(struct slice text);
enum json_found json_get_string(const json_t *object, const char *key, struct slice *out);
/* A fresh copy; NULL when there is no string. */
char *json_get_string_dup(const json_t *object, const char *key);
/* Replaces *text with a copy of the string, if there is one. */
void json_load_text(const json_t *object, const char *key, char **text);
enum json_found json_get_integer(const json_t *object, const char *key, int64_t *out);
enum json_found json_get_bool(const json_t *object, const char *key, bool *out);
enum json_found json_get_object(const json_t *object, const char *key, json_t **out); /* borrowed */

struct buffer;
/* Appends text as a JSON string with quotes; control characters escaped, invalid UTF-8 replaced. */
bool json_append_string(struct buffer *buffer, struct slice text)
	__attribute__((warn_unused_result));
