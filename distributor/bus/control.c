/* SPDX-License-Identifier: Apache-2.0 */
/* org.bellwire.Distributor: the object, its methods and properties. */
#include "distributor/bus/control.h"
#include "common/autopush.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/bus/control_report.h"
#include "distributor/bus/listeners.h"
#include "distributor/bus/rules.h"
#include "distributor/bus/sandbox.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CONTROL_PENDING_MAX = 64, CONTROL_NAME_LENGTH_MAX = 64 };

struct control {
	struct control_options options;
	struct sd_bus *sd;
	sd_bus_slot *object;
	struct listeners *listeners;
	struct list pending; /* struct control_register::link */
	uint32_t pending_count;
	bool is_named;
};

/* A Register that waits for its endpoint. */
struct control_register {
	struct list link; /* struct control::pending */
	struct control *control; /* NULL: we end */
	sd_bus_message *call;
};

/* ---- who may ---- */

/* Negative, with the error set, for callers inside of a sandbox. */
static int control_admit(sd_bus_message *message, sd_bus_error *error) {
	sd_bus_creds *creds = NULL;
	const char *label = NULL;
	pid_t pid = 0;
	struct sandbox sandbox;
	if (sd_bus_query_sender_creds(
			message, SD_BUS_CREDS_PID | SD_BUS_CREDS_SELINUX_CONTEXT, &creds) >= 0) {
		(void)sd_bus_creds_get_pid(creds, &pid); /* unknown ones stay zero */
		(void)sd_bus_creds_get_selinux_context(creds, &label);
	}
	sandbox_look(pid, slice_of(label), &sandbox);
	sd_bus_creds_unref(creds);
	if (sandbox.is_sandboxed) {
		return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
			"the management interface is not for sandboxed apps");
	}
	return 0;
}

/* ---- changes ---- */

static void control_on_saved(int result, void *ctx) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = ctx;
	if (result < 0) {
		result = sd_bus_reply_method_errorf(call, "org.bellwire.Error.NotSaved",
			"it is done, but forgotten at the next start: the state cannot be written (%s)",
			strerror(-result));
	} else {
		result = sd_bus_reply_method_return(call, NULL);
	}
	if (result < 0) {
		log_debug("bus", "a caller is not answered error=\"%s\"", strerror(-result));
	}
}

/* What was changed is on the disk before anyone is told. */
static int control_reply_saved(struct control *control, sd_bus_message *call) {
	distributor_save(control->options.distributor, control_on_saved, sd_bus_message_ref(call));
	return 1;
}

/* ---- reports ---- */

static int control_reply(sd_bus_message *call, sd_bus_message **out_reply) {
	return sd_bus_message_new_method_return(call, out_reply);
}

static int control_on_status(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int result = control_admit(call, error);
	result = result < 0 ? result : control_reply(call, &reply);
	result = result < 0 ? result : control_report_status(reply, control->options.distributor);
	return result < 0 ? result : sd_bus_message_send(reply);
}

static int control_on_list(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int result = control_admit(call, error);
	result = result < 0 ? result : control_reply(call, &reply);
	result = result < 0 ? result : control_report_list(reply, control->options.distributor);
	return result < 0 ? result : sd_bus_message_send(reply);
}

static int control_on_log(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int result = control_admit(call, error);
	result = result < 0 ? result : control_reply(call, &reply);
	result = result < 0 ? result : control_report_log(reply, control->options.history);
	return result < 0 ? result : sd_bus_message_send(reply);
}

/* ---- registrations of the user's own ---- */

static bool control_name_is_valid(const char *name) {
	size_t len = strlen(name);
	return len > 0 && len <= CONTROL_NAME_LENGTH_MAX &&
		   strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static int control_answer_register(sd_bus_message *call, enum register_outcome outcome,
	const struct registration *registration, const char *detail) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	if (outcome != REGISTER_OK) {
		return sd_bus_reply_method_errorf(call, "org.bellwire.Error.NotRegistered", "%s%s%s",
			register_outcome_name(outcome), detail[0] ? ": " : "", detail);
	}
	int result = control_reply(call, &reply);
	result = result < 0 ? result : control_report_keys(reply, registration);
	return result < 0 ? result : sd_bus_message_send(reply);
}

static void control_on_registered(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx) {
	struct control_register *pending = ctx;
	if (pending->control) {
		int result = control_answer_register(pending->call, outcome, registration, detail);
		if (result < 0) {
			log_warn("a Register is not answered error=\"%s\"", strerror(-result));
		}
		pending->control->pending_count--;
	}
	list_remove(&pending->link);
	sd_bus_message_unref(pending->call);
	free(pending);
}

/* The key of the options; empty when not given. Negative when what was given is no key. */
static int control_read_vapid(
	sd_bus_message *call, char out_key[REGISTRATION_VAPID_LENGTH + 1], sd_bus_error *error) {
	const char *key, *value = NULL;
	out_key[0] = '\0';
	int result = sd_bus_message_enter_container(call, 'a', "{sv}");
	while (result >= 0 && (result = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
		result = sd_bus_message_read_basic(call, 's', &key);
		if (result >= 0 && strcmp(key, "vapid") == 0) {
			result = sd_bus_message_read(call, "v", "s", &value);
		} else if (result >= 0) {
			result = sd_bus_message_skip(call, "v");
		}
		result = result < 0 ? result : sd_bus_message_exit_container(call);
	}
	if (result >= 0 && value && !rules_vapid_normalise(slice_of(value), out_key)) {
		return sd_bus_error_set(
			error, SD_BUS_ERROR_INVALID_ARGS, "the VAPID key is no point of P-256 in base64url");
	}
	return result;
}

static int control_on_register(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	char key[REGISTRATION_VAPID_LENGTH + 1];
	const char *name;
	int result = control_admit(call, error);
	result = result < 0 ? result : sd_bus_message_read(call, "s", &name);
	result = result < 0 ? result : control_read_vapid(call, key, error);
	if (result < 0) {
		return result;
	}
	if (!control_name_is_valid(name)) {
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
			"a name is 1 to 64 letters, digits, dots, dashes and underscores");
	}
	if (control->pending_count >= CONTROL_PENDING_MAX) {
		return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many at once");
	}
	struct control_register *pending = mem_zalloc(sizeof *pending);
	pending->control = control;
	pending->call = sd_bus_message_ref(call);
	list_append(&control->pending, &pending->link);
	control->pending_count++;
	struct register_request request = {.kind = REGISTRATION_NAMED,
		.token = slice_of(name),
		.service = slice_of(name),
		.vapid_key = slice_of(key)};
	registrations_register(distributor_registrations(control->options.distributor), &request,
		control_on_registered, pending);
	return 1;
}

static const struct registration *control_read_number(
	struct control *control, sd_bus_message *call, sd_bus_error *error, int *out_result) {
	uint32_t number;
	*out_result = control_admit(call, error);
	*out_result = *out_result < 0 ? *out_result : sd_bus_message_read(call, "u", &number);
	if (*out_result < 0) {
		return NULL;
	}
	const struct registration *registration =
		registrations_find_number(distributor_registrations(control->options.distributor), number);
	if (!registration) {
		*out_result = sd_bus_error_setf(
			error, "org.bellwire.Error.NoSuchRegistration", "there is no registration %u", number);
	}
	return registration;
}

static int control_on_unregister(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	int result;
	const struct registration *registration = control_read_number(control, call, error, &result);
	if (!registration) {
		return result;
	}
	if (registration->kind == REGISTRATION_HOOK) {
		return sd_bus_error_set(error, SD_BUS_ERROR_NOT_SUPPORTED,
			"a hook goes when its section leaves the configuration");
	}
	(void)registrations_unregister(distributor_registrations(control->options.distributor),
		registration->kind, slice_of(registration->token), false); /* it is there */
	return control_reply_saved(control, call);
}

static int control_on_block(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	int result, is_blocked;
	const struct registration *registration = control_read_number(control, call, error, &result);
	if (!registration) {
		return result;
	}
	result = sd_bus_message_read(call, "b", &is_blocked);
	if (result < 0) {
		return result;
	}
	registrations_set_blocked(distributor_registrations(control->options.distributor),
		registration->number, is_blocked != 0);
	return control_reply_saved(control, call);
}

static int control_on_listen(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	const char *name;
	int result = control_admit(call, error);
	result = result < 0 ? result : sd_bus_message_read(call, "s", &name);
	if (result < 0) {
		return result;
	}
	if (name[0] && !registrations_find(distributor_registrations(control->options.distributor),
					   REGISTRATION_NAMED, slice_of(name))) {
		return sd_bus_error_setf(
			error, "org.bellwire.Error.NoSuchRegistration", "nothing is registered as %s", name);
	}
	result = sd_bus_reply_method_return(call, NULL);
	if (result >= 0) {
		listeners_add(control->listeners, sd_bus_message_get_sender(call), name);
	}
	return result;
}

/* ---- the link ---- */

static int control_on_pause(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	int result = control_admit(call, error);
	if (result < 0) {
		return result;
	}
	distributor_pause(control->options.distributor, true);
	return control_reply_saved(control, call);
}

static int control_on_resume(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	int result = control_admit(call, error);
	if (result < 0) {
		return result;
	}
	distributor_pause(control->options.distributor, false);
	return control_reply_saved(control, call);
}

static int control_on_reconnect(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	int result = control_admit(call, error);
	if (result < 0) {
		return result;
	}
	distributor_hint(control->options.distributor, LINK_HINT_NOW);
	return sd_bus_reply_method_return(call, NULL);
}

static int control_on_move(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	CLEANUP_FREE char *problem = NULL;
	const char *url;
	int result = control_admit(call, error);
	result = result < 0 ? result : sd_bus_message_read(call, "s", &url);
	if (result < 0) {
		return result;
	}
	if (!distributor_move(control->options.distributor, url, &problem)) {
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, problem);
	}
	return control_reply_saved(control, call);
}

/* ---- properties ---- */

static int control_get(sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	const struct distributor *distributor = control->options.distributor;
	struct link_status link;
	char origin[CONTROL_ORIGIN_MAX];
	(void)path;
	(void)interface;
	sd_bus_message *call = sd_bus_get_current_message(bus); /* else it is a signal of ours */
	if (call && sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", NULL) > 0) {
		int result = control_admit(call, error);
		if (result < 0) {
			return result;
		}
	}
	control_link_status(distributor, &link);
	if (strcmp(property, "State") == 0) {
		return sd_bus_message_append(reply, "s", link_state_name(link.state));
	}
	if (strcmp(property, "StateSince") == 0) {
		return sd_bus_message_append(reply, "x", link.since_wall_ms);
	}
	if (strcmp(property, "LastError") == 0) {
		return sd_bus_message_append(reply, "s", link.reason);
	}
	if (strcmp(property, "RelayUrl") == 0) {
		control_relay_origin(distributor, origin);
		return sd_bus_message_append(reply, "s", origin);
	}
	if (strcmp(property, "MinimumUrgency") == 0) {
		return sd_bus_message_append(
			reply, "s", urgency_name(distributor_min_urgency(distributor)));
	}
	if (strcmp(property, "HeartbeatInterval") == 0) {
		return sd_bus_message_append(reply, "x", link.heartbeat_ms);
	}
	if (strcmp(property, "Reconnects") == 0) {
		return sd_bus_message_append(reply, "u", link.reconnects);
	}
	return sd_bus_message_append(reply, "b", (int)distributor_is_paused(distributor));
}

#define CONTROL_PROPERTY(name, type, flags) SD_BUS_PROPERTY(name, type, control_get, 0, flags)

static const sd_bus_vtable control_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Status", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", status),
		control_on_status, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("List", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", registrations),
		control_on_list, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Log", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", events), control_on_log,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Register", SD_BUS_ARGS("s", name, "a{sv}", options),
		SD_BUS_RESULT("a{sv}", registration), control_on_register, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Unregister", SD_BUS_ARGS("u", number), SD_BUS_NO_RESULT,
		control_on_unregister, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Block", SD_BUS_ARGS("u", number, "b", blocked), SD_BUS_NO_RESULT,
		control_on_block, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Listen", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, control_on_listen,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Pause", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, control_on_pause, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, control_on_resume, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Reconnect", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, control_on_reconnect,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Move", SD_BUS_ARGS("s", url), SD_BUS_NO_RESULT, control_on_move,
		SD_BUS_VTABLE_UNPRIVILEGED),
	CONTROL_PROPERTY("State", "s", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	CONTROL_PROPERTY("StateSince", "x", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	CONTROL_PROPERTY("LastError", "s", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	CONTROL_PROPERTY("RelayUrl", "s", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	CONTROL_PROPERTY("MinimumUrgency", "s", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	CONTROL_PROPERTY("HeartbeatInterval", "x", 0),
	CONTROL_PROPERTY("Reconnects", "u", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	CONTROL_PROPERTY("Paused", "b", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_VTABLE_END,
};

/* ---- lifetime ---- */

void control_changed(struct control *control) {
	if (control) {
		/* nobody may watch, and then nothing is sent */
		(void)sd_bus_emit_properties_changed(control->sd, CONTROL_PATH, CONTROL_INTERFACE, "State",
			"StateSince", "LastError", "RelayUrl", "MinimumUrgency", "Reconnects", "Paused", NULL);
	}
}

int control_open(const struct control_options *options, struct control **out_control) {
	struct control *control = mem_zalloc(sizeof *control);
	control->options = *options;
	control->sd = bus_get(options->bus);
	list_init(&control->pending);
	control->listeners =
		listeners_create(control->sd, options->alarms, distributor_dispatch(options->distributor));
	int result = sd_bus_add_object_vtable(
		control->sd, &control->object, CONTROL_PATH, CONTROL_INTERFACE, control_vtable, control);
	if (result >= 0) {
		result = sd_bus_request_name(control->sd, CONTROL_NAME, 0);
	}
	if (result < 0) {
		control_close(control);
		return result;
	}
	control->is_named = true;
	*out_control = control;
	return 0;
}

void control_close(struct control *control) {
	if (!control) {
		return;
	}
	if (control->is_named) {
		(void)sd_bus_release_name(control->sd, CONTROL_NAME); /* we end anyway */
	}
	struct control_register *pending, *next;
	LIST_FOREACH_SAFE (pending, next, &control->pending, link) {
		pending->control = NULL; /* freed when the core answers */
		list_remove(&pending->link);
	}
	listeners_destroy(control->listeners);
	sd_bus_slot_unref(control->object);
	free(control);
}
