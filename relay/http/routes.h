/* SPDX-License-Identifier: Apache-2.0 */
/* Which handler serves a path. A table made once at start by the server; the first match wins. */
#pragma once
#include "relay/http/request.h"

/* rest is the path behind a prefix route's prefix. */
typedef void http_handler_fn(struct http_request *request, struct slice rest, void *ctx);

struct http_route {
	const char *path;
	bool is_prefix; /* path ends with '/'; what follows is `rest` */
	bool upgrades_only; /* matches WebSocket upgrades only (then listed before a plain route of the
						   same path) */
	http_handler_fn *handle;
	void *ctx;
};

struct http_routes {
	const struct http_route *routes;
	size_t count;
	http_handler_fn *otherwise; /* no route matches */
	void *otherwise_ctx;
};

void http_routes_dispatch(const struct http_routes *routes, struct http_request *request);
