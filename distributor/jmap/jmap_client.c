/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call at a time: jmap_client_step looks what is missing for the first one that waits (secret,
 * session, its answer), asks for that, and comes again when it is there. Whoever gets a callback
 * may destroy the client, so each is the last thing of its turn.
 */
#include "distributor/jmap/jmap_client.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include "distributor/jmap/secret_text.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What a call that waits gets in place of an answer. */
struct jmap_failure {
	enum jmap_call_outcome outcome;
	char *reason; /* NULL: it has not failed */
	int64_t retry_after_sec;
};

struct jmap_pending {
	struct list link; /* struct jmap_client::waiting */
	struct jmap_call *call;
	bool had_other_secret, had_other_session; /* it is a second attempt */
	struct jmap_failure failure;
	jmap_called_fn *done;
	void *ctx;
};

struct jmap_client {
	struct jmap_client_options options;
	struct list waiting; /* struct jmap_pending::link; the first is under way */
	ev_timer turn; /* of the next step */
	struct fetch_auth auth; /* for requests of another kind */

	char *secret; /* NULL: to be asked for */
	char *refused; /* what the server did not take, until another one is there; NULL: none */
	bool is_asking, lacks_secret;

	struct jmap_session *session;
	bool must_find; /* no call before a fresh session */
	bool may_find; /* an answer told of another session: look, but go on if that fails */
	char *told_state; /* for which it was looked at … */
	int64_t told_boot_ms; /* … and when; 0: never */
	struct jmap_find *find;
	struct jmap_sent *sent;
};

static void jmap_client_step(struct jmap_client *client);
static void jmap_client_on_secret(
	enum credentials_outcome outcome, const char *secret, const char *reason, void *ctx);
static void jmap_client_on_found(const struct jmap_find_result *result, void *ctx);
static void jmap_client_on_called(const struct jmap_call_result *result, void *ctx);

static void jmap_client_go_on(struct jmap_client *client) {
	ev_timer_start(client->options.loop, &client->turn);
}

static struct jmap_pending *jmap_client_first(struct jmap_client *client) {
	return list_first(&client->waiting, struct jmap_pending, link);
}

/* ---- answers ---- */

static void jmap_pending_free(struct jmap_pending *pending) {
	list_remove(&pending->link);
	jmap_call_destroy(pending->call);
	free(pending->failure.reason);
	free(pending);
}

/* Takes it off the list. */
static void jmap_client_answer(struct jmap_client *client, struct jmap_pending *pending,
	const struct jmap_call_result *result) {
	jmap_called_fn *done = pending->done;
	void *ctx = pending->ctx;
	jmap_client_go_on(client);
	jmap_pending_free(pending);
	done(result, ctx);
}

/* All that wait, in their turns. */
static void jmap_client_fail_all(struct jmap_client *client, enum jmap_call_outcome outcome,
	const char *reason, int64_t retry_after_sec) {
	struct jmap_pending *pending;
	LIST_FOREACH (pending, &client->waiting, link) {
		free(pending->failure.reason);
		pending->failure = (struct jmap_failure){outcome, mem_strdup(reason), retry_after_sec};
	}
	client->may_find = false;
	jmap_client_go_on(client);
}

static void jmap_client_answer_failure(struct jmap_client *client, struct jmap_pending *pending) {
	CLEANUP_FREE char *reason = steal(&pending->failure.reason);
	struct jmap_call_result result = {.outcome = pending->failure.outcome,
		.reason = reason,
		.retry_after_sec = pending->failure.retry_after_sec};
	jmap_client_answer(client, pending, &result);
}

/* ---- the secret ---- */

static void jmap_client_drop_secret(struct jmap_client *client) {
	secret_free(steal(&client->secret));
	secret_free(steal(&client->refused));
}

static void jmap_client_set_auth(struct jmap_client *client) {
	const struct jmap_config *config = client->options.config;
	bool is_bearer = config->auth == JMAP_AUTH_BEARER;
	client->auth = is_bearer
					   ? (struct fetch_auth){.bearer = client->secret}
					   : (struct fetch_auth){.user = config->user, .password = client->secret};
}

/* The server did not take the secret. True when the first call is to be tried with another one,
 * which is asked for in the next step. */
static bool jmap_client_try_other_secret(struct jmap_client *client) {
	struct jmap_pending *pending = jmap_client_first(client);
	if (!pending || pending->had_other_secret) {
		jmap_client_drop_secret(client);
		return false;
	}
	pending->had_other_secret = true;
	secret_free(client->refused);
	client->refused = steal(&client->secret);
	jmap_client_go_on(client);
	return true;
}

static void jmap_client_fail_unauthorized(struct jmap_client *client) {
	const struct jmap_config *config = client->options.config;
	CLEANUP_FREE char *reason = mem_printf("the mail server does not take the %s of %s",
		config->auth == JMAP_AUTH_BEARER ? "token" : "password",
		config->user ? config->user : config->name);
	jmap_client_fail_all(client, JMAP_CALL_UNAUTHORIZED, reason, -1);
}

static void jmap_client_on_secret(
	enum credentials_outcome outcome, const char *secret, const char *reason, void *ctx) {
	struct jmap_client *client = ctx;
	client->is_asking = false;
	client->lacks_secret = outcome != CREDENTIALS_FOUND;
	/* the same again is what locks accounts */
	bool is_refused = secret && client->refused && strcmp(client->refused, secret) == 0;
	secret_free(steal(&client->refused));
	if (outcome == CREDENTIALS_FOUND && is_refused) {
		jmap_client_fail_unauthorized(client);
	} else if (outcome == CREDENTIALS_FOUND) {
		client->secret = mem_strdup(secret);
		jmap_client_go_on(client);
	} else {
		jmap_client_fail_all(client,
			outcome == CREDENTIALS_MISSING ? JMAP_CALL_UNAUTHORIZED : JMAP_CALL_TRY_LATER, reason,
			-1);
	}
}

bool jmap_client_awaits_secret(const struct jmap_client *client) {
	return client->is_asking;
}

bool jmap_client_lacks_secret(const struct jmap_client *client) {
	return client->lacks_secret;
}

/* ---- the session ---- */

static bool jmap_session_is_same(const struct jmap_session *a, const struct jmap_session *b) {
	return strcmp(a->state, b->state) == 0 && strcmp(a->url, b->url) == 0 &&
		   strcmp(a->api_url, b->api_url) == 0 &&
		   strcmp(a->event_source_url, b->event_source_url) == 0 &&
		   strcmp(a->vapid_key ? a->vapid_key : "", b->vapid_key ? b->vapid_key : "") == 0;
}

static void jmap_client_find(struct jmap_client *client) {
	const struct jmap_config *config = client->options.config;
	bool is_known = client->session && !client->must_find; /* then it is only looked at */
	jmap_client_set_auth(client);
	struct jmap_find_options options = {.fetcher = client->options.fetcher,
		.loop = client->options.loop,
		.url = is_known ? client->session->url : config->session_url,
		.user = config->user,
		.auth = &client->auth,
		.ca_file = config->ca_file,
		.is_insecure = config->insecure};
	client->find = jmap_find_start(&options, jmap_client_on_found, client);
}

static void jmap_client_take_session(
	struct jmap_client *client, struct jmap_session *take_session) {
	client->must_find = client->may_find = false;
	jmap_client_go_on(client);
	if (client->session && jmap_session_is_same(client->session, take_session)) {
		jmap_session_free(take_session);
		return;
	}
	jmap_session_free(client->session);
	client->session = take_session;
	if (client->options.on_session) {
		client->options.on_session(client->session, client->options.ctx);
	}
}

static enum jmap_call_outcome jmap_client_outcome_of(enum jmap_find_outcome outcome) {
	switch (outcome) {
	case JMAP_UNAUTHORIZED:
		return JMAP_CALL_UNAUTHORIZED;
	case JMAP_LOCKED:
		return JMAP_CALL_LOCKED;
	case JMAP_NOT_FOUND: /* it was there when the login was made: a network's login page, perhaps */
	case JMAP_FOUND:
	case JMAP_TRY_LATER:
		break;
	}
	return JMAP_CALL_TRY_LATER;
}

static void jmap_client_on_found(const struct jmap_find_result *result, void *ctx) {
	struct jmap_client *client = ctx;
	bool is_needed = !client->session || client->must_find;
	client->find = NULL;
	if (result->outcome == JMAP_FOUND) {
		jmap_client_take_session(client, result->session);
		return;
	}
	if (result->outcome == JMAP_UNAUTHORIZED && jmap_client_try_other_secret(client)) {
		return;
	}
	client->may_find = false;
	if (is_needed) {
		jmap_client_fail_all(client, jmap_client_outcome_of(result->outcome), result->reason,
			result->retry_after_sec);
	} else {
		log_debug("jmap", "session not looked at anew login=%s reason=\"%s\"",
			client->options.config->name, result->reason);
		jmap_client_go_on(client);
	}
}

/* ---- calls ---- */

static void jmap_client_send_first(struct jmap_client *client, struct jmap_pending *pending) {
	const struct jmap_config *config = client->options.config;
	jmap_client_set_auth(client);
	struct fetch_options how = {
		.auth = &client->auth, .ca_file = config->ca_file, .is_insecure = config->insecure};
	client->sent = jmap_call_send(jmap_call_copy(pending->call), client->options.fetcher,
		client->session, &how, jmap_client_on_called, client);
}

/* The API is not where the session said. */
static bool jmap_client_has_moved(const struct jmap_call_result *result) {
	return result->status == 404 || result->status == 410 ||
		   (result->status >= 300 && result->status < 400);
}

/* RFC 8620 3.4: another state than the session's, looked at once for each. One that comes too soon
 * is told by a later answer again. */
static void jmap_client_hear_state(struct jmap_client *client, struct slice state) {
	int64_t now_ms = clock_boot_ms();
	bool is_early = client->told_boot_ms > 0 && now_ms - client->told_boot_ms < JMAP_CLIENT_LOOK_MS;
	if (state.len > 0 && !is_early && !slice_equals(state, client->session->state) &&
		!(client->told_state && slice_equals(state, client->told_state))) {
		free(client->told_state);
		client->told_state = mem_strndup(state.data, state.len);
		client->told_boot_ms = now_ms;
		client->may_find = true;
	}
}

static void jmap_client_on_called(const struct jmap_call_result *result, void *ctx) {
	struct jmap_client *client = ctx;
	struct jmap_pending *pending = jmap_client_first(client);
	assert(pending);
	client->sent = NULL;
	if (result->outcome == JMAP_CALL_UNAUTHORIZED && jmap_client_try_other_secret(client)) {
		return;
	}
	if (jmap_client_has_moved(result) && !pending->had_other_session) {
		pending->had_other_session = true;
		client->must_find = true;
		jmap_client_go_on(client);
		return;
	}
	if (result->outcome == JMAP_CALL_OK) {
		jmap_client_hear_state(client, result->session_state);
	}
	jmap_client_answer(client, pending, result);
}

static void jmap_client_step(struct jmap_client *client) {
	struct jmap_pending *pending = jmap_client_first(client);
	if (client->is_asking || client->find || client->sent) {
		return; /* its callback leads on */
	}
	if (pending && pending->failure.reason) {
		jmap_client_answer_failure(client, pending);
	} else if (!pending && !client->may_find) {
		return;
	} else if (!client->secret) {
		client->is_asking = true;
		credentials_get(
			client->options.credentials, client->options.config, jmap_client_on_secret, client);
	} else if (!client->session || client->must_find || client->may_find) {
		jmap_client_find(client);
	} else {
		jmap_client_send_first(client, pending);
	}
}

static void jmap_client_on_turn(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	jmap_client_step(timer->data);
}

/* ---- from outside ---- */

struct jmap_client *jmap_client_create(const struct jmap_client_options *options) {
	struct jmap_client *client = mem_zalloc(sizeof *client);
	client->options = *options;
	list_init(&client->waiting);
	ev_timer_init(&client->turn, jmap_client_on_turn, 0., 0.);
	client->turn.data = client;
	return client;
}

/* What is asked for now is asked for no more. */
static void jmap_client_stop(struct jmap_client *client) {
	credentials_cancel(client->options.credentials, client);
	client->is_asking = false;
	jmap_find_cancel(steal(&client->find));
}

void jmap_client_destroy(struct jmap_client *client) {
	if (!client) {
		return;
	}
	struct jmap_pending *pending;
	jmap_client_stop(client);
	jmap_sent_cancel(client->sent);
	while ((pending = jmap_client_first(client))) {
		jmap_pending_free(pending);
	}
	ev_timer_stop(client->options.loop, &client->turn);
	jmap_client_drop_secret(client);
	jmap_session_free(client->session);
	free(client->told_state);
	free(client);
}

const struct jmap_session *jmap_client_session(const struct jmap_client *client) {
	return client->session;
}

void jmap_client_forget(struct jmap_client *client) {
	jmap_client_stop(client);
	jmap_client_drop_secret(client);
	client->must_find = true;
	jmap_client_go_on(client);
}

void jmap_client_look(struct jmap_client *client) {
	client->may_find = true;
	jmap_client_go_on(client);
}

void jmap_client_send(
	struct jmap_client *client, struct jmap_call *take_call, jmap_called_fn *done, void *ctx) {
	struct jmap_pending *pending = mem_zalloc(sizeof *pending);
	pending->call = take_call;
	pending->done = done;
	pending->ctx = ctx;
	list_init(&pending->link);
	list_append(&client->waiting, &pending->link);
	jmap_client_go_on(client);
}

void jmap_client_cancel(struct jmap_client *client, void *ctx) {
	struct jmap_pending *pending, *next;
	LIST_FOREACH_SAFE (pending, next, &client->waiting, link) {
		if (pending->ctx == ctx) {
			if (pending == jmap_client_first(client)) {
				jmap_sent_cancel(steal(&client->sent));
			}
			jmap_pending_free(pending);
		}
	}
	jmap_client_go_on(client);
}

bool jmap_client_fill(struct jmap_client *client, struct fetch_options *options) {
	if (!client->session || !client->secret) {
		return false;
	}
	jmap_client_set_auth(client);
	options->auth = &client->auth;
	options->ca_file = client->options.config->ca_file;
	options->is_insecure = client->options.config->insecure;
	return true;
}
