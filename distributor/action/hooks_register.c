/* SPDX-License-Identifier: Apache-2.0 */
/* Registers what is new, unregisters what left. */
#include "distributor/action/hooks_register.h"
#include "common/log.h"
#include "common/mem.h"
#include <stdlib.h>
#include <string.h>

enum { HOOKS_AGAIN_MS = 60000, HOOKS_AGAIN_MAX_MS = 600000 };

/* Survives the rest when that is closed before the answer. */
struct hook_registering {
	struct list link; /* struct hooks_register::waiting */
	struct hooks_register *hooks; /* NULL: closed */
	const char *name;
};

struct hooks_register {
	struct registrations *registrations;
	const struct hooks_config *config;
	struct list waiting; /* struct hook_registering::link */
	struct alarm again;
	int64_t again_ms; /* after the next failure */
};

static void hooks_register_on_answer(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx) {
	(void)registration;
	struct hook_registering *registering = ctx;
	struct hooks_register *hooks = registering->hooks;
	list_remove(&registering->link);
	if (hooks && outcome != REGISTER_OK) {
		log_warn("hook gets no push URL hook=%s reason=%s error=\"%s\"", registering->name,
			register_outcome_name(outcome), detail);
		if (!alarm_is_set(&hooks->again)) {
			alarm_set(&hooks->again, hooks->again_ms, ALARM_SLACK_HEARTBEAT_MS);
			int64_t next_ms = hooks->again_ms * 2;
			hooks->again_ms = next_ms < HOOKS_AGAIN_MAX_MS ? next_ms : HOOKS_AGAIN_MAX_MS;
		}
	}
	free(registering);
}

static bool hooks_register_is_same_key(const char *a, const char *b) {
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void hooks_register_one(struct hooks_register *hooks, const struct hook_config *config) {
	struct slice name = slice_of(config->name);
	const struct registration *known =
		registrations_find(hooks->registrations, REGISTRATION_HOOK, name);
	if (known && hooks_register_is_same_key(known->vapid_key, config->vapid_key)) {
		return;
	}
	if (known && !config->vapid_key) { /* a URL with a key stays bound to it */
		(void)registrations_unregister(hooks->registrations, REGISTRATION_HOOK, name, false);
	}
	struct hook_registering *registering = mem_alloc(sizeof *registering);
	*registering = (struct hook_registering){.hooks = hooks, .name = config->name};
	list_init(&registering->link);
	list_append(&hooks->waiting, &registering->link);
	const struct register_request request = {
		.kind = REGISTRATION_HOOK,
		.token = name,
		.service = name,
		.vapid_key = slice_of(config->vapid_key),
	};
	registrations_register(hooks->registrations, &request, hooks_register_on_answer, registering);
}

static void hooks_register_all(struct hooks_register *hooks) {
	for (size_t i = 0; i < hooks->config->count; i++) {
		hooks_register_one(hooks, &hooks->config->hooks[i]);
	}
}

static void hooks_register_on_again(struct alarm *alarm, void *ctx) {
	(void)alarm;
	hooks_register_all(ctx);
}

static bool hooks_register_names(const struct hooks_register *hooks, const char *name) {
	for (size_t i = 0; i < hooks->config->count; i++) {
		if (strcmp(hooks->config->hooks[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* One that is in no config any more; its name is fresh, NULL for none. */
static char *hooks_register_find_left(struct hooks_register *hooks) {
	const struct registration *at = NULL;
	while ((at = registrations_next(hooks->registrations, at))) {
		if (at->kind == REGISTRATION_HOOK && !hooks_register_names(hooks, at->token)) {
			return mem_strdup(at->token);
		}
	}
	return NULL;
}

static void hooks_register_drop_left(struct hooks_register *hooks) {
	char *name;
	while ((name = hooks_register_find_left(hooks))) {
		bool was_there = registrations_unregister(
			hooks->registrations, REGISTRATION_HOOK, slice_of(name), false);
		log_info("hook left the config, its push URL goes hook=%s", name);
		free(name);
		if (!was_there) {
			return;
		}
	}
}

struct hooks_register *hooks_register_open(
	struct registrations *registrations, struct alarms *alarms, const struct hooks_config *config) {
	struct hooks_register *hooks = mem_zalloc(sizeof *hooks);
	hooks->registrations = registrations;
	hooks->config = config;
	hooks->again_ms = HOOKS_AGAIN_MS;
	list_init(&hooks->waiting);
	alarm_init(&hooks->again, alarms, hooks_register_on_again, hooks);
	hooks_register_drop_left(hooks);
	hooks_register_all(hooks);
	return hooks;
}

void hooks_register_close(struct hooks_register *hooks) {
	if (!hooks) {
		return;
	}
	alarm_stop(&hooks->again);
	struct hook_registering *registering, *next;
	LIST_FOREACH_SAFE (registering, next, &hooks->waiting, link) {
		list_remove(&registering->link);
		registering->hooks = NULL;
	}
	free(hooks);
}
