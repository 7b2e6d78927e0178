/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch: acknowledged when taken, kept on the disk when not, never twice. */
#include "common/file.h"
#include "distributor/journal.h"
#include "tests/unit/distributor/fake_link.h"
#include "tests/unit/distributor/world.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define OTHER_UAID "fedcba9876543210fedcba9876543210"

/* Its channel. */
static const char *add_app(struct world *world, const char *token, const char *service) {
	return world_add_app(world, token, service)->channel->name;
}

static size_t journalled(const struct world *world) {
	struct dispatch_status status;
	dispatch_status(world->dispatch, &status);
	return status.journalled;
}

static void acknowledged_only_when_taken(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.app");
	world.is_silent = true;
	fake_link_notify(link, channel, "v1", "one");
	assert_true(world_saw(&world, "push T one"));
	assert_int_equal(fake_link_acks(link), 0);
	world.is_silent = false;
	WORLD_WAIT(&world, fake_link_acks(link) == 1);
	assert_string_equal(fake_link_ack(link, 0)->version, "v1");
	world_end(&world);
}

static void one_at_a_time_in_order(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.app");
	world.is_silent = true;
	fake_link_notify(link, channel, "v1", "one");
	fake_link_notify(link, channel, "v2", "two");
	assert_int_equal(world.held_count, 1);
	world.is_silent = false;
	WORLD_WAIT(&world, fake_link_acks(link) == 2);
	assert_string_equal(world.log[world.logged - 2], "push T one");
	assert_string_equal(world.log[world.logged - 1], "push T two");
	world_end(&world);
}

static void what_comes_again_is_not_delivered_again(void **state) {
	(void)state;
	struct world world;
	char dir[64], name[40];
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.app");
	(void)snprintf(name, sizeof name, "%s", channel);
	fake_link_notify(link, channel, "v1", "one");
	WORLD_WAIT(&world, fake_link_acks(link) == 1);
	fake_link_notify(link, channel, "v1", "one");
	assert_int_equal(fake_link_acks(link), 2); /* the relay had not heard it */
	assert_int_equal(world_count(&world, "push T one"), 1);
	(void)snprintf(dir, sizeof dir, "%s", world.dir);
	world_close(&world);
	world_open(&world, dir);
	link = fake_link_find(WORLD_RELAY);
	fake_link_greet(link, WORLD_UAID, 0);
	fake_link_notify(link, name, "v1", "one");
	assert_int_equal(fake_link_acks(link), 1);
	assert_int_equal(world_count(&world, "push T one"), 0);
	world_end(&world);
}

/* A registration that moved hears of both relays, and versions are each relay's own affair. */
static void equal_versions_of_two_relays_are_two_messages(void **state) {
	(void)state;
	struct world world;
	char *error = NULL, name[40];
	struct link *link = world_begin(&world);
	(void)snprintf(name, sizeof name, "%s", add_app(&world, "T", "org.app"));
	assert_non_null(accounts_move(world.accounts, WORLD_OTHER, &error));
	registrations_move(world.registrations);
	struct link *other = fake_link_find(WORLD_OTHER);
	fake_link_greet(other, OTHER_UAID, 0);
	(void)fake_link_answer_all(other);
	const struct registration *registration =
		registrations_find(world.registrations, REGISTRATION_APP, slice_of("T"));
	WORLD_WAIT(&world, registration->is_announced && world.held_count == 0);
	const char *channel = registration->channel->name;
	assert_string_not_equal(channel, name);

	/* one waits for its app when the other comes */
	world.is_silent = true;
	fake_link_notify(link, name, "v1", "old");
	fake_link_notify(other, channel, "v1", "new");
	world.is_silent = false;
	WORLD_WAIT(&world, fake_link_acks(link) == 1 && fake_link_acks(other) == 1);
	assert_int_equal(world_count(&world, "push T old"), 1);
	assert_int_equal(world_count(&world, "push T new"), 1);

	/* one was taken when the other comes */
	fake_link_notify(other, channel, "v2", "newer");
	WORLD_WAIT(&world, fake_link_acks(other) == 2);
	fake_link_notify(link, name, "v2", "older");
	WORLD_WAIT(&world, fake_link_acks(link) == 2);
	assert_int_equal(world_count(&world, "push T older"), 1);

	/* and again each is known */
	fake_link_notify(link, name, "v1", "old");
	fake_link_notify(other, channel, "v2", "newer");
	assert_int_equal(fake_link_acks(link), 3);
	assert_int_equal(fake_link_acks(other), 3);
	assert_int_equal(world_count(&world, "push T old"), 1);
	assert_int_equal(world_count(&world, "push T newer"), 1);
	world_end(&world);
}

/* Its hashes mean something else: rather a message twice than one dropped. */
static void nothing_is_told_before_it_is_saved(void **state) {
	(void)state;
	struct world world;
	char *error = NULL, name[40];
	struct link *link = world_begin(&world);
	(void)snprintf(name, sizeof name, "%s", add_app(&world, "T", "org.app"));
	const struct registration *registration =
		registrations_find(world.registrations, REGISTRATION_APP, slice_of("T"));
	assert_non_null(accounts_move(world.accounts, WORLD_OTHER, &error));
	registrations_move(world.registrations);
	struct link *other = fake_link_find(WORLD_OTHER);
	fake_link_greet(other, OTHER_UAID, 0);
	(void)fake_link_answer_all(other);
	fake_link_notify(link, name, "v1", "one");
	assert_true(registration->is_unsaved);
	while (registration->is_unsaved) {
		assert_int_equal(world_count(&world, "announce T"), 1);
		assert_int_equal(world_count(&world, "push T one"), 0);
		world_turn(&world);
	}
	WORLD_WAIT(&world, fake_link_acks(link) == 1);
	assert_int_equal(world_count(&world, "announce T"), 2);
	assert_int_equal(world_count(&world, "push T one"), 1);
	world_end(&world);
}

static void a_late_answer_is_not_for_another_endpoint(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer;
	struct link *link = world_begin(&world);
	(void)fake_link_answer_all(link);
	world.is_silent = true;
	world_register(&world, REGISTRATION_APP, "T", "org.app", NULL, &answer);
	WORLD_WAIT(&world, world.held_count == 1); /* it is told, and takes its time */
	const struct registration *registration =
		registrations_find(world.registrations, REGISTRATION_APP, slice_of("T"));
	world_register(&world, REGISTRATION_APP, "T", "org.app", WORLD_KEY, &answer);
	(void)fake_link_answer_all(link);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_OK);
	assert_int_equal(world_count(&world, "announce T"), 1);
	dispatch_done_fn *done = world.held[0].done;
	void *ctx = world.held[0].ctx;
	world.held_count = 0;
	done(DISPATCH_TAKEN, ctx);
	assert_false(registration->is_announced);
	assert_int_equal(world_count(&world, "announce T"), 2);
	world.is_silent = false;
	WORLD_WAIT(&world, registration->is_announced);
	world_end(&world);
}

static void another_endpoint_that_the_disk_refuses(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer;
	char path[128], name[40];
	struct link *link = world_begin(&world);
	(void)snprintf(name, sizeof name, "%s", add_app(&world, "T", "org.app"));
	(void)snprintf(path, sizeof path, "%s/state.json", world.dir);
	WORLD_WAIT(&world, access(path, F_OK) == 0);
	/* a directory in the file's place cannot be replaced, even by root */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	world_register(&world, REGISTRATION_APP, "T", "org.app", WORLD_KEY, &answer);
	(void)fake_link_answer_all(link);
	fake_link_notify(link, name, "v1", "meanwhile");
	assert_int_equal(world_count(&world, "push T meanwhile"), 0);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_INTERNAL_ERROR);
	WORLD_WAIT(&world, fake_link_acks(link) == 1);
	assert_int_equal(world_count(&world, "push T meanwhile"), 1);
	assert_int_equal(world_count(&world, "announce T"), 1);
	assert_int_equal(rmdir(path), 0);
	world_end(&world);
}

static void what_another_format_remembers_counts_for_nothing(void **state) {
	(void)state;
	struct world world;
	char dir[64], name[40], path[96], *data = NULL;
	size_t bytes = 0;
	struct link *link = world_begin(&world);
	(void)snprintf(name, sizeof name, "%s", add_app(&world, "T", "org.app"));
	fake_link_notify(link, name, "v1", "one");
	WORLD_WAIT(&world, fake_link_acks(link) == 1);
	(void)snprintf(dir, sizeof dir, "%s", world.dir);
	world_close(&world);
	(void)snprintf(path, sizeof path, "%s/delivered.json", dir);
	assert_int_equal(file_read(path, 4096, &data, &bytes), 0);
	assert_non_null(strstr(data, "\"format\":2"));
	memcpy(strstr(data, "\"format\":2"), "\"format\":1", strlen("\"format\":1"));
	assert_int_equal(file_replace(path, data, bytes, 0600), 0);
	free(data);
	world_open(&world, dir);
	link = fake_link_find(WORLD_RELAY);
	fake_link_greet(link, WORLD_UAID, 0);
	fake_link_notify(link, name, "v1", "one");
	WORLD_WAIT(&world, fake_link_acks(link) == 1);
	assert_int_equal(world_count(&world, "push T one"), 1);
	world_end(&world);
}

static void a_dead_app_delays_nobody(void **state) {
	(void)state;
	struct world world;
	char dir[64];
	struct link *link = world_begin(&world);
	const char *dead = add_app(&world, "D", "org.dead");
	const char *live = add_app(&world, "L", "org.live");
	world.answer = DISPATCH_ABSENT;
	fake_link_notify(link, dead, "v1", "one");
	/* kept on the disk, so the relay is told that it is taken */
	WORLD_WAIT(&world, fake_link_acks(link) == 1);
	assert_int_equal(journalled(&world), 1);
	fake_link_notify(link, dead, "v2", "two");
	WORLD_WAIT(&world, fake_link_acks(link) == 2);
	assert_int_equal(world_count(&world, "push D two"), 0);
	world.answer = DISPATCH_TAKEN;
	fake_link_notify(link, live, "v3", "three");
	WORLD_WAIT(&world, fake_link_acks(link) == 3);
	assert_true(world_saw(&world, "push L three"));
	(void)snprintf(dir, sizeof dir, "%s", world.dir);
	world_close(&world);

	/* after a restart both are there, in their order */
	world_open(&world, dir);
	WORLD_WAIT(&world, world_saw(&world, "push D one") && world_saw(&world, "push D two"));
	WORLD_WAIT(&world, journalled(&world) == 0);
	world_end(&world);
}

static void notify_many(struct link *link, const char *channel, int first, int count) {
	for (int i = first; i < first + count; i++) {
		char version[16], body[16];
		(void)snprintf(version, sizeof version, "v%d", i);
		(void)snprintf(body, sizeof body, "%d", i);
		fake_link_notify(link, channel, version, body);
	}
}

static struct dispatch_status status_of(const struct world *world) {
	struct dispatch_status status;
	dispatch_status(world->dispatch, &status);
	return status;
}

/* The relay's window is for all: what a dead app lets pile up leaves it, and the oldest goes. (Of a
 * connection it is kept in memory only, which spares the disk here.) */
static void of_a_dead_app_a_thousand_are_kept(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *dead = add_app(&world, "D", ":1.5");
	world.answer = DISPATCH_ABSENT;
	notify_many(link, dead, 0, 1);
	WORLD_WAIT(&world, fake_link_acks(link) == 1);
	notify_many(link, dead, 1, 1100);
	WORLD_WAIT(&world, fake_link_acks(link) == 1101);
	assert_int_equal(status_of(&world).waiting, JOURNAL_PER_SERVICE_MAX);
	assert_int_equal(status_of(&world).dropped, 101);
	assert_int_equal(journalled(&world), 0);
	world.answer = DISPATCH_TAKEN;
	dispatch_service_appeared(world.dispatch, REGISTRATION_APP, ":1.5");
	WORLD_WAIT(&world, world_saw(&world, "push D 101"));
	assert_false(world_saw(&world, "push D 100"));
	(void)registrations_unregister(world.registrations, REGISTRATION_APP, slice_of("D"), true);
	world_end(&world);
}

/* One that was called and has not answered is not dead yet: nothing is dropped, the relay waits. */
static void of_a_silent_app_nothing_is_dropped(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *silent = add_app(&world, "S", "org.silent");
	world.is_silent = true;
	notify_many(link, silent, 0, 2100);
	struct dispatch_status status = status_of(&world);
	assert_int_equal(status.dropped, 0);
	assert_int_equal(status.waiting, 2048); /* the rest comes in another session */
	world_end(&world);
}

static void others_have_room_when_four_fill_it(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	static const char *const names[] = {"A", "B", "C", "D"};
	const char *silent[4], *live = add_app(&world, "L", "org.live");
	for (int i = 0; i < 4; i++) {
		char connection[16];
		(void)snprintf(connection, sizeof connection, ":1.%d", i);
		silent[i] = add_app(&world, names[i], connection);
	}
	world.is_silent = true;
	for (int i = 0; i < 4; i++) {
		notify_many(link, silent[i], i * 3000, 2100);
	}
	assert_int_equal(status_of(&world).waiting, 8192);
	fake_link_notify(link, live, "v", "for the live one");
	assert_true(world_saw(&world, "push L for the live one"));
	world_end(&world);
}

static void an_app_that_appears_gets_all_at_once(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.app");
	world.answer = DISPATCH_ABSENT;
	fake_link_notify(link, channel, "v1", "one");
	WORLD_WAIT(&world, journalled(&world) == 1);
	const char *reason;
	assert_int_equal(
		dispatch_waiting(world.dispatch,
			registrations_find(world.registrations, REGISTRATION_APP, slice_of("T")), &reason),
		1);
	assert_string_equal(reason, dispatch_outcome_name(DISPATCH_ABSENT));
	world.answer = DISPATCH_TAKEN;
	dispatch_service_appeared(world.dispatch, REGISTRATION_APP, "org.app");
	WORLD_WAIT(&world, journalled(&world) == 0);
	assert_int_equal(world_count(&world, "push T one"), 2);
	world_end(&world);
}

static void what_waits_long_goes_to_the_journal(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.hangs");
	world.is_silent = true;
	fake_link_notify(link, channel, "v1", "one");
	fake_link_notify(link, channel, "v2", "two");
	WORLD_WAIT(&world, fake_link_acks(link) == 2); /* after two seconds */
	assert_int_equal(journalled(&world), 2);
	world.is_silent = false;
	WORLD_WAIT(&world, journalled(&world) == 0);
	assert_int_equal(fake_link_acks(link), 2);
	world_end(&world);
}

static void refused_thrice_is_given_up(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.app");
	world.answer = DISPATCH_REFUSED;
	fake_link_notify(link, channel, "v1", "one");
	for (size_t tries = 1; tries <= 3; tries++) {
		WORLD_WAIT(&world, world_count(&world, "push T one") == tries);
		WORLD_WAIT(&world, world.held_count == 0);
		dispatch_service_appeared(world.dispatch, REGISTRATION_APP, "org.app");
	}
	WORLD_WAIT(&world, journalled(&world) == 0);
	assert_int_equal(world_count(&world, "push T one"), 3);
	assert_int_equal(fake_link_acks(link), 1);
	world_end(&world);
}

static void what_no_app_takes_is_dropped(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.app");
	char big[4098];
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	fake_link_notify(link, channel, "v1", "");
	fake_link_notify(link, channel, "v2", big);
	fake_link_notify(link, "11111111-2222-4333-8444-555555555555", "v3", "stranger");
	assert_int_equal(fake_link_acks(link), 3);
	struct dispatch_status status;
	dispatch_status(world.dispatch, &status);
	assert_int_equal(status.waiting, 0);
	world_end(&world);
}

static void unregistered_in_flight_is_forgotten(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.app");
	world.is_silent = true;
	fake_link_notify(link, channel, "v1", "one");
	fake_link_notify(link, channel, "v2", "two");
	assert_true(
		registrations_unregister(world.registrations, REGISTRATION_APP, slice_of("T"), true));
	assert_false(world_saw(&world, "dismiss T app")); /* the disk still has it */
	assert_int_equal(fake_link_acks(link), 2);
	WORLD_WAIT(&world, world_saw(&world, "dismiss T app"));
	world.is_silent = false;
	WORLD_WAIT(&world, world.held_count == 0);
	assert_false(world_saw(&world, "push T two"));
	world_end(&world);
}

static void a_blocked_one_is_dropped_quietly(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const char *channel = add_app(&world, "T", "org.app");
	registrations_set_blocked(world.registrations,
		registrations_find(world.registrations, REGISTRATION_APP, slice_of("T"))->number, true);
	fake_link_notify(link, channel, "v1", "one");
	assert_int_equal(fake_link_acks(link), 1);
	assert_false(world_saw(&world, "push T one"));
	world_end(&world);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledged_only_when_taken),
		cmocka_unit_test(one_at_a_time_in_order),
		cmocka_unit_test(what_comes_again_is_not_delivered_again),
		cmocka_unit_test(equal_versions_of_two_relays_are_two_messages),
		cmocka_unit_test(nothing_is_told_before_it_is_saved),
		cmocka_unit_test(a_late_answer_is_not_for_another_endpoint),
		cmocka_unit_test(another_endpoint_that_the_disk_refuses),
		cmocka_unit_test(what_another_format_remembers_counts_for_nothing),
		cmocka_unit_test(a_dead_app_delays_nobody),
		cmocka_unit_test(of_a_dead_app_a_thousand_are_kept),
		cmocka_unit_test(of_a_silent_app_nothing_is_dropped),
		cmocka_unit_test(others_have_room_when_four_fill_it),
		cmocka_unit_test(an_app_that_appears_gets_all_at_once),
		cmocka_unit_test(what_waits_long_goes_to_the_journal),
		cmocka_unit_test(refused_thrice_is_given_up),
		cmocka_unit_test(what_no_app_takes_is_dropped),
		cmocka_unit_test(unregistered_in_flight_is_forgotten),
		cmocka_unit_test(a_blocked_one_is_dropped_quietly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
