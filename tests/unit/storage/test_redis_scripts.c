/* SPDX-License-Identifier: Apache-2.0 */
/* What the scripts leave in Redis: by the short way of a put as by the long one, and when a crash
 * cuts what they write. */
#include "common/mem.h"
#include "redis_server.h"
#include "tests/contract/world.h"
#include <glob.h>
#include <hiredis/hiredis.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT_MESSAGES = 40, LIMIT_BYTES = 12000, AOF_MAX = 1 << 20, CUTS_MAX = 32 };

struct scene {
	struct redis_server server;
	struct world *world;
	redisContext *control;
};

static void scene_open(struct scene *scene) {
	world_open(scene->world, scene->server.url, NULL);
	scene->control = redisConnectUnix(scene->server.socket);
	assert_true(scene->control && !scene->control->err);
}

static void scene_close(struct scene *scene) {
	redisFree(scene->control);
	world_close(scene->world);
}

static int scene_setup(void **state) {
	struct scene *scene = mem_zalloc(sizeof *scene);
	redis_server_init(&scene->server, NULL);
	world_create(&scene->world);
	scene->world->limits.queue_messages = LIMIT_MESSAGES;
	scene->world->limits.queue_bytes = LIMIT_BYTES;
	scene_open(scene);
	*state = scene;
	return 0;
}

static int scene_teardown(void **state) {
	struct scene *scene = *state;
	scene_close(scene);
	world_destroy(scene->world);
	redis_server_finish(&scene->server);
	free(scene);
	return 0;
}

/* ---- what lies in Redis ----
 */

/* As redis_scripts/device.lua has it. */
struct queue_record {
	double last, bytes, late, soonest;
	uint32_t counts[URGENCY_COUNT];
};

static void key_print(struct device_id device, const char *end, char out[64]) {
	size_t len = (size_t)snprintf(out, 64, "bw:{");
	for (size_t i = 0; i < sizeof device.bytes; i++) {
		len += (size_t)snprintf(out + len, 64 - len, "%02x", device.bytes[i]);
	}
	(void)snprintf(out + len, 64 - len, "}%s", end);
}

static struct queue_record queue_record_of(struct scene *scene, struct device_id device) {
	char key[64];
	struct queue_record record;
	key_print(device, "", key);
	redisReply *reply = redisCommand(scene->control, "HGET %s q", key);
	assert_true(reply && reply->type == REDIS_REPLY_STRING && reply->len == sizeof record);
	memcpy(&record, reply->str, sizeof record);
	freeReplyObject(reply);
	return record;
}

static long long number_of(struct scene *scene, const char *command, struct device_id device) {
	char key[64];
	key_print(device, ":q", key);
	redisReply *reply = redisCommand(scene->control, "%s %s", command, key);
	assert_true(reply && reply->type == REDIS_REPLY_INTEGER);
	long long number = reply->integer;
	freeReplyObject(reply);
	return number;
}

/* ---- the short way and the long way ----
 */

/* A subscription with demands is what makes a put take the long one. */
static struct subscription_id subscribe_demanding(struct world *world, struct device_id device) {
	struct store_subscribe what = {
		.device = device, .channel = channel(1), .fresh = new_subscription(), .max_body = 60000};
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(world->subscribed.outcome, STORE_OK);
	return world->subscribed.subscription;
}

static void assert_same_queues(
	struct scene *scene, struct device_id one, struct device_id other, double apart_ms) {
	struct queue_record a = queue_record_of(scene, one), b = queue_record_of(scene, other);
	assert_true(a.bytes == b.bytes);
	assert_memory_equal(a.counts, b.counts, sizeof a.counts);
	assert_true(a.soonest == b.soonest || fabs(a.soonest - b.soonest) <= apart_ms);
	assert_true(fabs(a.late - b.late) <= apart_ms);
	assert_int_equal(number_of(scene, "ZCARD", one), number_of(scene, "ZCARD", other));
	long long lives[] = {number_of(scene, "PTTL", one), number_of(scene, "PTTL", other)};
	assert_true((lives[0] > 0) == (lives[1] > 0));
	assert_true(llabs(lives[0] - lives[1]) < 5000 || llabs(lives[0] - lives[1]) > 4000000);
}

static void assert_same_fetch(
	struct world *world, struct device_id one, struct device_id other, struct message_id *out_ids) {
	char bodies[STORE_FETCH_MAX][64];
	fetch_with(world, one, (struct message_id){0, 0}, URGENCY_VERY_LOW, STORE_FETCH_MAX);
	size_t count = world->fetched.count;
	memcpy(bodies, world->bodies, sizeof bodies);
	out_ids[0] = world->ids[0];
	fetch_with(world, other, (struct message_id){0, 0}, URGENCY_VERY_LOW, STORE_FETCH_MAX);
	out_ids[1] = world->ids[0];
	assert_int_equal(world->fetched.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(world->bodies[i], bodies[i]);
	}
}

static struct store_put_result put_some(struct world *world, struct device_id device,
	struct subscription_id subscription, int number, struct put_facts facts) {
	char body[64];
	(void)snprintf(body, sizeof body, "%d%.*s", number, number * 7 % 50,
		"--------------------------------------------------");
	assert_int_equal(put_with(world, device, subscription, body, facts), STORE_OK);
	return world->put;
}

static void the_short_way_of_a_put_leads_where_the_long_one_does(void **state) {
	struct scene *scene = *state;
	struct world *world = scene->world;
	struct device_id devices[2] = {new_device(), new_device()};
	struct subscription_id subscriptions[2] = {
		subscribe(world, devices[0], 1), subscribe_demanding(world, devices[1])};
	struct message_id before[2] = {{0, 0}, {0, 0}};
	double begin_ms = ev_time() * 1000;
	srand(1);
	for (int number = 0; number < 400; number++) {
		static const uint32_t ttls[] = {3600, 3600, 3600, 100, 8000, 100000, 0};
		const struct put_facts facts = {
			ttls[rand() % 7], (enum urgency)(rand() % URGENCY_COUNT), NULL};
		struct store_put_result results[2];
		for (int i = 0; i < 2; i++) {
			results[i] = put_some(world, devices[i], subscriptions[i], number, facts);
			assert_true(message_id_compare(before[i], results[i].id) < 0);
			assert_true(message_id_compare(before[i], results[i].previous) >= 0);
			before[i] = results[i].id;
		}
		double apart_ms = ev_time() * 1000 - begin_ms;
		assert_int_equal(results[0].is_stored, results[1].is_stored);
		assert_int_equal(results[0].is_here, results[1].is_here);
		assert_int_equal(results[0].evicted, results[1].evicted);
		assert_true(llabs(results[0].expires_ms - results[1].expires_ms) <= (int64_t)apart_ms + 1);
		assert_memory_equal(&results[0].channel, &results[1].channel, sizeof results[0].channel);
		struct message_id first[2];
		assert_same_fetch(world, devices[0], devices[1], first);
		for (int i = 0; i < 2 && rand() % 3 == 0; i++) {
			(void)ack(world, devices[i], 1, first[i]);
			(void)ack(world, devices[1 - i], 1, first[1 - i]);
			assert_same_fetch(world, devices[0], devices[1], first);
		}
		assert_same_queues(scene, devices[0], devices[1], apart_ms + 1);
		if (rand() % 40 == 0) {
			for (int i = 0; i < 2; i++) {
				CALL(world, store_detach(world->store, devices[i], on_done, world));
				world_wait(world);
			}
		} else if (rand() % 20 == 0) {
			for (int i = 0; i < 2; i++) {
				assert_int_equal(attach(world, devices[i]), STORE_OK);
			}
		}
	}
}

/* ---- a write that is cut ----
 * Redis that was killed in the middle of writing a script's changes cuts its file behind the last
 * whole one of them when it starts, and runs what is left of them when it starts again.
 */

struct aof {
	char path[256];
	char *data;
	size_t bytes;
};

static struct aof aof_read(const struct scene *scene) {
	struct aof aof = {.data = mem_alloc(AOF_MAX)};
	for (int i = 0; i < 2 && !aof.path[0]; i++) { /* since Redis 7; before */
		static const char *const names[] = {"appendonlydir/*.incr.aof", "appendonly.aof"};
		char pattern[128];
		glob_t found;
		(void)snprintf(pattern, sizeof pattern, "%s/%s", scene->server.dir, names[i]);
		if (glob(pattern, 0, NULL, &found) == 0) {
			(void)snprintf(aof.path, sizeof aof.path, "%s", found.gl_pathv[0]);
			globfree(&found);
		}
	}
	FILE *file = fopen(aof.path, "r");
	assert_non_null(file);
	aof.bytes = fread(aof.data, 1, AOF_MAX, file);
	assert_true(aof.bytes > 0 && aof.bytes < AOF_MAX);
	(void)fclose(file);
	return aof;
}

static void aof_write(const struct aof *aof, size_t bytes) {
	FILE *file = fopen(aof->path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(aof->data, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

/* Where the commands begin that lie behind `from`. */
static size_t aof_commands(const struct aof *aof, size_t from, size_t out_starts[CUTS_MAX]) {
	size_t count = 0;
	const char *at = aof->data + from, *end = aof->data + aof->bytes;
	while (at < end) {
		char *next;
		assert_true(*at == '*' && count < CUTS_MAX);
		out_starts[count++] = (size_t)(at - aof->data);
		long words = strtol(at + 1, &next, 10);
		at = next + 2;
		while (words-- > 0) {
			long len = strtol(at + 1, &next, 10);
			at = next + 2 + len + 2;
		}
	}
	return count;
}

static void scene_start_again(struct scene *scene) {
	redis_server_kill(&scene->server);
	redis_server_start(&scene->server, NULL, true);
}

static bool has_body(const struct world *world, const char *body) {
	for (size_t i = 0; i < world->fetched.count; i++) {
		if (strcmp(world->bodies[i], body) == 0) {
			return true;
		}
	}
	return false;
}

/* Everything that was accepted is there, and what is there can be taken out. */
static void assert_whole(struct scene *scene, struct device_id device, const char *instead) {
	struct world *world = scene->world;
	assert_int_equal(attach(world, device), STORE_OK);
	fetch_with(world, device, (struct message_id){0, 0}, URGENCY_VERY_LOW, STORE_FETCH_MAX);
	assert_true(has_body(world, "kept") && has_body(world, "after"));
	assert_true(has_body(world, "old") || has_body(world, instead));
	size_t count = world->fetched.count;
	struct message_id ids[STORE_FETCH_MAX];
	memcpy(ids, world->ids, sizeof ids);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(ack(world, device, 1, ids[i]), 1);
	}
	expect_queue(world, device, "");
	struct queue_record record = queue_record_of(scene, device);
	static const uint32_t none[URGENCY_COUNT];
	assert_true(record.bytes == 0);
	assert_memory_equal(record.counts, none, sizeof none);
}

static void cut_everywhere(struct scene *scene, struct device_id device,
	struct subscription_id subscription, size_t before, const char *instead) {
	struct aof aof = aof_read(scene);
	size_t starts[CUTS_MAX];
	size_t count = aof_commands(&aof, before, starts);
	assert_true(count >= 4);
	for (size_t i = 1; i < count; i++) {
		scene_close(scene);
		redis_server_kill(&scene->server);
		aof_write(&aof, starts[i] + 3);
		redis_server_start(&scene->server, NULL, true);
		scene_open(scene);
		assert_int_equal(put(scene->world, device, subscription, "after"), STORE_OK);
		scene_close(scene);
		scene_start_again(scene);
		scene_open(scene);
		assert_whole(scene, device, instead);
	}
	free(aof.data);
}

static size_t aof_bytes(const struct scene *scene) {
	struct aof aof = aof_read(scene);
	free(aof.data);
	return aof.bytes;
}

static void a_topic_is_never_lost_between_old_and_new(void **state) {
	struct scene *scene = *state;
	struct world *world = scene->world;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	const struct put_facts topic = {60, URGENCY_NORMAL, "t"};
	assert_int_equal(put(world, device, subscription, "kept"), STORE_OK);
	assert_int_equal(put_with(world, device, subscription, "old", topic), STORE_OK);
	size_t before = aof_bytes(scene);
	assert_int_equal(put_with(world, device, subscription, "new", topic), STORE_OK);
	cut_everywhere(scene, device, subscription, before, "new");
}

static void a_first_message_is_whole_or_not_there(void **state) {
	struct scene *scene = *state;
	struct world *world = scene->world;
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	assert_int_equal(put(world, device, subscription, "kept"), STORE_OK);
	assert_int_equal(put(world, device, subscription, "old"), STORE_OK);
	size_t before = aof_bytes(scene);
	/* expires before an earlier one, so that it is indexed */
	assert_int_equal(
		put_with(world, device, subscription, "soon", (struct put_facts){50, URGENCY_NORMAL, NULL}),
		STORE_OK);
	cut_everywhere(scene, device, subscription, before, "old");
}

int main(void) {
	(void)signal(SIGPIPE, SIG_IGN);
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		IN_SCENE(the_short_way_of_a_put_leads_where_the_long_one_does),
		IN_SCENE(a_topic_is_never_lost_between_old_and_new),
		IN_SCENE(a_first_message_is_whole_or_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
