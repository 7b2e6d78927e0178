/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL contexts for listeners, and non-blocking reads and writes on their sessions. */
#include "relay/http/tls.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

enum { TLS_TICKET_SEC = 86400 };

struct http_tls {
	SSL_CTX *context;
	char *cert_file, *key_file;
	uint8_t ticket_key[HTTP_TLS_TICKET_KEY_BYTES];
	int64_t expires;
};

static void tls_context_free(SSL_CTX **context) {
	SSL_CTX_free(*context);
}

/* A sentence with OpenSSL's first reason in it. */
static char *tls_trouble(const char *what, const char *file, const char *cure) {
	unsigned long code = ERR_get_error();
	const char *reason = ERR_GET_LIB(code) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(code))
														  : ERR_reason_error_string(code);
	char *text = mem_printf("%s %s: %s; %s", what, file, reason ? reason : "unknown error", cure);
	ERR_clear_error();
	return text;
}

static int tls_select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
	const unsigned char *in, unsigned int in_bytes, void *ctx) {
	(void)ssl;
	(void)ctx;
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, out_bytes, ours, sizeof ours - 1, in, in_bytes) !=
		OPENSSL_NPN_NEGOTIATED) {
		return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
	}
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int64_t tls_certificate_end(SSL_CTX *context) {
	const X509 *certificate = SSL_CTX_get0_certificate(context);
	struct tm end;
	if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) {
		return 0;
	}
	return (int64_t)timegm(&end);
}

/* Settings that hold for every session; false only when memory or the library is broken. */
static bool tls_context_tune(SSL_CTX *context, const struct http_tls *tls) {
	static const unsigned char session_context[] = "bellwire";
	uint8_t ticket_key[HTTP_TLS_TICKET_KEY_BYTES]; /* the macro takes no const */
	memcpy(ticket_key, tls->ticket_key, sizeof ticket_key);
	(void)SSL_CTX_set_options(
		context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
										SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1); /* one recv a record instead of two */
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets only */
	(void)SSL_CTX_set_timeout(context, TLS_TICKET_SEC);
	SSL_CTX_set_alpn_select_cb(context, tls_select_protocol, NULL);
	bool is_tuned =
		SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
		SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
		SSL_CTX_set_num_tickets(context, 1) == 1 &&
		SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1) == 1 &&
		SSL_CTX_set_tlsext_ticket_keys(context, ticket_key, sizeof ticket_key) == 1;
	mem_wipe(ticket_key, sizeof ticket_key);
	return is_tuned;
}

static SSL_CTX *tls_context_load(const struct http_tls *tls, char **out_error) {
	ERR_clear_error();
	CLEANUP(tls_context_free) SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context || !tls_context_tune(context, tls)) {
		*out_error = tls_trouble("cannot set up", "OpenSSL", "look at its configuration file");
		return NULL;
	}
	if (SSL_CTX_use_certificate_chain_file(context, tls->cert_file) != 1) {
		*out_error = tls_trouble("cannot read the certificate", tls->cert_file,
			"give a PEM file with the certificate first, then its chain, readable by the relay");
		return NULL;
	}
	if (SSL_CTX_use_PrivateKey_file(context, tls->key_file, SSL_FILETYPE_PEM) != 1) {
		*out_error = tls_trouble("cannot use the private key", tls->key_file,
			"give the unencrypted PEM key of that certificate, readable by the relay");
		return NULL;
	}
	if (SSL_CTX_check_private_key(context) != 1) {
		*out_error = tls_trouble("the private key does not fit the certificate:", tls->key_file,
			"give the key that the certificate was made for");
		return NULL;
	}
	return steal(&context);
}

struct http_tls *http_tls_create(const char *cert_file, const char *key_file,
	const uint8_t ticket_key[HTTP_TLS_TICKET_KEY_BYTES], char **out_error) {
	struct http_tls *tls = mem_zalloc(sizeof *tls);
	tls->cert_file = mem_strdup(cert_file);
	tls->key_file = mem_strdup(key_file);
	memcpy(tls->ticket_key, ticket_key, sizeof tls->ticket_key);
	if (http_tls_reload(tls, out_error) < 0) {
		http_tls_destroy(tls);
		return NULL;
	}
	return tls;
}

int http_tls_reload(struct http_tls *tls, char **out_error) {
	SSL_CTX *fresh = tls_context_load(tls, out_error);
	if (!fresh) {
		return -EINVAL;
	}
	SSL_CTX_free(tls->context); /* sessions under way hold a reference */
	tls->context = fresh;
	tls->expires = tls_certificate_end(fresh);
	return 0;
}

void http_tls_destroy(struct http_tls *tls) {
	if (!tls) {
		return;
	}
	SSL_CTX_free(tls->context);
	free(tls->cert_file);
	free(tls->key_file);
	mem_wipe(tls->ticket_key, sizeof tls->ticket_key);
	free(tls);
}

int64_t http_tls_expires(const struct http_tls *tls) {
	return tls->expires;
}

SSL *http_tls_new_session(struct http_tls *tls) {
	SSL *ssl = SSL_new(tls->context);
	if (ssl) {
		SSL_set_accept_state(ssl);
	}
	return ssl;
}

static int tls_error(SSL *ssl, int result) {
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		/* The library forbids SSL_shutdown() after this. */
		SSL_set_quiet_shutdown(ssl, 1);
		ERR_clear_error();
		return -ECONNRESET;
	}
}

int http_tls_handshake(SSL *ssl, bool *out_wants_write) {
	ERR_clear_error();
	int result = SSL_do_handshake(ssl);
	if (result == 1) {
		return 0;
	}
	int error = tls_error(ssl, result);
	*out_wants_write = error == -EAGAIN && SSL_want_write(ssl);
	return error == 0 ? -ECONNRESET : error;
}

ssize_t http_tls_receive(SSL *ssl, char *data, size_t room) {
	ERR_clear_error();
	int result = SSL_read(ssl, data, room > INT_MAX ? INT_MAX : (int)room);
	return result > 0 ? result : tls_error(ssl, result);
}

ssize_t http_tls_send(SSL *ssl, const char *data, size_t bytes) {
	ERR_clear_error();
	int result = SSL_write(ssl, data, bytes > INT_MAX ? INT_MAX : (int)bytes);
	if (result > 0) {
		return result;
	}
	int error = tls_error(ssl, result);
	return error == 0 ? -EPIPE : error;
}

void http_tls_shut(SSL *ssl) {
	ERR_clear_error();
	if (SSL_is_init_finished(ssl)) {
		(void)SSL_shutdown(ssl); /* as much as the socket takes */
		ERR_clear_error();
	}
}

void http_tls_end_session(SSL *ssl) {
	http_tls_shut(ssl);
	SSL_free(ssl);
}
