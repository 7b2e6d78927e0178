/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations as JSON, for the state file. */
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/registrations_impl.h"
#include <stdlib.h>
#include <string.h>

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

static bool registration_load_kind(const json_t *json, enum registration_kind *out_kind) {
	struct slice name;
	if (json_get_string(json, "kind", &name) != JSON_PRESENT) {
		return false;
	}
	for (int kind = 0; kind < REGISTRATION_KIND_COUNT; kind++) {
		if (slice_equals(name, registration_kind_name((enum registration_kind)kind))) {
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

static void registration_load_rest(struct registration *registration, const json_t *json) {
	int64_t version = 2, pushes = 0;
	json_load_text(json, "service", &registration->service);
	json_load_text(json, "description", &registration->description);
	json_load_text(json, "vapid_key", &registration->vapid_key);
	(void)json_get_integer(json, "version", &version); /* absent ones keep their defaults */
	(void)json_get_integer(json, "pushes", &pushes);
	(void)json_get_integer(json, "created_ms", &registration->created_ms);
	(void)json_get_integer(json, "pushed_ms", &registration->pushed_ms);
	(void)json_get_integer(json, "taken_ms", &registration->taken_ms);
	(void)json_get_integer(json, "absent_ms", &registration->absent_ms);
	(void)json_get_bool(json, "blocked", &registration->is_blocked);
	registration->version = version == 1 ? 1 : 2;
	registration->pushes = pushes > 0 ? (uint64_t)pushes : 0;
}

/* Its channel, if that is still there; else it gets a new one at the start. */
static void registration_load_channel(
	struct registrations *registrations, struct registration *registration, const json_t *json) {
	CLEANUP_FREE char *name = json_get_string_dup(json, "channel");
	bool announced = false;
	if (!name) {
		return;
	}
	struct channel *channel = channels_adopt(registrations->options.accounts, name);
	if (!channel || !channel->endpoint) {
		return;
	}
	(void)json_get_bool(json, "announced", &announced);
	channel->registration = registration;
	registration_switch(registration, channel);
	registration->is_announced = announced;
}

static bool registration_load(struct registrations *registrations, const json_t *json) {
	enum registration_kind kind;
	struct slice token;
	int64_t number = 0;
	if (!registration_load_kind(json, &kind) ||
		json_get_string(json, "token", &token) != JSON_PRESENT || token.len == 0 ||
		token.len > REGISTRATION_TOKEN_MAX ||
		json_get_integer(json, "number", &number) != JSON_PRESENT || number <= 0 ||
		number > UINT32_MAX - 1 || registrations_find_number(registrations, (uint32_t)number) ||
		registrations_find(registrations, kind, token)) {
		return false;
	}
	uint32_t next = registrations->next_number;
	registrations->next_number = (uint32_t)number;
	struct registration *registration = registration_create(registrations, kind, token);
	registrations->next_number = next > (uint32_t)number ? next : (uint32_t)number + 1;
	registration_load_rest(registration, json);
	if (!registration_load_keys(registration, json)) {
		registration_free(registrations, registration);
		return false;
	}
	registration_load_channel(registrations, registration, json);
	return true;
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
	const json_t *list = json_object_get(json, "list");
	int64_t next = 1;
	bool good = json_is_array(list);
	(void)json_get_integer(json, "next_number", &next); /* absent: counted anew */
	if (next > 0 && next < UINT32_MAX) {
		registrations->next_number = (uint32_t)next;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		good = registration_load(registrations, json_array_get(list, i)) && good;
	}
	registrations_adopt_old(registrations, json_object_get(json, "old"));
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
