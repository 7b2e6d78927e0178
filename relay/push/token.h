/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capability in a push URL, and in a message URL. A token is
 *     base64url( key number 1 byte | AES-256-SIV( a 16 bytes | b 16 bytes ) )      49 bytes, 66
 * characters where a is the device id and b the subscription id (push) or the message id,
 * big-endian (message); the two kinds are told apart by the associated data, so one never opens as
 * the other. Unlinkable, unguessable, checked without a look-up. Compared as text: one value has
 * one spelling.
 *
 * The top bit of byte 0 of a subscription id says that the subscription is restricted to a VAPID
 * key; so the relay knows before the store whether a signature is worth checking.
 */
#pragma once
#include "common/slice.h"
#include "storage/ids.h"

enum { TOKEN_LENGTH = 66, TOKEN_KEY_BYTES = 64, TOKEN_KEYS_MAX = 32 };

/* The key file's content: the last line's key makes tokens, all open them. Used by one thread at a
 * time, const or not. */
struct token_keys;

/* Reads the key file; made with one fresh key (0600, synced) when absent and `create`. NULL with a
 * sentence in *out_error: unreadable, readable or writable by others, malformed. Other secrets
 * derive from the first key. */
struct token_keys *token_keys_open(const char *path, bool create, char **out_error);
void token_keys_destroy(struct token_keys *keys);
size_t token_keys_count(const struct token_keys *keys);
/* Adds a fresh key to the file by atomic replace; running relays take it at reload. 0 or negative
 * errno. */
int token_keys_add(const char *path, char **out_error);
/* A line a key, oldest first: number, creation time, fingerprint; never the key. */
int token_keys_list(const char *path, char **out_text, char **out_error);
/* A secret for another purpose, by HKDF from the oldest key: stable over rotation, equal in all
 * workers. */
void token_keys_derive(
	const struct token_keys *keys, const char *purpose, uint8_t *out, size_t bytes);

void token_make_push(const struct token_keys *keys, struct device_id device,
	struct subscription_id subscription, char out[TOKEN_LENGTH + 1]);
bool token_open_push(const struct token_keys *keys, struct slice text, struct device_id *out_device,
	struct subscription_id *out_subscription);
void token_make_message(const struct token_keys *keys, struct device_id device,
	struct message_id message, char out[TOKEN_LENGTH + 1]);
bool token_open_message(const struct token_keys *keys, struct slice text,
	struct device_id *out_device, struct message_id *out_message);

static inline bool subscription_is_restricted(const struct subscription_id *subscription) {
	return (subscription->bytes[0] & 0x80) != 0;
}
/* Random, with the bit set as asked. */
void subscription_id_generate(bool restricted, struct subscription_id *out);
