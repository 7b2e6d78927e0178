/* SPDX-License-Identifier: Apache-2.0 */
/* Watches the bus names of apps: NameOwnerChanged, NameHasOwner, ListActivatableNames. */
#include "distributor/bus/names.h"
#include "common/hashmap.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MATCH_MAX = 512 };

struct names {
	struct sd_bus *sd;
	const struct names_events *events;
	void *ctx;
	struct hashmap *by_key;
	struct list all; /* struct name::link */
	sd_bus_slot *survey;
};

static void names_hash(const char *text, uint8_t out_key[16]) {
	uint8_t digest[EVP_MAX_MD_SIZE];
	if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1) {
		log_fatal("names: no SHA-256");
	}
	memcpy(out_key, digest, 16);
}

static void name_destroy(struct name *name) {
	(void)hashmap_remove(name->names->by_key, name->key);
	list_remove(&name->link);
	sd_bus_slot_unref(name->match);
	sd_bus_slot_unref(name->first);
	free(name->text);
	free(name);
}

/* A unique name never comes again. */
static void name_drop_if_gone(struct name *name) {
	if (name->text[0] == ':' && name->is_known && !name->is_running && name->asks == 0) {
		name_destroy(name);
	}
}

static void name_set_running(struct name *name, bool is_running) {
	bool was_running = name->is_running;
	bool was_known = name->is_known;
	name->is_running = is_running;
	name->is_known = true;
	struct names *names = name->names;
	if (is_running && !was_running) {
		names->events->appeared(name, names->ctx);
	} else if (!is_running && (was_running || !was_known)) {
		names->events->left(name, names->ctx);
		name_drop_if_gone(name);
	}
}

static int name_on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
	(void)error;
	struct name *name = userdata;
	const char *text, *old_owner, *new_owner;
	if (sd_bus_message_read(message, "sss", &text, &old_owner, &new_owner) >= 0 &&
		strcmp(text, name->text) == 0) {
		bool is_running = new_owner[0] != '\0';
		if (is_running && old_owner[0] != '\0') {
			name->is_running = false; /* handed over: another program, hence news */
		}
		name_set_running(name, is_running);
	}
	return 0;
}

static int name_on_first(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
	(void)error;
	struct name *name = userdata;
	int has_owner;
	name->first = sd_bus_slot_unref(name->first);
	if (!sd_bus_message_is_method_error(reply, NULL) &&
		sd_bus_message_read(reply, "b", &has_owner) >= 0) {
		name_set_running(name, has_owner);
	}
	return 0;
}

static int name_ask_bus(struct name *name) {
	char match[NAMES_MATCH_MAX];
	int length = snprintf(match, sizeof match,
		"type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
		"interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
		name->text);
	if (length < 0 || length >= NAMES_MATCH_MAX) {
		return -ENAMETOOLONG;
	}
	struct sd_bus *sd = name->names->sd;
	int result = sd_bus_add_match_async(sd, &name->match, match, name_on_owner_changed, NULL, name);
	if (result < 0) {
		return result;
	}
	return sd_bus_call_method_async(sd, &name->first, "org.freedesktop.DBus",
		"/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", name_on_first, name, "s",
		name->text);
}

struct name *names_find(const struct names *names, const char *text) {
	uint8_t key[16];
	names_hash(text, key);
	return hashmap_get(names->by_key, key);
}

struct name *names_watch(struct names *names, const char *text) {
	struct name *name = names_find(names, text);
	if (name) {
		return name;
	}
	name = mem_zalloc(sizeof *name);
	name->names = names;
	name->text = mem_strdup(text);
	names_hash(text, name->key);
	list_append(&names->all, &name->link);
	(void)hashmap_put(names->by_key, name); /* it was not in there */
	int result = name_ask_bus(name);
	if (result < 0) {
		log_warn("bus name not watched name=%s error=\"%s\"", text, strerror(-result));
	}
	return name;
}

struct name *names_next(const struct names *names, const struct name *after) {
	const struct list *next = after ? after->link.next : names->all.next;
	return next == &names->all ? NULL : container_of(next, struct name, link);
}

uint32_t names_count(const struct names *names) {
	return (uint32_t)hashmap_count(names->by_key);
}

void names_sweep(struct names *names) {
	struct name *name, *tmp;
	LIST_FOREACH_SAFE (name, tmp, &names->all, link) {
		if (!name->is_kept && name->asks == 0) {
			name_destroy(name);
		} else {
			name->is_kept = false;
		}
	}
}

/* Reads a list of names and marks those that are watched. Negative errno when it is no list. */
static int names_read_activatable(struct names *names, sd_bus_message *reply) {
	if (sd_bus_message_is_method_error(reply, NULL)) {
		return -sd_bus_message_get_errno(reply);
	}
	int result = sd_bus_message_enter_container(reply, 'a', "s");
	if (result < 0) {
		return result;
	}
	struct name *name;
	LIST_FOREACH (name, &names->all, link) {
		name->is_activatable = false;
	}
	const char *text;
	while ((result = sd_bus_message_read_basic(reply, 's', &text)) > 0) {
		name = names_find(names, text);
		if (name) {
			name->is_activatable = true;
		}
	}
	return result;
}

static int names_list_activatable(
	struct names *names, sd_bus_slot **out_slot, sd_bus_message_handler_t on_reply, void *ctx) {
	return sd_bus_call_method_async(names->sd, out_slot, "org.freedesktop.DBus",
		"/org/freedesktop/DBus", "org.freedesktop.DBus", "ListActivatableNames", on_reply, ctx, "");
}

static int names_on_survey(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
	(void)error;
	struct names *names = userdata;
	names->survey = sd_bus_slot_unref(names->survey);
	if (names_read_activatable(names, reply) >= 0) {
		names->events->surveyed(names->ctx);
	}
	return 0;
}

void names_survey(struct names *names) {
	names->survey = sd_bus_slot_unref(names->survey);
	int result = names_list_activatable(names, &names->survey, names_on_survey, names);
	if (result < 0) {
		log_warn("bus names not listed error=\"%s\"", strerror(-result));
	}
}

static int names_on_asked(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
	(void)error;
	struct names_ask *ask = userdata;
	ask->slot = sd_bus_slot_unref(ask->slot);
	bool is_listed = names_read_activatable(ask->names, reply) >= 0;
	struct name *name = ask->name;
	bool is_present = !is_listed || !name->is_known || name->is_running || name->is_activatable;
	name->asks--;
	name_drop_if_gone(name);
	ask->answered(is_present, ask->ctx);
	return 0;
}

int names_ask(struct names *names, const char *text, struct names_ask *ask) {
	ask->names = names;
	ask->name = names_watch(names, text);
	/* Asked after the watch, so that its answer is there first. */
	int result = names_list_activatable(names, &ask->slot, names_on_asked, ask);
	if (result >= 0) {
		ask->name->asks++;
	}
	return result;
}

void names_ask_cancel(struct names_ask *ask) {
	if (ask->slot) {
		ask->slot = sd_bus_slot_unref(ask->slot);
		ask->name->asks--;
		name_drop_if_gone(ask->name);
	}
}

struct names *names_create(struct sd_bus *sd, const struct names_events *events, void *ctx) {
	struct names *names = mem_zalloc(sizeof *names);
	names->sd = sd;
	names->events = events;
	names->ctx = ctx;
	names->by_key = hashmap_create(offsetof(struct name, key), sizeof((struct name *)0)->key);
	list_init(&names->all);
	return names;
}

void names_destroy(struct names *names) {
	if (!names) {
		return;
	}
	sd_bus_slot_unref(names->survey);
	struct name *name, *tmp;
	LIST_FOREACH_SAFE (name, tmp, &names->all, link) {
		name_destroy(name);
	}
	hashmap_destroy(names->by_key);
	free(names);
}
