/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenSSL context of TLS listeners. */
#include "relay/http/tls.h"
#include "common/mem.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct http_tls {
	SSL_CTX *context;
	char *cert_file, *key_file;
	uint8_t ticket_key[HTTP_TLS_TICKET_KEY_BYTES];
};

static int http_tls_select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned int in_len, void *ctx) {
	static const unsigned char ours[] = "\x08http/1.1";
	(void)ssl;
	(void)ctx;
	unsigned char *selected;
	if (SSL_select_next_proto(&selected, out_len, ours, sizeof ours - 1, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED) {
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	*out = selected;
	return SSL_TLSEXT_ERR_OK;
}

/* The reason of the first OpenSSL error, for people. */
static char *http_tls_error(const char *file, const char *what, const char *cure) {
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_GET_LIB(code) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(code))
														  : ERR_reason_error_string(code);
	char *text = mem_printf("%s: %s: %s; %s", file, what, reason ? reason : "unknown error", cure);
	ERR_clear_error();
	return text;
}

static SSL_CTX *http_tls_context(const struct http_tls *tls, char **out_error) {
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context) {
		*out_error = http_tls_error("OpenSSL", "no context", "check the installation");
		return NULL;
	}
	(void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
										SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_options(
		context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets need none */
	(void)SSL_CTX_set_num_tickets(context, 1);
	(void)SSL_CTX_set_session_id_context(context, (const unsigned char *)"bellwire", 8);
	SSL_CTX_set_alpn_select_cb(context, http_tls_select_alpn, NULL);
	uint8_t keys[HTTP_TLS_TICKET_KEY_BYTES];
	memcpy(keys, tls->ticket_key, sizeof keys);
	(void)SSL_CTX_set_tlsext_ticket_keys(context, keys, sizeof keys);
	mem_wipe(keys, sizeof keys);
	if (SSL_CTX_use_certificate_chain_file(context, tls->cert_file) != 1) {
		*out_error = http_tls_error(
			tls->cert_file, "no certificate chain", "tls_cert must be a readable PEM file");
	} else if (SSL_CTX_use_PrivateKey_file(context, tls->key_file, SSL_FILETYPE_PEM) != 1) {
		*out_error = http_tls_error(tls->key_file, "no private key of this certificate",
			"tls_key must be a readable PEM file that belongs to tls_cert");
	} else if (SSL_CTX_check_private_key(context) != 1) {
		*out_error = http_tls_error(
			tls->key_file, "not the key of the certificate", "tls_key must belong to tls_cert");
	} else {
		return context;
	}
	SSL_CTX_free(context);
	return NULL;
}

struct http_tls *http_tls_create(const char *cert_file, const char *key_file,
	const uint8_t ticket_key[HTTP_TLS_TICKET_KEY_BYTES], char **out_error) {
	struct http_tls *tls = mem_zalloc(sizeof *tls);
	tls->cert_file = mem_strdup(cert_file);
	tls->key_file = mem_strdup(key_file);
	memcpy(tls->ticket_key, ticket_key, sizeof tls->ticket_key);
	tls->context = http_tls_context(tls, out_error);
	if (!tls->context) {
		http_tls_destroy(tls);
		return NULL;
	}
	return tls;
}

int http_tls_reload(struct http_tls *tls, char **out_error) {
	SSL_CTX *fresh = http_tls_context(tls, out_error);
	if (!fresh) {
		return -EINVAL;
	}
	SSL_CTX_free(tls->context); /* sessions under way keep their reference */
	tls->context = fresh;
	return 0;
}

void http_tls_destroy(struct http_tls *tls) {
	if (tls) {
		SSL_CTX_free(tls->context);
		mem_wipe(tls->ticket_key, sizeof tls->ticket_key);
		free(tls->cert_file);
		free(tls->key_file);
		free(tls);
	}
}

SSL *http_tls_new_session(struct http_tls *tls) {
	return SSL_new(tls->context);
}

int64_t http_tls_expires(const struct http_tls *tls) {
	const X509 *certificate = SSL_CTX_get0_certificate(tls->context);
	struct tm parts;
	if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) {
		return 0;
	}
	return (int64_t)timegm(&parts);
}
