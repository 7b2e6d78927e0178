/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests to JMAP servers: libcurl's multi interface on our loop. Answers are capped, time
 * limits cover the whole request, redirects are followed only to https and without credentials for
 * another host. Nothing of a request with its credentials ever reaches a log.
 */
#pragma once
#include "common/slice.h"
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

enum fetch_outcome {
	FETCH_ANSWERED, /* with any status */
	FETCH_UNREACHABLE, /* name, route, refused, reset */
	FETCH_TLS, /* the certificate, or no TLS at all */
	FETCH_TIMED_OUT,
	FETCH_TOO_LARGE,
	FETCH_OUTCOME_COUNT
};

struct fetch_result {
	enum fetch_outcome outcome;
	int status;
	struct slice body; /* NUL behind it */
	struct slice content_type;
	const char *url; /* the one that answered, after redirects */
	const char *reason; /* a sentence for people, when not answered */
	int64_t retry_after_sec; /* -1: not said */
	int64_t date_ms; /* the server's clock when it answered; 0: not said */
	int64_t took_ms;
};
/* Once, later, from the loop; the result lives during the call. */
typedef void fetch_done_fn(const struct fetch_result *result, void *ctx);
/* An answer that is streamed begins (status 200 alone); false ends the request. */
typedef bool fetch_opened_fn(struct slice content_type, void *ctx);
/* A piece of it; false ends the request. */
typedef bool fetch_piece_fn(struct slice piece, void *ctx);

/* Of one login; borrowed by each request for its time. */
struct fetch_auth {
	const char *user, *password; /* Basic; NULL: none */
	const char *bearer; /* NULL: none */
};

struct fetch_options {
	const char *url; /* http only to loopback or with is_insecure */
	const char *method; /* NULL: GET, or POST with a body */
	const char *content_type; /* of the body */
	struct slice body; /* copied */
	const char *accept;
	const char *last_event_id; /* NULL: none */
	const struct fetch_auth *auth; /* NULL: none; copied, wiped at the end */
	const char *ca_file; /* NULL: the system's */
	bool is_insecure; /* any certificate */
	int64_t timeout_ms; /* 0: none (streams); the system finds dead connections in minutes */
	size_t max_bytes;
	fetch_opened_fn *opened; /* NULL: nobody asks */
	fetch_piece_fn *piece; /* NULL: not streamed */
};

struct fetcher;
struct fetch;
/* use_proxy: heed https_proxy, http_proxy, all_proxy and no_proxy of the environment. */
struct fetcher *fetcher_create(struct ev_loop *loop, bool use_proxy);
void fetcher_destroy(struct fetcher *fetcher); /* no callback comes any more */
/* From within a callback, too. */
struct fetch *fetch_start(
	struct fetcher *fetcher, const struct fetch_options *options, fetch_done_fn *done, void *ctx);
/* No callback comes any more. Not from within its own. */
void fetch_cancel(struct fetch *fetch);
