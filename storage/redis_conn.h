/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to one Redis server: a connection for commands and scripts, and one that listens on a
 * channel. Both connect by themselves, again and again with growing pauses. Every command ends
 * exactly once within STORE_DEADLINE_MS: with its reply, or with NULL when Redis is away, stalls or
 * refuses; what it refuses and the cure is logged here, at most twice a minute. Commands run in the
 * order of their calls. When Redis has forgotten the scripts they are loaded again and what it
 * refused is repeated, in order too.
 */
#pragma once
#include "common/slice.h"
#include "storage/redis_scripts.h"
#include "storage/redis_url.h"
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redisReply;
struct redis_conn;

/* reply is NULL when the outcome is unknown or a refusal; else not an error, valid for the call. */
typedef void redis_replied_fn(const struct redisReply *reply, void *ctx);

struct redis_conn_options {
	struct ev_loop *loop;
	struct redis_url url; /* taken over */
	const char *ca_file; /* TLS; NULL: the system's */
	const char *channel; /* what to listen on; copied */
	bool is_quiet; /* no warnings about its settings */
	/* Commands can be sent, or not any more; reason is for people. */
	void (*on_state)(bool is_ready, const char *reason, void *ctx);
	void (*on_heard)(struct slice text, void *ctx);
	/* Either connection was lost, both are back: something may have been said unheard. */
	void (*on_lost)(void *ctx);
	void *ctx;
};

/* NULL with a sentence in *out_error when this build cannot do it. */
struct redis_conn *redis_conn_create(struct redis_conn_options *take_options, char **out_error);
/* Ends all commands with NULL, inside the call. */
void redis_conn_destroy(struct redis_conn *conn);
bool redis_conn_is_ready(const struct redis_conn *conn);

/* replied may be NULL. Never called before the call has returned. */
void redis_conn_command(struct redis_conn *conn, size_t count, const struct slice *words,
	redis_replied_fn *replied, void *ctx);
void redis_conn_run(struct redis_conn *conn, enum redis_script_name script, size_t keys_count,
	const struct slice *keys, size_t count, const struct slice *arguments,
	redis_replied_fn *replied, void *ctx);
