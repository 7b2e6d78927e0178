/* SPDX-License-Identifier: Apache-2.0 */
/* Which servers are trusted: OpenSSL's context for clients. */
#pragma once
#include <openssl/ssl.h>

/* TLS 1.2 or later; trusts the certificates in ca_file alone, or the system's when it is NULL. To
 * be freed with SSL_CTX_free(). NULL with a sentence in *out_error. */
SSL_CTX *tls_client_create(const char *ca_file, char **out_error);
