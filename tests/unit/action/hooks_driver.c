/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks and notifications behind a scripted dispatch. usage: hooks_driver CONFIG; then lines on
 * standard input, and what happens on standard output:
 *   push NAME TOPIC URGENCY HOW BODY   TOPIC "-" for none; HOW: plain, raw (unencrypted), broken
 *   catchup WHY | patience MS | dismiss NAME
 *   show KEY URGENT TITLE|TEXT | withdraw KEY
 *   offer KEY TITLE: shows it with actions, tells "acted KEY ACTION [TOKEN]" and "closed KEY"
 *   forget KEY: nothing of it is told any more
 *   done ID OUTCOME, registered NAME KEY, unregistered NAME
 * A message that failed is not offered again. Registrations that are known at the start: the names
 * in HOOKS_KNOWN, split at blanks.
 */
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/hooks.h"
#include "distributor/action/notify.h"
#include "tests/unit/script.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { DRIVER_REGISTRATIONS_MAX = 70, DRIVER_KEYS_MAX = 300 };

/* ---- the fakes ---- */

struct registrations {
	struct registration all[DRIVER_REGISTRATIONS_MAX];
	size_t count;
};

struct dispatch {
	const struct dispatch_target *target;
	void *ctx;
	uint64_t next;
};

static void driver_on_announced(enum dispatch_outcome outcome, void *ctx) {
	const struct registration *registration = ctx;
	printf("announced %s %d\n", registration->token, (int)outcome);
}

static struct dispatch the_dispatch;
static struct registrations the_registrations;

static struct registration *registration_add(const char *name, const char *vapid_key) {
	struct registration *made = &the_registrations.all[the_registrations.count++];
	*made = (struct registration){.kind = REGISTRATION_HOOK};
	made->token = mem_strdup(name);
	made->vapid_key = vapid_key[0] ? mem_strdup(vapid_key) : NULL;
	return made;
}

static void registration_clear(struct registration *registration) {
	free(registration->token);
	free(registration->vapid_key);
	*registration = (struct registration){0};
}

const struct registration *registrations_find(
	const struct registrations *registrations, enum registration_kind kind, struct slice token) {
	for (size_t i = 0; i < registrations->count; i++) {
		const struct registration *at = &registrations->all[i];
		if (at->token && at->kind == kind && slice_equals(token, at->token)) {
			return at;
		}
	}
	return NULL;
}

const struct registration *registrations_next(
	const struct registrations *registrations, const struct registration *after) {
	size_t at = after ? (size_t)(after - registrations->all) + 1 : 0;
	while (at < registrations->count && !registrations->all[at].token) {
		at++;
	}
	return at < registrations->count ? &registrations->all[at] : NULL;
}

void registrations_register(struct registrations *registrations,
	const struct register_request *request, registered_fn *done, void *ctx) {
	char *name = mem_strndup(request->token.data, request->token.len);
	char *key =
		mem_strndup(request->vapid_key.len ? request->vapid_key.data : "", request->vapid_key.len);
	printf("registered %s %s\n", name, key);
	struct registration *known = (struct registration *)(uintptr_t)registrations_find(
		registrations, REGISTRATION_HOOK, request->token);
	if (known) {
		free(known->vapid_key);
		known->vapid_key = mem_strdup(key);
	} else {
		known = registration_add(name, key);
	}
	free(name);
	free(key);
	done(REGISTER_OK, known, "", ctx);
	the_dispatch.target->announce(known, driver_on_announced, known, the_dispatch.ctx);
}

bool registrations_unregister(struct registrations *registrations, enum registration_kind kind,
	struct slice token, bool by_app) {
	struct registration *known =
		(struct registration *)(uintptr_t)registrations_find(registrations, kind, token);
	if (!known) {
		return false;
	}
	printf("unregistered %s\n", known->token);
	if (the_dispatch.target) {
		the_dispatch.target->dismiss(known, by_app, the_dispatch.ctx);
	}
	registration_clear(known);
	return true;
}

const char *register_outcome_name(enum register_outcome outcome) {
	return outcome == REGISTER_OK ? "" : "INTERNAL_ERROR";
}

void dispatch_set_target(struct dispatch *dispatch, enum registration_kind kind,
	const struct dispatch_target *target, void *ctx) {
	(void)kind;
	dispatch->target = target;
	dispatch->ctx = ctx;
}

/* "plain" messages carry their plaintext as it is. */
bool message_decrypt(const struct message *message, uint8_t **out_plain, size_t *out_bytes,
	const char **out_reason) {
	if (strcmp(message->encoding, "plain") != 0) {
		*out_reason = message->encoding[0] ? "broken" : "not encrypted";
		return false;
	}
	*out_plain = mem_dup(message->body, message->bytes);
	*out_bytes = message->bytes;
	return true;
}

/* ---- the script ---- */

struct driver {
	struct ev_loop *loop;
	struct hooks *hooks;
	struct notify *notify;
	char *keys[DRIVER_KEYS_MAX]; /* that were offered */
};

static void driver_on_done(enum dispatch_outcome outcome, void *ctx) {
	static const char *const names[DISPATCH_OUTCOME_COUNT] = {
		[DISPATCH_TAKEN] = "taken",
		[DISPATCH_ABSENT] = "absent",
		[DISPATCH_DENIED] = "denied",
		[DISPATCH_NOT_READY] = "not-ready",
		[DISPATCH_NO_ANSWER] = "no-answer",
		[DISPATCH_REFUSED] = "refused",
		[DISPATCH_SHUTDOWN] = "shutdown",
	};
	struct message *message = ctx;
	printf("done %s %s\n", message->id, names[outcome]);
	free(message->body);
	free(message->topic);
	free(message->encoding);
	free(message);
}

static char *driver_word(char **rest) {
	static char nothing[1];
	char *word = strsep(rest, " ");
	return word ? word : nothing;
}

static void driver_push(char *rest) {
	char *name = driver_word(&rest), *topic = driver_word(&rest), *urgency = driver_word(&rest);
	char *how = driver_word(&rest);
	struct message *message = mem_zalloc(sizeof *message);
	message->registration =
		registrations_find(&the_registrations, REGISTRATION_HOOK, slice_of(name));
	(void)snprintf(
		message->id, sizeof message->id, "%016llx", (unsigned long long)++the_dispatch.next);
	message->body = mem_strdup(rest ? rest : "");
	message->bytes = strlen(message->body);
	message->encoding = mem_strdup(strcmp(how, "raw") == 0	   ? ""
								   : strcmp(how, "plain") == 0 ? "plain"
															   : "aes128gcm");
	message->topic = mem_strdup(strcmp(topic, "-") == 0 ? "" : topic);
	message->urgency = strcmp(urgency, "high") == 0 ? URGENCY_HIGH : URGENCY_NORMAL;
	message->received_ms = clock_wall_ms();
	the_dispatch.target->deliver(message, driver_on_done, message, the_dispatch.ctx);
}

static void driver_show(struct driver *driver, char *rest) {
	char *key = driver_word(&rest), *urgent = driver_word(&rest);
	char *title = strsep(&rest, "|");
	notify_show(driver->notify, &(struct notification){.key = strcmp(key, "-") ? key : NULL,
									.title = title ? title : "",
									.text = rest,
									.is_urgent = strcmp(urgent, "1") == 0});
}

static void driver_on_acted(const char *action, const char *token, void *ctx) {
	printf("acted %s %s%s%s\n", (const char *)ctx, action, token[0] ? " " : "", token);
}

static void driver_on_closed(void *ctx) {
	printf("closed %s\n", (const char *)ctx);
}

/* The same pointer for the same key. */
static char *driver_key(struct driver *driver, const char *key) {
	size_t i = 0;
	while (i < DRIVER_KEYS_MAX - 1 && driver->keys[i] && strcmp(driver->keys[i], key) != 0) {
		i++;
	}
	if (!driver->keys[i]) {
		driver->keys[i] = mem_strdup(key);
	}
	return driver->keys[i];
}

static void driver_offer(struct driver *driver, char *rest) {
	static const struct notify_action actions[] = {
		{"default", "Open"}, {"read", "Mark as \"read\""}, {"a", "A"}, {"b", "B"}};
	char *key = driver_key(driver, driver_word(&rest));
	notify_show(driver->notify, &(struct notification){.key = key,
									.title = rest ? rest : "",
									.category = "email.arrived",
									.actions = actions,
									.actions_count = sizeof actions / sizeof *actions,
									.acted = driver_on_acted,
									.closed = driver_on_closed,
									.ctx = key});
}

static void driver_do(char *line, void *ctx) {
	struct driver *driver = ctx;
	char *rest = line, *word = driver_word(&rest);
	if (strcmp(word, "push") == 0) {
		driver_push(rest);
	} else if (strcmp(word, "catchup") == 0) {
		hooks_catch_up(driver->hooks, rest);
	} else if (strcmp(word, "patience") == 0) {
		hooks_set_patience_ms(driver->hooks, strtol(rest, NULL, 10));
	} else if (strcmp(word, "dismiss") == 0) {
		(void)registrations_unregister(
			&the_registrations, REGISTRATION_HOOK, slice_of(rest), false);
	} else if (strcmp(word, "show") == 0) {
		driver_show(driver, rest);
	} else if (strcmp(word, "withdraw") == 0) {
		notify_withdraw(driver->notify, rest);
	} else if (strcmp(word, "offer") == 0) {
		driver_offer(driver, rest);
	} else if (strcmp(word, "forget") == 0) {
		notify_forget(driver->notify, driver_key(driver, rest));
	} else {
		printf("unknown %s\n", word);
	}
}

static void driver_know(void) {
	const char *known = getenv("HOOKS_KNOWN");
	char *names = mem_strdup(known ? known : ""), *rest = names;
	for (char *name; (name = strsep(&rest, " "));) {
		if (name[0]) {
			(void)registration_add(name, "");
		}
	}
	free(names);
}

static void driver_run(struct driver *driver, const struct hooks_config *config) {
	struct bus *bus = script_begin(driver->loop);
	struct alarms *alarms = alarms_create(driver->loop);
	const struct hooks_options options = {.loop = driver->loop,
		.alarms = alarms,
		.config = config,
		.session_bus = bus,
		.registrations = &the_registrations,
		.dispatch = &the_dispatch};
	driver->notify = notify_open(bus);
	driver->hooks = hooks_open(&options);
	script_run(driver->loop, driver_do, driver);
	hooks_close(driver->hooks);
	notify_close(driver->notify);
	bus_close(bus);
	alarms_destroy(alarms);
}

int main(int argc, char **argv) {
	struct hooks_config config = {0};
	if (argc != 2 || hooks_config_load(argv[1], &config, stderr) < 0) {
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_DEBUG);
	struct driver *driver = mem_zalloc(sizeof *driver);
	driver->loop = ev_loop_new(EVBACKEND_EPOLL);
	driver_know();
	driver_run(driver, &config);
	ev_loop_destroy(driver->loop);
	for (size_t i = 0; i < the_registrations.count; i++) {
		registration_clear(&the_registrations.all[i]);
	}
	hooks_config_free(&config);
	for (size_t i = 0; i < DRIVER_KEYS_MAX; i++) {
		free(driver->keys[i]);
	}
	free(driver);
	return 0;
}
