/* SPDX-License-Identifier: Apache-2.0 */
/* TLS to Redis, or the refusal of a build without it. */
#include "storage/redis_tls.h"
#include "common/mem.h"
#ifdef BELLWIRE_HAVE_HIREDIS_SSL
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct redis_tls {
	SSL_CTX *context;
	int refusal; /* X509_V_…, of the last certificate that failed */
};

static int redis_tls_on_verified(int is_fine, X509_STORE_CTX *store) {
	if (!is_fine) {
		SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
		struct redis_tls *tls = SSL_get_app_data(ssl);
		tls->refusal = X509_STORE_CTX_get_error(store);
	}
	return is_fine;
}

struct redis_tls *redis_tls_create(const char *ca_file, char **out_error) {
	struct redis_tls *tls = mem_zalloc(sizeof *tls);
	tls->context = SSL_CTX_new(TLS_client_method());
	bool is_fine = tls->context &&
				   SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) == 1 &&
				   (ca_file ? SSL_CTX_load_verify_locations(tls->context, ca_file, NULL)
							: SSL_CTX_set_default_verify_paths(tls->context)) == 1;
	if (!is_fine) {
		*out_error = ca_file ? mem_printf("cannot read the certificates in %s", ca_file)
							 : mem_strdup("OpenSSL cannot be set up");
		redis_tls_destroy(tls);
		return NULL;
	}
	SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, redis_tls_on_verified);
	return tls;
}

void redis_tls_destroy(struct redis_tls *tls) {
	if (tls) {
		SSL_CTX_free(tls->context);
		free(tls);
	}
}

bool redis_tls_begin(struct redis_tls *tls, struct redisAsyncContext *ac, const char *host) {
	SSL *ssl = SSL_new(tls->context);
	if (!ssl) {
		return false;
	}
	SSL_set_app_data(ssl, tls);
	tls->refusal = X509_V_OK;
	bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	bool is_fine =
		is_address || (SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1);
	/* Takes ssl over on success only. */
	if (!is_fine || redisInitiateSSL(&ac->c, ssl) != REDIS_OK) {
		SSL_free(ssl);
		return false;
	}
	return true;
}

const char *redis_tls_refusal(struct redis_tls *tls) {
	return tls && tls->refusal != X509_V_OK ? X509_verify_cert_error_string(tls->refusal) : NULL;
}
#else

struct redis_tls *redis_tls_create(const char *ca_file, char **out_error) {
	(void)ca_file;
	*out_error =
		mem_strdup("this build cannot speak TLS to Redis, for its hiredis is older than 1.0; "
				   "use redis:// through a tunnel such as stunnel, or unix://");
	return NULL;
}

void redis_tls_destroy(struct redis_tls *tls) {
	(void)tls;
}

bool redis_tls_begin(struct redis_tls *tls, struct redisAsyncContext *ac, const char *host) {
	(void)tls;
	(void)ac;
	(void)host;
	return false;
}

const char *redis_tls_refusal(struct redis_tls *tls) {
	(void)tls;
	return NULL;
}
#endif
