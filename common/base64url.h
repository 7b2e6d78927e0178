/* SPDX-License-Identifier: Apache-2.0 */
/* base64url of RFC 4648 section 5, without padding, as every Web Push document uses it. */
#pragma once
#include "common/slice.h"
#include <stdint.h>

/* Characters for bytes, without a NUL. */
#define BASE64URL_LENGTH(bytes) (((bytes)*4 + 2) / 3)

/* Writes BASE64URL_LENGTH(bytes) characters and no NUL; returns their number. */
size_t base64url_encode(char *out, const void *data, size_t bytes);
/* Fresh NUL-terminated text. */
char *base64url_print(const void *data, size_t bytes);

/* Strict: the URL-safe alphabet, no padding, no other character, and unused bits zero, so that a
 * value has one spelling. False when it is anything else or does not fit into max bytes. */
bool base64url_decode(struct slice text, uint8_t *out, size_t max, size_t *out_bytes);
/* Lenient, for keys and tokens of senders: both alphabets, '=' at the end allowed. */
bool base64url_decode_lenient(struct slice text, uint8_t *out, size_t max, size_t *out_bytes);
