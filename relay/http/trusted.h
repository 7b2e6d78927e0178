/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies whose word on the client's address is taken. */
#pragma once
#include "relay/http/request.h"

struct http_trusted; /* addresses, networks, or "unix" */
struct http_trusted *http_trusted_create(const char *const *proxies); /* NULL when none */
void http_trusted_destroy(struct http_trusted *trusted);
/* A proxy itself, by the address of its socket; trusted may be NULL. */
bool http_trusted_holds(const struct http_trusted *trusted, const struct sockaddr *address);
/* Replaces peer by what X-Forwarded-For (else Forwarded) and X-Forwarded-Proto say, if the socket's
 * peer is trusted. */
void http_trusted_resolve(
	const struct http_trusted *trusted, const struct http_head *head, struct http_peer *peer);
