/* SPDX-License-Identifier: Apache-2.0 */
/* Names and pieces of messages that looking up and storing share. */
#pragma once
#include "distributor/jmap/secret_service.h"

#define SECRETS_NAME "org.freedesktop.secrets"
#define SECRETS_PATH "/org/freedesktop/secrets"
#define SECRETS_SERVICE "org.freedesktop.Secret.Service"
#define SECRETS_COLLECTION "org.freedesktop.Secret.Collection"
#define SECRETS_ITEM "org.freedesktop.Secret.Item"
#define SECRETS_SESSION "org.freedesktop.Secret.Session"
#define SECRETS_PROMPT "org.freedesktop.Secret.Prompt"
#define SECRETS_SCHEMA "org.bellwire.Login"

/* A call of the service's own object; negative errno. */
int secrets_call_new(struct sd_bus *bus, const char *path, const char *interface,
	const char *method, sd_bus_message **out_call);
/* The attributes that name a login's secret, as a{ss}; with_schema for storing: looking up leaves
 * it out, so that what `secret-tool store application bellwire login NAME` put there is found, too.
 */
int secrets_append_attributes(sd_bus_message *message, const char *name, bool with_schema);
/* There is no such service, and none can be started. */
bool secrets_error_means_none(const sd_bus_error *error);
/* A sentence about it, fresh. */
char *secrets_error_dup(const sd_bus_error *error);
