/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the link to Redis: what redis_conn.c (commands, time, states) and redis_setup.c share.
 */
#pragma once
#include "common/list.h"
#include "storage/redis_conn.h"
#include "storage/redis_link.h"
#include "storage/redis_trouble.h"
#include "storage/store_later.h"
#include <hiredis/async.h>

enum { REDIS_SHA_LEN = 40 };
static const char redis_heartbeat_text[] = "P";

struct redis_conn {
	struct redis_conn_options options;
	struct redis_link commands, listening;
	char *channel;
	struct list ops; /* struct redis_op::link, earliest deadline first */
	size_t sent; /* of them, not answered yet */
	struct list repeats; /* struct redis_op::later, refused for want of their script */
	struct list held; /* … and what came behind them; empty without repeats */
	ev_timer deadline; /* runs while there are ops */
	ev_timer heartbeat;
	bool has_heard; /* since the last heartbeat was sent */
	struct store_later later;
	struct redis_trouble trouble;
	struct redis_settings settings;
	unsigned setup_pending; /* replies until the command link is ready */
	bool is_usable; /* as last said by on_state, with reason */
	char *reason;
	bool was_usable; /* once at least */
	bool was_lost; /* on_lost is due when both links are back */
	char sha[REDIS_SCRIPT_COUNT][REDIS_SHA_LEN + 1];
	struct redis_tls *tls;
};

static inline struct redis_conn *redis_conn_of_commands(struct redis_link *link) {
	return container_of(link, struct redis_conn, commands);
}

static inline struct redis_conn *redis_conn_of_listening(struct redis_link *link) {
	return container_of(link, struct redis_conn, listening);
}

/* redis_conn.c */
int redis_conn_load_script(struct redis_conn *conn, size_t script, redisCallbackFn *replied);
/* A link has become ready. */
void redis_conn_note_up(struct redis_conn *conn);

/* redis_setup.c: each link's on_connected. */
void redis_setup_commands(struct redis_link *link);
void redis_setup_listening(struct redis_link *link);
void redis_setup_forget_settings(struct redis_conn *conn);
