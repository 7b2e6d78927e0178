/* SPDX-License-Identifier: Apache-2.0 */
/* All logins: who gets which push, and what a new config makes of them. */
#include "distributor/jmap/jmap.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/hook_unit.h"
#include "distributor/jmap/credentials.h"
#include "distributor/jmap/fetch.h"
#include "distributor/jmap/jmap_login.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	JMAP_GATHERS = 64, /* pushes of a login at a time: each is taken at once */
	JMAP_RELAY_MIN_MS = 60 * 1000, /* between two looks because the relay was away for a moment */
};

enum jmap_entry_state {
	JMAP_ENTRY_LIVE,
	JMAP_ENTRY_ENDING, /* the server is being told */
	JMAP_ENTRY_ENDED, /* goes as soon as nothing of it is above us */
};

/* One name of the config. */
struct jmap_entry {
	struct list link; /* struct jmap::entries */
	struct jmap *jmap;
	struct jmap_configs config; /* of one login */
	struct jmap_login *login;
	enum jmap_entry_state state;
	struct jmap_configs next; /* another one of this name, for when it has ended; empty: none */
	jmap_tested_fn *removed; /* NULL: nobody asked for its end */
	void *removed_ctx;
};

/* An answer that must come later than the call that led to it. */
struct jmap_answer {
	struct list link; /* struct jmap::answers */
	dispatch_done_fn *taken; /* or: */
	jmap_tested_fn *tested;
	const char *sentence;
	void *ctx;
};

struct jmap {
	struct jmap_parts parts;
	char *state_dir;
	struct list entries; /* struct jmap_entry::link */
	struct list answers; /* struct jmap_answer::link */
	struct alarm answer, reap;
	struct alarm relay; /* a look because the relay was away */
	int64_t relay_boot_ms; /* when that was done last; 0: never */
	bool was_relay_up; /* ever */
};

static void jmap_on_ended(bool is_good, const char *sentence, void *ctx);

const char *jmap_way_name(enum jmap_way way) {
	static const char *const names[JMAP_WAY_COUNT] = {
		[JMAP_WAY_NONE] = "none",
		[JMAP_WAY_PUSH] = "push",
		[JMAP_WAY_STREAM] = "stream",
		[JMAP_WAY_POLL] = "poll",
	};
	return names[way];
}

/* ---- answers ---- */

static void jmap_on_answer(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap *jmap = ctx;
	struct list due;
	list_init(&due);
	list_splice(&due, &jmap->answers);
	struct jmap_answer *answer;
	while ((answer = list_first(&due, struct jmap_answer, link))) {
		list_remove(&answer->link);
		if (answer->taken) {
			answer->taken(DISPATCH_TAKEN, answer->ctx);
		} else {
			answer->tested(false, answer->sentence, answer->ctx);
		}
		free(answer);
	}
}

static void jmap_answer_later(struct jmap *jmap, struct jmap_answer what) {
	struct jmap_answer *answer = mem_dup(&what, sizeof what);
	list_init(&answer->link);
	list_append(&jmap->answers, &answer->link);
	if (!alarm_is_set(&jmap->answer)) {
		alarm_set(&jmap->answer, 0, 0);
	}
}

/* ---- entries ---- */

static struct jmap_entry *jmap_entry_find(const struct jmap *jmap, const char *name) {
	struct jmap_entry *entry;
	LIST_FOREACH (entry, &jmap->entries, link) {
		if (strcmp(entry->config.logins[0].name, name) == 0) {
			return entry;
		}
	}
	return NULL;
}

/* NULL when there is none, or none any more. */
static struct jmap_login *jmap_find(const struct jmap *jmap, const char *name) {
	struct jmap_entry *entry = jmap_entry_find(jmap, name);
	return entry && entry->state == JMAP_ENTRY_LIVE ? entry->login : NULL;
}

static void jmap_entry_add(
	struct jmap *jmap, struct jmap_configs take_config, const json_t *saved) {
	struct jmap_entry *entry = mem_zalloc(sizeof *entry);
	entry->jmap = jmap;
	entry->config = take_config;
	list_init(&entry->link);
	list_append(&jmap->entries, &entry->link);
	entry->login = jmap_login_create(&jmap->parts, &entry->config.logins[0], saved);
}

static void jmap_entry_free(struct jmap_entry *entry) {
	list_remove(&entry->link);
	jmap_login_destroy(entry->login);
	jmap_configs_free(&entry->config);
	jmap_configs_free(&entry->next);
	free(entry);
}

static void jmap_entry_end(struct jmap_entry *entry) {
	entry->state = JMAP_ENTRY_ENDING;
	jmap_login_end(entry->login, jmap_on_ended, entry);
	entry->jmap->parts.options.changed(entry->jmap->parts.options.ctx);
}

static void jmap_on_ended(bool is_good, const char *sentence, void *ctx) {
	struct jmap_entry *entry = ctx;
	log_info("mail login ended login=%s server_knows=%d", jmap_login_name(entry->login), is_good);
	entry->state = JMAP_ENTRY_ENDED;
	if (entry->removed) {
		entry->removed(is_good, sentence, entry->removed_ctx);
		entry->removed = NULL;
	}
	alarm_set(&entry->jmap->reap, 0, 0);
}

static void jmap_on_reap(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap *jmap = ctx;
	struct jmap_entry *entry, *next_entry;
	LIST_FOREACH_SAFE (entry, next_entry, &jmap->entries, link) {
		if (entry->state == JMAP_ENTRY_ENDED) {
			struct jmap_configs next = entry->next;
			entry->next = (struct jmap_configs){.count = 0};
			jmap_entry_free(entry);
			if (next.count > 0) {
				jmap_entry_add(jmap, next, NULL);
			}
		}
	}
	jmap->parts.options.changed(jmap->parts.options.ctx);
}

/* ---- the dispatch target ---- */

static void jmap_announce(
	const struct registration *registration, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	struct jmap *jmap = ctx;
	struct jmap_login *login = jmap_find(jmap, registration->token);
	if (login) {
		jmap_login_on_endpoint(login, registration);
	}
	jmap_answer_later(jmap, (struct jmap_answer){.taken = done, .ctx = done_ctx});
}

/* Taken at once: what a lost run would have found is found by state at the next start. */
static void jmap_deliver(
	const struct message *message, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	struct jmap *jmap = ctx;
	struct jmap_login *login = jmap_find(jmap, message->registration->token);
	if (login) {
		jmap_login_on_push(login, message);
	}
	jmap_answer_later(jmap, (struct jmap_answer){.taken = done, .ctx = done_ctx});
}

/* by_app: we asked for it. */
static void jmap_dismiss(const struct registration *registration, bool by_app, void *ctx) {
	struct jmap_login *login = by_app ? NULL : jmap_find(ctx, registration->token);
	if (login) {
		jmap_login_on_dismissed(login);
	}
}

static void jmap_target_resync(const char *why, void *ctx) {
	jmap_resync(ctx, why);
}

static const struct dispatch_target jmap_target = {
	.gathers = JMAP_GATHERS,
	.announce = jmap_announce,
	.deliver = jmap_deliver,
	.dismiss = jmap_dismiss,
	.resync = jmap_target_resync,
};

/* ---- the config ---- */

/* The content moves; the place it leaves is empty. */
static struct jmap_configs jmap_config_take(struct jmap_config *config) {
	struct jmap_configs taken = {.logins = mem_dup(config, sizeof *config), .count = 1};
	*config = (struct jmap_config){.name = NULL};
	return taken;
}

static bool jmap_text_is_same(const char *a, const char *b) {
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool jmap_config_is_same(const struct jmap_config *a, const struct jmap_config *b) {
	CLEANUP_FREE char *one = jmap_config_print(a);
	CLEANUP_FREE char *other = jmap_config_print(b);
	return strcmp(one, other) == 0;
}

/* Another account or server: nothing of what is known holds there. */
static bool jmap_config_is_of_same_login(const struct jmap_config *a, const struct jmap_config *b) {
	return jmap_text_is_same(a->user, b->user) && jmap_text_is_same(a->session_url, b->session_url);
}

/* Takes the config. */
static void jmap_entry_change(struct jmap_entry *entry, struct jmap_config *take_config) {
	struct jmap *jmap = entry->jmap;
	const struct jmap_config *present = &entry->config.logins[0];
	if (entry->state != JMAP_ENTRY_LIVE) {
		jmap_configs_free(&entry->next);
		entry->next = jmap_config_take(take_config);
	} else if (jmap_config_is_same(present, take_config)) {
		jmap_config_finish(take_config);
		*take_config = (struct jmap_config){.name = NULL};
	} else if (jmap_config_is_of_same_login(present, take_config)) {
		log_info("mail login changes login=%s", present->name);
		json_t *saved = jmap_login_print(entry->login);
		jmap_entry_free(entry);
		jmap_entry_add(jmap, jmap_config_take(take_config), saved);
		json_decref(saved);
	} else {
		entry->next = jmap_config_take(take_config);
		jmap_entry_end(entry);
	}
}

static void jmap_end_absent(struct jmap *jmap, const struct jmap_configs *configs) {
	struct jmap_entry *entry;
	LIST_FOREACH (entry, &jmap->entries, link) {
		if (jmap_configs_find(configs, entry->config.logins[0].name)) {
			continue;
		}
		jmap_configs_free(&entry->next);
		if (entry->state == JMAP_ENTRY_LIVE) {
			jmap_entry_end(entry);
		}
	}
}

/* Registrations that no login of the config has; one at a time, for the list changes. */
static void jmap_drop_left(struct jmap *jmap) {
	struct registrations *registrations = jmap->parts.options.registrations;
	const struct registration *at = NULL;
	while ((at = registrations_next(registrations, at))) {
		if (at->kind == REGISTRATION_MAIL && !jmap_entry_find(jmap, at->token)) {
			CLEANUP_FREE char *name = mem_strdup(at->token);
			log_info("mail login left the config, its push URL goes login=%s", name);
			(void)registrations_unregister(
				registrations, REGISTRATION_MAIL, slice_of(name), true); /* it is there */
			at = NULL;
		}
	}
}

void jmap_reload(struct jmap *jmap, struct jmap_configs *take_configs) {
	jmap_end_absent(jmap, take_configs);
	for (size_t i = 0; i < take_configs->count; i++) {
		struct jmap_config *config = &take_configs->logins[i];
		struct jmap_entry *entry = jmap_entry_find(jmap, config->name);
		if (entry) {
			jmap_entry_change(entry, config);
		} else {
			jmap_entry_add(jmap, jmap_config_take(config), NULL);
		}
	}
	jmap_configs_free(take_configs);
	jmap->parts.options.changed(jmap->parts.options.ctx);
}

/* ---- news ---- */

/* Those that live; the body may not change the list. */
#define JMAP_FOREACH(entry, jmap)                                                                  \
	LIST_FOREACH (entry, &(jmap)->entries, link)                                                   \
		if ((entry)->state == JMAP_ENTRY_LIVE)

void jmap_resync(struct jmap *jmap, const char *why) {
	struct jmap_entry *entry;
	if (!jmap) {
		return;
	}
	JMAP_FOREACH(entry, jmap) {
		jmap_login_resync(entry->login, why);
	}
}

static void jmap_tell_circumstances(struct jmap *jmap) {
	struct jmap_entry *entry;
	JMAP_FOREACH(entry, jmap) {
		jmap_login_on_circumstances(entry->login);
	}
}

/* Nobody tells whether it was the relay that was away, or we: servers give up posting soon. */
static void jmap_on_relay_back(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap *jmap = ctx;
	jmap->relay_boot_ms = clock_boot_ms();
	if (jmap->parts.is_relay_up) { /* else when it is back again */
		jmap_resync(jmap, "relay");
	}
}

/* What kept us from the relay may have kept us from them, too: a network's login page. */
static void jmap_resync_failed(struct jmap *jmap) {
	struct jmap_entry *entry;
	JMAP_FOREACH(entry, jmap) {
		if (jmap_login_has_failed(entry->login)) {
			jmap_login_resync(entry->login, "relay");
		}
	}
}

void jmap_set_relay_up(struct jmap *jmap, bool is_up) {
	if (!jmap || jmap->parts.is_relay_up == is_up) {
		return;
	}
	jmap->parts.is_relay_up = is_up;
	jmap_tell_circumstances(jmap);
	if (is_up && jmap->was_relay_up) {
		int64_t passed_ms = clock_boot_ms() - jmap->relay_boot_ms;
		bool is_due = jmap->relay_boot_ms == 0 || passed_ms >= JMAP_RELAY_MIN_MS;
		alarm_set(
			&jmap->relay, is_due ? 0 : JMAP_RELAY_MIN_MS - passed_ms, ALARM_SLACK_DEADLINE_MS);
	} else if (is_up) {
		jmap_resync_failed(jmap);
	}
	jmap->was_relay_up = jmap->was_relay_up || is_up;
}

void jmap_set_mains(struct jmap *jmap, bool on_mains) {
	if (jmap && jmap->parts.is_on_mains != on_mains) {
		jmap->parts.is_on_mains = on_mains;
		jmap_tell_circumstances(jmap);
	}
}

void jmap_set_online(struct jmap *jmap, bool is_online) {
	if (jmap && jmap->parts.is_online != is_online) {
		jmap->parts.is_online = is_online;
		jmap_tell_circumstances(jmap);
	}
}

void jmap_on_network(struct jmap *jmap) {
	struct jmap_entry *entry;
	if (!jmap) {
		return;
	}
	JMAP_FOREACH(entry, jmap) {
		jmap_login_on_network(entry->login);
	}
}

bool jmap_pause(
	struct jmap *jmap, const char *name, bool is_paused, disk_done_fn *done, void *ctx) {
	struct jmap_login *login = jmap_find(jmap, name);
	if (login) {
		jmap_login_pause(login, is_paused, done, ctx);
	}
	return login != NULL;
}

size_t jmap_count(const struct jmap *jmap) {
	const struct jmap_entry *entry;
	size_t count = 0;
	LIST_FOREACH (entry, &jmap->entries, link) {
		count++;
	}
	return count;
}

bool jmap_status(const struct jmap *jmap, size_t at, struct jmap_status *out_status) {
	const struct jmap_entry *entry;
	LIST_FOREACH (entry, &jmap->entries, link) {
		if (at-- == 0) {
			jmap_login_status(entry->login, out_status);
			return true;
		}
	}
	return false;
}

void jmap_test(struct jmap *jmap, const char *name, jmap_tested_fn *done, void *ctx) {
	struct jmap_login *login = jmap_find(jmap, name);
	if (login) {
		jmap_login_test(login, done, ctx);
	} else {
		jmap_answer_later(jmap,
			(struct jmap_answer){
				.tested = done, .sentence = "there is no mail login of this name", .ctx = ctx});
	}
}

void jmap_remove(struct jmap *jmap, const char *name, jmap_tested_fn *done, void *ctx) {
	struct jmap_entry *entry = jmap_entry_find(jmap, name);
	if (!entry || entry->state != JMAP_ENTRY_LIVE) {
		jmap_answer_later(jmap,
			(struct jmap_answer){
				.tested = done, .sentence = "there is no mail login of this name", .ctx = ctx});
		return;
	}
	entry->removed = done;
	entry->removed_ctx = ctx;
	jmap_entry_end(entry);
}

/* ---- as a whole ---- */

struct jmap *jmap_open(const struct jmap_options *options, struct jmap_configs *take_configs) {
	struct jmap *jmap = mem_zalloc(sizeof *jmap);
	jmap->state_dir = mem_strdup(options->state_dir);
	jmap->parts = (struct jmap_parts){
		.options = *options,
		.fetcher = fetcher_create(options->loop, options->use_proxy),
		.units = options->session_bus ? hook_units_open(bus_get(options->session_bus)) : NULL,
		.is_on_mains = options->is_on_mains,
		.is_online = options->is_online,
	};
	const struct hook_place place = {options->loop, options->alarms, jmap->parts.units};
	jmap->parts.credentials = credentials_create(&place, options->session_bus, options->state_dir);
	jmap->parts.options.state_dir = jmap->state_dir;
	list_init(&jmap->entries);
	list_init(&jmap->answers);
	alarm_init(&jmap->answer, options->alarms, jmap_on_answer, jmap);
	alarm_init(&jmap->reap, options->alarms, jmap_on_reap, jmap);
	alarm_init(&jmap->relay, options->alarms, jmap_on_relay_back, jmap);
	dispatch_set_target(options->dispatch, REGISTRATION_MAIL, &jmap_target, jmap);
	jmap_reload(jmap, take_configs);
	jmap_drop_left(jmap);
	return jmap;
}

void jmap_close(struct jmap *jmap) {
	if (!jmap) {
		return;
	}
	dispatch_set_target(jmap->parts.options.dispatch, REGISTRATION_MAIL, NULL, NULL);
	struct jmap_entry *entry;
	while ((entry = list_first(&jmap->entries, struct jmap_entry, link))) {
		if (entry->removed) {
			entry->removed(false, "the distributor ends", entry->removed_ctx);
		}
		jmap_entry_free(entry);
	}
	jmap_on_answer(&jmap->answer, jmap);
	alarm_stop(&jmap->answer);
	alarm_stop(&jmap->reap);
	alarm_stop(&jmap->relay);
	credentials_destroy(jmap->parts.credentials);
	hook_units_close(jmap->parts.units);
	fetcher_destroy(jmap->parts.fetcher);
	free(jmap->state_dir);
	free(jmap);
}
