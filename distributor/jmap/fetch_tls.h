/* SPDX-License-Identifier: Apache-2.0 */
/* Looks on while libcurl verifies a certificate, so that its refusal can be told in clear words. */
#pragma once
#include <curl/curl.h>

/* Shared by a request and the connections that it opens, which may outlive it. */
struct fetch_tls;
/* Begins to look on; fetch_tls_unref. */
struct fetch_tls *fetch_tls_watch(CURL *easy);
void fetch_tls_unref(struct fetch_tls *tls);
/* Why it was refused, fresh, after CURLE_PEER_FAILED_VERIFICATION; NULL: nothing was seen. */
char *fetch_tls_print(const struct fetch_tls *tls, const char *host);
