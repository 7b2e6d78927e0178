/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of stores: one open store, the last answer of each kind, and short forms that make a
 * call and wait for its answer. Every answer is checked to come exactly once, later than its call.
 */
#pragma once
#include "storage/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct world {
	struct ev_loop *loop;
	ev_timer limit;
	struct store *store;
	struct store_limits limits;
	unsigned waiting; /* callbacks not run yet */
	bool is_calling; /* a store call is on the stack: no callback may run */
	struct store_put_result put;
	struct store_device device;
	struct store_subscribed subscribed;
	struct store_subscription subscription;
	enum store_outcome done;
	size_t acked;
	struct store_fetched fetched;
	struct message_id ids[STORE_FETCH_MAX];
	char bodies[STORE_FETCH_MAX][64];
	struct store_message last; /* of a fetch; its slices point into pieces */
	char pieces[5][70000];
	unsigned state_changes, wakes;
	char reason[300];
};

/* Makes a call whose answer goes to one of the functions below. */
#define CALL(world, call)                                                                          \
	do {                                                                                           \
		(world)->waiting++;                                                                        \
		(world)->is_calling = true;                                                                \
		call;                                                                                      \
		(world)->is_calling = false;                                                               \
	} while (0)

void world_create(struct world **out_world);
void world_destroy(struct world *world);
/* NULL error: it must succeed; else *out_error is what store_open said. */
void world_open(struct world *world, const char *url, char **out_error);
void world_close(struct world *world);
void world_wait(struct world *world);
/* Runs the loop for a while. */
void world_run(struct world *world, double seconds);
void world_answered(struct world *world);

void on_put(const struct store_put_result *result, void *ctx);
void on_device(const struct store_device *device, void *ctx);
void on_subscribed(const struct store_subscribed *result, void *ctx);
void on_subscription(const struct store_subscription *subscription, void *ctx);
void on_done(enum store_outcome outcome, void *ctx);
void on_acked(enum store_outcome outcome, size_t removed, void *ctx);
void on_fetched(const struct store_fetched *fetched, void *ctx);

/* ---- short forms ---- */

struct device_id new_device(void);
struct channel_id channel(uint8_t number);
struct subscription_id new_subscription(void);
struct subscription_id subscribe(struct world *world, struct device_id device, uint8_t number);
struct subscription_id subscribe_with(
	struct world *world, struct device_id device, uint8_t number, const uint8_t *key_hash);

struct put_facts {
	uint32_t ttl_sec;
	enum urgency urgency;
	const char *topic;
};
enum store_outcome put(struct world *world, struct device_id device,
	struct subscription_id subscription, const char *body);
enum store_outcome put_with(struct world *world, struct device_id device,
	struct subscription_id subscription, const char *body, struct put_facts facts);
enum store_outcome put_slice(struct world *world, struct device_id device,
	struct subscription_id subscription, struct slice body);
void fetch_with(struct world *world, struct device_id device, struct message_id after,
	enum urgency min, size_t max);
/* Fetches all and compares the bodies, joined by blanks. */
void expect_queue(struct world *world, struct device_id device, const char *bodies);
size_t ack(struct world *world, struct device_id device, uint8_t number, struct message_id id);
enum store_outcome attach(struct world *world, struct device_id device);
enum store_outcome unsubscribe(struct world *world, struct device_id device, uint8_t number);
enum store_outcome lookup(
	struct world *world, struct device_id device, struct subscription_id subscription);
