/* SPDX-License-Identifier: Apache-2.0 */
/* Turns OpenSSL's verification codes into sentences. */
#include "distributor/link/tls_error.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

bool tls_host_is_address(const char *host) {
	unsigned char address[16];
	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static char *tls_time_print(const ASN1_TIME *when) {
	struct tm tm = {0};
	char text[32] = "an unknown time";
	if (when && ASN1_TIME_to_tm(when, &tm) == 1) {
		(void)strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm);
	}
	return mem_strdup(text);
}

/* As it may be shown and put on the bus, whatever the certificate's maker wrote there. Fresh. */
static char *tls_name_print(const ASN1_STRING *name) {
	enum { NAME_MAX_BYTES = 253 };
	int length = ASN1_STRING_length(name);
	char *text = mem_strndup((const char *)ASN1_STRING_get0_data(name),
		(size_t)(length < NAME_MAX_BYTES ? length : NAME_MAX_BYTES));
	for (char *at = text; *at; at++) {
		*at = *at > ' ' && *at < 0x7f ? *at : '?';
	}
	return text;
}

/* The first names that the certificate is for, "a, b". */
static char *tls_names_print(X509 *certificate) {
	char *text = mem_strdup("");
	GENERAL_NAMES *names =
		certificate ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL) : NULL;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && i < 4; i++) {
		int kind = 0;
		const ASN1_STRING *name = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
		if (kind == GEN_DNS) {
			CLEANUP_FREE char *shorter = text;
			CLEANUP_FREE char *shown = tls_name_print(name);
			text = mem_printf("%s%s%s", shorter, *shorter ? ", " : "", shown);
		}
	}
	GENERAL_NAMES_free(names);
	return text;
}

char *tls_error_print(long code, X509 *certificate, const char *host) {
	CLEANUP_FREE char *when = NULL, *names = NULL;
	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		when = tls_time_print(certificate ? X509_get0_notAfter(certificate) : NULL);
		return mem_printf("the certificate of %s expired at %s", host, when);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		when = tls_time_print(certificate ? X509_get0_notBefore(certificate) : NULL);
		return mem_printf(
			"the certificate of %s is not valid before %s; is the clock right?", host, when);
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		names = tls_names_print(certificate);
		return mem_printf(
			"the certificate is not for %s%s%s", host, *names ? ", but for " : "", names);
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return mem_printf("the certificate of %s is self-signed; trust it with --ca FILE", host);
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
		return mem_printf("the certificate of %s comes from an authority that is not trusted here; "
						  "name its certificate with --ca FILE",
			host);
	default:
		return mem_printf(
			"the certificate of %s was refused: %s", host, X509_verify_cert_error_string(code));
	}
}
