/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits an absolute http, https, ws or wss URL. Pure. Refused: userinfo, fragments, control
 * characters, blanks, anything but ASCII, an empty host or label, IPv4 addresses in other spellings
 * than four decimal numbers, IPv6 zones, ports outside 1-65535, more than URL_MAX_BYTES.
 */
#pragma once
#include "common/slice.h"
#include <stdint.h>

enum { URL_MAX_BYTES = 8192, URL_HOST_MAX = 255 };
enum url_scheme { URL_HTTP, URL_HTTPS, URL_WS, URL_WSS };

struct url {
	enum url_scheme scheme;
	char host[URL_HOST_MAX + 1]; /* lower case; an IPv6 literal in its shortest form, no brackets */
	bool host_is_ipv6;
	uint16_t port; /* the scheme's default when absent */
	struct slice path; /* with the leading '/', "/" when absent; points into the text */
	struct slice query; /* without '?' */
};

bool url_parse(struct slice text, struct url *out_url);
bool url_is_secure(const struct url *url); /* https, wss */
bool url_is_loopback(const struct url *url); /* localhost, *.localhost, 127.0.0.0/8, ::1 */
/* The same scheme (ws and http are one), host and port. */
bool url_same_origin(const struct url *a, const struct url *b);
/* The same place and resource: other spellings of scheme (ws and http are one), host and port do
 * not count. */
bool url_equals(const struct url *a, const struct url *b);
/* "https://host[:port]" as RFC 6454 writes an origin: lower case, no default port; ws counts as
 * http. */
enum { URL_ORIGIN_MAX = URL_HOST_MAX + 24 };
void url_origin_print(const struct url *url, char out[URL_ORIGIN_MAX]);
