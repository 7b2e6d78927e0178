/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL for listeners: TLS 1.2 and 1.3, ALPN http/1.1 only, session tickets whose keys outlive
 * the process, buffers released while idle. Reload swaps the certificate for new handshakes; a bad
 * file keeps the old one.
 */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { HTTP_TLS_TICKET_KEY_BYTES = 80 };
struct http_tls;

/* ticket_key: secret that all workers and restarts share. NULL with a sentence naming file and cure
 * in *out_error. */
struct http_tls *http_tls_create(const char *cert_file, const char *key_file,
	const uint8_t ticket_key[HTTP_TLS_TICKET_KEY_BYTES], char **out_error);
/* Reads the files again. 0, or negative errno with *out_error and everything as before. */
int http_tls_reload(struct http_tls *tls, char **out_error);
void http_tls_destroy(struct http_tls *tls);
/* Unix time at which the certificate in use ends, for metrics. */
int64_t http_tls_expires(const struct http_tls *tls);

/* For the connection layer. */
SSL *http_tls_new_session(struct http_tls *tls); /* NULL when OpenSSL has no memory */
/* 0 when done, -EAGAIN, or another negative errno: it failed. */
int http_tls_handshake(SSL *ssl, bool *out_wants_write);
/* Bytes, 0 after the client's close_notify (or end of stream), -EAGAIN, or another negative errno:
 * the session is broken. A send that says -EAGAIN must be repeated with the same bytes first. */
ssize_t http_tls_receive(SSL *ssl, char *data, size_t room);
ssize_t http_tls_send(SSL *ssl, const char *data, size_t bytes);
/* Sends close_notify if it can. */
void http_tls_shut(SSL *ssl);
/* The same, and frees the session; its socket stays open. */
void http_tls_end_session(SSL *ssl);
