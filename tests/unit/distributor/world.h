/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, registrations and dispatch over a scripted link and a real directory. */
#pragma once
#include "distributor/accounts.h"
#include "distributor/disk.h"
#include "distributor/dispatch.h"
#include "distributor/registrations.h"

#define WORLD_RELAY "ws://relay.example/"
#define WORLD_OTHER "ws://other.example/" /* to move to */
#define WORLD_KEY /* of a sender */                                                                \
	"BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
#define WORLD_UAID "0123456789abcdef0123456789abcdef"

struct world {
	char dir[64];
	struct ev_loop *loop;
	struct alarms *alarms;
	struct disk *disk;
	struct state_file *file;
	struct accounts *accounts;
	struct registrations *registrations;
	struct dispatch *dispatch;
	/* what the scripted app saw, "announce T", "push T BODY", "dismiss T app|us" */
	char log[256][160];
	size_t logged;
	/* how it answers; the next deliveries and announcements */
	enum dispatch_outcome answer;
	bool is_silent; /* keeps the calls unanswered in `held` */
	struct {
		dispatch_done_fn *done;
		void *ctx;
	} held[64];
	size_t held_count;
	uint32_t resyncs;
};

/* A fresh directory below /tmp; or the one of `before`, which was closed. */
void world_open(struct world *world, const char *dir);
void world_close(struct world *world); /* keeps the directory */
void world_remove(struct world *world);
/* In a fresh directory, with the link to WORLD_RELAY up. */
struct link *world_begin(struct world *world);
void world_end(struct world *world); /* with the directory */
void world_target(struct world *world); /* sets the scripted app as the target of every kind */
/* Runs the loop until the condition holds, five seconds at most. */
#define WORLD_WAIT(world, condition)                                                               \
	do {                                                                                           \
		for (int tries_ = 0; !(condition) && tries_ < 5000; tries_++) {                            \
			world_turn(world);                                                                     \
		}                                                                                          \
		assert_true(condition);                                                                    \
	} while (0)
void world_turn(struct world *world); /* waits for events 1 ms at most */

struct world_answer {
	bool is_done;
	enum register_outcome outcome;
	char endpoint[200], detail[200];
};
void world_register(struct world *world, enum registration_kind kind, const char *token,
	const char *service, const char *vapid_key, struct world_answer *answer);
/* An app whose endpoint at WORLD_RELAY is announced, whatever the scripted app answers later. */
const struct registration *world_add_app(
	struct world *world, const char *token, const char *service);
bool world_saw(const struct world *world, const char *line);
size_t world_count(const struct world *world, const char *line);
