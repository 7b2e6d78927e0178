/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations as JSON, for the state file. */
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/load.h"
#include "distributor/registrations_impl.h"
#include <stdlib.h>
#include <string.h>

enum { REGISTRATION_WORD_MAX = 16 };

static void registration_print_keys(const struct registration *registration, json_t *json) {
	uint8_t secret[P256_SECRET_BYTES];
	if (!registration->key || !p256_secret_of(registration->key, secret)) {
		return;
	}
	CLEANUP_FREE char *key = base64url_print(secret, sizeof secret);
	CLEANUP_FREE char *auth = base64url_print(registration->auth, sizeof registration->auth);
	(void)json_object_set_new(json, "key", json_string(key));
	(void)json_object_set_new(json, "auth", json_string(auth));
	mem_wipe(secret, sizeof secret);
}

static json_t *registration_print(const struct registration *registration) {
	json_t *json = json_pack("{s:I,s:s,s:s,s:s,s:s,s:s*,s:i,s:b,s:b,s:s*}", "number",
		(json_int_t)registration->number, "kind", registration_kind_name(registration->kind),
		"token", registration->token, "service", registration->service, "description",
		registration->description, "vapid_key", registration->vapid_key, "version",
		registration->version, "blocked", registration->is_blocked, "announced",
		registration->is_announced, "channel",
		registration->channel ? registration->channel->name : NULL);
	json_t *times = json_pack("{s:I,s:I,s:I,s:I,s:I}", "created_ms",
		(json_int_t)registration->created_ms, "pushed_ms", (json_int_t)registration->pushed_ms,
		"taken_ms", (json_int_t)registration->taken_ms, "absent_ms",
		(json_int_t)registration->absent_ms, "pushes", (json_int_t)registration->pushes);
	if (!json) {
		json_decref(times);
		return NULL; /* text that is no UTF-8 cannot have come through D-Bus */
	}
	(void)json_object_update(json, times);
	json_decref(times);
	registration_print_keys(registration, json);
	return json;
}

/* Which old channel is whose: {channel: number}. */
static json_t *registrations_print_old(const struct registrations *registrations) {
	json_t *old = json_object();
	const struct account *account = NULL;
	while ((account = accounts_next(registrations->options.accounts, account))) {
		const struct channel *channel;
		LIST_FOREACH (channel, &account->channels, link) {
			if (channel->use == CHANNEL_OLD && channel->registration) {
				(void)json_object_set_new(
					old, channel->name, json_integer(channel->registration->number));
			}
		}
	}
	return old;
}

json_t *registrations_print(const struct registrations *registrations) {
	json_t *list = json_array();
	const struct registration *registration;
	LIST_FOREACH (registration, &registrations->all, link) {
		json_t *json = registration->is_transient ? NULL : registration_print(registration);
		if (json) {
			(void)json_array_append_new(list, json);
		}
	}
	return json_pack("{s:I,s:o,s:o}", "next_number", (json_int_t)registrations->next_number, "list",
		list, "old", registrations_print_old(registrations));
}

/* ---- reading ---- */

static bool registration_load_kind(struct load *load, enum registration_kind *out_kind) {
	CLEANUP_FREE char *name = load_text(load, "kind", REGISTRATION_WORD_MAX);
	for (int kind = 0; name && kind < REGISTRATION_KIND_COUNT; kind++) {
		if (strcmp(name, registration_kind_name((enum registration_kind)kind)) == 0) {
			*out_kind = (enum registration_kind)kind;
			return true;
		}
	}
	return false;
}

static bool registration_load_keys(struct registration *registration, const json_t *json) {
	struct slice key, auth;
	uint8_t secret[P256_SECRET_BYTES];
	size_t key_bytes = 0, auth_bytes = 0;
	if (registration->kind == REGISTRATION_APP) {
		return true;
	}
	if (json_get_string(json, "key", &key) != JSON_PRESENT ||
		json_get_string(json, "auth", &auth) != JSON_PRESENT ||
		!base64url_decode(key, secret, sizeof secret, &key_bytes) || key_bytes != sizeof secret ||
		!base64url_decode(auth, registration->auth, sizeof registration->auth, &auth_bytes) ||
		auth_bytes != sizeof registration->auth) {
		return false;
	}
	registration->key = p256_from_secret(secret);
	mem_wipe(secret, sizeof secret);
	return registration->key != NULL;
}

static void registration_load_rest(struct registration *registration, struct load *load) {
	int64_t version = 2, pushes = 0;
	char *service = load_text(load, "service", REGISTRATION_SERVICE_MAX);
	if (service) {
		free(registration->service);
		registration->service = service;
	}
	registration->vapid_key = load_text(load, "vapid_key", REGISTRATION_VAPID_LENGTH);
	load_number(load, "version", &version);
	load_number(load, "pushes", &pushes);
	load_number(load, "created_ms", &registration->created_ms);
	load_number(load, "pushed_ms", &registration->pushed_ms);
	load_number(load, "taken_ms", &registration->taken_ms);
	load_number(load, "absent_ms", &registration->absent_ms);
	load_bool(load, "blocked", &registration->is_blocked);
	registration->version = version == 1 ? 1 : 2;
	registration->pushes = (uint64_t)pushes;
	load->is_wrong = load->is_wrong || !service || version > 2;
}

/* Alone it may be empty. */
static void registration_load_description(struct registration *registration, struct load *load) {
	struct slice text = {NULL, 0};
	if (json_get_string(load->json, "description", &text) == JSON_WRONG_TYPE ||
		text.len > REGISTRATION_DESCRIPTION_MAX) {
		load->is_wrong = true;
	} else {
		mem_replace_text(&registration->description, text);
	}
}

/* Its channel, if that is still there; else it gets a new one at the start. */
static void registration_load_channel(
	struct registrations *registrations, struct registration *registration, struct load *load) {
	bool announced = false;
	CLEANUP_FREE char *name = load_text(load, "channel", CHANNEL_NAME_LENGTH);
	struct channel *channel = name ? channels_adopt(registrations->options.accounts, name) : NULL;
	load_bool(load, "announced", &announced);
	if (!channel || !channel->endpoint) {
		load->is_wrong = load->is_wrong || name;
		return;
	}
	channel->registration = registration;
	registration_switch(registration, channel);
	registration->is_announced = announced;
}

static bool registration_load(struct registrations *registrations, const json_t *json) {
	struct load load = {.json = json};
	enum registration_kind kind;
	int64_t number = 0;
	CLEANUP_FREE char *token = load_text(&load, "token", REGISTRATION_TOKEN_MAX);
	load_number(&load, "number", &number);
	if (!registration_load_kind(&load, &kind) || !token || number <= 0 || number > UINT32_MAX - 1 ||
		registrations_find_number(registrations, (uint32_t)number) ||
		registrations_find(registrations, kind, slice_of(token))) {
		return false;
	}
	uint32_t next = registrations->next_number;
	registrations->next_number = (uint32_t)number;
	struct registration *registration = registration_create(registrations, kind, slice_of(token));
	registrations->next_number = next > (uint32_t)number ? next : (uint32_t)number + 1;
	registration_load_rest(registration, &load);
	registration_load_description(registration, &load);
	if (!registration_load_keys(registration, json)) {
		registration_free(registrations, registration);
		return false;
	}
	registration_load_channel(registrations, registration, &load);
	return !load.is_wrong;
}

static void registrations_adopt_old(struct registrations *registrations, const json_t *old) {
	const char *name;
	json_t *number;
	json_object_foreach((json_t *)old, name, number) {
		uint32_t wanted = (uint32_t)json_integer_value(number);
		struct channel *channel = channels_adopt(registrations->options.accounts, name);
		struct registration *registration = hashmap_get(registrations->by_number, &wanted);
		if (channel && channel->use == CHANNEL_OLD && registration) {
			channel->registration = registration;
			registration->has_former = registration->has_former || channel->until_ms == 0;
		}
	}
}

bool registrations_load(struct registrations *registrations, const json_t *json) {
	const json_t *list = json_object_get(json, "list"), *old = json_object_get(json, "old");
	struct load load = {.json = json};
	int64_t next = 0;
	load_number(&load, "next_number", &next);
	bool good = json_is_array(list) && json_is_object(old) && next > 0 && next < UINT32_MAX;
	if (next > 0 && next < UINT32_MAX) {
		registrations->next_number = (uint32_t)next;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		good = registration_load(registrations, json_array_get(list, i)) && good;
	}
	registrations_adopt_old(registrations, old);
	/* channels that belong to nobody any more */
	const struct account *account = NULL;
	while ((account = accounts_next(registrations->options.accounts, account))) {
		struct channel *channel, *next_channel;
		LIST_FOREACH_SAFE (channel, next_channel, &account->channels, link) {
			if ((channel->use == CHANNEL_USED || channel->use == CHANNEL_OLD) &&
				!channel->registration) {
				channel_leave(channel);
			}
		}
	}
	return good;
}
