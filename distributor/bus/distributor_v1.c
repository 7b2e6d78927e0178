/* SPDX-License-Identifier: Apache-2.0 */
/* org.unifiedpush.Distributor1, for apps of before 2025: arguments by position, no VAPID key. */
#include "distributor/bus/app_call.h"

static int distributor_v1_answer(
	sd_bus_message *message, enum register_outcome outcome, const char *detail) {
	(void)detail; /* there is no place but for the reason */
	const char *result = outcome == REGISTER_OK ? "REGISTRATION_SUCCEEDED" : "REGISTRATION_FAILED";
	return sd_bus_reply_method_return(message, "ss", result, register_outcome_name(outcome));
}

static int distributor_v1_handle_register(
	sd_bus_message *message, void *userdata, sd_bus_error *error) {
	int result = app_call_admit(userdata, message, SENDER_REGISTER, error);
	if (result < 0) {
		return result;
	}
	const char *service, *token, *description;
	result = sd_bus_message_read(message, "sss", &service, &token, &description);
	if (result < 0) {
		return result;
	}
	const struct app_register request = {
		.version = 1,
		.token = slice_of(token),
		.service = slice_of(service),
		.description = slice_of(description),
		.answer = distributor_v1_answer,
	};
	app_call_register(userdata, message, &request);
	return 1;
}

static int distributor_v1_handle_unregister(
	sd_bus_message *message, void *userdata, sd_bus_error *error) {
	int result = app_call_admit(userdata, message, SENDER_UNREGISTER, error);
	if (result < 0) {
		return result;
	}
	const char *token;
	result = sd_bus_message_read(message, "s", &token);
	if (result < 0) {
		return result;
	}
	/* Before the Unregistered that follows; nothing is sent when the caller wants no reply. */
	(void)sd_bus_reply_method_return(message, "");
	app_call_unregister(userdata, message, slice_of(token));
	return 1;
}

const sd_bus_vtable distributor_v1_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Register", SD_BUS_ARGS("s", serviceName, "s", token, "s", description),
		SD_BUS_RESULT("s", registrationResult, "s", registrationResultReason),
		distributor_v1_handle_register, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Unregister", SD_BUS_ARGS("s", token), SD_BUS_NO_RESULT,
		distributor_v1_handle_unregister,
		SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
	SD_BUS_VTABLE_END,
};
