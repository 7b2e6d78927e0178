/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 8620 section 2: finding the session of a login (SRV _jmap._tcp, /.well-known/jmap, redirects)
 * and what it says. Steps are told as they are taken, so that `bellwire jmap add` can show them.
 */
#pragma once
#include "distributor/jmap/fetch.h"
#include <jansson.h>

/* The parameter is for Apache James up to 3.8, which speaks an old draft without it. */
#define JMAP_ACCEPT "application/json; jmapVersion=rfc-8621"

struct jmap_session_account {
	char *id, *name;
	bool is_personal, is_read_only, has_mail; /* urn:ietf:params:jmap:mail */
};

/* A session as the server described it. */
struct jmap_session {
	char *url; /* where it was found, after redirects */
	char *api_url, *event_source_url; /* event_source_url "" when there is none */
	char *state, *user;
	char *vapid_key; /* RFC 9749 applicationServerKey; NULL: none */
	bool has_mail, has_websocket, has_calendars, has_contacts;
	int64_t max_calls, max_objects_get, max_size_request;
	struct jmap_session_account *accounts;
	size_t accounts_count;
	char *primary_mail; /* account id; NULL: none */
};
/* Pure. NULL with a sentence in *out_error; URLs are resolved against `url`. */
struct jmap_session *jmap_session_parse(struct slice text, const char *url, char **out_error);
void jmap_session_free(struct jmap_session *session);

enum jmap_find_outcome {
	JMAP_FOUND,
	JMAP_NOT_FOUND, /* no such server, or it has no JMAP */
	JMAP_UNAUTHORIZED, /* the password is wrong */
	JMAP_LOCKED, /* 403: the account may not */
	JMAP_TRY_LATER /* network, 5xx, 429: retry_after_sec */
};
struct jmap_find_result {
	enum jmap_find_outcome outcome;
	struct jmap_session *session; /* FOUND: the callback takes it */
	const char *reason; /* a sentence that says what to do, else */
	int64_t retry_after_sec; /* -1: not said */
};
typedef void jmap_found_fn(const struct jmap_find_result *result, void *ctx);
/* "asked DNS for _jmap._tcp.example.org: mail.example.org port 443 (12 ms)" */
typedef void jmap_step_fn(const char *step, void *ctx);

struct jmap_find_options {
	struct fetcher *fetcher;
	struct ev_loop *loop;
	const char *url; /* a session URL; NULL: through the domain of user */
	const char *user; /* a mail address, when there is no url; copied */
	const struct fetch_auth *auth; /* copied */
	const char *ca_file;
	bool is_insecure;
	jmap_step_fn *step; /* NULL: nobody looks */
	/* May the host that DNS named have the password? It lies outside the domain of the user, and
	 * DNS can be forged. NULL: yes. Not to cancel from here. */
	bool (*may_ask)(const char *host, void *ctx);
};
struct jmap_find;
struct jmap_find *jmap_find_start(
	const struct jmap_find_options *options, jmap_found_fn *done, void *ctx);
void jmap_find_cancel(struct jmap_find *find); /* NULL is fine; not from within its callback */
