/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask: /health (public, tiny) and /metrics (on the admin listener only). */
#pragma once
#include "relay/http/request.h"
#include "relay/ops/metrics.h"

struct admin {
	const struct metrics *metrics; /* of all workers */
	unsigned workers;
	/* Brings this worker's gauges up to date before they are printed. */
	void (*refresh)(void *ctx);
	/* NULL when all is well, else why not, for people. */
	const char *(*trouble)(void *ctx);
	void *ctx;
};

/* Route handlers; ctx is the struct admin. */
void admin_handle_health(struct http_request *request, struct slice rest, void *ctx);
void admin_handle_metrics(struct http_request *request, struct slice rest, void *ctx);
