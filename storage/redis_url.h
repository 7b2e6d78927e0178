/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a Redis is: redis://[[user]:password@]host[:port][/db], rediss:// (TLS) and
 * unix://PATH[?db=N]. Pure. User and password may be percent-encoded.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct redis_url {
	char *host; /* without the brackets of an IPv6 literal; NULL for unix */
	char *path; /* unix socket */
	char *user, *password; /* NULL when not given */
	uint16_t port;
	uint32_t database;
	bool is_tls;
};

/* On refusal returns what is wrong with it, for people. */
const char *redis_url_parse(const char *text, struct redis_url *out_url);
void redis_url_finish(struct redis_url *url);
/* "127.0.0.1:6379" or the path: for log lines, never with the password. Fresh memory. */
char *redis_url_place_print(const struct redis_url *url);
