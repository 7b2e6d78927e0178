/* SPDX-License-Identifier: Apache-2.0 */
/* The flow of an app's Register, from the bus to the core and back. */
#include "distributor/bus/app_call.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/bus/rules.h"
#include "distributor/bus/sandbox.h"
#include <stdlib.h>
#include <string.h>

struct app_call {
	struct list link; /* struct unifiedpush::calls */
	struct unifiedpush *owner; /* NULL: we ended while the core works on it */
	sd_bus_message *message; /* NULL: answered */
	app_call_answer_fn *answer;
	int version;
	char *token, *service, *description;
	char vapid_key[REGISTRATION_VAPID_LENGTH + 1]; /* "": none */
	bool may_take_over;
	bool is_at_core;
	bool is_unregistered; /* while it was pending: the app gets Unregistered, too */
	struct sender_wait sender;
	struct names_ask ask;
};

static void app_call_identify(struct app_call *call);
static void app_call_on_identified(const struct sandbox *sandbox, void *ctx);
static void app_call_check_service(struct app_call *call);
static void app_call_on_own_name(bool is_present, void *ctx);
static void app_call_on_former_name(bool is_present, void *ctx);
static void app_call_ask_core(struct app_call *call);
static void app_call_on_registered(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx);
static void app_call_finish(
	struct app_call *call, enum register_outcome outcome, const char *detail);

int app_call_admit(struct unifiedpush *unifiedpush, sd_bus_message *message, enum sender_call call,
	sd_bus_error *error) {
	const char *sender = sd_bus_message_get_sender(message);
	bool is_first = false;
	if (sender && senders_admit(unifiedpush->senders, sender, call, &is_first)) {
		return 0;
	}
	if (is_first) {
		log_warn("app calls too often sender=%s", sender);
	}
	return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
		"Too many calls from this connection, try again in some seconds");
}

static const char *app_call_sender(const struct app_call *call) {
	return sd_bus_message_get_sender(call->message);
}

/* "" or the sentence that says what is wrong. */
static const char *app_register_check(
	const struct app_register *request, char out_vapid_key[REGISTRATION_VAPID_LENGTH + 1]) {
	out_vapid_key[0] = '\0';
	if (!rules_token_is_valid(request->token)) {
		return "The token must have 1 to 100 bytes";
	}
	if (!rules_service_is_valid(request->service) ||
		slice_equals(request->service, UNIFIEDPUSH_NAME)) {
		return "The service must be the bus name of the app";
	}
	if (request->vapid_key.len > 0 && !rules_vapid_normalise(request->vapid_key, out_vapid_key)) {
		return "The vapid key must be a P-256 public key, 87 characters of base64url";
	}
	return "";
}

void app_call_register(
	struct unifiedpush *unifiedpush, sd_bus_message *message, const struct app_register *request) {
	char vapid_key[REGISTRATION_VAPID_LENGTH + 1];
	const char *wrong = app_register_check(request, vapid_key);
	if (*wrong) {
		log_info("registration refused sender=%s reason=\"%s\"", sd_bus_message_get_sender(message),
			wrong);
		(void)request->answer(message, REGISTER_INTERNAL_ERROR, wrong); /* or the bus is gone */
		return;
	}
	struct app_call *call = mem_zalloc(sizeof *call);
	call->owner = unifiedpush;
	call->message = sd_bus_message_ref(message);
	call->answer = request->answer;
	call->version = request->version;
	call->token = mem_strndup(request->token.data, request->token.len);
	call->service = mem_strndup(request->service.data, request->service.len);
	call->description = rules_description_clean_dup(request->description);
	memcpy(call->vapid_key, vapid_key, sizeof call->vapid_key);
	list_append(&unifiedpush->calls, &call->link);
	if (unifiedpush->options.used) {
		unifiedpush->options.used(unifiedpush->options.ctx);
	}
	app_call_identify(call);
}

static void app_call_identify(struct app_call *call) {
	call->sender.identified = app_call_on_identified;
	call->sender.ctx = call;
	senders_identify(call->owner->senders, app_call_sender(call), &call->sender);
}

/* A caller that left before the bus could say who it was is taken for one outside of a sandbox:
 * whoever can hide so has the registration of an app that will not know its token. */
static void app_call_on_identified(const struct sandbox *sandbox, void *ctx) {
	struct app_call *call = ctx;
	bool is_sandboxed = sandbox && sandbox->is_sandboxed;
	bool is_itself = strcmp(call->service, app_call_sender(call)) == 0;
	if (is_sandboxed && !is_itself && !sandbox_may_use(sandbox, call->service)) {
		log_warn("registration refused, not the sandbox's own name app=%s service=%s", sandbox->app,
			call->service);
		app_call_finish(call, REGISTER_UNAUTHORIZED,
			"A sandboxed app may register names that begin with its own id only");
		return;
	}
	if (call->owner->options.only_sandboxed && !is_sandboxed) {
		log_info("registration refused, not sandboxed service=%s", call->service);
		app_call_finish(call, REGISTER_UNAUTHORIZED, "Only sandboxed apps are served here");
		return;
	}
	app_call_check_service(call);
}

static void app_call_check_service(struct app_call *call) {
	struct registrations *registrations = call->owner->options.registrations;
	const struct registration *known =
		registrations_find(registrations, REGISTRATION_APP, slice_of(call->token));
	const char *asked = NULL;
	call->ask.ctx = call;
	if (rules_service_is_unique(slice_of(call->service))) {
		asked = call->service; /* it must still be there, and we must see it leave */
		call->ask.answered = app_call_on_own_name;
	} else if (known && strcmp(known->service, call->service) != 0) {
		asked = known->service;
		call->ask.answered = app_call_on_former_name;
	}
	if (!asked) {
		app_call_ask_core(call);
	} else if (names_ask(call->owner->names, asked, &call->ask) < 0) {
		app_call_finish(call, REGISTER_INTERNAL_ERROR, "The bus does not answer");
	}
}

static void app_call_on_own_name(bool is_present, void *ctx) {
	struct app_call *call = ctx;
	if (!is_present) {
		app_call_finish(call, REGISTER_INTERNAL_ERROR, "The service has left the bus");
		return;
	}
	app_call_ask_core(call);
}

/* An app that was renamed brings its token along; nobody else gets it. */
static void app_call_on_former_name(bool is_present, void *ctx) {
	struct app_call *call = ctx;
	call->may_take_over = !is_present;
	app_call_ask_core(call);
}

static void app_call_ask_core(struct app_call *call) {
	struct name *name = unifiedpush_watch(call->owner, call->service);
	if (call->version == 2) {
		name->is_version_1 = false; /* it speaks for itself now */
	}
	const struct register_request request = {
		.kind = REGISTRATION_APP,
		.token = slice_of(call->token),
		.service = slice_of(call->service),
		.description = slice_of(call->description),
		.vapid_key = slice_of(call->vapid_key),
		.version = call->version,
		.may_take_over = call->may_take_over,
	};
	call->is_at_core = true;
	registrations_register(
		call->owner->options.registrations, &request, app_call_on_registered, call);
}

static void app_call_answer(
	struct app_call *call, enum register_outcome outcome, const char *detail) {
	if (call->message) {
		(void)call->answer(call->message, outcome, detail); /* or the bus is gone */
		call->message = sd_bus_message_unref(call->message);
	}
}

static void app_call_on_registered(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx) {
	(void)registration;
	struct app_call *call = ctx;
	struct unifiedpush *owner = call->owner;
	char *service = steal(&call->service);
	app_call_answer(call, outcome, detail);
	if (owner && outcome == REGISTER_OK) {
		/* it is awake: what waits for it need not wait for the next attempt */
		dispatch_service_appeared(owner->options.dispatch, REGISTRATION_APP, service);
	} else if (owner && call->is_unregistered) {
		const struct registration never = {
			.service = service, .token = call->token, .version = call->version};
		connectors_dismiss(owner->connectors, &never, true);
	}
	free(service);
	app_call_finish(call, outcome, detail);
}

static void app_call_finish(
	struct app_call *call, enum register_outcome outcome, const char *detail) {
	app_call_answer(call, outcome, detail);
	list_remove(&call->link);
	sender_wait_cancel(&call->sender);
	names_ask_cancel(&call->ask);
	free(call->token);
	free(call->service);
	free(call->description);
	free(call);
}

/* One of those that wait for the token; more than one Unregistered would confuse. */
static struct app_call *app_call_find_pending(struct unifiedpush *unifiedpush, struct slice token) {
	struct app_call *call;
	LIST_FOREACH (call, &unifiedpush->calls, link) {
		if (call->is_at_core && slice_equals(token, call->token)) {
			return call;
		}
	}
	return NULL;
}

void app_call_unregister(
	struct unifiedpush *unifiedpush, sd_bus_message *message, struct slice token) {
	struct registrations *registrations = unifiedpush->options.registrations;
	const struct registration *registration =
		registrations_find(registrations, REGISTRATION_APP, token);
	struct app_call *pending = app_call_find_pending(unifiedpush, token);
	if (registration) {
		log_info("app unregisters number=%u service=%s sender=%s", registration->number,
			registration->service, sd_bus_message_get_sender(message));
	} else if (pending) {
		pending->is_unregistered = true;
	}
	(void)registrations_unregister(registrations, REGISTRATION_APP, token, true);
}

void app_calls_shutdown(struct unifiedpush *unifiedpush) {
	struct app_call *call;
	while ((call = list_first(&unifiedpush->calls, struct app_call, link))) {
		if (!call->is_at_core) {
			app_call_finish(call, REGISTER_INTERNAL_ERROR, "The distributor ends");
			continue;
		}
		app_call_answer(call, REGISTER_INTERNAL_ERROR, "The distributor ends");
		call->owner = NULL;
		list_remove(&call->link); /* freed when the core has done with it */
	}
}
