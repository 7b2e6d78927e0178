/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-256-SIV (RFC 5297) for what a token needs: one associated text for the life of the key, and
 * 32 bytes of plaintext. All that depends on the key alone is worked out beforehand, so sealing
 * costs four AES blocks. The general cipher of OpenSSL copies two contexts a use, for ten times
 * that.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { SIV_KEY_BYTES = 64, SIV_TAG_BYTES = 16, SIV_PLAIN_BYTES = 32 };

struct siv;

/* Ends the program when OpenSSL refuses. */
struct siv *siv_create(const uint8_t key[SIV_KEY_BYTES], const char *associated);
void siv_destroy(struct siv *siv);

/* out is the tag, then the ciphertext. */
void siv_seal(struct siv *siv, const uint8_t plain[SIV_PLAIN_BYTES],
	uint8_t out[SIV_TAG_BYTES + SIV_PLAIN_BYTES]);
/* False when it was not sealed under this key and associated text; out is then wiped. */
bool siv_open(struct siv *siv, const uint8_t sealed[SIV_TAG_BYTES + SIV_PLAIN_BYTES],
	uint8_t out[SIV_PLAIN_BYTES]);
