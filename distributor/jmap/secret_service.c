/* SPDX-License-Identifier: Apache-2.0 */
/* What both halves share, and the blocking half: store and forget. */
#include "distributor/jmap/secret_service.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include "distributor/alarm.h"
#include "distributor/jmap/secret_service_impl.h"
#include <errno.h>
#include <string.h>

enum { SECRETS_PROMPT_MS = 120000 };

/* ---- shared ---- */

int secrets_call_new(struct sd_bus *bus, const char *path, const char *interface,
	const char *method, sd_bus_message **out_call) {
	return sd_bus_message_new_method_call(bus, out_call, SECRETS_NAME, path, interface, method);
}

int secrets_append_attributes(sd_bus_message *message, const char *name, bool with_schema) {
	return with_schema ? sd_bus_message_append(message, "a{ss}", 3, "xdg:schema", SECRETS_SCHEMA,
							 "application", "bellwire", "login", name)
					   : sd_bus_message_append(
							 message, "a{ss}", 2, "application", "bellwire", "login", name);
}

bool secrets_error_means_none(const sd_bus_error *error) {
	return sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
		   sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
		   (error->name && strncmp(error->name, "org.freedesktop.DBus.Error.Spawn.", 33) == 0);
}

char *secrets_error_dup(const sd_bus_error *error) {
	if (secrets_error_means_none(error)) {
		return mem_strdup("there is no keyring (org.freedesktop.secrets) in this session");
	}
	if (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY)) {
		return mem_strdup("the keyring does not answer");
	}
	CLEANUP_FREE char *message = sanitize_dup(
		slice_of(error->message ? error->message : error->name), 200, SANITIZE_ONE_LINE);
	return mem_printf("the keyring refuses: %s", message);
}

/* ---- blocking ---- */

/* A call whose reply is wanted. */
static int secrets_ask(
	struct sd_bus *bus, sd_bus_message *call, sd_bus_message **out_reply, char **out_error) {
	CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int result = sd_bus_call(bus, call, 0, &error, out_reply);
	if (result >= 0) {
		return 0;
	}
	if (!error.name) {
		(void)sd_bus_error_set_errno(&error, result);
	}
	*out_error = secrets_error_dup(&error);
	return secrets_error_means_none(&error) ? -ENOENT : result;
}

struct secrets_prompt {
	bool is_completed, is_dismissed;
};

static int secrets_on_completed(sd_bus_message *signal, void *ctx, sd_bus_error *error) {
	(void)error;
	struct secrets_prompt *prompt = ctx;
	int is_dismissed = true;
	(void)sd_bus_message_read(signal, "b", &is_dismissed); /* senseless: as dismissed */
	prompt->is_completed = true;
	prompt->is_dismissed = is_dismissed;
	return 0;
}

static int secrets_wait(struct sd_bus *bus, const struct secrets_prompt *prompt) {
	int64_t until_ms = clock_mono_ms() + SECRETS_PROMPT_MS;
	while (!prompt->is_completed) {
		int64_t left_ms = until_ms - clock_mono_ms();
		int result = sd_bus_process(bus, NULL);
		if (result == 0 && left_ms > 0) {
			result = sd_bus_wait(bus, (uint64_t)left_ms * 1000);
		}
		if (result < 0 || left_ms <= 0) {
			return result < 0 ? result : -ETIMEDOUT;
		}
	}
	return 0;
}

/* Lets the user answer a prompt; "/" is none. */
static int secrets_prompt(struct sd_bus *bus, const char *path, char **out_error) {
	CLEANUP(sd_bus_slot_unrefp) sd_bus_slot *completed = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct secrets_prompt prompt = {false, false};
	if (strcmp(path, "/") == 0) {
		return 0;
	}
	int result = sd_bus_match_signal(bus, &completed, SECRETS_NAME, path, SECRETS_PROMPT,
		"Completed", secrets_on_completed, &prompt);
	result = result < 0 ? result : secrets_call_new(bus, path, SECRETS_PROMPT, "Prompt", &call);
	result = result < 0 ? result : sd_bus_message_append(call, "s", "");
	result = result < 0 ? result : secrets_ask(bus, call, &reply, out_error);
	result = result < 0 ? result : secrets_wait(bus, &prompt);
	if (result >= 0 && !prompt.is_dismissed) {
		return 0;
	}
	if (!*out_error) {
		*out_error = mem_strdup("the keyring is locked, and was not unlocked");
	}
	return result < 0 ? result : -EACCES;
}

static int secrets_open_session(struct sd_bus *bus, char **out_session, char **out_error) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *session;
	int result = secrets_call_new(bus, SECRETS_PATH, SECRETS_SERVICE, "OpenSession", &call);
	result = result < 0 ? result : sd_bus_message_append(call, "sv", "plain", "s", "");
	result = result < 0 ? result : secrets_ask(bus, call, &reply, out_error);
	result = result < 0 ? result : sd_bus_message_skip(reply, "v");
	result = result < 0 ? result : sd_bus_message_read(reply, "o", &session);
	if (result >= 0) {
		*out_session = mem_strdup(session);
	}
	return result;
}

/* The collection that new secrets go to. */
static int secrets_default(struct sd_bus *bus, char **out_collection, char **out_error) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *path;
	int result = secrets_call_new(bus, SECRETS_PATH, SECRETS_SERVICE, "ReadAlias", &call);
	result = result < 0 ? result : sd_bus_message_append(call, "s", "default");
	result = result < 0 ? result : secrets_ask(bus, call, &reply, out_error);
	result = result < 0 ? result : sd_bus_message_read(reply, "o", &path);
	if (result >= 0 && strcmp(path, "/") == 0) {
		*out_error = mem_strdup("the keyring has no default collection");
		return -ENOENT;
	}
	if (result >= 0) {
		*out_collection = mem_strdup(path);
	}
	return result;
}

static int secrets_unlock(struct sd_bus *bus, const char *path, char **out_error) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *prompt;
	int result = secrets_call_new(bus, SECRETS_PATH, SECRETS_SERVICE, "Unlock", &call);
	result = result < 0 ? result : sd_bus_message_append(call, "ao", 1, path);
	result = result < 0 ? result : secrets_ask(bus, call, &reply, out_error);
	result = result < 0 ? result : sd_bus_message_skip(reply, "ao");
	result = result < 0 ? result : sd_bus_message_read(reply, "o", &prompt);
	return result < 0 ? result : secrets_prompt(bus, prompt, out_error);
}

static int secrets_append_item(sd_bus_message *call, const char *name, const char *label) {
	int result = sd_bus_message_open_container(call, 'a', "{sv}");
	result = result < 0 ? result
						: sd_bus_message_append(call, "{sv}", SECRETS_ITEM ".Label", "s", label);
	result = result < 0 ? result : sd_bus_message_open_container(call, 'e', "sv");
	result = result < 0 ? result : sd_bus_message_append(call, "s", SECRETS_ITEM ".Attributes");
	result = result < 0 ? result : sd_bus_message_open_container(call, 'v', "a{ss}");
	result = result < 0 ? result : secrets_append_attributes(call, name, true);
	result = result < 0 ? result : sd_bus_message_close_container(call);
	result = result < 0 ? result : sd_bus_message_close_container(call);
	return result < 0 ? result : sd_bus_message_close_container(call);
}

static int secrets_append_secret(sd_bus_message *call, const char *session, const char *secret) {
	int result = sd_bus_message_sensitive(call);
	result = result < 0 ? result : sd_bus_message_open_container(call, 'r', "oayays");
	result = result < 0 ? result : sd_bus_message_append(call, "o", session);
	result = result < 0 ? result : sd_bus_message_append_array(call, 'y', NULL, 0);
	result = result < 0 ? result : sd_bus_message_append_array(call, 'y', secret, strlen(secret));
	result = result < 0 ? result : sd_bus_message_append(call, "s", "text/plain; charset=utf8");
	return result < 0 ? result : sd_bus_message_close_container(call);
}

/* An item is replaced when its attributes are the same. */
static int secrets_create(struct sd_bus *bus, const char *collection, const char *session,
	const char *name, const char *label, const char *secret, char **out_error) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *item, *prompt;
	int result = secrets_call_new(bus, collection, SECRETS_COLLECTION, "CreateItem", &call);
	result = result < 0 ? result : secrets_append_item(call, name, label);
	result = result < 0 ? result : secrets_append_secret(call, session, secret);
	result = result < 0 ? result : sd_bus_message_append(call, "b", true);
	result = result < 0 ? result : secrets_ask(bus, call, &reply, out_error);
	result = result < 0 ? result : sd_bus_message_read(reply, "oo", &item, &prompt);
	return result < 0 ? result : secrets_prompt(bus, prompt, out_error);
}

static int secrets_explain(int result, char **out_error) {
	if (result < 0 && !*out_error) {
		*out_error = mem_printf("the keyring cannot be used: %s", strerror(-result));
	}
	return result < 0 ? result : 0;
}

int secret_service_store(
	struct sd_bus *bus, const char *name, const char *label, const char *secret, char **out_error) {
	CLEANUP_FREE char *session = NULL, *collection = NULL;
	*out_error = NULL;
	int result = secrets_open_session(bus, &session, out_error);
	result = result < 0 ? result : secrets_default(bus, &collection, out_error);
	result = result < 0 ? result : secrets_unlock(bus, collection, out_error);
	result = result < 0 ? result
						: secrets_create(bus, collection, session, name, label, secret, out_error);
	return secrets_explain(result, out_error);
}

static int secrets_delete(struct sd_bus *bus, const char *item, char **out_error) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *prompt;
	int result = secrets_call_new(bus, item, SECRETS_ITEM, "Delete", &call);
	result = result < 0 ? result : secrets_ask(bus, call, &reply, out_error);
	result = result < 0 ? result : sd_bus_message_read(reply, "o", &prompt);
	return result < 0 ? result : secrets_prompt(bus, prompt, out_error);
}

/* Each of one of the two lists that SearchItems answers. */
static int secrets_delete_all(
	struct sd_bus *bus, sd_bus_message *found, bool are_locked, size_t *count, char **out_error) {
	const char *item;
	int result = sd_bus_message_enter_container(found, 'a', "o");
	while (result >= 0 && (result = sd_bus_message_read(found, "o", &item)) > 0) {
		result = are_locked ? secrets_unlock(bus, item, out_error) : 0;
		result = result < 0 ? result : secrets_delete(bus, item, out_error);
		(*count)++;
	}
	return result < 0 ? result : sd_bus_message_exit_container(found);
}

int secret_service_forget(struct sd_bus *bus, const char *name, char **out_error) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *found = NULL;
	size_t count = 0;
	*out_error = NULL;
	int result = secrets_call_new(bus, SECRETS_PATH, SECRETS_SERVICE, "SearchItems", &call);
	result = result < 0 ? result : secrets_append_attributes(call, name, false);
	result = result < 0 ? result : secrets_ask(bus, call, &found, out_error);
	result = result < 0 ? result : secrets_delete_all(bus, found, false, &count, out_error);
	result = result < 0 ? result : secrets_delete_all(bus, found, true, &count, out_error);
	if (result >= 0 && count == 0) {
		*out_error = mem_strdup("the keyring has no such secret");
		return -ENOENT;
	}
	return secrets_explain(result, out_error);
}
