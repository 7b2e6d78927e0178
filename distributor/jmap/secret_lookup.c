/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_lookup_start -> a session -> the items -> (unlock -> prompt) -> the secret -> finish. Only
 * finish answers.
 */
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/jmap/secret_service_impl.h"
#include "distributor/jmap/secret_text.h"
#include <errno.h>
#include <string.h>

struct secret_lookup {
	struct ev_loop *loop;
	struct sd_bus *bus;
	char *name, *session, *item;
	bool may_prompt;
	int prompt_ms;
	sd_bus_slot *call, *completed; /* what is under way; the prompt's signal */
	ev_timer limit; /* of the prompt; or the turn of a failure at the start */
	secret_looked_fn *done;
	void *ctx;
};

static int secret_lookup_on_session(sd_bus_message *reply, void *ctx, sd_bus_error *error);
static int secret_lookup_on_items(sd_bus_message *reply, void *ctx, sd_bus_error *error);
static int secret_lookup_on_unlocking(sd_bus_message *reply, void *ctx, sd_bus_error *error);
static int secret_lookup_on_prompting(sd_bus_message *reply, void *ctx, sd_bus_error *error);
static int secret_lookup_on_completed(sd_bus_message *signal, void *ctx, sd_bus_error *error);
static int secret_lookup_on_secret(sd_bus_message *reply, void *ctx, sd_bus_error *error);

/* ---- the end ---- */

static void secret_lookup_close_session(struct secret_lookup *lookup) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	if (lookup->session &&
		secrets_call_new(lookup->bus, lookup->session, SECRETS_SESSION, "Close", &call) >= 0) {
		(void)sd_bus_message_set_expect_reply(call, false);
		(void)sd_bus_send(lookup->bus, call, NULL); /* ends with our connection, too */
	}
}

static void secret_lookup_free(struct secret_lookup *lookup) {
	secret_lookup_close_session(lookup);
	ev_timer_stop(lookup->loop, &lookup->limit);
	sd_bus_slot_unref(lookup->call);
	sd_bus_slot_unref(lookup->completed);
	free(lookup->name);
	free(lookup->session);
	free(lookup->item);
	free(lookup);
}

static int secret_lookup_finish(struct secret_lookup *lookup, enum secret_outcome outcome,
	const char *secret, const char *reason) {
	lookup->done(outcome, secret, reason, lookup->ctx);
	secret_lookup_free(lookup);
	return 0;
}

static int secret_lookup_fail(struct secret_lookup *lookup, const sd_bus_error *error) {
	CLEANUP_FREE char *reason = secrets_error_dup(error);
	return secret_lookup_finish(
		lookup, secrets_error_means_none(error) ? SECRET_NO_SERVICE : SECRET_FAILED, NULL, reason);
}

static int secret_lookup_fail_senseless(struct secret_lookup *lookup) {
	return secret_lookup_finish(lookup, SECRET_FAILED, NULL, "the keyring's answer makes no sense");
}

static int secret_lookup_send(
	struct secret_lookup *lookup, sd_bus_message *call, sd_bus_message_handler_t next) {
	lookup->call = sd_bus_slot_unref(lookup->call);
	return sd_bus_call_async(lookup->bus, &lookup->call, call, next, lookup, 0);
}

static int secret_lookup_sent(struct secret_lookup *lookup, int result) {
	CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	if (result >= 0) {
		return 0;
	}
	(void)sd_bus_error_set_errno(&error, result);
	return secret_lookup_fail(lookup, &error);
}

static void secret_lookup_on_limit(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct secret_lookup *lookup = timer->data;
	if (!lookup->completed) {
		(void)secret_lookup_finish(
			lookup, SECRET_NO_SERVICE, NULL, "the session bus cannot be asked for the keyring");
		return;
	}
	(void)secret_lookup_finish(
		lookup, SECRET_LOCKED, NULL, "the keyring is locked, and was not unlocked in time");
}

void secret_lookup_cancel(struct secret_lookup *lookup) {
	if (lookup) {
		secret_lookup_free(lookup);
	}
}

/* ---- a session, the items ---- */

struct secret_lookup *secret_lookup_start(struct ev_loop *loop, struct sd_bus *bus,
	const char *name, bool may_prompt, int prompt_ms, secret_looked_fn *done, void *ctx) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	struct secret_lookup *lookup = mem_zalloc(sizeof *lookup);
	lookup->loop = loop;
	lookup->bus = bus;
	lookup->name = mem_strdup(name);
	lookup->may_prompt = may_prompt;
	lookup->prompt_ms = prompt_ms;
	lookup->done = done;
	lookup->ctx = ctx;
	ev_timer_init(&lookup->limit, secret_lookup_on_limit, 0., 0.);
	lookup->limit.data = lookup;
	int result = secrets_call_new(bus, SECRETS_PATH, SECRETS_SERVICE, "OpenSession", &call);
	result = result < 0 ? result : sd_bus_message_append(call, "sv", "plain", "s", "");
	result = result < 0 ? result : secret_lookup_send(lookup, call, secret_lookup_on_session);
	if (result < 0) {
		ev_timer_start(loop, &lookup->limit);
	}
	return lookup;
}

static int secret_lookup_on_session(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	struct secret_lookup *lookup = ctx;
	const char *session;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		return secret_lookup_fail(lookup, sd_bus_message_get_error(reply));
	}
	if (sd_bus_message_skip(reply, "v") < 0 || sd_bus_message_read(reply, "o", &session) <= 0) {
		return secret_lookup_fail_senseless(lookup);
	}
	lookup->session = mem_strdup(session);
	int result = secrets_call_new(lookup->bus, SECRETS_PATH, SECRETS_SERVICE, "SearchItems", &call);
	result = result < 0 ? result : secrets_append_attributes(call, lookup->name, false);
	result = result < 0 ? result : secret_lookup_send(lookup, call, secret_lookup_on_items);
	return secret_lookup_sent(lookup, result);
}

/* The first path of the array that comes next; "" when it is empty, NULL when there is no array. */
static const char *secret_first_path(sd_bus_message *message) {
	const char *first = "", *path;
	if (sd_bus_message_enter_container(message, 'a', "o") < 0) {
		return NULL;
	}
	while (sd_bus_message_read(message, "o", &path) > 0) {
		first = first[0] ? first : path;
	}
	return sd_bus_message_exit_container(message) < 0 ? NULL : first;
}

static int secret_lookup_ask(struct secret_lookup *lookup) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int result = secrets_call_new(lookup->bus, lookup->item, SECRETS_ITEM, "GetSecret", &call);
	result = result < 0 ? result : sd_bus_message_append(call, "o", lookup->session);
	result = result < 0 ? result : secret_lookup_send(lookup, call, secret_lookup_on_secret);
	return secret_lookup_sent(lookup, result);
}

static int secret_lookup_unlock(struct secret_lookup *lookup) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	if (!lookup->may_prompt) {
		return secret_lookup_finish(lookup, SECRET_LOCKED, NULL,
			"the keyring is locked; unlock it, for instance by logging in to the desktop again");
	}
	int result = secrets_call_new(lookup->bus, SECRETS_PATH, SECRETS_SERVICE, "Unlock", &call);
	result = result < 0 ? result : sd_bus_message_append(call, "ao", 1, lookup->item);
	result = result < 0 ? result : secret_lookup_send(lookup, call, secret_lookup_on_unlocking);
	return secret_lookup_sent(lookup, result);
}

static int secret_lookup_on_items(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct secret_lookup *lookup = ctx;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		return secret_lookup_fail(lookup, sd_bus_message_get_error(reply));
	}
	const char *unlocked = secret_first_path(reply);
	const char *locked = unlocked ? secret_first_path(reply) : NULL;
	if (!locked) {
		return secret_lookup_fail_senseless(lookup);
	}
	if (!unlocked[0] && !locked[0]) {
		return secret_lookup_finish(lookup, SECRET_MISSING, NULL, "the keyring has no such secret");
	}
	lookup->item = mem_strdup(unlocked[0] ? unlocked : locked);
	return unlocked[0] ? secret_lookup_ask(lookup) : secret_lookup_unlock(lookup);
}

/* ---- a locked one ---- */

static int secret_lookup_on_unlocking(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	struct secret_lookup *lookup = ctx;
	const char *prompt;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		return secret_lookup_fail(lookup, sd_bus_message_get_error(reply));
	}
	if (sd_bus_message_skip(reply, "ao") < 0 || sd_bus_message_read(reply, "o", &prompt) <= 0) {
		return secret_lookup_fail_senseless(lookup);
	}
	if (strcmp(prompt, "/") == 0) {
		return secret_lookup_ask(lookup); /* nobody had to be asked */
	}
	int result = sd_bus_match_signal_async(lookup->bus, &lookup->completed, SECRETS_NAME, prompt,
		SECRETS_PROMPT, "Completed", secret_lookup_on_completed, NULL, lookup);
	result = result < 0 ? result
						: secrets_call_new(lookup->bus, prompt, SECRETS_PROMPT, "Prompt", &call);
	result = result < 0 ? result : sd_bus_message_append(call, "s", "");
	result = result < 0 ? result : secret_lookup_send(lookup, call, secret_lookup_on_prompting);
	if (result >= 0) {
		ev_now_update(lookup->loop);
		ev_timer_set(&lookup->limit, (double)lookup->prompt_ms / 1000., 0.);
		ev_timer_start(lookup->loop, &lookup->limit);
	}
	return secret_lookup_sent(lookup, result);
}

static int secret_lookup_on_prompting(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct secret_lookup *lookup = ctx;
	return sd_bus_message_is_method_error(reply, NULL)
			   ? secret_lookup_fail(lookup, sd_bus_message_get_error(reply))
			   : 0;
}

static int secret_lookup_on_completed(sd_bus_message *signal, void *ctx, sd_bus_error *error) {
	(void)error;
	struct secret_lookup *lookup = ctx;
	int is_dismissed;
	if (sd_bus_message_read(signal, "b", &is_dismissed) <= 0) {
		return secret_lookup_fail_senseless(lookup);
	}
	if (is_dismissed) {
		return secret_lookup_finish(
			lookup, SECRET_LOCKED, NULL, "the keyring is locked, and its prompt was dismissed");
	}
	ev_timer_stop(lookup->loop, &lookup->limit);
	return secret_lookup_ask(lookup);
}

/* ---- the secret ---- */

static int secret_lookup_on_secret(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct secret_lookup *lookup = ctx;
	const void *bytes;
	size_t len;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		return secret_lookup_fail(lookup, sd_bus_message_get_error(reply));
	}
	if (sd_bus_message_enter_container(reply, 'r', "oayays") < 0 ||
		sd_bus_message_skip(reply, "oay") < 0 ||
		sd_bus_message_read_array(reply, 'y', &bytes, &len) < 0) {
		return secret_lookup_fail_senseless(lookup);
	}
	char *secret = secret_line_dup((struct slice){bytes, len});
	(void)secret_lookup_finish(lookup, secret ? SECRET_FOUND : SECRET_FAILED, secret,
		secret ? "" : "what the keyring has is no password");
	secret_free(secret);
	return 0;
}
