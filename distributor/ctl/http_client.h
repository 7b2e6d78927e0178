/* SPDX-License-Identifier: Apache-2.0 */
/* One blocking HTTP/1.1 POST with a time limit over all, for a command that does nothing else. */
#pragma once
#include "common/url.h"

enum { HTTP_CLIENT_BODY_MAX = 16384, HTTP_CLIENT_TIMEOUT_SEC = 30 };

struct http_client_request {
	const struct url *url; /* http or https */
	struct slice target; /* path and query */
	const char *headers; /* lines that end with CRLF, without Host, Content-Length, Connection */
	struct slice body;
	const char *ca_file; /* NULL: the system's */
	bool insecure; /* any certificate */
};

struct http_client_answer {
	int status;
	char *location; /* NULL when absent */
	int64_t ttl_sec, retry_after_sec; /* -1 when absent or not a number */
	char *body; /* its first HTTP_CLIENT_BODY_MAX bytes, and a NUL */
	size_t body_bytes;
};

/* False with a sentence in *out_error when there is no answer. */
bool http_client_post(const struct http_client_request *request,
	struct http_client_answer *out_answer, char **out_error);
void http_client_answer_finish(struct http_client_answer *answer);
