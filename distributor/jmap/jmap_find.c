/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery: jmap_find_start -> (SRV) -> jmap_find_try, for each place -> (the server) ->
 * jmap_find_finish. The first place that has a session decides, or one that was named to us and
 * does not take the password.
 */
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/alarm.h"
#include "distributor/jmap/jmap_session.h"
#include "distributor/jmap/srv.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { JMAP_FIND_PLACES = 6, JMAP_SESSION_MAX = 1 << 20, JMAP_FIND_TIMEOUT_MS = 20000 };

struct jmap_find {
	struct jmap_find_options options;
	char *user, *password, *bearer, *login, *ca_file; /* copies; login: of Basic */
	char *places[JMAP_FIND_PLACES];
	size_t count, at;
	size_t named; /* of them were named by the user or by DNS; the others are guesses */
	bool is_second_try; /* at the end of a redirect, with the password */
	struct srv *srv;
	struct fetch *fetch;
	int64_t asked_ms;
	char *reason; /* of the best failure so far */
	bool may_work_later, is_busy; /* busy: a server says so */
	enum jmap_find_outcome refusal; /* of the first guess that does not let us in, or … */
	char *refusal_reason; /* … NULL: there is none */
	int64_t retry_after_sec;
	jmap_found_fn *done;
	void *ctx;
};

static void jmap_find_on_srv(const struct srv_result *result, void *ctx);
static void jmap_find_try(struct jmap_find *find);
static void jmap_find_on_fetched(const struct fetch_result *result, void *ctx);

static void jmap_find_free(struct jmap_find *find) {
	for (size_t i = 0; i < find->count; i++) {
		free(find->places[i]);
	}
	if (find->password) {
		mem_wipe(find->password, strlen(find->password));
	}
	if (find->bearer) {
		mem_wipe(find->bearer, strlen(find->bearer));
	}
	free(find->user);
	free(find->login);
	free(find->password);
	free(find->bearer);
	free(find->ca_file);
	free(find->reason);
	free(find->refusal_reason);
	free(find);
}

static void jmap_find_finish(
	struct jmap_find *find, enum jmap_find_outcome outcome, struct jmap_session *session) {
	struct jmap_find_result result = {.outcome = outcome,
		.session = session,
		.reason = find->reason ? find->reason : "",
		.retry_after_sec = find->retry_after_sec};
	find->done(&result, find->ctx);
	jmap_find_free(find);
}

static void __attribute__((format(printf, 2, 3)))
jmap_find_step(struct jmap_find *find, const char *format, ...) {
	va_list args;
	char text[600];
	if (!find->options.step) {
		return;
	}
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	find->options.step(text, find->ctx);
}

static void jmap_find_set_reason(struct jmap_find *find, char *take_reason) {
	free(find->reason);
	find->reason = take_reason;
}

/* ---- places ---- */

static void jmap_find_add(struct jmap_find *find, char *take_url) {
	struct url url;
	for (size_t i = 0; i < find->count; i++) {
		if (strcmp(find->places[i], take_url) == 0) {
			free(take_url);
			return;
		}
	}
	if (find->count == JMAP_FIND_PLACES || !url_parse(slice_of(take_url), &url)) {
		free(take_url);
	} else {
		find->places[find->count++] = take_url;
	}
}

static const char *jmap_find_domain(const struct jmap_find *find) {
	const char *at = strrchr(find->user, '@');
	return at && at[1] ? at + 1 : find->user;
}

static void jmap_find_add_domain(struct jmap_find *find) {
	const char *domain = jmap_find_domain(find);
	jmap_find_add(find, mem_printf("https://%s/.well-known/jmap", domain));
	jmap_find_add(find, mem_printf("https://jmap.%s/.well-known/jmap", domain));
	jmap_find_add(find, mem_printf("https://mail.%s/.well-known/jmap", domain));
}

/* The user's domain itself, or something in it: whose certificate is good for that is no other. */
static bool jmap_find_is_of_domain(const struct jmap_find *find, const char *host) {
	const char *domain = jmap_find_domain(find);
	size_t len = strlen(host), domain_len = strlen(domain);
	return len >= domain_len && strcasecmp(host + len - domain_len, domain) == 0 &&
		   (len == domain_len || host[len - domain_len - 1] == '.');
}

static void jmap_find_on_srv(const struct srv_result *result, void *ctx) {
	struct jmap_find *find = ctx;
	long long took_ms = (long long)(clock_mono_ms() - find->asked_ms);
	find->srv = NULL;
	if (result->is_found) {
		jmap_find_step(find, "DNS names %s port %u for the mail of %s (%lld ms)", result->host,
			result->port, jmap_find_domain(find), took_ms);
		if (find->options.may_ask && !jmap_find_is_of_domain(find, result->host) &&
			!find->options.may_ask(result->host, find->ctx)) {
			jmap_find_set_reason(
				find, mem_printf("%s does not get the password, for it lies outside of %s",
						  result->host, jmap_find_domain(find)));
			jmap_find_finish(find, JMAP_NOT_FOUND, NULL);
			return;
		}
		jmap_find_add(
			find, result->port == 443
					  ? mem_printf("https://%s/.well-known/jmap", result->host)
					  : mem_printf("https://%s:%u/.well-known/jmap", result->host, result->port));
	} else {
		jmap_find_step(find, "DNS has no _jmap._tcp.%s (%lld ms)", jmap_find_domain(find), took_ms);
	}
	find->named = find->count;
	jmap_find_add_domain(find);
	jmap_find_try(find);
}

/* ---- one place after the other ---- */

static void jmap_find_ask(struct jmap_find *find, const char *url) {
	struct fetch_auth auth = {
		.user = find->login, .password = find->password, .bearer = find->bearer};
	struct fetch_options options = {.url = url,
		.accept = JMAP_ACCEPT,
		.auth = &auth,
		.ca_file = find->ca_file,
		.is_insecure = find->options.is_insecure,
		.timeout_ms = JMAP_FIND_TIMEOUT_MS,
		.max_bytes = JMAP_SESSION_MAX};
	find->fetch = fetch_start(find->options.fetcher, &options, jmap_find_on_fetched, find);
}

/* No place has a session. */
static void jmap_find_give_up(struct jmap_find *find) {
	enum jmap_find_outcome outcome = find->may_work_later ? JMAP_TRY_LATER : JMAP_NOT_FOUND;
	if (find->refusal_reason && !find->is_busy) {
		outcome = find->refusal;
		jmap_find_set_reason(find, steal(&find->refusal_reason));
	} else if (!find->reason) {
		jmap_find_set_reason(find, mem_strdup("no place to look for a JMAP server is known"));
	}
	jmap_find_finish(find, outcome, NULL);
}

static void jmap_find_try(struct jmap_find *find) {
	if (find->at == find->count) {
		jmap_find_give_up(find);
		return;
	}
	find->is_second_try = false;
	jmap_find_ask(find, find->places[find->at]);
}

static void jmap_find_next(struct jmap_find *find) {
	find->at++;
	jmap_find_try(find);
}

static bool jmap_find_is_elsewhere(const struct jmap_find *find, const char *final_url) {
	struct url asked, answered;
	return url_parse(slice_of(find->places[find->at]), &asked) &&
		   url_parse(slice_of(final_url), &answered) &&
		   (strcmp(asked.host, answered.host) != 0 || asked.port != answered.port);
}

/* The password is not sent along by a redirect, so the place where that ended is asked itself: the
 * owner of the domain named it (RFC 8620 2.2), over TLS. */
static bool jmap_find_follow(struct jmap_find *find, const struct fetch_result *result) {
	if (find->is_second_try || !jmap_find_is_elsewhere(find, result->url)) {
		return false;
	}
	jmap_find_step(find, "%s leads to %s", find->places[find->at], result->url);
	CLEANUP_FREE char *url = mem_strdup(result->url);
	find->is_second_try = true;
	jmap_find_ask(find, url);
	return true;
}

/* What answers at a guess may be a web site with passwords of its own: others are asked first. */
static void jmap_find_on_refused(
	struct jmap_find *find, enum jmap_find_outcome outcome, char *take_reason) {
	if (find->at < find->named) {
		jmap_find_set_reason(find, take_reason);
		jmap_find_finish(find, outcome, NULL);
		return;
	}
	jmap_find_step(find, "%s", take_reason);
	if (find->refusal_reason) {
		free(take_reason);
	} else {
		find->refusal = outcome;
		find->refusal_reason = take_reason;
	}
	jmap_find_next(find);
}

static void jmap_find_judge(struct jmap_find *find, const struct fetch_result *result) {
	CLEANUP_FREE char *error = NULL;
	struct jmap_session *session =
		result->status == 200 ? jmap_session_parse(result->body, result->url, &error) : NULL;
	if (session) {
		jmap_find_step(
			find, "%s is a JMAP server (%lld ms)", result->url, (long long)result->took_ms);
		jmap_find_finish(find, JMAP_FOUND, session);
		return;
	}
	if (result->status == 401) {
		jmap_find_on_refused(find, JMAP_UNAUTHORIZED,
			mem_printf("%s does not take the password of %s", result->url,
				find->user ? find->user : "this login"));
		return;
	}
	if (result->status == 403) {
		jmap_find_on_refused(find, JMAP_LOCKED,
			mem_printf("%s does not let %s in (status 403)", result->url,
				find->user ? find->user : "this login"));
		return;
	}
	jmap_find_set_reason(
		find, error ? mem_printf("%s: %s", result->url, error)
					: mem_printf("%s answers with status %d", result->url, result->status));
	find->is_busy = find->is_busy || result->status == 429 || result->status >= 500;
	find->may_work_later = find->may_work_later || find->is_busy;
	find->retry_after_sec = result->retry_after_sec;
	jmap_find_step(find, "%s", find->reason);
	jmap_find_next(find);
}

static void jmap_find_on_fetched(const struct fetch_result *result, void *ctx) {
	struct jmap_find *find = ctx;
	find->fetch = NULL;
	if (result->outcome != FETCH_ANSWERED) {
		find->may_work_later = find->may_work_later || result->outcome != FETCH_TLS;
		jmap_find_step(find, "%s: %s", find->places[find->at], result->reason);
		/* the place that the user or DNS named says more than a guess */
		if (!find->reason) {
			jmap_find_set_reason(
				find, mem_printf("%s: %s", find->places[find->at], result->reason));
		}
		jmap_find_next(find);
		return;
	}
	if (result->status == 401 && jmap_find_follow(find, result)) {
		return;
	}
	jmap_find_judge(find, result);
}

/* ---- start ---- */

static char *jmap_find_copy(const char *text) {
	return text ? mem_strdup(text) : NULL;
}

static void jmap_find_add_url(struct jmap_find *find, const char *text) {
	struct url url;
	if (url_parse(slice_of(text), &url) && slice_equals(url.path, "/")) {
		char origin[URL_ORIGIN_MAX];
		url_origin_print(&url, origin);
		jmap_find_add(find, mem_printf("%s/.well-known/jmap", origin));
	}
	jmap_find_add(find, mem_strdup(text));
}

struct jmap_find *jmap_find_start(
	const struct jmap_find_options *options, jmap_found_fn *done, void *ctx) {
	struct jmap_find *find = mem_zalloc(sizeof *find);
	find->options = *options;
	find->options.auth = NULL;
	find->user = jmap_find_copy(options->user);
	find->login = jmap_find_copy(options->auth ? options->auth->user : NULL);
	find->password = jmap_find_copy(options->auth ? options->auth->password : NULL);
	find->bearer = jmap_find_copy(options->auth ? options->auth->bearer : NULL);
	find->ca_file = jmap_find_copy(options->ca_file);
	find->retry_after_sec = -1;
	find->done = done;
	find->ctx = ctx;
	if (options->url) {
		jmap_find_add_url(find, options->url);
		find->named = find->count;
		jmap_find_try(find);
		return find;
	}
	assert(find->user);
	CLEANUP_FREE char *name = mem_printf("_jmap._tcp.%s", jmap_find_domain(find));
	find->asked_ms = clock_mono_ms();
	find->srv = srv_start(options->loop, name, jmap_find_on_srv, find);
	return find;
}

void jmap_find_cancel(struct jmap_find *find) {
	if (!find) {
		return;
	}
	if (find->srv) {
		srv_cancel(find->srv);
	}
	if (find->fetch) {
		fetch_cancel(find->fetch);
	}
	jmap_find_free(find);
}
