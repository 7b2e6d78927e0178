/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL for listeners: TLS 1.2 and 1.3, ALPN http/1.1 only, session tickets whose keys outlive
 * the process, buffers released while idle. Reload swaps the certificate for new handshakes; a bad
 * file keeps the old one.
 */
#pragma once
#include <openssl/ssl.h>
#include <stdint.h>

enum { HTTP_TLS_TICKET_KEY_BYTES = 80 };
struct http_tls;

/* ticket_key: secret that all workers and restarts share. NULL with a sentence naming file and cure
 * in *out_error. */
struct http_tls *http_tls_create(const char *cert_file, const char *key_file,
	const uint8_t ticket_key[HTTP_TLS_TICKET_KEY_BYTES], char **out_error);
/* Reads the files again. 0, or negative errno with *out_error and everything as before. */
int http_tls_reload(struct http_tls *tls, char **out_error);
void http_tls_destroy(struct http_tls *tls);
SSL *http_tls_new_session(struct http_tls *tls); /* for the connection layer */
/* Unix time at which the certificate in use ends, for metrics. */
int64_t http_tls_expires(const struct http_tls *tls);
