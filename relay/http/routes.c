/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the handler of a request. */
#include "relay/http/routes.h"

static bool http_route_matches(
	const struct http_route *route, const struct http_head *head, struct slice *out_rest) {
	if (route->upgrades_only && !head->is_websocket_upgrade) {
		return false;
	}
	size_t len = strlen(route->path);
	if (route->is_prefix ? !slice_starts_with(head->path, route->path)
						 : !slice_equals(head->path, route->path)) {
		return false;
	}
	*out_rest = (struct slice){head->path.data + len, head->path.len - len};
	return true;
}

void http_routes_dispatch(const struct http_routes *routes, struct http_request *request) {
	const struct http_head *head = http_request_head(request);
	struct slice rest;
	for (size_t i = 0; i < routes->count; i++) {
		if (http_route_matches(&routes->routes[i], head, &rest)) {
			routes->routes[i].handle(request, rest, routes->routes[i].ctx);
			return;
		}
	}
	routes->otherwise(request, head->path, routes->otherwise_ctx);
}
