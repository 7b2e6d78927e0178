/* SPDX-License-Identifier: Apache-2.0 */
/* Calls apps: builds the message of either version, waits for the return, tells what it means. */
#include "distributor/bus/connector.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include "distributor/bus/dict.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTOR_PATH "/org/unifiedpush/Connector"

struct connectors {
	struct sd_bus *sd;
	struct alarms *alarms;
	struct names *names;
	struct list calls; /* struct connector_call::link */
};

enum connector_method { CONNECTOR_NEW_ENDPOINT, CONNECTOR_MESSAGE, CONNECTOR_UNREGISTERED };
static const char *const connector_members[] = {
	[CONNECTOR_NEW_ENDPOINT] = "NewEndpoint",
	[CONNECTOR_MESSAGE] = "Message",
	[CONNECTOR_UNREGISTERED] = "Unregistered",
};

/* One call to an app, with a second try through version 1 where that may help. */
struct connector_call {
	struct list link; /* struct connectors::calls */
	struct connectors *owner;
	enum connector_method method;
	int version; /* in use */
	bool is_fallback; /* version 1 although it registered with 2 */
	char *service, *token;
	char *endpoint; /* NewEndpoint */
	const struct message *message; /* Message */
	bool by_app; /* Unregistered */
	sd_bus_slot *slot;
	struct alarm later; /* ends a call that could not be made */
	dispatch_done_fn *done; /* NULL: nobody asks */
	void *done_ctx;
};

static void connector_call_send(struct connector_call *call);
static int connector_call_on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error);
static void connector_call_finish(struct connector_call *call, enum dispatch_outcome outcome);

/* ---- messages ---------------------------------------------------------------------------------
 */

static int connector_append_v1(sd_bus_message *out, const struct connector_call *call) {
	switch (call->method) {
	case CONNECTOR_NEW_ENDPOINT:
		return sd_bus_message_append(out, "ss", call->token, call->endpoint);
	case CONNECTOR_UNREGISTERED:
		/* empty: what you asked for; the token: we dropped it */
		return sd_bus_message_append(out, "s", call->by_app ? "" : call->token);
	case CONNECTOR_MESSAGE:
		break;
	}
	int result = sd_bus_message_append(out, "s", call->token);
	if (result >= 0) {
		result = sd_bus_message_append_array(out, 'y', call->message->body, call->message->bytes);
	}
	return result < 0 ? result : sd_bus_message_append(out, "s", call->message->id);
}

static int connector_append_v2(sd_bus_message *out, const struct connector_call *call) {
	const struct message *message = call->message;
	int result = sd_bus_message_open_container(out, SD_BUS_TYPE_ARRAY, "{sv}");
	result = result < 0 ? result : dict_text(out, "token", call->token);
	if (call->method == CONNECTOR_NEW_ENDPOINT) {
		result = result < 0 ? result : dict_text(out, "endpoint", call->endpoint);
	}
	if (call->method == CONNECTOR_MESSAGE) {
		result = result < 0 ? result : dict_bytes(out, "message", message->body, message->bytes);
		result = result < 0 ? result : dict_text(out, "id", message->id);
	}
	return result < 0 ? result : sd_bus_message_close_container(out);
}

static int connector_call_build(const struct connector_call *call, sd_bus_message **out) {
	const char *interface =
		call->version == 1 ? "org.unifiedpush.Connector1" : "org.unifiedpush.Connector2";
	int result = sd_bus_message_new_method_call(call->owner->sd, out, call->service, CONNECTOR_PATH,
		interface, connector_members[call->method]);
	if (result < 0) {
		return result;
	}
	return call->version == 1 ? connector_append_v1(*out, call) : connector_append_v2(*out, call);
}

/* ---- the flow ---------------------------------------------------------------------------------
 */

static void connector_call_on_later(struct alarm *alarm, void *ctx) {
	(void)alarm;
	connector_call_finish(ctx, DISPATCH_NO_ANSWER);
}

static struct connector_call *connector_call_create(struct connectors *owner,
	const struct registration *registration, enum connector_method method, dispatch_done_fn *done,
	void *done_ctx) {
	struct connector_call *call = mem_zalloc(sizeof *call);
	call->owner = owner;
	call->method = method;
	call->service = mem_strdup(registration->service);
	call->token = mem_strdup(registration->token);
	call->version = registration->version;
	call->done = done;
	call->done_ctx = done_ctx;
	if (call->version == 2 && names_watch(owner->names, call->service)->is_version_1) {
		call->version = 1;
		call->is_fallback = true;
	}
	alarm_init(&call->later, owner->alarms, connector_call_on_later, call);
	list_append(&owner->calls, &call->link);
	return call;
}

static void connector_call_send(struct connector_call *call) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *out = NULL;
	const struct name *name = names_watch(call->owner->names, call->service);
	uint64_t timeout_ms = name->is_running ? CONNECTOR_RUNNING_MS : CONNECTOR_START_MS;
	int result = connector_call_build(call, &out);
	if (result >= 0) {
		result = sd_bus_call_async(
			call->owner->sd, &call->slot, out, connector_call_on_reply, call, timeout_ms * 1000);
	}
	if (result < 0) {
		log_warn("app not called service=%s method=%s error=\"%s\"", call->service,
			connector_members[call->method], strerror(-result));
		alarm_set(&call->later, 0, 0);
	}
}

static bool connector_is_unknown(const char *error_name) {
	return strcmp(error_name, SD_BUS_ERROR_UNKNOWN_METHOD) == 0 ||
		   strcmp(error_name, SD_BUS_ERROR_UNKNOWN_INTERFACE) == 0 ||
		   strcmp(error_name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0;
}

static const struct {
	const char *name; /* a '.' at its end: and all below */
	enum dispatch_outcome outcome;
} connector_errors[] = {
	{"org.freedesktop.DBus.Error.ServiceUnknown", DISPATCH_ABSENT},
	{"org.freedesktop.DBus.Error.NameHasNoOwner", DISPATCH_ABSENT},
	{"org.freedesktop.DBus.Error.Spawn.", DISPATCH_ABSENT},
	{"org.freedesktop.systemd1.", DISPATCH_ABSENT}, /* started as a unit, which failed */
	{"org.freedesktop.DBus.Error.AccessDenied", DISPATCH_DENIED},
	{"org.freedesktop.DBus.Error.UnknownObject", DISPATCH_NOT_READY},
	{"org.freedesktop.DBus.Error.UnknownInterface", DISPATCH_NOT_READY},
	{"org.freedesktop.DBus.Error.UnknownMethod", DISPATCH_NOT_READY},
	{"org.freedesktop.DBus.Error.NoReply", DISPATCH_NO_ANSWER},
	{"org.freedesktop.DBus.Error.Timeout", DISPATCH_NO_ANSWER},
	{"org.freedesktop.DBus.Error.TimedOut", DISPATCH_NO_ANSWER},
	{"org.freedesktop.DBus.Error.Disconnected", DISPATCH_NO_ANSWER},
	{"org.freedesktop.DBus.Error.LimitsExceeded", DISPATCH_NO_ANSWER},
	{"org.freedesktop.DBus.Error.NoMemory", DISPATCH_NO_ANSWER},
};

enum dispatch_outcome connector_outcome(const char *error_name, bool is_from_bus) {
	for (size_t i = 0; i < sizeof connector_errors / sizeof connector_errors[0]; i++) {
		const char *name = connector_errors[i].name;
		size_t len = strlen(name);
		bool is_group = name[len - 1] == '.';
		if (is_group ? strncmp(error_name, name, len) == 0 : strcmp(error_name, name) == 0) {
			return connector_errors[i].outcome;
		}
	}
	return is_from_bus ? DISPATCH_ABSENT : DISPATCH_REFUSED;
}

/* What an error teaches about the service, beside the fate of this call. */
static void connector_call_note(const struct connector_call *call, const char *error_name) {
	struct name *name = names_watch(call->owner->names, call->service);
	if (call->is_fallback) {
		name->is_version_1 = false; /* neither works: the next try begins anew */
	}
	if (strcmp(error_name, SD_BUS_ERROR_ACCESS_DENIED) == 0 && !name->is_denial_told) {
		name->is_denial_told = true;
		log_warn("app may not be called, a policy of the bus forbids it service=%s", call->service);
	}
	log_debug("bus", "call failed service=%s method=%s version=%d error=%s", call->service,
		connector_members[call->method], call->version, error_name);
}

static int connector_call_on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
	(void)error;
	struct connector_call *call = userdata;
	call->slot = sd_bus_slot_unref(call->slot);
	const sd_bus_error *failure = sd_bus_message_get_error(reply);
	if (!failure) {
		if (call->is_fallback) {
			names_watch(call->owner->names, call->service)->is_version_1 = true;
		}
		connector_call_finish(call, DISPATCH_TAKEN);
		return 0;
	}
	if (sd_bus_is_open(call->owner->sd) <= 0) {
		connector_call_finish(call, DISPATCH_SHUTDOWN); /* the bus ended, not the app */
		return 0;
	}
	if (call->version == 2 && connector_is_unknown(failure->name)) {
		call->version = 1;
		call->is_fallback = true;
		connector_call_send(call);
		return 0;
	}
	connector_call_note(call, failure->name);
	const char *sender = sd_bus_message_get_sender(reply);
	bool is_from_bus = sender && strcmp(sender, "org.freedesktop.DBus") == 0;
	connector_call_finish(call, connector_outcome(failure->name, is_from_bus));
	return 0;
}

static void connector_call_finish(struct connector_call *call, enum dispatch_outcome outcome) {
	dispatch_done_fn *done = call->done;
	void *done_ctx = call->done_ctx;
	list_remove(&call->link);
	sd_bus_slot_unref(call->slot);
	alarm_stop(&call->later);
	free(call->service);
	free(call->token);
	free(call->endpoint);
	free(call);
	if (done) {
		done(outcome, done_ctx);
	}
}

/* ---- what the target asks for -----------------------------------------------------------------
 */

void connectors_announce(struct connectors *connectors, const struct registration *registration,
	dispatch_done_fn *done, void *done_ctx) {
	struct connector_call *call =
		connector_call_create(connectors, registration, CONNECTOR_NEW_ENDPOINT, done, done_ctx);
	call->endpoint = mem_strdup(registration->endpoint);
	connector_call_send(call);
}

void connectors_deliver(struct connectors *connectors, const struct message *message,
	dispatch_done_fn *done, void *done_ctx) {
	struct connector_call *call =
		connector_call_create(connectors, message->registration, CONNECTOR_MESSAGE, done, done_ctx);
	call->message = message;
	connector_call_send(call);
}

void connectors_dismiss(
	struct connectors *connectors, const struct registration *registration, bool by_app) {
	const struct name *name = names_find(connectors->names, registration->service);
	if (registration->service[0] == ':' && (!name || !name->is_running)) {
		return; /* a connection that ended; nobody ever has its name again */
	}
	struct connector_call *call =
		connector_call_create(connectors, registration, CONNECTOR_UNREGISTERED, NULL, NULL);
	call->by_app = by_app;
	connector_call_send(call);
}

struct connectors *connectors_create(
	struct sd_bus *sd, struct alarms *alarms, struct names *names) {
	struct connectors *connectors = mem_zalloc(sizeof *connectors);
	connectors->sd = sd;
	connectors->alarms = alarms;
	connectors->names = names;
	list_init(&connectors->calls);
	return connectors;
}

void connectors_destroy(struct connectors *connectors) {
	if (!connectors) {
		return;
	}
	struct connector_call *call;
	while ((call = list_first(&connectors->calls, struct connector_call, link))) {
		connector_call_finish(call, DISPATCH_SHUTDOWN);
	}
	free(connectors);
}
