/* SPDX-License-Identifier: Apache-2.0 */
/* Joins the bus side of UnifiedPush to the core: name, object, dispatch target, apps that come and
 * go. */
#include "distributor/bus/unifiedpush.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/bus/app_call.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNIFIEDPUSH_PATH "/org/unifiedpush/Distributor"

enum {
	UNIFIEDPUSH_SURVEY_MS = 24 * 60 * 60 * 1000,
	UNIFIEDPUSH_NAMES_SPARE = 256, /* of services that asked and have no registration */
};

/* ---- dispatch target --------------------------------------------------------------------------
 */

static bool unifiedpush_must_start(const struct registration *registration, void *ctx) {
	return !unifiedpush_sees(ctx, registration->service);
}

static void unifiedpush_announce(
	const struct registration *registration, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	struct unifiedpush *unifiedpush = ctx;
	connectors_announce(unifiedpush->connectors, registration, done, done_ctx);
}

static void unifiedpush_deliver(
	const struct message *message, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	struct unifiedpush *unifiedpush = ctx;
	connectors_deliver(unifiedpush->connectors, message, done, done_ctx);
}

static void unifiedpush_dismiss(const struct registration *registration, bool by_app, void *ctx) {
	struct unifiedpush *unifiedpush = ctx;
	connectors_dismiss(unifiedpush->connectors, registration, by_app);
}

/* Apps have no way to be told of lost messages; their senders know. */
static const struct dispatch_target unifiedpush_target = {
	.must_start = unifiedpush_must_start,
	.announce = unifiedpush_announce,
	.deliver = unifiedpush_deliver,
	.dismiss = unifiedpush_dismiss,
};

/* ---- apps that come and go --------------------------------------------------------------------
 */

static void unifiedpush_on_appeared(struct name *name, void *ctx) {
	struct unifiedpush *unifiedpush = ctx;
	registrations_note_service(unifiedpush->options.registrations, name->text, true);
	dispatch_service_appeared(unifiedpush->options.dispatch, REGISTRATION_APP, name->text);
}

/* A well-known name may be started again: whether it can be is for the next survey. */
static void unifiedpush_on_left(struct name *name, void *ctx) {
	struct unifiedpush *unifiedpush = ctx;
	if (name->text[0] == ':') {
		registrations_service_left(unifiedpush->options.registrations, name->text);
	}
}

/* Marks what the registrations name, and forgets the rest. */
static void unifiedpush_sweep_names(struct unifiedpush *unifiedpush) {
	struct registrations *registrations = unifiedpush->options.registrations;
	const struct registration *at;
	for (at = NULL; (at = registrations_next(registrations, at));) {
		struct name *name =
			at->kind == REGISTRATION_APP ? names_find(unifiedpush->names, at->service) : NULL;
		if (name) {
			name->is_kept = true;
		}
	}
	struct name *name; /* connections that may wait for an endpoint; the bus bounds them */
	for (name = NULL; (name = names_next(unifiedpush->names, name));) {
		name->is_kept = name->is_kept || (name->text[0] == ':' && name->is_running);
	}
	names_sweep(unifiedpush->names);
}

struct name *unifiedpush_watch(struct unifiedpush *unifiedpush, const char *service) {
	uint32_t most =
		2 * registrations_count(unifiedpush->options.registrations) + UNIFIEDPUSH_NAMES_SPARE;
	if (names_count(unifiedpush->names) >= most) {
		unifiedpush_sweep_names(unifiedpush);
	}
	return names_watch(unifiedpush->names, service);
}

static void unifiedpush_on_surveyed(void *ctx) {
	struct unifiedpush *unifiedpush = ctx;
	unifiedpush_sweep_names(unifiedpush);
	struct name *name;
	for (name = NULL; (name = names_next(unifiedpush->names, name));) {
		if (name->is_known && name->text[0] != ':') {
			registrations_note_service(unifiedpush->options.registrations, name->text,
				name->is_running || name->is_activatable);
		}
	}
}

static const struct names_events unifiedpush_names_events = {
	.appeared = unifiedpush_on_appeared,
	.left = unifiedpush_on_left,
	.surveyed = unifiedpush_on_surveyed,
};

static void unifiedpush_survey(struct unifiedpush *unifiedpush) {
	struct registrations *registrations = unifiedpush->options.registrations;
	const struct registration *at;
	for (at = NULL; (at = registrations_next(registrations, at));) {
		if (at->kind == REGISTRATION_APP) {
			(void)names_watch(unifiedpush->names, at->service);
		}
	}
	names_survey(unifiedpush->names);
	alarm_set(&unifiedpush->survey, UNIFIEDPUSH_SURVEY_MS, ALARM_SLACK_CARE_MS);
}

static void unifiedpush_on_survey_due(struct alarm *alarm, void *ctx) {
	(void)alarm;
	unifiedpush_survey(ctx);
}

/* ---- lifetime ---------------------------------------------------------------------------------
 */

static int unifiedpush_export(struct unifiedpush *unifiedpush) {
	int result = sd_bus_add_object_vtable(unifiedpush->sd, &unifiedpush->version_2,
		UNIFIEDPUSH_PATH, "org.unifiedpush.Distributor2", distributor_v2_vtable, unifiedpush);
	if (result < 0) {
		return result;
	}
	return sd_bus_add_object_vtable(unifiedpush->sd, &unifiedpush->version_1, UNIFIEDPUSH_PATH,
		"org.unifiedpush.Distributor1", distributor_v1_vtable, unifiedpush);
}

/* Apps introspect and register the moment the name is there, so everything else is ready by then.
 * Without queue and without replacement: there is one distributor of this name, or none. */
static int unifiedpush_take_name(struct unifiedpush *unifiedpush) {
	int result = sd_bus_request_name(unifiedpush->sd, UNIFIEDPUSH_NAME, 0);
	if (result >= 0) {
		unifiedpush->is_named = true;
	}
	return result < 0 ? result : 0;
}

int unifiedpush_open(const struct unifiedpush_options *options, struct unifiedpush **out) {
	struct unifiedpush *unifiedpush = mem_zalloc(sizeof *unifiedpush);
	unifiedpush->options = *options;
	unifiedpush->sd = bus_get(options->bus);
	list_init(&unifiedpush->calls);
	alarm_init(&unifiedpush->survey, options->alarms, unifiedpush_on_survey_due, unifiedpush);
	unifiedpush->names = names_create(unifiedpush->sd, &unifiedpush_names_events, unifiedpush);
	unifiedpush->senders = senders_create(unifiedpush->sd);
	unifiedpush->connectors =
		connectors_create(unifiedpush->sd, options->alarms, unifiedpush->names);
	int result = unifiedpush_export(unifiedpush);
	if (result >= 0) {
		result = unifiedpush_take_name(unifiedpush);
	}
	if (result < 0) {
		unifiedpush_close(unifiedpush);
		return result;
	}
	dispatch_set_target(options->dispatch, REGISTRATION_APP, &unifiedpush_target, unifiedpush);
	unifiedpush_survey(unifiedpush);
	*out = unifiedpush;
	return 0;
}

bool unifiedpush_sees(const struct unifiedpush *unifiedpush, const char *service) {
	const struct name *name = unifiedpush ? names_find(unifiedpush->names, service) : NULL;
	return name && name->is_running;
}

void unifiedpush_close(struct unifiedpush *unifiedpush) {
	if (!unifiedpush) {
		return;
	}
	if (unifiedpush->is_named) {
		dispatch_set_target(unifiedpush->options.dispatch, REGISTRATION_APP, NULL, NULL);
		/* No answer is waited for; the name goes with the connection at the latest. */
		(void)sd_bus_release_name_async(unifiedpush->sd, NULL, UNIFIEDPUSH_NAME, NULL, NULL);
	}
	sd_bus_slot_unref(unifiedpush->version_1);
	sd_bus_slot_unref(unifiedpush->version_2);
	alarm_stop(&unifiedpush->survey);
	app_calls_shutdown(unifiedpush);
	connectors_destroy(unifiedpush->connectors);
	senders_destroy(unifiedpush->senders);
	names_destroy(unifiedpush->names);
	free(unifiedpush);
}
