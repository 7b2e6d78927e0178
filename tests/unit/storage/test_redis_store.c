/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis store against a real redis-server that dies, stalls, refuses and comes back. What every
 * store must do is the contract suite's to show. */
#include "common/mem.h"
#include "redis_server.h"
#include "storage/store.h"
#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENCE_SEC = 20, BURST = 64, BURST_TRIES = 5 };

/* A store as a relay has it, and what it said. */
struct node {
	struct ev_loop *loop;
	struct store *store;
	char reason[256]; /* of its last "unavailable" */
	int states, lost, woken;
	struct store_wake wake; /* the last of another kind than LOST */
	char text[64]; /* its body or text */
};

static struct ev_loop *test_loop;
static struct redis_server server;
static int pending; /* callbacks that are due */

static void on_patience_ended(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	*(bool *)timer->data = true;
}

/* Runs the loop until the condition holds. */
#define LOOP_UNTIL(condition)                                                                      \
	do {                                                                                           \
		bool is_late = false;                                                                      \
		ev_timer patience;                                                                         \
		ev_timer_init(&patience, on_patience_ended, PATIENCE_SEC, 0);                              \
		patience.data = &is_late;                                                                  \
		ev_timer_start(test_loop, &patience);                                                      \
		while (!(condition) && !is_late) {                                                         \
			ev_run(test_loop, EVRUN_ONCE);                                                         \
		}                                                                                          \
		ev_timer_stop(test_loop, &patience);                                                       \
		assert_true(condition);                                                                    \
	} while (0)

static void node_on_state(bool available, const char *reason, void *ctx) {
	struct node *node = ctx;
	node->states++;
	if (!available) {
		(void)snprintf(node->reason, sizeof node->reason, "%s", reason);
	}
}

static void node_on_woken(const struct store_wake *wake, void *ctx) {
	struct node *node = ctx;
	if (wake->kind == STORE_WAKE_LOST) {
		node->lost++;
		return;
	}
	node->woken++;
	node->wake = *wake;
	struct slice text = wake->kind == STORE_WAKE_TRANSIENT ? wake->message->body : wake->text;
	(void)snprintf(
		node->text, sizeof node->text, "%.*s", (int)text.len, text.data ? text.data : "");
}

static struct store_options node_options(struct node *node, const char *url, uint8_t number) {
	*node = (struct node){.loop = test_loop};
	return (struct store_options){
		.url = url,
		.loop = test_loop,
		.node = {{number, 0xab}},
		.limits = {.queue_messages = 1000,
			.queue_bytes = 4 << 20,
			.subscriptions = 100,
			.device_sec = 90 * 86400,
			.tombstone_sec = 30 * 86400},
		.on_woken = node_on_woken,
		.on_state = node_on_state,
		.ctx = node,
	};
}

static void node_open_with(struct node *node, const struct store_options *options) {
	char *error = NULL;
	node->store = store_open(options, &error);
	assert_null(error);
	assert_non_null(node->store);
}

static void node_open(struct node *node, const char *url, uint8_t number) {
	const struct store_options options = node_options(node, url, number);
	node_open_with(node, &options);
	LOOP_UNTIL(store_is_available(node->store));
}

static void node_close(struct node *node) {
	store_close(node->store);
	node->store = NULL;
}

/* ---- operations, awaited ------------------------------------------------------------------------
 */

static const struct device_id device = {{1, 2, 3}};
static const struct channel_id channel = {{4, 5, 6}};
static const struct subscription_id subscription = {{7, 8, 9}};

static void on_subscribed(const struct store_subscribed *result, void *ctx) {
	*(enum store_outcome *)ctx = result->outcome;
	pending--;
}

static enum store_outcome subscribe(struct node *node) {
	enum store_outcome outcome = STORE_OUTCOME_COUNT;
	const struct store_subscribe what = {
		.device = device, .channel = channel, .fresh = subscription};
	pending++;
	store_subscribe(node->store, &what, on_subscribed, &outcome);
	LOOP_UNTIL(pending == 0);
	return outcome;
}

static void on_put(const struct store_put_result *result, void *ctx) {
	*(struct store_put_result *)ctx = *result;
	pending--;
}

static struct store_put put_of(const char *body, uint32_t ttl_sec) {
	return (struct store_put){.device = device,
		.subscription = subscription,
		.ttl_sec = ttl_sec,
		.urgency = URGENCY_NORMAL,
		.body = slice_of(body)};
}

static struct store_put_result put(struct node *node, const char *body, uint32_t ttl_sec) {
	struct store_put_result result = {.outcome = STORE_OUTCOME_COUNT};
	const struct store_put what = put_of(body, ttl_sec);
	pending++;
	store_put(node->store, &what, on_put, &result);
	LOOP_UNTIL(pending == 0);
	return result;
}

static void on_device(const struct store_device *result, void *ctx) {
	*(struct store_device *)ctx = *result;
	pending--;
}

static struct store_device attach(struct node *node) {
	struct store_device result = {.outcome = STORE_OUTCOME_COUNT};
	pending++;
	store_attach(node->store, device, on_device, &result);
	LOOP_UNTIL(pending == 0);
	return result;
}

struct inbox {
	enum store_outcome outcome;
	size_t count;
	struct store_ack acks[STORE_FETCH_MAX];
	char bodies[256]; /* joined */
};

static void on_fetched(const struct store_fetched *fetched, void *ctx) {
	struct inbox *inbox = ctx;
	inbox->outcome = fetched->outcome;
	inbox->count = fetched->count;
	for (size_t i = 0; i < fetched->count; i++) {
		const struct store_message *message = &fetched->messages[i];
		size_t used = strlen(inbox->bodies);
		inbox->acks[i] = (struct store_ack){message->channel, message->id};
		(void)snprintf(inbox->bodies + used, sizeof inbox->bodies - used, "%.*s ",
			(int)message->body.len, message->body.data);
	}
	pending--;
}

static struct inbox fetch(struct node *node) {
	struct inbox inbox = {.outcome = STORE_OUTCOME_COUNT};
	pending++;
	store_fetch(node->store, device, (struct message_id){0, 0}, URGENCY_VERY_LOW, STORE_FETCH_MAX,
		on_fetched, &inbox);
	LOOP_UNTIL(pending == 0);
	return inbox;
}

static void on_acked(enum store_outcome outcome, size_t removed, void *ctx) {
	*(size_t *)ctx = outcome == STORE_OK ? removed : SIZE_MAX;
	pending--;
}

static size_t ack(struct node *node, const struct inbox *inbox) {
	size_t removed = SIZE_MAX;
	pending++;
	store_ack(node->store, device, inbox->acks, inbox->count, on_acked, &removed);
	LOOP_UNTIL(pending == 0);
	return removed;
}

static void recover(struct node *node) {
	LOOP_UNTIL(store_is_available(node->store));
	struct store_put_result result;
	do {
		result = put(node, "again", 60);
	} while (result.outcome == STORE_UNAVAILABLE);
	assert_int_equal(result.outcome, STORE_OK);
}

/* ---- Redis goes and comes
 * ------------------------------------------------------------------------ */

static void killed_and_restarted(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(put(&node, "before", 60).outcome, STORE_OK);
	redis_server_kill(&server);
	LOOP_UNTIL(!store_is_available(node.store));
	assert_non_null(strstr(node.reason, server.socket));
	assert_int_equal(put(&node, "refused", 60).outcome, STORE_UNAVAILABLE);
	assert_int_equal(attach(&node).outcome, STORE_UNAVAILABLE);
	assert_int_equal(node.lost, 0);
	redis_server_start(&server, NULL, true);
	LOOP_UNTIL(node.lost == 1 && store_is_available(node.store));
	assert_int_equal(attach(&node).outcome, STORE_OK);
	assert_int_equal(put(&node, "after", 60).outcome, STORE_OK);
	assert_string_equal(fetch(&node).bodies, "before after ");
	node_close(&node);
}

/* No command lasts longer than the deadline, and the paused Redis is back by itself. */
static void stalled(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(kill(server.pid, SIGSTOP), 0);
	ev_now_update(test_loop);
	ev_tstamp begin = ev_now(test_loop);
	enum store_outcome outcome = put(&node, "x", 60).outcome;
	assert_int_equal(kill(server.pid, SIGCONT), 0);
	assert_int_equal(outcome, STORE_UNAVAILABLE);
	double took = ev_now(test_loop) - begin;
	assert_true(took > 4 && took < 15);
	recover(&node);
	node_close(&node);
}

static void nothing_there_then_something(void **state) {
	(void)state;
	redis_server_kill(&server);
	struct node node;
	char url[64];
	(void)snprintf(url, sizeof url, "redis://localhost:%d/3", server.port);
	const struct store_options options = node_options(&node, url, 1);
	node_open_with(&node, &options);
	assert_int_equal(node.states, 0);
	assert_int_equal(put(&node, "x", 60).outcome, STORE_UNAVAILABLE);
	LOOP_UNTIL(node.states == 1);
	assert_non_null(strstr(node.reason, "refused"));
	redis_server_start(&server, NULL, true);
	LOOP_UNTIL(store_is_available(node.store));
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(node.lost, 0);
	node_close(&node);
}

static void unknown_host(void **state) {
	(void)state;
	struct node node;
	const struct store_options options = node_options(&node, "redis://no-such-host.invalid", 1);
	node_open_with(&node, &options);
	LOOP_UNTIL(node.states > 0);
	assert_false(store_is_available(node.store));
	node_close(&node);
}

/* While it reads its data from the disk, Redis answers LOADING. */
static void loading(void **state) {
	(void)state;
	const char *const slow[] = {"--appendonly", "no", "--save", "3600 1", "--key-load-delay",
		"60000", "--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no", NULL};
	struct node node;
	char words[64];
	redis_server_kill(&server);
	redis_server_start(&server, slow, true);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(words, sizeof words, "SETRANGE key%d 2000 x", i);
		(void)redis_server_command(&server, words);
	}
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	(void)redis_server_command(&server, "SAVE");
	redis_server_kill(&server);
	redis_server_start(&server, slow, false);
	LOOP_UNTIL(strstr(node.reason, "LOADING"));
	assert_int_equal(put(&node, "x", 60).outcome, STORE_UNAVAILABLE);
	recover(&node);
	assert_int_equal(node.lost, 1);
	node_close(&node);
}

static void connections_killed_under_load(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	for (int round = 0; round < 5; round++) {
		struct store_put_result results[BURST];
		const struct store_put what = put_of("x", 60);
		for (int i = 0; i < BURST; i++) {
			pending++;
			store_put(node.store, &what, on_put, &results[i]);
		}
		(void)redis_server_command(&server, "CLIENT KILL SKIPME yes");
		LOOP_UNTIL(pending == 0);
		LOOP_UNTIL(node.lost == round + 1 && store_is_available(node.store));
	}
	recover(&node);
	node_close(&node);
}

/* Losing only the connection that listens: commands go on, and the owner learns that it may have
 * missed something. */
static void listening_lost(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	(void)redis_server_command(&server, "CLIENT KILL TYPE pubsub");
	LOOP_UNTIL(node.lost == 1);
	assert_int_equal(node.states, 1);
	assert_int_equal(put(&node, "x", 60).outcome, STORE_OK);
	node_close(&node);
}

/* ---- Redis refuses
 * ------------------------------------------------------------------------------- */

/* Out of memory: no puts, but what is there can be drained, which is the way out. */
static void out_of_memory(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(put(&node, "before", 60).outcome, STORE_OK);
	(void)redis_server_command(&server, "CONFIG SET maxmemory 1");
	assert_int_equal(put(&node, "refused", 60).outcome, STORE_UNAVAILABLE);
	assert_int_equal(attach(&node).outcome, STORE_OK);
	struct inbox inbox = fetch(&node);
	assert_string_equal(inbox.bodies, "before ");
	assert_int_equal(ack(&node, &inbox), 1);
	(void)redis_server_command(&server, "CONFIG SET maxmemory 0");
	assert_int_equal(put(&node, "after", 60).outcome, STORE_OK);
	assert_string_equal(fetch(&node).bodies, "after ");
	assert_int_equal(node.lost, 0);
	node_close(&node);
}

static void became_a_replica(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	(void)redis_server_command(&server, "REPLICAOF 127.0.0.1 1");
	assert_int_equal(put(&node, "x", 60).outcome, STORE_UNAVAILABLE);
	LOOP_UNTIL(strstr(node.reason, "replica") || strstr(node.reason, "READONLY"));
	(void)redis_server_command(&server, "REPLICAOF NO ONE");
	recover(&node);
	node_close(&node);
}

static void too_few_replicas(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	(void)redis_server_command(&server, "CONFIG SET min-replicas-to-write 1");
	assert_int_equal(put(&node, "x", 60).outcome, STORE_UNAVAILABLE);
	(void)redis_server_command(&server, "CONFIG SET min-replicas-to-write 0");
	recover(&node);
	node_close(&node);
}

static void wrong_password(void **state) {
	(void)state;
	struct node node;
	(void)redis_server_command(&server, "CONFIG SET requirepass right");
	struct store_options options = node_options(&node, server.url, 1);
	options.redis_password = "wrong";
	node_open_with(&node, &options);
	LOOP_UNTIL(strstr(node.reason, "WRONGPASS"));
	assert_null(strstr(node.reason, "wrong"));
	(void)redis_server_command_as(&server, "right", "CONFIG SET requirepass wrong");
	LOOP_UNTIL(store_is_available(node.store));
	assert_int_equal(subscribe(&node), STORE_OK);
	node_close(&node);
}

/* A user that may touch our keys and nothing else; it must not even ask for settings. */
static void user_with_few_rights(void **state) {
	(void)state;
	(void)redis_server_command(&server, "ACL SETUSER bell on >secret ~bw:* &bw:* +@read +@write "
										"+@scripting +@pubsub +@connection +time");
	struct node node;
	struct store_options options = node_options(&node, server.url, 1);
	options.redis_user = "bell";
	options.redis_password = "secret";
	node_open_with(&node, &options);
	LOOP_UNTIL(store_is_available(node.store));
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(put(&node, "x", 60).outcome, STORE_OK);
	assert_string_equal(fetch(&node).bodies, "x ");
	node_close(&node);
}

/* Scripts vanish while many puts are under way: each is stored, once, in order. */
static void scripts_flushed_under_load(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	for (int round = 0; round < 10; round++) {
		struct store_put_result results[BURST];
		const struct store_put what = put_of("x", 60);
		for (int i = 0; i < BURST; i++) {
			pending++;
			store_put(node.store, &what, on_put, &results[i]);
			if (i == BURST / 2) {
				ev_run(test_loop, EVRUN_NOWAIT);
				(void)redis_server_command(&server, "SCRIPT FLUSH");
			}
		}
		LOOP_UNTIL(pending == 0);
		for (int i = 0; i < BURST; i++) {
			assert_int_equal(results[i].outcome, STORE_OK);
			assert_true(i == 0 || message_id_compare(results[i - 1].id, results[i].id) < 0);
		}
		struct inbox inbox = fetch(&node);
		assert_int_equal(inbox.count, BURST);
		assert_int_equal(ack(&node, &inbox), BURST);
	}
	node_close(&node);
}

/* Redis is stopped with many puts in its socket, and is told to forget behind the first of them;
 * more puts come between its refusals. */
static void scripts_flushed_while_more_comes(void **state) {
	(void)state;
	enum { STOPPED = 300, LATER = 700, COUNT = STOPPED + LATER };
	static struct store_put_result results[COUNT];
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	redisContext *other = redisConnectUnix(server.socket);
	assert_true(other && !other->err);
	const struct store_put what = put_of("x", 60);
	for (int round = 0; round < 5; round++) {
		int is_written = 0;
		assert_int_equal(kill(server.pid, SIGSTOP), 0);
		for (int i = 0; i < COUNT; i++) {
			pending++;
			store_put(node.store, &what, on_put, &results[i]);
			if (i >= STOPPED) {
				ev_run(test_loop, EVRUN_NOWAIT);
			} else if (i == STOPPED - 1) {
				ev_run(test_loop, EVRUN_NOWAIT);
				assert_int_equal(redisAppendCommand(other, "SCRIPT FLUSH"), REDIS_OK);
				assert_int_equal(redisBufferWrite(other, &is_written), REDIS_OK);
				assert_int_equal(kill(server.pid, SIGCONT), 0);
			}
		}
		LOOP_UNTIL(pending == 0);
		redisReply *reply = NULL;
		assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK);
		freeReplyObject(reply);
		for (int i = 0; i < COUNT; i++) {
			assert_int_equal(results[i].outcome, STORE_OK);
			assert_true(i == 0 || message_id_compare(results[i - 1].id, results[i].id) < 0);
		}
	}
	redisFree(other);
	node_close(&node);
}

/* A fetch finds what was put before it was called, and nothing that was put later. */
static void scripts_flushed_between_puts_and_fetches(void **state) {
	(void)state;
	enum { AHEAD = 300, PAIRS = 50 };
	struct store_put_result result;
	struct inbox inboxes[PAIRS] = {{.count = 0}};
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	redisContext *other = redisConnectUnix(server.socket);
	assert_true(other && !other->err);
	struct store_put what = put_of("x", 60);
	const struct device_id nobody = {{9}};
	int is_written = 0;
	assert_int_equal(kill(server.pid, SIGSTOP), 0);
	what.device = nobody;
	for (int i = 0; i < AHEAD; i++) {
		pending++;
		store_put(node.store, &what, on_put, &result);
	}
	ev_run(test_loop, EVRUN_NOWAIT);
	assert_int_equal(redisAppendCommand(other, "SCRIPT FLUSH"), REDIS_OK);
	assert_int_equal(redisBufferWrite(other, &is_written), REDIS_OK);
	assert_int_equal(kill(server.pid, SIGCONT), 0);
	what.device = device;
	for (int i = 0; i < PAIRS; i++) {
		pending += 2;
		store_put(node.store, &what, on_put, &result);
		ev_run(test_loop, EVRUN_NOWAIT);
		store_fetch(node.store, device, (struct message_id){0, 0}, URGENCY_VERY_LOW,
			STORE_FETCH_MAX, on_fetched, &inboxes[i]);
		ev_run(test_loop, EVRUN_NOWAIT);
	}
	LOOP_UNTIL(pending == 0);
	for (int i = 0; i < PAIRS; i++) {
		assert_int_equal(inboxes[i].outcome, STORE_OK);
		assert_int_equal(inboxes[i].count, i + 1);
	}
	redisFree(other);
	node_close(&node);
}

/* The connection goes while refused commands wait to be repeated: each ends, once. */
static void scripts_flushed_and_connection_lost(void **state) {
	(void)state;
	struct store_put_result results[BURST];
	const struct store_put what = put_of("x", 60);
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	for (int round = 0; round < 5; round++) {
		(void)redis_server_command(&server, "SCRIPT FLUSH");
		for (int i = 0; i < BURST; i++) {
			pending++;
			store_put(node.store, &what, on_put, &results[i]);
			if (i == BURST / 2) {
				ev_run(test_loop, EVRUN_NOWAIT);
				(void)redis_server_command(&server, "CLIENT KILL SKIPME yes");
			}
		}
		LOOP_UNTIL(pending == 0);
		LOOP_UNTIL(node.lost == round + 1 && store_is_available(node.store));
	}
	recover(&node);
	node_close(&node);
}

/* ---- several nodes
 * ------------------------------------------------------------------------------- */

static void nodes_wake_each_other(void **state) {
	(void)state;
	struct node here, there;
	node_open(&here, server.url, 1);
	node_open(&there, server.url, 2);
	assert_int_equal(subscribe(&there), STORE_OK);
	struct store_put_result result = put(&here, "stored", 60);
	assert_true(result.outcome == STORE_OK && result.is_stored && !result.is_here);
	LOOP_UNTIL(there.woken == 1);
	assert_int_equal(there.wake.kind, STORE_WAKE_MESSAGES);
	assert_memory_equal(&there.wake.device, &device, sizeof device);
	result = put(&here, "transient", 0);
	assert_true(result.outcome == STORE_OK && !result.is_stored);
	LOOP_UNTIL(there.woken == 2);
	assert_int_equal(there.wake.kind, STORE_WAKE_TRANSIENT);
	assert_string_equal(there.text, "transient");
	struct store_device moved = attach(&here);
	assert_true(moved.was_elsewhere && moved.previous.bytes[0] == 2);
	store_tell(here.store, moved.previous, device, slice_of("moved"));
	LOOP_UNTIL(there.woken == 3);
	assert_int_equal(there.wake.kind, STORE_WAKE_TOLD);
	assert_int_equal(there.wake.from.bytes[0], 1);
	assert_string_equal(there.text, "moved");
	assert_true(put(&here, "2", 60).is_here);
	assert_int_equal(here.woken, 0);
	assert_string_equal(fetch(&there).bodies, "stored 2 ");
	node_close(&there);
	node_close(&here);
}

/* How many of a burst of puts are stored; the others are refused as unavailable. */
static int put_burst(struct node *node) {
	struct store_put_result results[BURST];
	const struct store_put what = put_of("x", 60);
	for (int i = 0; i < BURST; i++) {
		pending++;
		store_put(node->store, &what, on_put, &results[i]);
	}
	LOOP_UNTIL(pending == 0);
	int stored = 0;
	for (int i = 0; i < BURST; i++) {
		stored += results[i].outcome == STORE_OK;
		assert_true(results[i].outcome == STORE_OK || results[i].outcome == STORE_UNAVAILABLE);
	}
	return stored;
}

/* redis_wait: a put is durable only when the replicas have it. */
static void replicas_are_waited_for(void **state) {
	(void)state;
	struct node node;
	struct store_options options = node_options(&node, server.url, 1);
	options.redis_wait = 1;
	node_open_with(&node, &options);
	LOOP_UNTIL(store_is_available(node.store));
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(put(&node, "alone", 60).outcome, STORE_UNAVAILABLE);
	struct redis_server replica;
	char master[32];
	(void)snprintf(master, sizeof master, "127.0.0.1 %d", server.port);
	const char *const arguments[] = {"--replicaof", master, NULL};
	redis_server_init(&replica, arguments);
	/* A replica on a busy machine may take longer than the second that it is given: nothing else
	 * refuses them, and not for ever. */
	int stored = 0;
	for (int i = 0; i < BURST_TRIES && stored < BURST; i++) {
		recover(&node);
		ev_tstamp begin = ev_time();
		stored = put_burst(&node);
		assert_true(stored == BURST || ev_time() - begin > 0.9);
	}
	assert_int_equal(stored, BURST);
	redis_server_finish(&replica);
	node_close(&node);
}

/* ---- keys
 * ---------------------------------------------------------------------------------------- */

/* Redis dropped the queue, expired as a whole or evicted: the device is told what it missed. */
static void vanished_queue_is_missed(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(put(&node, "1", 60).outcome, STORE_OK);
	assert_int_equal(put(&node, "2", 60).outcome, STORE_OK);
	assert_int_equal(
		redis_server_command(&server, "DEL bw:{01020300000000000000000000000000}:q"), 1);
	assert_int_equal(put(&node, "3", 60).outcome, STORE_OK);
	assert_int_equal(attach(&node).missed, 2);
	assert_string_equal(fetch(&node).bodies, "3 ");
	struct store_stats stats;
	store_get_stats(node.store, &stats);
	assert_int_equal(stats.expired, 2);
	node_close(&node);
}

/* Short-lived messages between long-lived ones end in time, and each is missed once. */
static void mixed_lifetimes(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(put(&node, i % 2 ? "short" : "long", i % 2 ? 1 : 60).outcome, STORE_OK);
	}
	struct store_device attached;
	do {
		attached = attach(&node);
	} while (attached.missed < 3);
	assert_int_equal(attached.missed, 3);
	assert_string_equal(fetch(&node).bodies, "long long long ");
	assert_int_equal(
		redis_server_command(&server, "EXISTS bw:{01020300000000000000000000000000}:x"), 0);
	node_close(&node);
}

static void every_key_expires(void **state) {
	(void)state;
	struct node node;
	node_open(&node, server.url, 1);
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(put(&node, "1", 60).outcome, STORE_OK);
	assert_int_equal(put(&node, "2", 30).outcome, STORE_OK);
	const struct store_subscribe invited = {
		.device = {{9}}, .channel = channel, .fresh = {{9}}, .invite = {{1}}, .invite_devices = 5};
	enum store_outcome outcome = STORE_OUTCOME_COUNT;
	pending++;
	store_subscribe(node.store, &invited, on_subscribed, &outcome);
	pending++;
	store_unsubscribe(node.store, (struct device_id){{9}}, channel, NULL, NULL);
	pending--;
	LOOP_UNTIL(pending == 0);
	assert_int_equal(outcome, STORE_OK);
	assert_int_equal(put(&node, "3", 60).outcome, STORE_OK);
	redisContext *control = redisConnectUnix(server.socket);
	redisReply *keys = redisCommand(control, "KEYS *");
	assert_int_equal(keys->elements, 6); /* bw:{d}, :q, :x; bw:{9}, :g; bw:{invite:1} */
	for (size_t i = 0; i < keys->elements; i++) {
		redisReply *ttl = redisCommand(control, "PTTL %s", keys->element[i]->str);
		assert_true(ttl->integer > 0);
		freeReplyObject(ttl);
	}
	freeReplyObject(keys);
	redisFree(control);
	node_close(&node);
}

/* ---- closing
 * ------------------------------------------------------------------------------------- */

static void closing_ends_everything(void **state) {
	(void)state;
	for (uint32_t wait = 0; wait < 2; wait++) {
		struct node node;
		struct store_options options = node_options(&node, server.url, 1);
		options.redis_wait = wait;
		node_open_with(&node, &options);
		LOOP_UNTIL(store_is_available(node.store));
		assert_int_equal(subscribe(&node), STORE_OK);
		struct store_put_result results[BURST];
		const struct store_put what = put_of("x", 60);
		for (int i = 0; i < BURST; i++) {
			pending++;
			store_put(node.store, &what, on_put, &results[i]);
			if (i == BURST / 2) {
				ev_run(test_loop, EVRUN_NOWAIT);
			}
		}
		struct inbox inbox = {0};
		pending++;
		store_fetch(
			node.store, device, (struct message_id){0, 0}, URGENCY_LOW, 1, on_fetched, &inbox);
		node_close(&node);
		assert_int_equal(pending, 0);
	}
}

static void closing_while_connecting(void **state) {
	(void)state;
	struct node node;
	const struct store_options options = node_options(&node, "redis://localhost:1/", 1);
	for (int turns = 0; turns < 6; turns++) {
		node_open_with(&node, &options);
		for (int i = 0; i < turns; i++) {
			ev_run(test_loop, EVRUN_NOWAIT);
		}
		node_close(&node);
	}
}

static void refused_urls(void **state) {
	(void)state;
	static const char *const urls[] = {"redis://", "redis://host:0", "redis://user@host",
		"unix://relative", "redis://host/db", "redis:host", "unix:///s?database=1"};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		struct node node;
		const struct store_options options = node_options(&node, urls[i], 1);
		char *error = NULL;
		assert_null(store_open(&options, &error));
		assert_non_null(error);
		free(error);
	}
}

/* rediss: with a hiredis that can; else a refusal that says what to do. */
static void tls(void **state) {
	(void)state;
	struct node node;
	char url[64], ca_file[96], key_file[96], port[8], command[512];
	(void)snprintf(ca_file, sizeof ca_file, "%s/cert.pem", server.dir);
	(void)snprintf(key_file, sizeof key_file, "%s/key.pem", server.dir);
	(void)snprintf(command, sizeof command,
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
		"/CN=localhost "
		"-addext subjectAltName=DNS:localhost -keyout %s -out %s 2>/dev/null",
		key_file, ca_file);
	assert_int_equal(system(command), 0);
	(void)snprintf(port, sizeof port, "%d", server.port);
	(void)snprintf(url, sizeof url, "rediss://localhost:%s", port);
	struct store_options options = node_options(&node, url, 1);
	options.redis_ca_file = ca_file;
	char *error = NULL;
	node.store = store_open(&options, &error);
	if (!node.store) {
		assert_non_null(strstr(error, "cannot speak TLS"));
		free(error);
		return;
	}
	const char *const arguments[] = {"--port", "0", "--tls-port", port, "--tls-cert-file", ca_file,
		"--tls-key-file", key_file, "--tls-auth-clients", "no", NULL};
	redis_server_kill(&server);
	redis_server_start(&server, arguments, true);
	LOOP_UNTIL(store_is_available(node.store));
	assert_int_equal(subscribe(&node), STORE_OK);
	assert_int_equal(put(&node, "x", 60).outcome, STORE_OK);
	node_close(&node);
	/* A certificate for another name, and one that nobody vouches for. */
	(void)snprintf(url, sizeof url, "rediss://127.0.0.1:%s", port);
	for (int round = 0; round < 2; round++) {
		options = node_options(&node, url, 1);
		options.redis_ca_file = round == 0 ? ca_file : NULL;
		node_open_with(&node, &options);
		LOOP_UNTIL(node.states > 0);
		assert_false(store_is_available(node.store));
		assert_non_null(strstr(node.reason, "certificate"));
		node_close(&node);
		(void)snprintf(url, sizeof url, "rediss://localhost:%s", port);
	}
}

static int start(void **state) {
	(void)state;
	test_loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	pending = 0;
	redis_server_init(&server, NULL);
	return 0;
}

static int stop(void **state) {
	(void)state;
	redis_server_finish(&server);
	ev_loop_destroy(test_loop);
	return 0;
}

#define ON_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
	(void)signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		ON_SERVER(killed_and_restarted),
		ON_SERVER(stalled),
		ON_SERVER(nothing_there_then_something),
		ON_SERVER(unknown_host),
		ON_SERVER(loading),
		ON_SERVER(connections_killed_under_load),
		ON_SERVER(listening_lost),
		ON_SERVER(out_of_memory),
		ON_SERVER(became_a_replica),
		ON_SERVER(too_few_replicas),
		ON_SERVER(wrong_password),
		ON_SERVER(user_with_few_rights),
		ON_SERVER(scripts_flushed_under_load),
		ON_SERVER(scripts_flushed_while_more_comes),
		ON_SERVER(scripts_flushed_between_puts_and_fetches),
		ON_SERVER(scripts_flushed_and_connection_lost),
		ON_SERVER(nodes_wake_each_other),
		ON_SERVER(replicas_are_waited_for),
		ON_SERVER(vanished_queue_is_missed),
		ON_SERVER(mixed_lifetimes),
		ON_SERVER(every_key_expires),
		ON_SERVER(tls),
		ON_SERVER(closing_ends_everything),
		ON_SERVER(closing_while_connecting),
		ON_SERVER(refused_urls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
