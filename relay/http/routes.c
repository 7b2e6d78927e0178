/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the handler of a path. */
#include "relay/http/routes.h"

static bool routes_match(
	const struct http_route *route, const struct http_head *head, struct slice *out_rest) {
	if (route->upgrades_only && !head->is_websocket_upgrade) {
		return false;
	}
	if (!route->is_prefix) {
		*out_rest = (struct slice){head->path.data + head->path.len, 0};
		return slice_equals(head->path, route->path);
	}
	if (!slice_starts_with(head->path, route->path)) {
		return false;
	}
	size_t len = strlen(route->path);
	*out_rest = (struct slice){head->path.data + len, head->path.len - len};
	return true;
}

void http_routes_dispatch(const struct http_routes *routes, struct http_request *request) {
	const struct http_head *head = http_request_head(request);
	struct slice rest;
	for (size_t i = 0; i < routes->count; i++) {
		const struct http_route *route = &routes->routes[i];
		if (routes_match(route, head, &rest)) {
			route->handle(request, rest, route->ctx);
			return;
		}
	}
	routes->otherwise(request, head->path, routes->otherwise_ctx);
}
