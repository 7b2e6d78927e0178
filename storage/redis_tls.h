/* SPDX-License-Identifier: Apache-2.0 */
/* TLS to Redis, where hiredis has it (1.0 and later, as a library of its own). The server's name is
 * checked against its certificate. */
#pragma once
#include <stdbool.h>

struct redisAsyncContext;
struct redis_tls;

/* NULL with the reason. ca_file NULL: the system's. */
struct redis_tls *redis_tls_create(const char *ca_file, char **out_error);
void redis_tls_destroy(struct redis_tls *tls); /* NULL is fine */
/* For a connection just begun. */
bool redis_tls_begin(struct redis_tls *tls, struct redisAsyncContext *ac, const char *host);
/* What is wrong with the certificate that was refused last; NULL for nothing. tls may be NULL. */
const char *redis_tls_refusal(struct redis_tls *tls);
