/* SPDX-License-Identifier: Apache-2.0 */
/* org.bellwire.Distributor: the object, its methods and properties. */
#include "distributor/bus/control.h"
#include "common/autopush.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/bus/control_internal.h"
#include "distributor/bus/control_jmap.h"
#include "distributor/bus/control_report.h"
#include "distributor/bus/listeners.h"
#include "distributor/bus/rules.h"
#include "distributor/bus/sandbox.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CONTROL_NAME_LENGTH_MAX = 64 };
#define CONTROL_NO_SUCH "org.bellwire.Error.NoSuchRegistration"

/* ---- who may ---- */

/* Negative, with the error set, for callers inside of a sandbox, and for those that have left: what
 * they were cannot be seen any more. */
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
	if (sandbox.is_sandboxed || sandbox.is_hidden) {
		return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
			sandbox.is_hidden ? "the caller has left, so who it was cannot be told"
							  : "the management interface is not for sandboxed apps");
	}
	return 0;
}

/* ---- one call ---- */

struct control_method {
	const char *name;
	control_run_fn *run;
	control_report_fn *report; /* instead: fills the answer */
};
static const struct control_method *control_method_find(const char *name);

void control_on_saved(int result, void *ctx) {
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

static int control_run(struct control *control, const struct control_method *method,
	sd_bus_message *call, sd_bus_error *error) {
	int result = method->run(control, call, error);
	if (result == CONTROL_CHANGED) {
		distributor_save(control->options.distributor, control_on_saved, sd_bus_message_ref(call));
	}
	return result == CONTROL_DONE ? sd_bus_reply_method_return(call, NULL) : result;
}

static int control_report(
	struct control *control, const struct control_method *method, sd_bus_message *call) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int result = sd_bus_message_new_method_return(call, &reply);
	result = result < 0 ? result : method->report(reply, control);
	return result < 0 ? result : sd_bus_message_send(reply);
}

static int control_on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct control *control = userdata;
	const struct control_method *method = control_method_find(sd_bus_message_get_member(call));
	int result = control_admit(call, error);
	if (result < 0) {
		return result;
	}
	return method->run ? control_run(control, method, call, error)
					   : control_report(control, method, call);
}

struct control_pending *control_pend(
	struct control *control, sd_bus_message *call, sd_bus_error *error) {
	if (control->pending_count >= CONTROL_PENDING_MAX) {
		(void)sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many at once");
		return NULL;
	}
	struct control_pending *pending = mem_zalloc(sizeof *pending);
	pending->control = control;
	pending->call = sd_bus_message_ref(call);
	list_init(&pending->link);
	list_append(&control->pending, &pending->link);
	control->pending_count++;
	return pending;
}

bool control_is_awaited(const struct control_pending *pending) {
	return pending->control != NULL;
}

void control_pending_free(struct control_pending *pending) {
	if (pending->control) {
		pending->control->pending_count--;
	}
	list_remove(&pending->link);
	sd_bus_message_unref(pending->call);
	free(pending);
}

/* ---- reports ---- */

static int control_status(sd_bus_message *reply, const struct control *control) {
	return control_report_status(reply, control->options.distributor);
}

static int control_list(sd_bus_message *reply, const struct control *control) {
	return control_report_list(reply, control->options.distributor);
}

static int control_log(sd_bus_message *reply, const struct control *control) {
	return control_report_log(reply, control->options.history);
}

/* ---- registrations of the user's own ---- */

/* Numbers alone are those of `bellwire apps`. */
static bool control_name_is_valid(const char *name) {
	size_t len = strlen(name);
	return len > 0 && len <= CONTROL_NAME_LENGTH_MAX && strspn(name, "0123456789") < len &&
		   strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static int control_answer_register(sd_bus_message *call, enum register_outcome outcome,
	const struct registration *registration, const char *detail) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	if (outcome != REGISTER_OK) {
		return sd_bus_reply_method_errorf(call, "org.bellwire.Error.NotRegistered", "%s",
			detail[0] ? detail : register_outcome_name(outcome));
	}
	int result = sd_bus_message_new_method_return(call, &reply);
	result = result < 0 ? result : control_report_keys(reply, registration);
	return result < 0 ? result : sd_bus_message_send(reply);
}

static void control_on_registered(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx) {
	struct control_pending *pending = ctx;
	if (control_is_awaited(pending)) {
		int result = control_answer_register(pending->call, outcome, registration, detail);
		if (result < 0) {
			log_warn("a Register is not answered error=\"%s\"", strerror(-result));
		}
	}
	control_pending_free(pending);
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

static int control_register(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	char key[REGISTRATION_VAPID_LENGTH + 1];
	const char *name;
	int result = sd_bus_message_read(call, "s", &name);
	result = result < 0 ? result : control_read_vapid(call, key, error);
	if (result < 0) {
		return result;
	}
	if (!control_name_is_valid(name)) {
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
			"a name is 1 to 64 letters, digits, dots, dashes and underscores, and no number alone");
	}
	struct control_pending *pending = control_pend(control, call, error);
	if (!pending) {
		return -sd_bus_error_get_errno(error);
	}
	struct register_request request = {.kind = REGISTRATION_NAMED,
		.token = slice_of(name),
		.service = slice_of(name),
		.vapid_key = slice_of(key)};
	registrations_register(distributor_registrations(control->options.distributor), &request,
		control_on_registered, pending);
	return CONTROL_LATER;
}

/* The one whose number comes next in the call. */
static int control_read_registration(struct control *control, sd_bus_message *call,
	sd_bus_error *error, const struct registration **out_registration) {
	uint32_t number;
	int result = sd_bus_message_read(call, "u", &number);
	if (result < 0) {
		return result;
	}
	const struct registration *registration =
		registrations_find_number(distributor_registrations(control->options.distributor), number);
	if (!registration) {
		return sd_bus_error_setf(
			error, CONTROL_NO_SUCH, "there is no registration %u; see: bellwire apps", number);
	}
	*out_registration = registration;
	return 0;
}

static int control_unregister(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	const struct registration *registration;
	int result = control_read_registration(control, call, error, &registration);
	if (result < 0) {
		return result;
	}
	if (registration->kind == REGISTRATION_HOOK) {
		return sd_bus_error_set(error, SD_BUS_ERROR_NOT_SUPPORTED,
			"a hook goes when its section leaves the configuration");
	}
	if (registration->kind == REGISTRATION_MAIL) {
		return sd_bus_error_setf(error, SD_BUS_ERROR_NOT_SUPPORTED,
			"this is the push URL of a mail login; see: bellwire jmap remove %s",
			registration->token);
	}
	(void)registrations_unregister(distributor_registrations(control->options.distributor),
		registration->kind, slice_of(registration->token), false); /* it is there */
	return CONTROL_CHANGED;
}

static int control_block(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	const struct registration *registration;
	int is_blocked;
	int result = control_read_registration(control, call, error, &registration);
	result = result < 0 ? result : sd_bus_message_read(call, "b", &is_blocked);
	if (result < 0) {
		return result;
	}
	registrations_set_blocked(distributor_registrations(control->options.distributor),
		registration->number, is_blocked != 0);
	return CONTROL_CHANGED;
}

static int control_listen(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	const char *name;
	int result = sd_bus_message_read(call, "s", &name);
	if (result < 0) {
		return result;
	}
	if (name[0] && !registrations_find(distributor_registrations(control->options.distributor),
					   REGISTRATION_NAMED, slice_of(name))) {
		return sd_bus_error_setf(error, CONTROL_NO_SUCH,
			"nothing is registered as %s; see: bellwire register --help", name);
	}
	result = sd_bus_reply_method_return(call, NULL); /* before the first push */
	if (result >= 0) {
		listeners_add(control->listeners, sd_bus_message_get_sender(call), name);
	}
	return result < 0 ? result : CONTROL_LATER;
}

/* ---- the link ---- */

static int control_pause(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	(void)call;
	(void)error;
	distributor_pause(control->options.distributor, true);
	return CONTROL_CHANGED;
}

static int control_resume(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	(void)call;
	(void)error;
	distributor_pause(control->options.distributor, false);
	return CONTROL_CHANGED;
}

static int control_reconnect(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	(void)call;
	struct link_status link;
	control_link_status(control->options.distributor, &link);
	if (link.state == LINK_STOPPED) {
		return sd_bus_error_set(error, "org.bellwire.Error.Stopped", link.reason);
	}
	distributor_hint(control->options.distributor, LINK_HINT_NOW);
	return CONTROL_DONE;
}

static int control_move(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	CLEANUP_FREE char *problem = NULL;
	const char *url;
	int result = sd_bus_message_read(call, "s", &url);
	if (result < 0) {
		return result;
	}
	if (!distributor_move(control->options.distributor, url, &problem)) {
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, problem);
	}
	return CONTROL_CHANGED;
}

static const struct control_method control_methods[] = {
	{.name = "Status", .report = control_status},
	{.name = "List", .report = control_list},
	{.name = "Log", .report = control_log},
	{.name = "Register", .run = control_register},
	{.name = "Unregister", .run = control_unregister},
	{.name = "Block", .run = control_block},
	{.name = "Listen", .run = control_listen},
	{.name = "Pause", .run = control_pause},
	{.name = "Resume", .run = control_resume},
	{.name = "Reconnect", .run = control_reconnect},
	{.name = "Move", .run = control_move},
	{.name = "JmapReload", .run = control_jmap_reload},
	{.name = "JmapList", .report = control_jmap_list},
	{.name = "JmapTest", .run = control_jmap_test},
	{.name = "JmapPause", .run = control_jmap_pause},
	{.name = "JmapRemove", .run = control_jmap_remove},
};

static const struct control_method *control_method_find(const char *name) {
	size_t i = 0;
	while (strcmp(control_methods[i].name, name) != 0) {
		i++;
		assert(
			i < sizeof control_methods / sizeof *control_methods); /* the vtable names no other */
	}
	return &control_methods[i];
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
		control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("List", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", registrations),
		control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Log", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", events), control_on_call,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Register", SD_BUS_ARGS("s", name, "a{sv}", options),
		SD_BUS_RESULT("a{sv}", registration), control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Unregister", SD_BUS_ARGS("u", number), SD_BUS_NO_RESULT,
		control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Block", SD_BUS_ARGS("u", number, "b", blocked), SD_BUS_NO_RESULT,
		control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Listen", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, control_on_call,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Pause", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Reconnect", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Move", SD_BUS_ARGS("s", url), SD_BUS_NO_RESULT, control_on_call,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("JmapReload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, control_on_call,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("JmapList", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", logins),
		control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("JmapTest", SD_BUS_ARGS("s", name),
		SD_BUS_RESULT("b", good, "s", sentence), control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("JmapPause", SD_BUS_ARGS("s", name, "b", paused), SD_BUS_NO_RESULT,
		control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("JmapRemove", SD_BUS_ARGS("s", name),
		SD_BUS_RESULT("b", good, "s", sentence), control_on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("JmapChanged", "", 0),
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

void control_jmap_changed(struct control *control) {
	if (control) {
		(void)sd_bus_emit_signal(
			control->sd, CONTROL_PATH, CONTROL_INTERFACE, "JmapChanged", NULL); /* as above */
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
	struct control_pending *pending, *next;
	LIST_FOREACH_SAFE (pending, next, &control->pending, link) {
		pending->control = NULL; /* freed when the core answers */
		list_remove(&pending->link);
	}
	listeners_destroy(control->listeners);
	sd_bus_slot_unref(control->object);
	free(control);
}
