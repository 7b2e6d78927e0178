/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request headers of RFC 8030 and of message encryption, as text to typed values. Pure. Each
 * parser gets the first value (NULL when absent) and how many such headers there are.
 */
#pragma once
#include "common/slice.h"
#include "storage/ids.h"
#include <stdint.h>

enum { PUSH_TOPIC_MAX = 32, PUSH_ENCODING_MAX = 64, PUSH_CRYPTO_MAX = 1024 };

enum push_header_result {
	PUSH_HEADER_OK,
	PUSH_HEADER_ABSENT,
	PUSH_HEADER_BAD, /* 400 */
};

/* TTL = 1*DIGIT (5.2), saturating at UINT32_MAX. */
enum push_header_result push_ttl_parse(const struct slice *value, size_t count, uint32_t *out_sec);
/* Urgency (5.3); ABSENT and unknown words mean normal; more than one value is BAD. */
enum push_header_result push_urgency_parse(
	const struct slice *value, size_t count, enum urgency *out_urgency);
/* Topic (5.4) with '=' allowed at its end; 1 to 32 characters in all. */
enum push_header_result push_topic_parse(
	const struct slice *value, size_t count, struct slice *out_topic);

/* The value of one parameter in Encryption or Crypto-Key, whose parameters are split by ';' and
 * entries by ','. Quotes and
 * '=' at the end are removed. False when absent. */
bool push_crypto_param(struct slice header, const char *name, struct slice *out_value);
/* What a device may see of Crypto-Key: keyid and dh, joined by ';' (the VAPID key never reaches
 * it); of Encryption: all, cleaned. Written into out, *out_len bytes; false when it does not fit or
 * there is nothing. */
bool push_crypto_key_clean(struct slice header, char *out, size_t max, size_t *out_len);
bool push_encryption_clean(struct slice header, char *out, size_t max, size_t *out_len);
