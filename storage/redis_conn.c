/* SPDX-License-Identifier: Apache-2.0 */
/* Commands over a link to Redis, their deadlines, and what state the links are in. */
#include "storage/redis_conn.h"
#include "common/log.h"
#include "common/mem.h"
#include "storage/redis_conn_internal.h"
#include "storage/redis_tls.h"
#include "storage/store.h"
#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

enum { HEARTBEAT_SEC = 10, WORDS_MAX = 80 };

/* One command under way. hiredis calls back for it exactly once. */
struct redis_op {
	struct store_later_item later; /* its link also serves redis_conn::repeats and held */
	struct list link; /* redis_conn::ops */
	struct redis_conn *conn; /* NULL: ended already, only waits for hiredis to let go of it */
	redis_replied_fn *replied;
	void *ctx;
	ev_tstamp deadline;
	int script; /* -1: a plain command */
	bool was_repeated;
	bool is_sent; /* hiredis has it */
	size_t len;
	char bytes[]; /* in RESP */
};

/* ---- commands ---- */

static char *resp_print_number(char *at, char kind, size_t number) {
	char digits[24];
	size_t count = 0;
	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	*at++ = kind;
	while (count > 0) {
		*at++ = digits[--count];
	}
	*at++ = '\r';
	*at++ = '\n';
	return at;
}

static struct redis_op *redis_op_make(struct redis_conn *conn, size_t count,
	const struct slice *words, redis_replied_fn *replied, void *ctx) {
	size_t most = 32;
	for (size_t i = 0; i < count; i++) {
		most += words[i].len + 32;
	}
	struct redis_op *op = mem_alloc(sizeof *op + most);
	*op = (struct redis_op){.conn = conn, .replied = replied, .ctx = ctx, .script = -1};
	list_init(&op->link);
	op->deadline = ev_now(conn->options.loop) + STORE_DEADLINE_MS / 1000.0;
	char *at = resp_print_number(op->bytes, '*', count);
	for (size_t i = 0; i < count; i++) {
		at = resp_print_number(at, '$', words[i].len);
		if (words[i].len > 0) {
			memcpy(at, words[i].data, words[i].len);
		}
		at += words[i].len;
		*at++ = '\r';
		*at++ = '\n';
	}
	op->len = (size_t)(at - op->bytes);
	return op;
}

/* Ends an op for its caller; its memory goes when hiredis lets go of it too. */
static void redis_op_end(struct redis_op *op, const redisReply *reply) {
	list_remove(&op->link);
	op->conn = NULL;
	if (op->replied) {
		op->replied(reply, op->ctx);
	}
}

static void redis_op_run_later(struct store_later_item *item) {
	struct redis_op *op = container_of(item, struct redis_op, later);
	redis_op_end(op, NULL);
	free(op);
}

int redis_conn_load_script(struct redis_conn *conn, size_t script, redisCallbackFn *replied) {
	const char *words[] = {"SCRIPT", "LOAD", redis_scripts[script].text};
	const size_t lens[] = {6, 4, strlen(redis_scripts[script].text)};
	return redisAsyncCommandArgv(
		conn->commands.ac, replied, (void *)(uintptr_t)&redis_scripts[script], 3, words, lens);
}

static void conn_on_reply(redisAsyncContext *ac, void *r, void *privdata);

/* Without a link it ends, from the loop. */
static void redis_op_send(struct redis_conn *conn, struct redis_op *op) {
	op->is_sent = conn->commands.state == REDIS_LINK_READY &&
				  redisAsyncFormattedCommand(
					  conn->commands.ac, conn_on_reply, op, op->bytes, op->len) == REDIS_OK;
	if (op->is_sent) {
		conn->sent++;
		redis_link_appended(&conn->commands, op->len);
	} else {
		store_later_add(&conn->later, &op->later, redis_op_run_later);
	}
}

/* ---- scripts that Redis has forgotten -----------------------------------------------------------
 * It forgets all of them at once, and then refuses what is on its way. To keep the order, nothing
 * new is sent until all that is known; then the refused go once more, and behind them the new. */

static bool conn_holds(const struct redis_conn *conn) {
	return !list_is_empty(&conn->repeats);
}

static void redis_op_repeat(struct redis_op *op) {
	op->was_repeated = true;
	list_init(&op->later.link);
	list_append(&op->conn->repeats, &op->later.link);
}

static void conn_send_all(struct redis_conn *conn, struct list *ops) {
	struct list taken;
	list_init(&taken);
	list_splice(&taken, ops);
	for (struct redis_op *op; (op = list_first(&taken, struct redis_op, later.link));) {
		list_remove(&op->later.link);
		redis_op_send(conn, op);
	}
}

static void conn_repeat(struct redis_conn *conn) {
	for (size_t i = 0; i < REDIS_SCRIPT_COUNT && conn->commands.state == REDIS_LINK_READY; i++) {
		/* if it fails, so does what is sent behind it, and says why */
		(void)redis_conn_load_script(conn, i, NULL);
	}
	conn_send_all(conn, &conn->repeats);
	conn_send_all(conn, &conn->held);
}

/* ---- replies ---- */

/* NULL for a refusal, which is logged. */
static const redisReply *conn_judge(
	struct redis_conn *conn, redisAsyncContext *ac, const redisReply *reply) {
	if (!reply || reply->type != REDIS_REPLY_ERROR) {
		return reply;
	}
	enum redis_trouble_kind kind = redis_trouble_of(reply->str);
	redis_trouble_log(&conn->trouble, kind, reply->str, ev_now(conn->options.loop));
	if (kind == REDIS_TROUBLE_READONLY && conn->commands.ac == ac) {
		/* The master is elsewhere now; its name may lead there. */
		redis_link_drop(&conn->commands, "it is a read-only replica");
	}
	return NULL;
}

static bool redis_op_may_repeat(const struct redis_op *op, const redisReply *reply) {
	return reply && reply->type == REDIS_REPLY_ERROR && op->script >= 0 && !op->was_repeated &&
		   redis_trouble_of(reply->str) == REDIS_TROUBLE_NOSCRIPT;
}

static void conn_on_reply(redisAsyncContext *ac, void *reply, void *privdata) {
	struct redis_op *op = privdata;
	struct redis_conn *conn = op->conn;
	if (!conn) {
		free(op);
		return;
	}
	op->is_sent = false;
	conn->sent--;
	bool is_repeated = redis_op_may_repeat(op, reply);
	if (is_repeated) {
		redis_op_repeat(op);
	} else {
		reply = (void *)(uintptr_t)conn_judge(conn, ac, reply);
	}
	if (conn->sent == 0 && conn_holds(conn)) {
		conn_repeat(conn);
	}
	if (!is_repeated) {
		redis_op_end(op, reply);
		free(op);
	}
}

static void conn_send(struct redis_conn *conn, struct redis_op *op) {
	list_append(&conn->ops, &op->link);
	if (conn_holds(conn)) {
		list_init(&op->later.link);
		list_append(&conn->held, &op->later.link);
	} else {
		redis_op_send(conn, op);
	}
	if (!ev_is_active(&conn->deadline)) {
		ev_timer_set(&conn->deadline, op->deadline - ev_now(conn->options.loop), 0);
		ev_timer_start(conn->options.loop, &conn->deadline);
	}
}

void redis_conn_command(struct redis_conn *conn, size_t count, const struct slice *words,
	redis_replied_fn *replied, void *ctx) {
	conn_send(conn, redis_op_make(conn, count, words, replied, ctx));
}

void redis_conn_run(struct redis_conn *conn, enum redis_script_name script, size_t keys_count,
	const struct slice *keys, size_t count, const struct slice *arguments,
	redis_replied_fn *replied, void *ctx) {
	struct slice words[WORDS_MAX];
	const char digit = (char)('0' + keys_count);
	assert(keys_count < 10 && 3 + keys_count + count <= WORDS_MAX);
	words[0] = slice_of("EVALSHA");
	words[1] = (struct slice){conn->sha[script], REDIS_SHA_LEN};
	words[2] = (struct slice){&digit, 1};
	memcpy(words + 3, keys, keys_count * sizeof *keys);
	memcpy(words + 3 + keys_count, arguments, count * sizeof *arguments);
	struct redis_op *op = redis_op_make(conn, 3 + keys_count + count, words, replied, ctx);
	op->script = (int)script;
	conn_send(conn, op);
}

/* ---- time ---- */

static const struct redis_op *conn_overdue(const struct redis_conn *conn) {
	const struct redis_op *op = list_first(&conn->ops, struct redis_op, link);
	return op && op->deadline <= ev_now(conn->options.loop) ? op : NULL;
}

static void conn_on_deadline(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)events;
	struct redis_conn *conn = timer->data;
	if (conn_overdue(conn) && conn->commands.ac) {
		/* It may be us who were stopped: the replies may be there, unread. */
		redisAsyncHandleRead(conn->commands.ac);
	}
	if (conn_overdue(conn) && conn->commands.ac) {
		redis_link_drop(&conn->commands, "no answer in time");
		if (conn->listening.state == REDIS_LINK_READY) {
			redis_link_drop(&conn->listening, "no answer in time");
		}
	}
	const struct redis_op *op = list_first(&conn->ops, struct redis_op, link);
	if (op && !ev_is_active(timer)) {
		double left = op->deadline - ev_now(loop);
		ev_timer_set(timer, left > 0.001 ? left : 0.001, 0);
		ev_timer_start(loop, timer);
	}
}

/* What is said on our own channel must arrive: finds connections that died without a word. */
static void conn_on_heartbeat(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct redis_conn *conn = timer->data;
	if (conn->commands.state != REDIS_LINK_READY || conn->listening.state != REDIS_LINK_READY) {
		conn->has_heard = true;
		return;
	}
	if (!conn->has_heard) {
		redis_link_drop(&conn->listening, "nothing arrives on our channel");
		return;
	}
	conn->has_heard = false;
	const struct slice words[] = {
		slice_of("PUBLISH"), slice_of(conn->channel), slice_of(redis_heartbeat_text)};
	redis_conn_command(conn, 3, words, NULL, NULL);
}

/* ---- states ---- */

static void conn_say_state(struct redis_conn *conn, bool is_usable, const char *reason) {
	bool is_news = is_usable != conn->is_usable ||
				   (!is_usable && (!conn->reason || strcmp(reason, conn->reason) != 0));
	if (is_news) {
		free(conn->reason);
		conn->reason = is_usable ? NULL : mem_strdup(reason);
		conn->is_usable = is_usable;
		conn->options.on_state(is_usable, conn->reason, conn->options.ctx);
	}
}

/* Commands can be used when both links have been there once; from then on the one for commands
 * decides, and after the other was lost the owner only learns that it missed something. */
void redis_conn_note_up(struct redis_conn *conn) {
	bool can_send = conn->commands.state == REDIS_LINK_READY;
	bool can_hear = conn->listening.state == REDIS_LINK_READY;
	if (can_send && (can_hear || conn->was_usable)) {
		conn->was_usable = true;
		conn_say_state(conn, true, NULL);
	}
	if (can_send && can_hear && conn->was_lost) {
		conn->was_lost = false;
		conn->options.on_lost(conn->options.ctx);
	}
}

static void conn_on_down(struct redis_conn *conn, const char *reason) {
	conn->was_lost = conn->was_usable;
	if (conn->commands.state != REDIS_LINK_READY || !conn->was_usable) {
		char *place = redis_url_place_print(&conn->options.url);
		enum redis_trouble_kind kind = redis_trouble_of(reason);
		bool is_known = kind != REDIS_TROUBLE_OTHER;
		char *text = mem_printf("redis at %s: %s%s%s", place, reason, is_known ? "; " : "",
			is_known ? redis_trouble_cure(kind) : "");
		conn_say_state(conn, false, text);
		free(text);
		free(place);
	}
}

static void commands_on_down(struct redis_link *link, const char *reason) {
	conn_on_down(redis_conn_of_commands(link), reason);
}

static void listening_on_down(struct redis_link *link, const char *reason) {
	conn_on_down(redis_conn_of_listening(link), reason);
}

/* ---- life ---- */

static void conn_free(struct redis_conn *conn) {
	redis_tls_destroy(conn->tls);
	redis_setup_forget_settings(conn);
	redis_url_finish(&conn->options.url);
	free(conn->channel);
	free(conn->reason);
	free(conn);
}

struct redis_conn *redis_conn_create(struct redis_conn_options *take_options, char **out_error) {
	struct redis_conn *conn = mem_zalloc(sizeof *conn);
	conn->options = *take_options;
	take_options->url = (struct redis_url){0};
	if (conn->options.url.is_tls) {
		conn->tls = redis_tls_create(conn->options.ca_file, out_error);
		if (!conn->tls) {
			conn_free(conn);
			return NULL;
		}
	}
	struct ev_loop *loop = conn->options.loop;
	conn->channel = mem_strdup(conn->options.channel);
	list_init(&conn->ops);
	list_init(&conn->repeats);
	list_init(&conn->held);
	store_later_init(&conn->later, loop);
	ev_timer_init(&conn->deadline, conn_on_deadline, 0, 0);
	ev_timer_init(&conn->heartbeat, conn_on_heartbeat, HEARTBEAT_SEC, HEARTBEAT_SEC);
	conn->deadline.data = conn->heartbeat.data = conn;
	ev_timer_start(loop, &conn->heartbeat);
	conn->commands = (struct redis_link){.loop = loop,
		.url = &conn->options.url,
		.tls = conn->tls,
		.on_connected = redis_setup_commands,
		.on_down = commands_on_down};
	conn->listening = (struct redis_link){.loop = loop,
		.url = &conn->options.url,
		.tls = conn->tls,
		.on_connected = redis_setup_listening,
		.on_down = listening_on_down};
	redis_link_start(&conn->commands);
	redis_link_start(&conn->listening);
	return conn;
}

void redis_conn_destroy(struct redis_conn *conn) {
	if (!conn) {
		return;
	}
	ev_timer_stop(conn->options.loop, &conn->deadline);
	ev_timer_stop(conn->options.loop, &conn->heartbeat);
	conn->commands.state = REDIS_LINK_DOWN; /* what the callbacks below send ends at once */
	for (struct redis_op *op; (op = list_first(&conn->ops, struct redis_op, link));) {
		bool is_ours = !op->is_sent;
		if (is_ours) {
			list_remove(&op->later.link);
		}
		redis_op_end(op, NULL);
		if (is_ours) {
			free(op);
		}
	}
	store_later_finish(&conn->later);
	redis_link_finish(&conn->commands);
	redis_link_finish(&conn->listening);
	conn_free(conn);
}

bool redis_conn_is_ready(const struct redis_conn *conn) {
	return conn->is_usable;
}
