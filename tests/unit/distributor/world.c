/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted surroundings of the distributor's core. */
#include "tests/unit/distributor/world.h"
#include "common/file.h"
#include "common/json.h"
#include "common/mem.h"
#include "distributor/state.h"
#include "tests/unit/distributor/fake_link.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

static char *world_print(void *ctx) {
	struct world *world = ctx;
	json_t *json = json_pack("{s:o,s:o}", "accounts", accounts_print(world->accounts),
		"registrations", registrations_print(world->registrations));
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

static void __attribute__((format(printf, 2, 3)))
world_log(struct world *world, const char *format, ...) {
	va_list args;
	assert_true(world->logged < 256);
	va_start(args, format);
	(void)vsnprintf(world->log[world->logged++], sizeof world->log[0], format, args);
	va_end(args);
}

/* ---- the scripted app ---- */

static void world_answer_call(struct world *world, dispatch_done_fn *done, void *ctx) {
	assert_true(world->held_count < 64);
	world->held[world->held_count].done = done;
	world->held[world->held_count++].ctx = ctx;
}

static void world_announce(
	const struct registration *registration, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	world_log(ctx, "announce %s", registration->token);
	world_answer_call(ctx, done, done_ctx);
}

static void world_deliver(
	const struct message *message, dispatch_done_fn *done, void *done_ctx, void *ctx) {
	world_log(
		ctx, "push %s %.*s", message->registration->token, (int)message->bytes, message->body);
	world_answer_call(ctx, done, done_ctx);
}

static void world_dismiss(const struct registration *registration, bool by_app, void *ctx) {
	world_log(ctx, "dismiss %s %s", registration->token, by_app ? "app" : "us");
}

static void world_resync(const char *why, void *ctx) {
	(void)why;
	((struct world *)ctx)->resyncs++;
}

static const struct dispatch_target world_app = {
	.announce = world_announce,
	.deliver = world_deliver,
	.dismiss = world_dismiss,
	.resync = world_resync,
};

void world_target(struct world *world) {
	for (int kind = 0; kind < REGISTRATION_KIND_COUNT; kind++) {
		dispatch_set_target(world->dispatch, (enum registration_kind)kind, &world_app, world);
	}
}

void world_turn(struct world *world) {
	if (!world->is_silent && world->held_count > 0) {
		dispatch_done_fn *done = world->held[0].done;
		void *ctx = world->held[0].ctx;
		memmove(world->held, world->held + 1, --world->held_count * sizeof *world->held);
		done(world->answer, ctx);
		return;
	}
	struct timespec millisecond = {0, 1000000};
	ev_run(world->loop, EVRUN_NOWAIT);
	(void)nanosleep(&millisecond, NULL); /* a turn; waits are for conditions */
}

/* ---- events ---- */

static void world_on_endpoint(struct channel *channel, void *ctx) {
	registrations_on_endpoint(((struct world *)ctx)->registrations, channel);
}
static void world_on_refused(struct channel *channel, int status, void *ctx) {
	registrations_on_refused(((struct world *)ctx)->registrations, channel, status);
}
static void world_on_notified(
	struct account *account, const struct link_notification *notification, void *ctx) {
	dispatch_push(((struct world *)ctx)->dispatch, account, notification);
}
static void world_on_greeted(struct account *account, uint64_t missed, bool forgotten, void *ctx) {
	(void)account;
	if (missed > 0 || forgotten) {
		dispatch_resync(((struct world *)ctx)->dispatch, "missed");
	}
}
static void world_on_entered(struct account *account, enum link_state state, void *ctx) {
	(void)account;
	(void)state;
	(void)ctx;
}
static void world_on_changed(void *ctx) {
	struct world *world = ctx;
	if (world->registrations) {
		registrations_touch(world->registrations);
	}
}
static const struct accounts_events world_accounts_events = {
	.endpoint = world_on_endpoint,
	.refused = world_on_refused,
	.notified = world_on_notified,
	.greeted = world_on_greeted,
	.entered = world_on_entered,
	.changed = world_on_changed,
};

static void world_on_announce(const struct registration *registration, bool spread, void *ctx) {
	dispatch_announce(((struct world *)ctx)->dispatch, registration, spread);
}
static void world_on_resume(const struct registration *registration, void *ctx) {
	dispatch_resume(((struct world *)ctx)->dispatch, registration);
}
static void world_on_leave(const struct registration *registration, void *ctx) {
	dispatch_leave(((struct world *)ctx)->dispatch, registration);
}
static void world_on_dismiss(const struct registration *registration, bool by_app, void *ctx) {
	dispatch_dismiss(((struct world *)ctx)->dispatch, registration, by_app);
}
static const struct registrations_events world_registrations_events = {
	.announce = world_on_announce,
	.resume = world_on_resume,
	.leave = world_on_leave,
	.dismiss = world_on_dismiss,
};

static void world_load(struct world *world) {
	enum state_condition condition;
	json_t *json = state_read(world->dir, NULL, NULL, &condition);
	if (json) {
		assert_true(accounts_load(world->accounts, json_object_get(json, "accounts")));
		assert_true(
			registrations_load(world->registrations, json_object_get(json, "registrations")));
		json_decref(json);
	}
	dispatch_load(world->dispatch);
}

void world_open(struct world *world, const char *dir) {
	*world = (struct world){.answer = DISPATCH_TAKEN};
	(void)snprintf(world->dir, sizeof world->dir, "%s", dir ? dir : "/tmp/bellwire-core-XXXXXX");
	assert_true(dir || mkdtemp(world->dir));
	world->loop = ev_loop_new(EVBACKEND_EPOLL);
	world->alarms = alarms_create(world->loop);
	world->disk = disk_open(world->loop);
	char *path = state_path(world->dir);
	world->file = state_file_create(world->disk, path, true, world_print, world);
	free(path);
	struct accounts_options accounts = {
		.link = {.loop = world->loop, .alarms = world->alarms},
		.pool = 2,
		.events = &world_accounts_events,
		.ctx = world,
	};
	world->accounts = accounts_create(&accounts);
	struct registrations_options registrations = {.alarms = world->alarms,
		.accounts = world->accounts,
		.file = world->file,
		.events = &world_registrations_events,
		.ctx = world};
	world->registrations = registrations_create(&registrations);
	struct dispatch_options dispatch = {.alarms = world->alarms,
		.accounts = world->accounts,
		.registrations = world->registrations,
		.disk = world->disk,
		.state_dir = world->dir};
	world->dispatch = dispatch_create(&dispatch);
	world_load(world);
	world_target(world);
	registrations_start(world->registrations);
	dispatch_start(world->dispatch);
	accounts_start(world->accounts);
}

void world_close(struct world *world) {
	while (world->held_count > 0) {
		world->held_count--;
		world->held[world->held_count].done(DISPATCH_SHUTDOWN, world->held[world->held_count].ctx);
	}
	dispatch_save(world->dispatch);
	state_file_save(world->file, NULL, NULL);
	disk_close(world->disk);
	dispatch_destroy(world->dispatch);
	registrations_destroy(world->registrations);
	accounts_destroy(world->accounts);
	state_file_destroy(world->file);
	alarms_destroy(world->alarms);
	ev_loop_destroy(world->loop);
}

void world_remove(struct world *world) {
	char command[128];
	(void)snprintf(command, sizeof command, "rm -rf '%s'", world->dir);
	assert_int_equal(system(command), 0);
}

struct link *world_begin(struct world *world) {
	char *error = NULL;
	world_open(world, NULL);
	assert_non_null(accounts_move(world->accounts, WORLD_RELAY, &error));
	struct link *link = fake_link_find(WORLD_RELAY);
	fake_link_greet(link, WORLD_UAID, 0);
	return link;
}

void world_end(struct world *world) {
	world_close(world);
	world_remove(world);
}

/* ---- asking ---- */

static void world_on_registered(enum register_outcome outcome,
	const struct registration *registration, const char *detail, void *ctx) {
	struct world_answer *answer = ctx;
	assert_false(answer->is_done);
	answer->is_done = true;
	answer->outcome = outcome;
	(void)snprintf(answer->detail, sizeof answer->detail, "%s", detail);
	if (registration) {
		(void)snprintf(answer->endpoint, sizeof answer->endpoint, "%s", registration->endpoint);
	}
}

void world_register(struct world *world, enum registration_kind kind, const char *token,
	const char *service, const char *vapid_key, struct world_answer *answer) {
	struct register_request request = {.kind = kind,
		.token = slice_of(token),
		.service = slice_of(service),
		.vapid_key = slice_of(vapid_key),
		.version = 2};
	*answer = (struct world_answer){0};
	registrations_register(world->registrations, &request, world_on_registered, answer);
	assert_false(answer->is_done); /* never before the call has returned */
}

const struct registration *world_add_app(
	struct world *world, const char *token, const char *service) {
	struct world_answer answer;
	char line[64];
	enum dispatch_outcome before = world->answer;
	(void)snprintf(line, sizeof line, "announce %s", token);
	world->answer = DISPATCH_TAKEN;
	world_register(world, REGISTRATION_APP, token, service, NULL, &answer);
	(void)fake_link_answer_all(fake_link_find(WORLD_RELAY));
	WORLD_WAIT(world, answer.is_done && world_saw(world, line));
	const struct registration *registration =
		registrations_find(world->registrations, REGISTRATION_APP, slice_of(token));
	WORLD_WAIT(world, registration->is_announced);
	world->answer = before;
	return registration;
}

bool world_saw(const struct world *world, const char *line) {
	return world_count(world, line) > 0;
}

size_t world_count(const struct world *world, const char *line) {
	size_t count = 0;
	for (size_t i = 0; i < world->logged; i++) {
		count += strcmp(world->log[i], line) == 0;
	}
	return count;
}
