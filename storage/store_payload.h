/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a message that is carried but never looked at: its coding headers and its body, in
 * one allocation. */
#pragma once
#include "storage/store.h"

struct store_payload {
	uint32_t body_len;
	uint16_t encoding_len, encryption_len, crypto_key_len;
	char bytes[]; /* encoding, encryption, crypto key, body */
};

struct store_payload *store_payload_make(
	struct slice encoding, struct slice encryption, struct slice crypto_key, struct slice body);
/* Fills the four slices of message; they point into payload. */
void store_payload_open(const struct store_payload *payload, struct store_message *message);
