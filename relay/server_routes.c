/* SPDX-License-Identifier: Apache-2.0 */
/* Where each path of the relay leads, and the answers that it gives by itself. */
#include "common/mem.h"
#include "relay/server_parts.h"
#include <assert.h>
#include <string.h>

/* ---- for operators ---- */

static const char *server_trouble(void *ctx) {
	const struct server *server = ctx;
	if (server->state == SERVER_STOPPING) {
		return "the relay is stopping";
	}
	return server->store_trouble;
}

void server_refresh_metrics(void *ctx) {
	struct server *server = ctx;
	struct metrics *metrics = server->metrics;
	struct store_stats store;
	store_get_stats(server->store, &store);
	metrics_set(metrics, METRIC_MESSAGES_DELIVERED, (int64_t)store.acked);
	metrics_set(metrics, METRIC_MESSAGES_EXPIRED, (int64_t)store.expired);
	metrics_set(metrics, METRIC_MESSAGES_EVICTED, (int64_t)store.evicted);
	metrics_set(metrics, METRIC_MESSAGES_REPLACED, (int64_t)store.replaced);
	metrics_set(metrics, METRIC_MESSAGES_CANCELLED, (int64_t)store.cancelled);
	metrics_set(metrics, METRIC_MESSAGES_UNSUBSCRIBED, (int64_t)store.unsubscribed);
	metrics_set(metrics, METRIC_MESSAGES_QUEUED, store.queued_messages);
	metrics_set(metrics, METRIC_QUEUED_BYTES, store.queued_bytes);
	metrics_set(metrics, METRIC_STORE_DEVICES, store.devices);
	metrics_set(metrics, METRIC_STORE_SUBSCRIPTIONS, store.subscriptions);
	struct http_server_stats http;
	http_server_get_stats(server->http, &http);
	metrics_set(metrics, METRIC_HTTP_CONNECTIONS, (int64_t)http.open);
	metrics_set(metrics, METRIC_HTTP_ACCEPTED, (int64_t)http.accepted);
	metrics_set(metrics, METRIC_HTTP_REFUSED, (int64_t)http.refused);
	metrics_set(metrics, METRIC_HTTP_ADDRESS_REFUSED, (int64_t)http.client_refused);
	metrics_set(metrics, METRIC_HTTP_TIMED_OUT, (int64_t)http.timed_out);
	metrics_set(metrics, METRIC_HTTP_BAD, (int64_t)http.bad_requests);
	uint64_t verified, cached;
	vapid_get_stats(server->vapid, &verified, &cached);
	metrics_set(metrics, METRIC_VAPID_VERIFIED, (int64_t)verified);
	metrics_set(metrics, METRIC_VAPID_CACHED, (int64_t)cached);
	if (server->tls) {
		metrics_set(metrics, METRIC_TLS_CERTIFICATE_EXPIRES, http_tls_expires(server->tls));
	}
}

/* ---- routes ---- */

static void server_answer_error(struct http_request *request, int status, const char *body) {
	http_request_answer(
		request, &(struct http_answer){
					 .status = status, .content_type = "application/json", .body = slice_of(body)});
}

static void server_handle_unknown(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	(void)ctx;
	server_answer_error(request, 404,
		"{\"code\":404,\"errno\":102,\"error\":\"Not Found\",\"message\":\"nothing is here\"}");
}

/* Says "no gateway here" to Matrix servers and clients that look for one. */
static void server_handle_matrix(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	(void)ctx;
	server_answer_error(request, 404,
		"{\"errcode\":\"M_UNRECOGNIZED\",\"error\":\"There is no Matrix push gateway here.\"}");
}

static void server_handle_front(struct http_request *request, struct slice rest, void *ctx) {
	enum http_method method = http_request_head(request)->method;
	if (method != HTTP_GET && method != HTTP_HEAD) {
		server_handle_unknown(request, rest, ctx);
		return;
	}
	http_request_answer(request,
		&(struct http_answer){
			.status = 200,
			.content_type = "text/plain; charset=utf-8",
			.body = slice_of("This is a Bellwire push relay. Devices connect here by WebSocket.\n"),
		});
}

static bool server_refuses_devices(struct server *server, struct http_request *request) {
	if (server->state != SERVER_STOPPING) {
		return false;
	}
	const struct http_answer_header retry = {"Retry-After", "5"};
	http_request_answer(request,
		&(struct http_answer){.status = 503, .headers = &retry, .header_count = 1, .close = true});
	return true;
}

static void server_handle_device(struct http_request *request, struct slice rest, void *ctx) {
	(void)rest;
	struct server *server = ctx;
	if (server_refuses_devices(server, request)) {
		return;
	}
	if (server->config->registration == CONFIG_REGISTRATION_INVITE) {
		server_answer_error(request, 403,
			"{\"code\":403,\"errno\":109,\"error\":\"Forbidden\",\"message\":\"this relay is for "
			"invited devices; use the URL of an invite\"}");
		return;
	}
	const struct device_invite open = {0};
	devices_accept(server->devices, request, &open);
}

static void server_handle_invited(struct http_request *request, struct slice rest, void *ctx) {
	struct server *server = ctx;
	struct device_invite invite;
	if (server_refuses_devices(server, request)) {
		return;
	}
	while (rest.len > 0 && rest.data[rest.len - 1] == '/') {
		rest.len--;
	}
	if (!invites_find(server->invites, rest, &invite)) {
		server_answer_error(request, 403,
			"{\"code\":403,\"errno\":109,\"error\":\"Forbidden\",\"message\":\"this invite is "
			"unknown or was revoked\"}");
		return;
	}
	devices_accept(server->devices, request, &invite);
}

static void server_add_route(struct server *server, char *take_path, struct http_route route) {
	size_t at = server->route_table.count++;
	assert(at < SERVER_ROUTES_MAX);
	server->paths[at] = take_path;
	route.path = take_path;
	server->routes[at] = route;
}

/* The paths below one prefix; a proxy may take the prefix of public_url away or leave it. */
static void server_add_routes(struct server *server, const char *prefix) {
	const struct http_route routes[] = {
		{"/p/", true, false, push_handle_endpoint, server->push},
		{"/m/", true, false, push_handle_message, server->push},
		{"/i/", true, true, server_handle_invited, server},
		{"/", false, true, server_handle_device, server},
		{"/health", false, false, admin_handle_health, &server->admin},
		{"/", false, false, server_handle_front, server},
	};
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		server_add_route(server, mem_printf("%s%s", prefix, routes[i].path), routes[i]);
	}
}

void server_make_routes(struct server *server) {
	server->admin = (struct admin){
		.metrics = server->options.metrics,
		.workers = server->options.workers,
		.refresh = server_refresh_metrics,
		.trouble = server_trouble,
		.ctx = server,
	};
	server->route_table = (struct http_routes){
		.routes = server->routes,
		.otherwise = server_handle_unknown,
	};
	server_add_routes(server, "");
	if (server->prefix[0]) {
		server_add_routes(server, server->prefix);
		server_add_route(server, mem_strdup(server->prefix),
			(struct http_route){
				.upgrades_only = true, .handle = server_handle_device, .ctx = server});
	}
	server_add_route(server, mem_strdup("/_matrix/push/v1/notify"),
		(struct http_route){.handle = server_handle_matrix, .ctx = server});
	server->admin_routes[0] = (struct http_route){
		.path = "/health", .handle = admin_handle_health, .ctx = &server->admin};
	server->admin_routes[1] = (struct http_route){
		.path = "/metrics", .handle = admin_handle_metrics, .ctx = &server->admin};
	server->admin_route_table = (struct http_routes){
		.routes = server->admin_routes,
		.count = 2,
		.otherwise = server_handle_unknown,
	};
}
