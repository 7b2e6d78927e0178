/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the server: what hangs on it, for server.c and server_routes.c. */
#pragma once
#include "relay/device/devices.h"
#include "relay/http/listener.h"
#include "relay/http/routes.h"
#include "relay/http/tls.h"
#include "relay/ops/admin.h"
#include "relay/ops/invites.h"
#include "relay/ops/limits.h"
#include "relay/push/push.h"
#include "relay/push/vapid.h"
#include "relay/server.h"

enum { SERVER_ROUTES_MAX = 20 };

enum server_state { SERVER_STARTING, SERVER_RUNNING, SERVER_STOPPING, SERVER_STATE_COUNT };

struct server {
	struct server_options options;
	struct config *config;
	struct metrics *metrics; /* this worker's */
	enum server_state state;
	struct ev_loop *loop;
	struct node_id node;
	struct token_keys *keys;
	struct store *store;
	char *store_trouble; /* why the store is away; NULL while it is there */
	struct vapid *vapid;
	struct limits *limits;
	struct invites *invites;
	struct devices *devices;
	struct push_service *push;
	struct http_tls *tls;
	struct http_server *http, *admin_http;
	struct admin admin;
	struct http_route routes[SERVER_ROUTES_MAX], admin_routes[2];
	struct http_routes route_table, admin_route_table;
	char *endpoint_base;
	char *prefix; /* the path of public_url, "" mostly */
	char *paths[SERVER_ROUTES_MAX]; /* of the routes */
	ev_signal on_term, on_int, on_hup;
	ev_timer every_second, at_deadline;
	unsigned seconds;
	int files; /* the limit of open files; 0: unknown */
	double stopping_since;
	bool is_drained;
};

/* Says where each path leads. */
void server_make_routes(struct server *server);
/* Brings the gauges of this worker up to date; ctx is the server. */
void server_refresh_metrics(void *ctx);
