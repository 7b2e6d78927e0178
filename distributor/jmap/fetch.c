/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's sockets and timer become watchers of our loop. */
#include "distributor/jmap/fetch.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/alarm.h"
#include "distributor/jmap/fetch_redirect.h"
#include "distributor/jmap/fetch_tls.h"
#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FETCH_CONNECT_MS = 15000,
	FETCH_CONNECTIONS_MAX = 16,
	FETCH_KEEPALIVE_SEC = 240, /* of streams: what most paths bear in silence */
	FETCH_KEEPALIVE_AGAIN_SEC = 15,
};

struct fetcher {
	struct ev_loop *loop;
	CURLM *multi;
	ev_timer timer; /* libcurl's own deadlines */
	struct list fetches; /* struct fetch::link */
	bool use_proxy;
	bool is_inside; /* libcurl is above us: handles must not be removed */
};

struct fetch {
	struct list link; /* struct fetcher::fetches */
	struct fetcher *fetcher;
	CURL *easy;
	struct fetch_tls *tls;
	struct curl_slist *headers;
	struct buffer body;
	char *sent_body;
	char error[CURL_ERROR_SIZE];
	bool is_too_large, is_ended_by_reader, is_cancelled;
	bool is_added; /* libcurl has it */
	bool may_follow, is_insecure;
	int redirects;
	char *first_url;
	char *refusal; /* of a redirect; NULL: none */
	enum fetch_outcome refusal_outcome;
	int64_t began_ms, timeout_ms;
	fetch_opened_fn *opened;
	fetch_piece_fn *piece;
	fetch_done_fn *done;
	void *ctx;
};

/* A socket of libcurl's. */
struct fetch_socket {
	struct fetcher *fetcher;
	ev_io io;
};

static void fetch_free(struct fetch *fetch) {
	list_remove(&fetch->link);
	if (fetch->is_added) {
		(void)curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
	}
	curl_easy_cleanup(fetch->easy);
	fetch_tls_unref(fetch->tls);
	curl_slist_free_all(fetch->headers);
	buffer_finish(&fetch->body);
	if (fetch->sent_body) {
		mem_wipe(fetch->sent_body, strlen(fetch->sent_body));
	}
	free(fetch->sent_body);
	free(fetch->first_url);
	free(fetch->refusal);
	free(fetch);
}

/* ---- what became of it ---- */

static enum fetch_outcome fetch_outcome_of(const struct fetch *fetch, CURLcode code) {
	if (fetch->is_too_large) {
		return FETCH_TOO_LARGE;
	}
	if (fetch->refusal) {
		return fetch->refusal_outcome;
	}
	switch (code) {
	case CURLE_OK:
		return FETCH_ANSWERED;
	case CURLE_OPERATION_TIMEDOUT:
		return FETCH_TIMED_OUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return FETCH_TLS;
	default: /* libcurl has a hundred of them */
		return FETCH_UNREACHABLE;
	}
}

/* libcurl's words are those of OpenSSL: "wrong version number". */
static void fetch_explain_handshake(struct fetch *fetch) {
	char words[CURL_ERROR_SIZE];
	(void)snprintf(words, sizeof words, "%s", fetch->error);
	(void)snprintf(fetch->error, sizeof fetch->error,
		"there is no TLS, or none that can be agreed on%s%.160s%s", words[0] ? " (" : "", words,
		words[0] ? ")" : "");
}

/* Clear words about the certificate, in place of libcurl's. */
static void fetch_explain_tls(struct fetch *fetch, const char *url) {
	struct url parsed;
	char *words =
		url_parse(slice_of(url), &parsed) ? fetch_tls_print(fetch->tls, parsed.host) : NULL;
	if (words) {
		(void)snprintf(fetch->error, sizeof fetch->error, "%s", words);
		free(words);
	}
}

static const char *fetch_reason(
	const struct fetch *fetch, enum fetch_outcome outcome, CURLcode code) {
	if (outcome == FETCH_TOO_LARGE) {
		return "the answer is too large";
	}
	if (fetch->refusal) {
		return fetch->refusal;
	}
	if (fetch->error[0]) {
		return fetch->error;
	}
	return outcome == FETCH_ANSWERED ? "" : curl_easy_strerror(code);
}

static int64_t fetch_date_ms(CURL *easy) {
	struct curl_header *date;
	if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &date) != CURLHE_OK) {
		return 0;
	}
	time_t moment = curl_getdate(date->value, NULL);
	return moment > 0 ? (int64_t)moment * 1000 : 0;
}

static void fetch_finish(struct fetch *fetch, CURLcode code) {
	struct fetch_result result = {.retry_after_sec = -1};
	long status = 0;
	curl_off_t retry_after = 0;
	char *type = NULL, *url = NULL;
	/* these cannot fail for a handle that has run */
	(void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &type);
	(void)curl_easy_getinfo(fetch->easy, CURLINFO_EFFECTIVE_URL, &url);
	(void)curl_easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &retry_after);
	bool ended_well = (code == CURLE_OK && !fetch->refusal) || fetch->is_ended_by_reader;
	result.outcome = ended_well ? FETCH_ANSWERED : fetch_outcome_of(fetch, code);
	result.status = (int)status;
	if (code == CURLE_PEER_FAILED_VERIFICATION) {
		fetch_explain_tls(fetch, url ? url : "");
	} else if (code == CURLE_SSL_CONNECT_ERROR) {
		fetch_explain_handshake(fetch);
	}
	if (!buffer_append(&fetch->body, "", 1)) {
		result.outcome = FETCH_TOO_LARGE;
	} else {
		result.body = (struct slice){buffer_begin(&fetch->body), buffer_length(&fetch->body) - 1};
	}
	result.content_type = slice_of(type);
	result.url = url ? url : "";
	result.reason = fetch_reason(fetch, result.outcome, code);
	result.retry_after_sec = retry_after > 0 ? (int64_t)retry_after : -1;
	result.date_ms = fetch_date_ms(fetch->easy);
	result.took_ms = clock_mono_ms() - fetch->began_ms;
	fetch->done(&result, fetch->ctx);
	fetch_free(fetch);
}

static void fetch_add(struct fetch *fetch) {
	fetch->is_added = true;
	if (curl_multi_add_handle(fetch->fetcher->multi, fetch->easy) != CURLM_OK) {
		log_fatal("libcurl takes no request");
	}
}

/* ---- redirects ---- */

static void fetch_refuse(struct fetch *fetch, enum fetch_outcome outcome, char *take_refusal) {
	fetch->refusal = take_refusal;
	fetch->refusal_outcome = outcome;
}

/* False when it is not to be followed; then perhaps with a refusal. */
static bool fetch_may_follow(struct fetch *fetch, const char *to, enum fetch_redirect *out_how) {
	*out_how = fetch_redirect_judge(fetch->first_url, to, fetch->is_insecure);
	if (*out_how == FETCH_REDIRECT_SENSELESS) {
		fetch_refuse(fetch, FETCH_UNREACHABLE,
			mem_printf("%s redirects to what is no good URL", fetch->first_url));
	} else if (*out_how == FETCH_REDIRECT_PLAIN) {
		fetch_refuse(fetch, FETCH_TLS,
			mem_printf("%s redirects to %s, which is not encrypted", fetch->first_url, to));
	} else if (fetch->redirects == FETCH_REDIRECTS_MAX) {
		fetch_refuse(fetch, FETCH_UNREACHABLE,
			mem_printf("%s redirects more than %d times", fetch->first_url, FETCH_REDIRECTS_MAX));
	}
	return !fetch->refusal;
}

static void fetch_drop_auth(struct fetch *fetch) {
	(void)curl_easy_setopt(fetch->easy, CURLOPT_XOAUTH2_BEARER, NULL);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_USERNAME, NULL);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_PASSWORD, NULL);
}

/* Where the answer leads, fresh; NULL: it stays. libcurl puts user and password into it. */
static char *fetch_redirect_dup(const struct fetch *fetch) {
	char *to = NULL, *clean = NULL;
	(void)curl_easy_getinfo(fetch->easy, CURLINFO_REDIRECT_URL, &to);
	if (!fetch->may_follow || !to) {
		return NULL;
	}
	CURLU *url = curl_url();
	if (curl_url_set(url, CURLUPART_URL, to, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
		curl_url_set(url, CURLUPART_USER, NULL, 0) == CURLUE_OK &&
		curl_url_set(url, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK) {
		(void)curl_url_get(url, CURLUPART_URL, &clean, 0); /* failed: NULL */
	}
	char *copy = mem_strdup(clean ? clean : "");
	curl_free(clean);
	curl_url_cleanup(url);
	return copy;
}

/* True when it is under way again, to where an answer led it. */
static bool fetch_follow(struct fetch *fetch) {
	enum fetch_redirect how;
	CLEANUP_FREE char *to = fetch_redirect_dup(fetch);
	if (!to || !fetch_may_follow(fetch, to, &how)) {
		return false;
	}
	int64_t left_ms = fetch->timeout_ms - (clock_mono_ms() - fetch->began_ms);
	if (fetch->timeout_ms > 0 && left_ms <= 0) {
		fetch_refuse(fetch, FETCH_TIMED_OUT, mem_strdup("its redirects took too long"));
		return false;
	}
	if (how == FETCH_REDIRECT_ELSEWHERE) {
		fetch_drop_auth(fetch);
	}
	fetch->redirects++;
	buffer_clear(&fetch->body);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_URL, to);
	(void)curl_easy_setopt(
		fetch->easy, CURLOPT_TIMEOUT_MS, fetch->timeout_ms > 0 ? (long)left_ms : 0L);
	fetch_add(fetch);
	return true;
}

/* ---- libcurl's turn ---- */

/* What was asked for while libcurl was above us. */
static void fetcher_catch_up(struct fetcher *fetcher) {
	struct fetch *fetch, *next;
	LIST_FOREACH_SAFE (fetch, next, &fetcher->fetches, link) {
		if (fetch->is_cancelled) {
			fetch_free(fetch);
		} else if (!fetch->is_added) {
			fetch_add(fetch);
		}
	}
}

static void fetcher_collect(struct fetcher *fetcher) {
	CURLMsg *message;
	int left;
	fetcher_catch_up(fetcher);
	while ((message = curl_multi_info_read(fetcher->multi, &left))) {
		if (message->msg == CURLMSG_DONE) {
			struct fetch *fetch = NULL;
			CURLcode code = message->data.result;
			(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
			(void)curl_multi_remove_handle(fetcher->multi, message->easy_handle);
			fetch->is_added = false;
			fetch->is_added = false;
			if (code != CURLE_OK || !fetch_follow(fetch)) {
				fetch_finish(fetch, code);
			}
		}
	}
}

static void fetcher_act(struct fetcher *fetcher, curl_socket_t fd, int what) {
	int running;
	fetcher->is_inside = true;
	(void)curl_multi_socket_action(fetcher->multi, fd, what, &running); /* told by messages */
	fetcher->is_inside = false;
	fetcher_collect(fetcher);
}

/* ---- watchers ---- */

static void fetch_on_io(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	struct fetch_socket *socket = io->data;
	int what =
		(events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0);
	fetcher_act(socket->fetcher, io->fd, what);
}

static void fetch_on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	fetcher_act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int fetch_want_timer(CURLM *multi, long timeout_ms, void *ctx) {
	(void)multi;
	struct fetcher *fetcher = ctx;
	ev_timer_stop(fetcher->loop, &fetcher->timer);
	if (timeout_ms >= 0) {
		ev_now_update(fetcher->loop);
		ev_timer_set(&fetcher->timer, (double)timeout_ms / 1000., 0.);
		ev_timer_start(fetcher->loop, &fetcher->timer);
	}
	return 0;
}

static int fetch_want_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx) {
	(void)easy;
	struct fetcher *fetcher = ctx;
	struct fetch_socket *socket = socket_ctx;
	if (what == CURL_POLL_REMOVE) {
		if (socket) {
			ev_io_stop(fetcher->loop, &socket->io);
			(void)curl_multi_assign(fetcher->multi, fd, NULL);
			free(socket);
		}
		return 0;
	}
	int events = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
	if (!socket) {
		socket = mem_zalloc(sizeof *socket);
		socket->fetcher = fetcher;
		ev_init(&socket->io, fetch_on_io);
		socket->io.data = socket;
		(void)curl_multi_assign(fetcher->multi, fd, socket);
	}
	ev_io_stop(fetcher->loop, &socket->io);
	ev_io_set(&socket->io, fd, events);
	ev_io_start(fetcher->loop, &socket->io);
	return 0;
}

/* ---- requests ---- */

/* Each line of a head; an empty one is its end. */
static size_t fetch_on_header(char *data, size_t size, size_t count, void *ctx) {
	struct fetch *fetch = ctx;
	size_t bytes = size * count;
	struct slice line = {data, bytes};
	long status = 0;
	char *type = NULL;
	if (fetch->is_cancelled) {
		return 0;
	}
	(void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	if (fetch->opened && status == 200 &&
		(slice_equals(line, "\r\n") || slice_equals(line, "\n"))) {
		(void)curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &type);
		fetch->is_ended_by_reader = !fetch->opened(slice_of(type), fetch->ctx);
	}
	return fetch->is_ended_by_reader ? 0 : bytes;
}

static size_t fetch_on_body(char *data, size_t size, size_t count, void *ctx) {
	struct fetch *fetch = ctx;
	size_t bytes = size * count;
	long status = 0;
	if (fetch->is_cancelled) {
		return 0;
	}
	(void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	if (fetch->piece && status == 200) {
		fetch->is_ended_by_reader = !fetch->piece((struct slice){data, bytes}, fetch->ctx);
		return fetch->is_ended_by_reader ? 0 : bytes;
	}
	fetch->is_too_large = !buffer_append(&fetch->body, data, bytes);
	return fetch->is_too_large ? 0 : bytes;
}

struct fetcher *fetcher_create(struct ev_loop *loop, bool use_proxy) {
	struct fetcher *fetcher = mem_zalloc(sizeof *fetcher);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
		!(fetcher->multi = curl_multi_init())) {
		log_fatal("libcurl cannot start");
	}
	fetcher->loop = loop;
	fetcher->use_proxy = use_proxy;
	list_init(&fetcher->fetches);
	ev_init(&fetcher->timer, fetch_on_timer);
	fetcher->timer.data = fetcher;
	/* these options cannot be refused */
	(void)curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, fetch_want_socket);
	(void)curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
	(void)curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, fetch_want_timer);
	(void)curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
	(void)curl_multi_setopt(
		fetcher->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)FETCH_CONNECTIONS_MAX);
	return fetcher;
}

void fetcher_destroy(struct fetcher *fetcher) {
	if (!fetcher) {
		return;
	}
	assert(!fetcher->is_inside);
	struct fetch *fetch;
	while ((fetch = list_first(&fetcher->fetches, struct fetch, link))) {
		fetch_free(fetch);
	}
	(void)curl_multi_cleanup(fetcher->multi);
	ev_timer_stop(fetcher->loop, &fetcher->timer);
	free(fetcher);
}

static void fetch_add_header(struct fetch *fetch, const char *name, const char *value) {
	if (value) {
		CLEANUP_FREE char *line = mem_printf("%s: %s", name, value);
		struct curl_slist *longer = curl_slist_append(fetch->headers, line);
		fetch->headers = longer ? longer : fetch->headers;
	}
}

static void fetch_set_auth(struct fetch *fetch, const struct fetch_auth *auth) {
	if (!auth) {
		return;
	}
	if (auth->bearer) {
		(void)curl_easy_setopt(fetch->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		(void)curl_easy_setopt(fetch->easy, CURLOPT_XOAUTH2_BEARER, auth->bearer);
	} else if (auth->user) {
		(void)curl_easy_setopt(fetch->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		(void)curl_easy_setopt(fetch->easy, CURLOPT_USERNAME, auth->user);
		(void)curl_easy_setopt(fetch->easy, CURLOPT_PASSWORD, auth->password ? auth->password : "");
	}
}

static void fetch_set_tls(struct fetch *fetch, const struct fetch_options *options) {
	struct url url;
	bool may_be_plain =
		options->is_insecure || (url_parse(slice_of(options->url), &url) && url_is_loopback(&url));
	(void)curl_easy_setopt(
		fetch->easy, CURLOPT_PROTOCOLS_STR, may_be_plain ? "https,http" : "https");
	if (options->ca_file) {
		(void)curl_easy_setopt(fetch->easy, CURLOPT_CAINFO, options->ca_file);
	}
	if (options->is_insecure) {
		(void)curl_easy_setopt(fetch->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)curl_easy_setopt(fetch->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void fetch_set_request(struct fetch *fetch, const struct fetch_options *options) {
	bool has_body = options->body.len > 0;
	(void)curl_easy_setopt(fetch->easy, CURLOPT_URL, options->url);
	if (has_body) {
		fetch->sent_body = mem_strndup(options->body.data, options->body.len);
		(void)curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDS, fetch->sent_body);
		(void)curl_easy_setopt(
			fetch->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)options->body.len);
		fetch_add_header(fetch, "Content-Type", options->content_type);
		fetch_add_header(fetch, "Expect", ""); /* no round trip for a few hundred bytes */
	}
	fetch->may_follow = !has_body; /* a body is for the one that it was meant for */
	if (options->method) {
		(void)curl_easy_setopt(fetch->easy, CURLOPT_CUSTOMREQUEST, options->method);
	}
	fetch_add_header(fetch, "Accept", options->accept);
	fetch_add_header(fetch, "Last-Event-ID", options->last_event_id);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_USERAGENT, "bellwire/" BELLWIRE_VERSION);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_NOSIGNAL, 1L);
	if (!fetch->fetcher->use_proxy) {
		(void)curl_easy_setopt(fetch->easy, CURLOPT_PROXY, "");
	}
	(void)curl_easy_setopt(fetch->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_MS);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
	if (options->timeout_ms == 0) {
		(void)curl_easy_setopt(fetch->easy, CURLOPT_TCP_KEEPALIVE, 1L);
		(void)curl_easy_setopt(fetch->easy, CURLOPT_TCP_KEEPIDLE, (long)FETCH_KEEPALIVE_SEC);
		(void)curl_easy_setopt(fetch->easy, CURLOPT_TCP_KEEPINTVL, (long)FETCH_KEEPALIVE_AGAIN_SEC);
	}
	(void)curl_easy_setopt(fetch->easy, CURLOPT_HEADERFUNCTION, fetch_on_header);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_HEADERDATA, fetch);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_WRITEFUNCTION, fetch_on_body);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_WRITEDATA, fetch);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_ERRORBUFFER, fetch->error);
	(void)curl_easy_setopt(fetch->easy, CURLOPT_PRIVATE, fetch);
}

struct fetch *fetch_start(
	struct fetcher *fetcher, const struct fetch_options *options, fetch_done_fn *done, void *ctx) {
	struct fetch *fetch = mem_zalloc(sizeof *fetch);
	fetch->fetcher = fetcher;
	fetch->opened = options->opened;
	fetch->piece = options->piece;
	fetch->done = done;
	fetch->ctx = ctx;
	fetch->began_ms = clock_mono_ms();
	fetch->timeout_ms = options->timeout_ms;
	fetch->is_insecure = options->is_insecure;
	fetch->first_url = mem_strdup(options->url);
	buffer_init(&fetch->body, options->max_bytes + 1);
	list_append(&fetcher->fetches, &fetch->link);
	fetch->easy = curl_easy_init();
	if (!fetch->easy) {
		log_fatal("libcurl has no handle");
	}
	fetch->tls = fetch_tls_watch(fetch->easy);
	fetch_set_request(fetch, options);
	fetch_set_auth(fetch, options->auth);
	fetch_set_tls(fetch, options);
	if (!fetcher->is_inside) {
		fetch_add(fetch);
	}
	return fetch;
}

void fetch_cancel(struct fetch *fetch) {
	fetch->is_cancelled = true;
	if (!fetch->fetcher->is_inside) {
		fetch_free(fetch);
	}
}
