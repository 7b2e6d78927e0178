/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a certificate that was refused. */
#include "distributor/link/tls_error.h"
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void add_name(GENERAL_NAMES *names, const char *data, int length) {
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	assert_int_equal(ASN1_STRING_set(text, data, length), 1);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}

/* IA5String holds any bytes, and the sentence is sent over the bus, which wants UTF-8. */
static void names_of_any_bytes_are_fit_to_be_shown(void **state) {
	(void)state;
	char longest[400];
	memset(longest, 'x', sizeof longest);
	X509 *certificate = X509_new();
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	add_name(names, "mail.example", 12);
	add_name(names, "a\xff\xc3 \x1b[31m", 9);
	add_name(names, longest, sizeof longest);
	assert_int_equal(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0), 1);
	char *text = tls_error_print(X509_V_ERR_HOSTNAME_MISMATCH, certificate, "localhost");
	static const char begin[] =
		"the certificate is not for localhost, but for mail.example, a????[31m, xxx";
	assert_int_equal(strncmp(text, begin, sizeof begin - 1), 0);
	assert_true(strlen(text) < 350);
	free(text);
	GENERAL_NAMES_free(names);
	X509_free(certificate);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_any_bytes_are_fit_to_be_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
