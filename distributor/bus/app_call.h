/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Register or Unregister of an app, whatever the version: checks what it says and who says it,
 * asks the core, answers. The caller may leave meanwhile; what it asked for is done all the same.
 */
#pragma once
#include "distributor/bus/connector.h"
#include "distributor/bus/names.h"
#include "distributor/bus/senders.h"
#include "distributor/bus/unifiedpush.h"

/* The inside of unifiedpush.c, as far as calls of apps need it. */
struct unifiedpush {
	struct unifiedpush_options options;
	struct sd_bus *sd;
	struct names *names;
	struct senders *senders;
	struct connectors *connectors;
	struct list calls; /* struct app_call::link: not yet answered */
	sd_bus_slot *version_1, *version_2;
	struct alarm survey; /* which apps are still installed */
	bool is_named;
};

/* Sends the answer to a Register in the words of its version; detail is never NULL. */
typedef int app_call_answer_fn(
	sd_bus_message *message, enum register_outcome outcome, const char *detail);

struct app_register {
	int version;
	struct slice token, service, description, vapid_key; /* as they came; empty: not given */
	app_call_answer_fn *answer;
};

/* Negative, and the error is set, when the caller calls too often: nothing is to be done. */
int app_call_admit(struct unifiedpush *unifiedpush, sd_bus_message *message, enum sender_call call,
	sd_bus_error *error);
/* The answer is sent now or later. */
void app_call_register(
	struct unifiedpush *unifiedpush, sd_bus_message *message, const struct app_register *request);
void app_call_unregister(
	struct unifiedpush *unifiedpush, sd_bus_message *message, struct slice token);
/* The name of a service that asks, watched; others that are of no use are forgotten at times. */
struct name *unifiedpush_watch(struct unifiedpush *unifiedpush, const char *service);
/* Answers all that wait: we end. */
void app_calls_shutdown(struct unifiedpush *unifiedpush);

/* distributor_v1.c, distributor_v2.c; their userdata is a struct unifiedpush. */
extern const sd_bus_vtable distributor_v1_vtable[], distributor_v2_vtable[];
