/* SPDX-License-Identifier: Apache-2.0 */
/* Makes OpenSSL's context for clients; what a connection checks is its owner's business. */
#include "distributor/link/tls_client.h"
#include "common/mem.h"
#include <openssl/err.h>

static char *tls_client_fill(SSL_CTX *tls, const char *ca_file) {
	if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1) {
		return mem_strdup("OpenSSL cannot set up TLS");
	}
	(void)SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS); /* an idle connection keeps none */
	if (ca_file ? SSL_CTX_load_verify_file(tls, ca_file) != 1
				: SSL_CTX_set_default_verify_paths(tls) != 1) {
		return mem_printf("no certificates in %s", ca_file ? ca_file : "the system");
	}
	return NULL;
}

SSL_CTX *tls_client_create(const char *ca_file, char **out_error) {
	ERR_clear_error();
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	char *error = tls_client_fill(tls, ca_file);
	if (!error) {
		return tls;
	}
	SSL_CTX_free(tls);
	ERR_clear_error();
	*out_error = error;
	return NULL;
}
