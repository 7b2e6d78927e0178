/* SPDX-License-Identifier: Apache-2.0 */
/* A verification callback of OpenSSL, which is what libcurl is built with here. */
#include "distributor/jmap/fetch_tls.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/link/tls_error.h"
#include <openssl/ssl.h>
#include <stdlib.h>

struct fetch_tls {
	int refs;
	long code; /* the first X509_V_ERR_*; X509_V_OK: the chain is good */
	X509 *leaf; /* NULL: none was seen */
};

void fetch_tls_unref(struct fetch_tls *tls) {
	if (tls && --tls->refs == 0) {
		X509_free(tls->leaf);
		free(tls);
	}
}

static void fetch_tls_on_context_free(
	void *parent, void *data, CRYPTO_EX_DATA *all, int index, long number, void *pointer) {
	(void)parent;
	(void)all;
	(void)index;
	(void)number;
	(void)pointer;
	fetch_tls_unref(data);
}

/* Where a context keeps it; OpenSSL gives such places out once for each program. */
static int fetch_tls_index(void) {
	static int index = -1;
	if (index < 0) {
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, fetch_tls_on_context_free);
	}
	if (index < 0) {
		log_fatal("OpenSSL has no room");
	}
	return index;
}

static int fetch_tls_on_verified(int is_good, X509_STORE_CTX *store) {
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct fetch_tls *tls = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), fetch_tls_index());
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	if (tls && leaf && tls->leaf != leaf) {
		X509_free(tls->leaf);
		(void)X509_up_ref(leaf); /* counts */
		tls->leaf = leaf;
		tls->code = X509_V_OK;
	}
	if (tls && !is_good && tls->code == X509_V_OK) {
		tls->code = X509_STORE_CTX_get_error(store);
	}
	return is_good;
}

static CURLcode fetch_tls_on_context(CURL *easy, void *context, void *ctx) {
	struct fetch_tls *tls = ctx;
	(void)easy;
	tls->refs++;
	if (SSL_CTX_set_ex_data(context, fetch_tls_index(), tls) != 1) {
		tls->refs--;
		return CURLE_OUT_OF_MEMORY;
	}
	SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context), fetch_tls_on_verified);
	return CURLE_OK;
}

struct fetch_tls *fetch_tls_watch(CURL *easy) {
	struct fetch_tls *tls = mem_zalloc(sizeof *tls);
	tls->refs = 1;
	/* refused when libcurl has another library: then its own words must do */
	(void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, fetch_tls_on_context);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, tls);
	return tls;
}

char *fetch_tls_print(const struct fetch_tls *tls, const char *host) {
	if (!tls->leaf) {
		return NULL;
	}
	/* libcurl compares the name itself, when the chain is good */
	long code = tls->code != X509_V_OK ? tls->code : X509_V_ERR_HOSTNAME_MISMATCH;
	return tls_error_print(code, tls->leaf, host);
}
