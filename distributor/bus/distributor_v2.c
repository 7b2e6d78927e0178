/* SPDX-License-Identifier: Apache-2.0 */
/* org.unifiedpush.Distributor2: one dictionary in, one out. Unknown keys count as absent. */
#include "common/cleanup.h"
#include "distributor/bus/app_call.h"
#include <errno.h>
#include <string.h>

struct distributor_v2_argument {
	const char *key;
	struct slice value; /* empty: not given */
	bool is_given;
};

static struct distributor_v2_argument *distributor_v2_find(
	struct distributor_v2_argument *arguments, size_t count, const char *key) {
	for (size_t i = 0; i < count; i++) {
		if (strcmp(arguments[i].key, key) == 0) {
			return &arguments[i];
		}
	}
	return NULL;
}

/* One entry of the dictionary. -EBADMSG: a known key of another type than text, or one twice. */
static int distributor_v2_read_entry(
	sd_bus_message *message, struct distributor_v2_argument *arguments, size_t count) {
	const char *key, *type, *value;
	int result = sd_bus_message_read_basic(message, 's', &key);
	if (result < 0) {
		return result;
	}
	struct distributor_v2_argument *argument = distributor_v2_find(arguments, count, key);
	if (!argument) {
		return sd_bus_message_skip(message, "v");
	}
	result = sd_bus_message_peek_type(message, NULL, &type);
	if (result < 0) {
		return result;
	}
	if (strcmp(type, "s") != 0 || argument->is_given) {
		return -EBADMSG;
	}
	result = sd_bus_message_read(message, "v", "s", &value);
	if (result >= 0) {
		argument->is_given = true;
		argument->value = slice_of(value);
	}
	return result;
}

static int distributor_v2_read(sd_bus_message *message, struct distributor_v2_argument *arguments,
	size_t count, sd_bus_error *error) {
	int result = sd_bus_message_enter_container(message, 'a', "{sv}");
	while (result >= 0 && (result = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
		result = distributor_v2_read_entry(message, arguments, count);
		if (result >= 0) {
			result = sd_bus_message_exit_container(message);
		}
	}
	if (result < 0) {
		return sd_bus_error_set(
			error, SD_BUS_ERROR_INVALID_ARGS, "Each key may come once, and must hold a string");
	}
	return 0;
}

static int distributor_v2_append(
	sd_bus_message *reply, enum register_outcome outcome, const char *detail) {
	int result = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (result >= 0) {
		result = sd_bus_message_append(reply, "{sv}", "success", "s",
			outcome == REGISTER_OK ? "REGISTRATION_SUCCEEDED" : "REGISTRATION_FAILED");
	}
	if (result >= 0 && outcome != REGISTER_OK) {
		result =
			sd_bus_message_append(reply, "{sv}", "reason", "s", register_outcome_name(outcome));
	}
	if (result >= 0 && *detail) {
		result = sd_bus_message_append(reply, "{sv}", "detail", "s", detail);
	}
	return result < 0 ? result : sd_bus_message_close_container(reply);
}

static int distributor_v2_answer(
	sd_bus_message *message, enum register_outcome outcome, const char *detail) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	if (sd_bus_message_get_expect_reply(message) == 0) {
		return 0;
	}
	int result = sd_bus_message_new_method_return(message, &reply);
	if (result >= 0) {
		result = distributor_v2_append(reply, outcome, detail);
	}
	return result < 0 ? result : sd_bus_send(NULL, reply, NULL);
}

static int distributor_v2_handle_register(
	sd_bus_message *message, void *userdata, sd_bus_error *error) {
	int result = app_call_admit(userdata, message, SENDER_REGISTER, error);
	if (result < 0) {
		return result;
	}
	enum { SERVICE, TOKEN, DESCRIPTION, VAPID, COUNT };
	struct distributor_v2_argument arguments[COUNT] = {
		[SERVICE] = {.key = "service"},
		[TOKEN] = {.key = "token"},
		[DESCRIPTION] = {.key = "description"},
		[VAPID] = {.key = "vapid"},
	};
	result = distributor_v2_read(message, arguments, COUNT, error);
	if (result < 0) {
		return result;
	}
	const struct app_register request = {
		.version = 2,
		.token = arguments[TOKEN].value,
		.service = arguments[SERVICE].value,
		.description = arguments[DESCRIPTION].value,
		.vapid_key = arguments[VAPID].value,
		.answer = distributor_v2_answer,
	};
	app_call_register(userdata, message, &request);
	return 1;
}

static int distributor_v2_handle_unregister(
	sd_bus_message *message, void *userdata, sd_bus_error *error) {
	int result = app_call_admit(userdata, message, SENDER_UNREGISTER, error);
	if (result < 0) {
		return result;
	}
	struct distributor_v2_argument token = {.key = "token"};
	result = distributor_v2_read(message, &token, 1, error);
	if (result < 0) {
		return result;
	}
	if (!token.is_given) {
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The token is missing");
	}
	/* Before the Unregistered that follows. */
	(void)sd_bus_reply_method_return(message, "a{sv}", 0);
	app_call_unregister(userdata, message, token.value);
	return 1;
}

const sd_bus_vtable distributor_v2_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Register", SD_BUS_ARGS("a{sv}", args), SD_BUS_RESULT("a{sv}", res),
		distributor_v2_handle_register, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Unregister", SD_BUS_ARGS("a{sv}", args), SD_BUS_RESULT("a{sv}", res),
		distributor_v2_handle_unregister, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
