/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners on the bus, and the calls that hand them pushes. */
#include "distributor/bus/listeners.h"
#include "common/autopush.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/bus/control.h"
#include "distributor/bus/dict.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LISTENERS_MAX = 32, LISTENER_TIMEOUT_USEC = 30 * 1000000 };

struct listener {
	struct list link; /* struct listeners::all, newest first, but silent ones last */
	struct listeners *listeners;
	char *connection, *name;
	sd_bus_slot *left;
};

/* A call that awaits its answer, or one that is answered in the next turn of the loop. */
struct listener_call {
	struct list link; /* struct listeners::calls */
	struct listeners *listeners;
	sd_bus_slot *slot;
	char *connection; /* of the listener that was called; NULL: none was */
	struct alarm later;
	enum dispatch_outcome outcome;
	dispatch_done_fn *done;
	void *ctx;
};

struct listeners {
	struct sd_bus *sd;
	struct alarms *alarms;
	struct dispatch *dispatch;
	struct list all; /* struct listener::link; the first that fits is called */
	struct list calls; /* struct listener_call::link */
	uint32_t count;
};

/* ---- calls ---- */

static void listener_call_finish(struct listener_call *call, enum dispatch_outcome outcome) {
	dispatch_done_fn *done = call->done;
	void *ctx = call->ctx;
	list_remove(&call->link);
	alarm_stop(&call->later);
	sd_bus_slot_unref(call->slot);
	free(call->connection);
	free(call);
	done(outcome, ctx);
}

static void listener_call_on_later(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct listener_call *call = ctx;
	listener_call_finish(call, call->outcome);
}

static struct listener_call *listener_call_create(
	struct listeners *listeners, dispatch_done_fn *done, void *done_ctx) {
	struct listener_call *call = mem_zalloc(sizeof *call);
	call->listeners = listeners;
	call->done = done;
	call->ctx = done_ctx;
	alarm_init(&call->later, listeners->alarms, listener_call_on_later, call);
	list_append(&listeners->calls, &call->link);
	return call;
}

static void listener_call_answer_later(struct listener_call *call, enum dispatch_outcome outcome) {
	call->outcome = outcome;
	alarm_set(&call->later, 0, 0);
}

/* The next attempt goes to the others. */
static void listeners_put_last(struct listeners *listeners, const char *connection) {
	struct listener *listener, *next;
	struct list silent;
	list_init(&silent);
	LIST_FOREACH_SAFE (listener, next, &listeners->all, link) {
		if (strcmp(listener->connection, connection) == 0) {
			list_remove(&listener->link);
			list_append(&silent, &listener->link);
		}
	}
	while ((listener = list_first(&silent, struct listener, link))) {
		list_remove(&listener->link);
		list_append(&listeners->all, &listener->link);
	}
}

static int listener_call_on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
	struct listener_call *call = userdata;
	(void)error;
	bool is_error = sd_bus_message_is_method_error(reply, NULL) > 0;
	if (is_error) {
		listeners_put_last(call->listeners, call->connection);
	}
	listener_call_finish(call, is_error ? DISPATCH_NO_ANSWER : DISPATCH_TAKEN);
	return 1;
}

static int listener_append(sd_bus_message *out, const struct message *message) {
	CLEANUP_FREE uint8_t *plain = NULL;
	size_t bytes = 0;
	const char *reason = "";
	bool is_decrypted = message_decrypt(message, &plain, &bytes, &reason);
	int result = sd_bus_message_open_container(out, 'a', "{sv}");
	result = result < 0 ? result : dict_text(out, "name", message->registration->token);
	result = result < 0 ? result : dict_text(out, "id", message->id);
	result = result < 0 ? result : dict_text(out, "urgency", urgency_name(message->urgency));
	result = result < 0 ? result : dict_text(out, "topic", message->topic);
	result = result < 0 ? result : dict_text(out, "encoding", message->encoding);
	result = result < 0 ? result : dict_number(out, "received_ms", message->received_ms);
	result = result < 0 ? result : dict_bool(out, "decrypted", is_decrypted);
	if (!is_decrypted) {
		result = result < 0 ? result : dict_text(out, "reason", reason);
	}
	result = result < 0		? result
			 : is_decrypted ? dict_bytes(out, "data", plain, bytes)
							: dict_bytes(out, "data", message->body, message->bytes);
	return result < 0 ? result : sd_bus_message_close_container(out);
}

static int listener_push(
	const struct listener *listener, const struct message *message, struct listener_call *call) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *out = NULL;
	int result = sd_bus_message_new_method_call(listener->listeners->sd, &out, listener->connection,
		CONTROL_LISTENER_PATH, CONTROL_LISTENER_INTERFACE, "Push");
	result = result < 0 ? result : listener_append(out, message);
	return result < 0 ? result
					  : sd_bus_call_async(listener->listeners->sd, &call->slot, out,
							listener_call_on_reply, call, LISTENER_TIMEOUT_USEC);
}

/* ---- who listens ---- */

static void listener_free(struct listener *listener) {
	list_remove(&listener->link);
	listener->listeners->count--;
	sd_bus_slot_unref(listener->left);
	free(listener->connection);
	free(listener->name);
	free(listener);
}

/* ---- the dispatch target ---- */

static void listeners_announce(
	const struct registration *registration, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	(void)registration; /* whoever wants to know asks for it */
	listener_call_answer_later(listener_call_create(ctx, done, done_ctx), DISPATCH_TAKEN);
}

static void listeners_deliver(
	const struct message *message, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	struct listeners *listeners = ctx;
	struct listener_call *call = listener_call_create(listeners, done, done_ctx);
	const struct listener *listener;
	LIST_FOREACH (listener, &listeners->all, link) {
		if (listener->name[0] == '\0' ||
			strcmp(listener->name, message->registration->token) == 0) {
			call->connection = mem_strdup(listener->connection);
			int result = listener_push(listener, message, call);
			if (result < 0) {
				log_warn("a listener cannot be called error=\"%s\"", strerror(-result));
				listener_call_answer_later(call, DISPATCH_NO_ANSWER);
			}
			return;
		}
	}
	listener_call_answer_later(call, DISPATCH_ABSENT);
}

/* Who listens to it alone would wait in vain. */
static void listeners_dismiss(const struct registration *registration, bool by_app, void *ctx) {
	(void)by_app;
	struct listeners *listeners = ctx;
	struct listener *listener, *next;
	LIST_FOREACH_SAFE (listener, next, &listeners->all, link) {
		if (strcmp(listener->name, registration->token) == 0) {
			(void)sd_bus_call_method_async(listeners->sd, NULL, listener->connection,
				CONTROL_LISTENER_PATH, CONTROL_LISTENER_INTERFACE, "Ended", NULL, NULL, "s",
				listener->name); /* or it has left */
			listener_free(listener);
		}
	}
}

static const struct dispatch_target listeners_target = {
	.announce = listeners_announce,
	.deliver = listeners_deliver,
	.dismiss = listeners_dismiss,
};

/* ---- those who come and go ---- */

static int listener_on_left(sd_bus_message *message, void *userdata, sd_bus_error *error) {
	(void)message;
	(void)error;
	listener_free(userdata);
	return 0;
}

static void listeners_wake(struct listeners *listeners, const char *name) {
	if (name[0]) {
		dispatch_service_appeared(listeners->dispatch, REGISTRATION_NAMED, name);
	} else {
		dispatch_kind_appeared(listeners->dispatch, REGISTRATION_NAMED);
	}
}

void listeners_add(struct listeners *listeners, const char *connection, const char *name) {
	if (listeners->count >= LISTENERS_MAX) {
		listener_free(container_of(listeners->all.prev, struct listener, link));
	}
	struct listener *listener = mem_zalloc(sizeof *listener);
	CLEANUP_FREE char *match =
		mem_printf("type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
				   "member='NameOwnerChanged',arg0='%s'",
			connection);
	listener->listeners = listeners;
	listener->connection = mem_strdup(connection);
	listener->name = mem_strdup(name);
	list_prepend(&listeners->all, &listener->link);
	listeners->count++;
	int result = sd_bus_add_match_async(
		listeners->sd, &listener->left, match, listener_on_left, NULL, listener);
	if (result < 0) {
		log_warn("a listener cannot be watched error=\"%s\"", strerror(-result));
	}
	log_debug("bus", "listener added name=%s", name);
	listeners_wake(listeners, name);
}

struct listeners *listeners_create(
	struct sd_bus *sd, struct alarms *alarms, struct dispatch *dispatch) {
	struct listeners *listeners = mem_zalloc(sizeof *listeners);
	listeners->sd = sd;
	listeners->alarms = alarms;
	listeners->dispatch = dispatch;
	list_init(&listeners->all);
	list_init(&listeners->calls);
	dispatch_set_target(dispatch, REGISTRATION_NAMED, &listeners_target, listeners);
	return listeners;
}

void listeners_destroy(struct listeners *listeners) {
	if (!listeners) {
		return;
	}
	struct listener_call *call;
	dispatch_set_target(listeners->dispatch, REGISTRATION_NAMED, NULL, NULL);
	while ((call = list_first(&listeners->calls, struct listener_call, link))) {
		listener_call_finish(call, DISPATCH_SHUTDOWN);
	}
	struct listener *listener;
	while ((listener = list_first(&listeners->all, struct listener, link))) {
		listener_free(listener);
	}
	free(listeners);
}
