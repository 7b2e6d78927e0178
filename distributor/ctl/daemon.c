/* SPDX-License-Identifier: Apache-2.0 */
/* The tool's side of the management interface. */
#include "distributor/ctl/daemon.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/bus/control.h"
#include "distributor/ctl/commands.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { DAEMON_TIMEOUT_USEC = 30 * 1000000, DAEMON_VERDICT_USEC = 130 * 1000000 };

int daemon_open(sd_bus **out_bus) {
	int result = sd_bus_open_user_with_description(out_bus, "bellwire");
	if (result < 0) {
		return command_fail("there is no session bus (%s); run this inside your session, or set "
							"DBUS_SESSION_BUS_ADDRESS",
			strerror(-result));
	}
	return COMMAND_OK;
}

int daemon_fail_absent(void) {
	return command_fail("the distributor does not run; start it with: systemctl --user enable "
						"--now bellwire-distributor");
}

static int daemon_explain(const sd_bus_error *error, int result) {
	if (sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
		sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
		return daemon_fail_absent();
	}
	if (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY)) {
		return command_fail("the distributor does not answer; see: systemctl --user status "
							"bellwire-distributor");
	}
	if (sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_METHOD) ||
		sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT)) {
		return command_fail("the distributor that runs is of another version; restart it: "
							"systemctl --user restart bellwire-distributor");
	}
	if (result == -ENOTCONN || result == -ECONNRESET || result == -EPIPE) {
		return command_fail("the session bus does not serve us: %s", strerror(-result));
	}
	return command_fail("%s", error->message ? error->message : strerror(-result));
}

static int daemon_callv(sd_bus *bus, const char *method, uint64_t timeout_usec,
	sd_bus_message **out_reply, const char *types, va_list args) {
	CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int result = sd_bus_message_new_method_call(
		bus, &call, CONTROL_NAME, CONTROL_PATH, CONTROL_INTERFACE, method);
	result = result < 0 || !types ? result : sd_bus_message_appendv(call, types, args);
	result = result < 0 ? result : sd_bus_call(bus, call, timeout_usec, &error, out_reply);
	return result < 0 ? daemon_explain(&error, result) : COMMAND_OK;
}

int daemon_call(
	sd_bus *bus, const char *method, sd_bus_message **out_reply, const char *types, ...) {
	va_list args;
	va_start(args, types);
	int result = daemon_callv(bus, method, DAEMON_TIMEOUT_USEC, out_reply, types, args);
	va_end(args);
	return result;
}

int daemon_tell(const char *method, const char *types, ...) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	va_list args;
	int result = daemon_open(&bus);
	if (result == COMMAND_OK) {
		va_start(args, types);
		result = daemon_callv(bus, method, DAEMON_TIMEOUT_USEC, NULL, types, args);
		va_end(args);
	}
	return result;
}

static int daemon_call_slowly(
	sd_bus *bus, const char *method, sd_bus_message **out_reply, const char *types, ...) {
	va_list args;
	va_start(args, types);
	int result = daemon_callv(bus, method, DAEMON_VERDICT_USEC, out_reply, types, args);
	va_end(args);
	return result;
}

int daemon_ask_verdict(
	const char *method, const char *argument, bool *out_is_good, char **out_sentence) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *sentence;
	int is_good, result = daemon_open(&bus);
	result = result != COMMAND_OK ? result : daemon_call_slowly(bus, method, &reply, "s", argument);
	if (result != COMMAND_OK) {
		return result;
	}
	if (sd_bus_message_read(reply, "bs", &is_good, &sentence) <= 0) {
		return command_fail("the distributor's answer makes no sense");
	}
	*out_is_good = is_good;
	*out_sentence = mem_strdup(sentence);
	return COMMAND_OK;
}

/* ---- dictionaries ---- */

static int daemon_read_bytes(sd_bus_message *message, json_t *dict, const char *key) {
	const void *data;
	size_t bytes;
	int result = sd_bus_message_read_array(message, 'y', &data, &bytes);
	if (result < 0) {
		return result;
	}
	json_t *text = json_stringn(bytes > 0 ? data : "", bytes);
	if (text) {
		(void)json_object_set_new(dict, key, text);
		return 0;
	}
	char name[64];
	CLEANUP_FREE char *encoded = base64url_print(data, bytes);
	(void)snprintf(name, sizeof name, "%s_base64", key);
	(void)json_object_set_new(dict, name, json_string(encoded));
	return 0;
}

static int daemon_read_variant(sd_bus_message *message, json_t *dict, const char *key) {
	const char *type, *text;
	int64_t number;
	int flag, result = sd_bus_message_peek_type(message, NULL, &type);
	if (result < 0) {
		return result;
	}
	switch (type[0]) {
	case 's':
		result = sd_bus_message_read(message, "v", "s", &text);
		return result < 0 ? result : json_object_set_new(dict, key, json_string(text));
	case 'x':
		result = sd_bus_message_read(message, "v", "x", &number);
		return result < 0 ? result : json_object_set_new(dict, key, json_integer(number));
	case 'b':
		result = sd_bus_message_read(message, "v", "b", &flag);
		return result < 0 ? result : json_object_set_new(dict, key, json_boolean(flag));
	case 'a':
		result = sd_bus_message_enter_container(message, 'v', "ay");
		result = result < 0 ? result : daemon_read_bytes(message, dict, key);
		return result < 0 ? result : sd_bus_message_exit_container(message);
	default:
		return sd_bus_message_skip(message, "v");
	}
}

json_t *daemon_read_dict(sd_bus_message *message) {
	json_t *dict = json_object();
	const char *key;
	int result = sd_bus_message_enter_container(message, 'a', "{sv}");
	while (result >= 0 && (result = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
		result = sd_bus_message_read_basic(message, 's', &key);
		result = result < 0 ? result : daemon_read_variant(message, dict, key);
		result = result < 0 ? result : sd_bus_message_exit_container(message);
	}
	result = result < 0 ? result : sd_bus_message_exit_container(message);
	if (result < 0) {
		json_decref(dict);
		return NULL;
	}
	return dict;
}

json_t *daemon_read_dicts(sd_bus_message *message) {
	json_t *list = json_array(), *dict = NULL;
	int result = sd_bus_message_enter_container(message, 'a', "a{sv}");
	while (result >= 0 && sd_bus_message_at_end(message, false) == 0) {
		dict = daemon_read_dict(message);
		result = dict ? json_array_append_new(list, dict) : -EBADMSG;
	}
	result = result < 0 ? result : sd_bus_message_exit_container(message);
	if (result < 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

int daemon_ask(const char *method, json_t **out_answer) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int result = daemon_open(&bus);
	result = result != COMMAND_OK ? result : daemon_call(bus, method, &reply, NULL);
	if (result != COMMAND_OK) {
		return result;
	}
	bool is_list = strcmp(sd_bus_message_get_signature(reply, true), "aa{sv}") == 0;
	*out_answer = is_list ? daemon_read_dicts(reply) : daemon_read_dict(reply);
	return *out_answer ? COMMAND_OK : command_fail("the distributor's answer makes no sense");
}

const char *daemon_text(const json_t *dict, const char *key) {
	const char *text = json_string_value(json_object_get(dict, key));
	return text ? text : "";
}

int64_t daemon_number(const json_t *dict, const char *key) {
	return json_integer_value(json_object_get(dict, key));
}

bool daemon_bool(const json_t *dict, const char *key) {
	return json_is_true(json_object_get(dict, key));
}
