/* SPDX-License-Identifier: Apache-2.0 */
/* A sender's VAPID key in a file: PEM (PKCS #8 or SEC 1), or the 32 bytes in base64url that other
 * tools print. */
#pragma once
#include "common/jwt.h"
#include "common/url.h"

enum { VAPID_KEY_LIFETIME_SEC = 12 * 3600 };

/* NULL with a sentence in *out_error. The caller calls EVP_PKEY_free. */
EVP_PKEY *vapid_key_read(const char *path, char **out_error);
/* PEM text of the private key. */
char *vapid_key_print(EVP_PKEY *key);
/* The public key in base64url: what a subscription is bound to. */
char *vapid_key_print_public(EVP_PKEY *key);
/* The value of an Authorization header for a message to url; subject is a mailto: or https: URL, or
 * NULL. */
char *vapid_key_authorize(
	EVP_PKEY *key, const struct url *url, const char *subject, int64_t now_sec);
