/* SPDX-License-Identifier: Apache-2.0 */
/* Why a server's certificate was refused, as a sentence that names the cure. */
#pragma once
#include <openssl/x509.h>
#include <stdbool.h>

/* Fresh text about an X509_V_ERR_* code; certificate may be NULL. */
char *tls_error_print(long code, X509 *certificate, const char *host);
/* True for "127.0.0.1" or "::1": such a name is compared with a certificate's addresses. */
bool tls_host_is_address(const char *host);
