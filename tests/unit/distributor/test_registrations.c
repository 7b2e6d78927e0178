/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations: the table of what Register must do, the pool, moves, and what survives. */
#include "common/log.h"
#include "common/mem.h"
#include "distributor/registrations_impl.h"
#include "tests/unit/distributor/fake_link.h"
#include "tests/unit/distributor/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

enum { POOL = 2 }; /* of struct world */

static bool all_announced(const struct world *world, uint32_t count) {
	const struct registration *registration = NULL;
	while ((registration = registrations_next(world->registrations, registration))) {
		if (!registration->is_announced) {
			return false;
		}
	}
	return registrations_count(world->registrations) == count;
}

static void without_a_relay_the_user_must_act(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer;
	world_open(&world, NULL);
	world_register(&world, REGISTRATION_APP, "T", "org.app", NULL, &answer);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_ACTION_REQUIRED);
	world_end(&world);
}

static void the_pool_serves_offline(void **state) {
	(void)state;
	struct world world;
	struct world_answer plain, keyed, none;
	struct link *link = world_begin(&world);
	assert_int_equal(fake_link_answer_all(link), 4); /* two of either kind */
	fake_link_drop(link, LINK_OFFLINE);
	world_register(&world, REGISTRATION_APP, "plain", "org.app", NULL, &plain);
	world_register(&world, REGISTRATION_APP, "keyed", "org.app", WORLD_KEY, &keyed);
	WORLD_WAIT(&world, plain.is_done && keyed.is_done);
	assert_int_equal(plain.outcome, REGISTER_OK);
	assert_int_equal(keyed.outcome, REGISTER_OK);
	assert_string_not_equal(plain.endpoint, keyed.endpoint);
	WORLD_WAIT(&world, world_saw(&world, "announce plain") && world_saw(&world, "announce keyed"));
	/* a third of the kind: the pool is empty, and there is no network */
	world_register(&world, REGISTRATION_APP, "k2", "org.app", WORLD_KEY, &none);
	WORLD_WAIT(&world, none.is_done);
	assert_int_equal(none.outcome, REGISTER_OK);
	world_register(&world, REGISTRATION_APP, "k3", "org.app", WORLD_KEY, &none);
	WORLD_WAIT(&world, none.is_done);
	assert_int_equal(none.outcome, REGISTER_NETWORK);
	/* the relay is told the key as soon as it is there, and the wish is granted */
	fake_link_greet(link, WORLD_UAID, 0);
	size_t told = 0;
	for (size_t i = 0; fake_link_asked(link, i); i++) {
		told += strcmp(fake_link_asked(link, i)->vapid_key, WORLD_KEY) == 0;
	}
	assert_int_equal(told, 3);
	(void)fake_link_answer_all(link);
	WORLD_WAIT(&world, world_saw(&world, "announce k3"));
	world_end(&world);
}

static void a_known_token_keeps_its_endpoint(void **state) {
	(void)state;
	struct world world;
	struct world_answer first, again, other;
	struct link *link = world_begin(&world);
	(void)fake_link_answer_all(link);
	world_register(&world, REGISTRATION_APP, "T", "org.app", NULL, &first);
	WORLD_WAIT(&world, first.is_done);
	WORLD_WAIT(&world, world_saw(&world, "announce T"));
	fake_link_drop(link, LINK_OFFLINE);
	world_register(&world, REGISTRATION_APP, "T", "org.app", NULL, &again);
	WORLD_WAIT(&world, again.is_done && world_count(&world, "announce T") == 2);
	assert_int_equal(again.outcome, REGISTER_OK);
	assert_string_equal(first.endpoint, again.endpoint);
	world_register(&world, REGISTRATION_APP, "T", "org.thief", NULL, &other);
	WORLD_WAIT(&world, other.is_done);
	assert_int_equal(other.outcome, REGISTER_INTERNAL_ERROR);
	world_end(&world);
}

static void another_key_means_another_endpoint(void **state) {
	(void)state;
	struct world world;
	struct world_answer first, keyed, absent;
	struct link *link = world_begin(&world);
	(void)fake_link_answer_all(link);
	world_register(&world, REGISTRATION_APP, "T", "org.app", NULL, &first);
	WORLD_WAIT(&world, first.is_done);
	const struct registration *registration =
		registrations_find(world.registrations, REGISTRATION_APP, slice_of("T"));
	char old[40];
	(void)snprintf(old, sizeof old, "%s", registration->channel->name);
	world_register(&world, REGISTRATION_APP, "T", "org.app", WORLD_KEY, &keyed);
	WORLD_WAIT(&world, keyed.is_done);
	assert_int_equal(keyed.outcome, REGISTER_OK);
	assert_string_not_equal(first.endpoint, keyed.endpoint);
	/* the old one brings messages until the app has the new one, then the relay forgets it */
	WORLD_WAIT(&world, world_count(&world, "announce T") == 2);
	WORLD_WAIT(&world, registration->is_announced);
	bool left = false;
	for (size_t i = 0; fake_link_asked(link, i); i++) {
		left = left || (fake_link_asked(link, i)->is_unregister &&
						   strcmp(fake_link_asked(link, i)->channel, old) == 0);
	}
	assert_true(left);
	/* a later call without the key does not weaken it */
	world_register(&world, REGISTRATION_APP, "T", "org.app", NULL, &absent);
	WORLD_WAIT(&world, absent.is_done);
	assert_string_equal(absent.endpoint, keyed.endpoint);
	assert_string_equal(registration->vapid_key, WORLD_KEY);
	world_end(&world);
}

static void two_callers_share_one_request(void **state) {
	(void)state;
	struct world world;
	struct world_answer one, two;
	struct link *link = world_begin(&world);
	world_register(&world, REGISTRATION_NAMED, "T", "T", NULL, &one);
	world_register(&world, REGISTRATION_NAMED, "T", "T", NULL, &two);
	(void)fake_link_answer_all(link);
	WORLD_WAIT(&world, one.is_done && two.is_done);
	assert_int_equal(one.outcome, REGISTER_OK);
	assert_string_equal(one.endpoint, two.endpoint);
	assert_int_equal(registrations_count(world.registrations), 1);
	world_end(&world);
}

static void unregister_cancels_what_is_pending(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer;
	struct link *link = world_begin(&world);
	world_register(&world, REGISTRATION_NAMED, "T", "T", NULL, &answer);
	assert_true(
		registrations_unregister(world.registrations, REGISTRATION_NAMED, slice_of("T"), true));
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_INTERNAL_ERROR);
	(void)fake_link_answer_all(link);
	assert_int_equal(registrations_count(world.registrations), 0);
	assert_false(
		registrations_unregister(world.registrations, REGISTRATION_NAMED, slice_of("T"), true));
	world_end(&world);
}

static void a_refusal_is_told(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer;
	struct link *link = world_begin(&world);
	(void)fake_link_answer_all(link);
	size_t at = 0;
	while (fake_link_asked(link, at)) {
		at++;
	}
	world_register(&world, REGISTRATION_HOOK, "T", "T", NULL, &answer);
	fake_link_answer(link, fake_link_asked(link, at)->channel, 401, "");
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_ACTION_REQUIRED);
	assert_non_null(strstr(answer.detail, "401"));
	world_end(&world);
}

static void ask(
	struct world *world, const char *service, int first, int count, struct world_answer *answers) {
	for (int i = 0; i < count; i++) {
		char token[32];
		(void)snprintf(token, sizeof token, "%s %d", service, first + i);
		world_register(world, REGISTRATION_APP, token, service, NULL, &answers[i]);
	}
}

/* Requests that wait for the relay: so many of a service, and as many again of all others. */
static void a_crowd_is_refused_at_once(void **state) {
	(void)state;
	struct world world;
	static struct world_answer greedy[65], others[65], last;
	struct link *link = world_begin(&world);
	dispatch_set_target(world.dispatch, REGISTRATION_APP, NULL, NULL); /* nobody is told */
	(void)fake_link_answer_all(link);
	ask(&world, "org.pool", 0, POOL, others); /* those made ahead are given away */
	WORLD_WAIT(&world, others[POOL - 1].is_done);
	ask(&world, "org.greedy", 0, 65, greedy);
	WORLD_WAIT(&world, greedy[64].is_done);
	assert_int_equal(greedy[64].outcome, REGISTER_NETWORK);
	assert_non_null(strstr(greedy[64].detail, "too many"));
	assert_false(greedy[0].is_done);
	ask(&world, "org.other", 0, 64, others);
	ask(&world, "org.third", 0, 1, &last);
	WORLD_WAIT(&world, last.is_done);
	assert_int_equal(last.outcome, REGISTER_NETWORK);
	(void)fake_link_answer_all(link);
	WORLD_WAIT(&world, (fake_link_answer_all(link), greedy[63].is_done && others[63].is_done));
	assert_int_equal(greedy[63].outcome, REGISTER_OK);
	assert_int_equal(others[63].outcome, REGISTER_OK);
	ask(&world, "org.third", 1, 1, &last);
	WORLD_WAIT(&world, (fake_link_answer_all(link), last.is_done));
	assert_int_equal(last.outcome, REGISTER_OK);
	world_end(&world);
}

/* Without a network nobody waits, and the oldest wish makes room for a new one. */
static void wishes_are_bounded(void **state) {
	(void)state;
	struct world world;
	static struct world_answer answers[REGISTER_JOBS_MAX + 1];
	struct link *link = world_begin(&world);
	dispatch_set_target(world.dispatch, REGISTRATION_APP, NULL, NULL); /* nobody is told */
	(void)fake_link_answer_all(link);
	ask(&world, "org.pool", 0, POOL, answers);
	WORLD_WAIT(&world, answers[POOL - 1].is_done);
	fake_link_drop(link, LINK_OFFLINE);
	for (int i = 0; i < 3; i++) {
		static const char *const services[] = {"org.app0", "org.app1", "org.app2"};
		ask(&world, services[i], 0, i < 2 ? 64 : 1, answers + 64 * i);
	}
	WORLD_WAIT(&world, answers[REGISTER_JOBS_MAX].is_done);
	assert_int_equal(answers[REGISTER_JOBS_MAX].outcome, REGISTER_NETWORK);
	fake_link_greet(link, WORLD_UAID, 0);
	WORLD_WAIT(&world, (fake_link_answer_all(link),
						   registrations_count(world.registrations) == POOL + REGISTER_JOBS_MAX));
	assert_null(registrations_find(world.registrations, REGISTRATION_APP, slice_of("org.app0 0")));
	assert_non_null(
		registrations_find(world.registrations, REGISTRATION_APP, slice_of("org.app2 0")));
	world_end(&world);
}

static void an_app_has_a_thousand_and_no_more(void **state) {
	(void)state;
	struct world world;
	static struct world_answer answers[REGISTRATIONS_PER_SERVICE_MAX], answer;
	struct link *link = world_begin(&world);
	size_t done = 0;
	log_set_level(LOG_LEVEL_WARN); /* there would be a line for each */
	dispatch_set_target(world.dispatch, REGISTRATION_APP, NULL, NULL); /* nobody is told */
	for (size_t i = 0; i < REGISTRATIONS_PER_SERVICE_MAX; i++) {
		char token[16];
		(void)snprintf(token, sizeof token, "T%zu", i);
		world_register(&world, REGISTRATION_APP, token, "org.app", NULL, &answers[i]);
		for (int turns = 0; turns < 5000 && i + 1 - done >= 50; turns++) { /* so many wait */
			(void)fake_link_answer_all(link);
			world_turn(&world);
			done += answers[done].is_done;
		}
	}
	for (int turns = 0; turns < 5000 && done < REGISTRATIONS_PER_SERVICE_MAX; turns++) {
		(void)fake_link_answer_all(link);
		world_turn(&world);
		done += answers[done].is_done;
	}
	assert_int_equal(done, REGISTRATIONS_PER_SERVICE_MAX);
	for (size_t i = 0; i < REGISTRATIONS_PER_SERVICE_MAX; i++) {
		assert_int_equal(answers[i].outcome, REGISTER_OK);
	}
	world_register(&world, REGISTRATION_APP, "more", "org.app", NULL, &answer);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_ACTION_REQUIRED);
	assert_non_null(strstr(answer.detail, "too many"));
	/* a known token is no more, and neither is another app's */
	world_register(&world, REGISTRATION_APP, "T7", "org.app", NULL, &answer);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_OK);
	world_register(&world, REGISTRATION_APP, "T", "org.other", NULL, &answer);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_OK);
	assert_true(
		registrations_unregister(world.registrations, REGISTRATION_APP, slice_of("T7"), true));
	world_register(&world, REGISTRATION_APP, "more", "org.app", NULL, &answer);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_OK);
	world_end(&world);
	log_set_level(LOG_LEVEL_INFO);
}

static void everything_survives_a_restart(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer, hook, transient;
	char dir[64];
	struct link *link = world_begin(&world);
	(void)fake_link_answer_all(link);
	world_register(&world, REGISTRATION_APP, "{T}", "org.app", WORLD_KEY, &answer);
	world_register(&world, REGISTRATION_APP, "U", ":1.42", NULL, &transient);
	world_register(&world, REGISTRATION_HOOK, "mail", "mail", NULL, &hook);
	(void)fake_link_answer_all(link);
	WORLD_WAIT(&world, answer.is_done && hook.is_done && transient.is_done);
	WORLD_WAIT(&world, all_announced(&world, 3));
	(void)fake_link_answer_all(link);
	(void)snprintf(dir, sizeof dir, "%s", world.dir);
	uint8_t auth[16];
	memcpy(auth, registrations_find(world.registrations, REGISTRATION_HOOK, slice_of("mail"))->auth,
		16);
	world_close(&world);

	world_open(&world, dir);
	link = fake_link_find(WORLD_RELAY);
	assert_non_null(link);
	const struct registration *app =
		registrations_find(world.registrations, REGISTRATION_APP, slice_of("{T}"));
	assert_string_equal(app->endpoint, answer.endpoint);
	assert_string_equal(app->vapid_key, WORLD_KEY);
	assert_true(app->is_announced);
	const struct registration *kept =
		registrations_find(world.registrations, REGISTRATION_HOOK, slice_of("mail"));
	assert_memory_equal(auth, kept->auth, 16);
	assert_non_null(kept->key);
	/* what had a unique name is gone, at the relay too */
	assert_null(registrations_find(world.registrations, REGISTRATION_APP, slice_of("U")));
	fake_link_greet(link, WORLD_UAID, 0);
	bool left = false;
	for (size_t i = 0; fake_link_asked(link, i); i++) {
		left = left || fake_link_asked(link, i)->is_unregister;
	}
	assert_true(left);
	assert_false(world_saw(&world, "announce {T}")); /* nothing has changed for it */
	world_end(&world);
}

static void a_forgotten_device_makes_all_anew(void **state) {
	(void)state;
	struct world world;
	struct link *link = world_begin(&world);
	const struct registration *registration = world_add_app(&world, "T", "org.app");
	WORLD_WAIT(&world, registration->is_announced);
	(void)fake_link_answer_all(link);
	fake_link_drop(link, LINK_WAITING);
	fake_link_greet(link, "ffffffffffffffffffffffffffffffff", 0);
	assert_int_equal(world.resyncs, REGISTRATION_KIND_COUNT);
	fake_link_answer(link, registration->channel->name, 200, "https://push.example/new");
	WORLD_WAIT(&world, world_count(&world, "announce T") == 2);
	assert_string_equal(registration->endpoint, "https://push.example/new");
	world_end(&world);
}

static void a_first_greeting_forgets_nothing(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer;
	char *error = NULL;
	world_open(&world, NULL);
	assert_non_null(accounts_move(world.accounts, WORLD_RELAY, &error));
	world_register(&world, REGISTRATION_HOOK, "H", "H", NULL, &answer); /* asked before it is up */
	fake_link_greet(fake_link_find(WORLD_RELAY), WORLD_UAID, 0);
	(void)fake_link_answer_all(fake_link_find(WORLD_RELAY));
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_OK);
	assert_int_equal(world.resyncs, 0);
	world_end(&world);
}

static void a_move_keeps_the_old_relay_for_a_week(void **state) {
	(void)state;
	struct world world;
	char *error = NULL;
	struct link *link = world_begin(&world);
	const struct registration *registration = world_add_app(&world, "T", "org.app");
	char old[40];
	(void)snprintf(old, sizeof old, "%s", registration->channel->name);
	assert_null(accounts_move(world.accounts, "nonsense", &error));
	free(error);
	error = NULL;
	assert_non_null(accounts_move(world.accounts, WORLD_OTHER, &error));
	registrations_move(world.registrations);
	struct link *other = fake_link_find(WORLD_OTHER);
	fake_link_greet(other, WORLD_UAID, 0);
	(void)fake_link_answer_all(other);
	WORLD_WAIT(&world, world_count(&world, "announce T") == 2);
	assert_string_not_equal(registration->channel->name, old);
	assert_false(world_saw(&world, "dismiss T us"));
	/* both endpoints bring messages; acknowledged where they came from */
	fake_link_notify(link, old, "v-old", "old");
	fake_link_notify(other, registration->channel->name, "v-new", "new");
	WORLD_WAIT(&world, world_saw(&world, "push T old") && world_saw(&world, "push T new"));
	WORLD_WAIT(&world, fake_link_acks(link) == 1 && fake_link_acks(other) == 1);
	assert_string_equal(fake_link_ack(link, 0)->version, "v-old");
	world_end(&world);
}

static void a_move_taken_back_leaves_no_trace(void **state) {
	(void)state;
	struct world world;
	char *error = NULL, old[200];
	(void)world_begin(&world);
	const struct registration *registration = world_add_app(&world, "T", "org.app");
	(void)snprintf(old, sizeof old, "%s", registration->endpoint);
	struct account *other = accounts_move(world.accounts, WORLD_OTHER, &error);
	registrations_move(world.registrations); /* waits for the other relay */
	assert_non_null(accounts_move(world.accounts, WORLD_RELAY, &error));
	registrations_move(world.registrations);
	fake_link_greet(fake_link_find(WORLD_OTHER), WORLD_UAID, 0);
	(void)fake_link_answer_all(fake_link_find(WORLD_OTHER));
	WORLD_WAIT(&world, list_is_empty(&other->channels));
	assert_string_equal(registration->endpoint, old);
	assert_int_equal(world_count(&world, "announce T"), 1);
	world_end(&world);
}

static void another_spelling_is_no_other_relay(void **state) {
	(void)state;
	struct world world;
	char *error = NULL;
	(void)world_begin(&world);
	struct account *present = accounts_present(world.accounts);
	assert_ptr_equal(accounts_move(world.accounts, "WS://Relay.Example:80", &error), present);
	assert_ptr_not_equal(accounts_move(world.accounts, WORLD_RELAY "i/invite", &error), present);
	world_end(&world);
}

static void another_key_ends_a_move_under_way(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer;
	char *error = NULL;
	(void)world_begin(&world);
	(void)world_add_app(&world, "T", "org.app");
	assert_non_null(accounts_move(world.accounts, WORLD_OTHER, &error));
	registrations_move(world.registrations); /* waits for the other relay */
	world_register(&world, REGISTRATION_APP, "T", "org.app", WORLD_KEY, &answer);
	struct link *other = fake_link_find(WORLD_OTHER);
	fake_link_greet(other, WORLD_UAID, 0);
	(void)fake_link_answer_all(other);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_OK);
	const struct registration *registration =
		registrations_find(world.registrations, REGISTRATION_APP, slice_of("T"));
	assert_string_equal(registration->vapid_key, WORLD_KEY);
	assert_ptr_equal(registration->channel->account, accounts_present(world.accounts));
	WORLD_WAIT(&world, world_count(&world, "announce T") == 2);
	/* nothing of the move is left over: the token can be asked for again */
	world_register(&world, REGISTRATION_APP, "T", "org.app", WORLD_KEY, &answer);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_OK);
	world_end(&world);
}

static void a_full_disk_refuses_without_traces(void **state) {
	(void)state;
	struct world world;
	struct world_answer answer;
	char path[128];
	struct link *link = world_begin(&world);
	(void)fake_link_answer_all(link);
	WORLD_WAIT(
		&world, access((snprintf(path, sizeof path, "%s/state.json", world.dir), path), F_OK) == 0);
	/* a directory in the file's place cannot be replaced, even by root */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	world_register(&world, REGISTRATION_APP, "T", "org.app", NULL, &answer);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_INTERNAL_ERROR);
	assert_int_equal(registrations_count(world.registrations), 0);
	assert_int_equal(rmdir(path), 0);
	world_register(&world, REGISTRATION_APP, "T", "org.app", NULL, &answer);
	WORLD_WAIT(&world, answer.is_done);
	assert_int_equal(answer.outcome, REGISTER_OK);
	world_end(&world);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_relay_the_user_must_act),
		cmocka_unit_test(the_pool_serves_offline),
		cmocka_unit_test(a_known_token_keeps_its_endpoint),
		cmocka_unit_test(another_key_means_another_endpoint),
		cmocka_unit_test(two_callers_share_one_request),
		cmocka_unit_test(unregister_cancels_what_is_pending),
		cmocka_unit_test(a_refusal_is_told),
		cmocka_unit_test(a_crowd_is_refused_at_once),
		cmocka_unit_test(wishes_are_bounded),
		cmocka_unit_test(an_app_has_a_thousand_and_no_more),
		cmocka_unit_test(everything_survives_a_restart),
		cmocka_unit_test(a_forgotten_device_makes_all_anew),
		cmocka_unit_test(a_first_greeting_forgets_nothing),
		cmocka_unit_test(a_move_keeps_the_old_relay_for_a_week),
		cmocka_unit_test(a_move_taken_back_leaves_no_trace),
		cmocka_unit_test(another_spelling_is_no_other_relay),
		cmocka_unit_test(another_key_ends_a_move_under_way),
		cmocka_unit_test(a_full_disk_refuses_without_traces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
