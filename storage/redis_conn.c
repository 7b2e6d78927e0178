/* SPDX-License-Identifier: Apache-2.0 */
/* Commands over a link to Redis, their deadlines and what sets the links up. */
#include "storage/redis_conn.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "storage/redis_link.h"
#include "storage/redis_tls.h"
#include "storage/redis_trouble.h"
#include "storage/store.h"
#include "storage/store_later.h"
#include <assert.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEARTBEAT_SEC = 10, SHA_LEN = 40, WORDS_MAX = 80 };
static const char HEARTBEAT_TEXT[] = "P";

struct redis_conn {
	struct redis_conn_options options;
	struct redis_link commands, listening;
	char *channel;
	struct list ops; /* struct redis_op::link, earliest deadline first */
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
	bool is_reloading[REDIS_SCRIPT_COUNT];
	char sha[REDIS_SCRIPT_COUNT][SHA_LEN + 1];
	struct redis_tls *tls;
};

/* One command under way. hiredis calls back for it exactly once. */
struct redis_op {
	struct store_later_item later;
	struct list link;
	struct redis_conn *conn; /* NULL: ended already, only waits for hiredis to let go of it */
	redis_replied_fn *replied;
	void *ctx;
	ev_tstamp deadline;
	int script; /* -1: a plain command */
	bool was_repeated;
	size_t len;
	char bytes[]; /* in RESP */
};

static struct redis_conn *conn_of_commands(struct redis_link *link) {
	return container_of(link, struct redis_conn, commands);
}

static struct redis_conn *conn_of_listening(struct redis_link *link) {
	return container_of(link, struct redis_conn, listening);
}

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

static void conn_on_reloaded(redisAsyncContext *ac, void *r, void *script) {
	struct redis_link *link = ac->data;
	(void)r; /* if it failed, so does the command behind it, and says why */
	if (link) {
		size_t name = (size_t)((const struct redis_script *)script - redis_scripts);
		conn_of_commands(link)->is_reloading[name] = false;
	}
}

static int conn_load_script(struct redis_conn *conn, size_t script, redisCallbackFn *replied) {
	const char *words[] = {"SCRIPT", "LOAD", redis_scripts[script].text};
	const size_t lens[] = {6, 4, strlen(redis_scripts[script].text)};
	return redisAsyncCommandArgv(
		conn->commands.ac, replied, (void *)(uintptr_t)&redis_scripts[script], 3, words, lens);
}

static void conn_on_reply(redisAsyncContext *ac, void *r, void *privdata);

/* Redis has forgotten the script: loads it and sends the command once more. */
static bool redis_op_repeat(struct redis_op *op) {
	struct redis_conn *conn = op->conn;
	size_t script = (size_t)op->script;
	if (op->was_repeated || !conn->commands.ac) {
		return false;
	}
	op->was_repeated = true;
	if (!conn->is_reloading[script]) {
		if (conn_load_script(conn, script, conn_on_reloaded) != REDIS_OK) {
			return false;
		}
		conn->is_reloading[script] = true;
	}
	return redisAsyncFormattedCommand(conn->commands.ac, conn_on_reply, op, op->bytes, op->len) ==
		   REDIS_OK;
}

static void conn_on_reply(redisAsyncContext *ac, void *r, void *privdata) {
	struct redis_op *op = privdata;
	struct redis_conn *conn = op->conn;
	const redisReply *reply = r;
	if (!conn) {
		free(op);
		return;
	}
	if (reply && reply->type == REDIS_REPLY_ERROR) {
		enum redis_trouble_kind kind = redis_trouble_of(reply->str);
		if (kind == REDIS_TROUBLE_NOSCRIPT && op->script >= 0 && redis_op_repeat(op)) {
			return;
		}
		redis_trouble_log(&conn->trouble, kind, reply->str, ev_now(conn->options.loop));
		if (kind == REDIS_TROUBLE_READONLY && conn->commands.ac == ac) {
			/* The master is elsewhere now; its name may lead there. */
			redis_link_drop(&conn->commands, "it is a read-only replica");
		}
		reply = NULL;
	}
	redis_op_end(op, reply);
	free(op);
}

static void conn_send(struct redis_conn *conn, struct redis_op *op) {
	if (conn->commands.state != REDIS_LINK_READY ||
		redisAsyncFormattedCommand(conn->commands.ac, conn_on_reply, op, op->bytes, op->len) !=
			REDIS_OK) {
		list_append(&conn->ops, &op->link);
		store_later_add(&conn->later, &op->later, redis_op_run_later);
		return;
	}
	list_append(&conn->ops, &op->link);
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
	words[1] = (struct slice){conn->sha[script], SHA_LEN};
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
		slice_of("PUBLISH"), slice_of(conn->channel), slice_of(HEARTBEAT_TEXT)};
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
static void conn_on_up(struct redis_conn *conn) {
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
	conn_on_down(conn_of_commands(link), reason);
}

static void listening_on_down(struct redis_link *link, const char *reason) {
	conn_on_down(conn_of_listening(link), reason);
}

/* ---- setting up ---- */

static void link_refused(struct redis_link *link, const char *what, const redisReply *reply) {
	bool is_error = reply && reply->type == REDIS_REPLY_ERROR;
	const char *text = is_error ? reply->str : "unexpected answer";
	bool is_plain = is_error && redis_trouble_of(text) != REDIS_TROUBLE_OTHER;
	char *reason = is_plain ? mem_strdup(text) : mem_printf("%s: %s", what, text);
	redis_link_drop(link, reason);
	free(reason);
}

/* Returns false when the attempt is over. */
static bool link_accepts(struct redis_link *link, const char *what, const redisReply *reply) {
	if (!link || !reply || link->state != REDIS_LINK_SETUP) {
		return false;
	}
	if (reply->type == REDIS_REPLY_ERROR) {
		link_refused(link, what, reply);
		return false;
	}
	return true;
}

static void commands_setup_step(struct redis_conn *conn) {
	assert(conn->setup_pending > 0);
	if (--conn->setup_pending == 0) {
		if (!conn->options.is_quiet) {
			redis_settings_check(&conn->settings);
		}
		redis_link_set_ready(&conn->commands);
		conn_on_up(conn);
	}
}

/* AUTH, SELECT, and a write that changes nothing: finds a replica, and data still being loaded. */
static void commands_on_required(redisAsyncContext *ac, void *reply, void *what) {
	struct redis_link *link = ac->data;
	if (link_accepts(link, what, reply)) {
		commands_setup_step(conn_of_commands(link));
	}
}

static void commands_on_loaded(redisAsyncContext *ac, void *r, void *script) {
	struct redis_link *link = ac->data;
	const redisReply *reply = r;
	if (!link_accepts(link, "SCRIPT LOAD", reply)) {
		return;
	}
	struct redis_conn *conn = conn_of_commands(link);
	if (reply->type != REDIS_REPLY_STRING || reply->len != SHA_LEN) {
		link_refused(link, "SCRIPT LOAD", NULL);
		return;
	}
	memcpy(conn->sha[(const struct redis_script *)script - redis_scripts], reply->str, SHA_LEN);
	commands_setup_step(conn);
}

static const struct {
	const char *name;
	size_t offset;
} conn_settings[] = {
	{"appendonly", offsetof(struct redis_settings, appendonly)},
	{"appendfsync", offsetof(struct redis_settings, appendfsync)},
	{"save", offsetof(struct redis_settings, save)},
	{"maxmemory", offsetof(struct redis_settings, maxmemory)},
	{"maxmemory-policy", offsetof(struct redis_settings, maxmemory_policy)},
};
enum { SETTINGS_COUNT = sizeof conn_settings / sizeof conn_settings[0] };

static char **conn_setting_at(struct redis_conn *conn, size_t index) {
	return (char **)(void *)((char *)&conn->settings + conn_settings[index].offset);
}

static void conn_forget_settings(struct redis_conn *conn) {
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		free(*conn_setting_at(conn, i));
	}
	conn->settings = (struct redis_settings){0};
}

/* Permissions may forbid to ask: then nothing is known. */
static void commands_on_setting(redisAsyncContext *ac, void *r, void *index) {
	struct redis_link *link = ac->data;
	const redisReply *reply = r;
	if (!link || !reply || link->state != REDIS_LINK_SETUP) {
		return;
	}
	struct redis_conn *conn = conn_of_commands(link);
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
		reply->element[1]->type == REDIS_REPLY_STRING) {
		char **value = conn_setting_at(conn, (uintptr_t)index);
		free(*value);
		*value = mem_strndup(reply->element[1]->str, reply->element[1]->len);
	}
	commands_setup_step(conn);
}

static bool link_send(struct redis_link *link, redisCallbackFn *replied, void *privdata,
	size_t count, const char *const *words) {
	size_t lens[4];
	const char *args[4];
	assert(count <= 4);
	for (size_t i = 0; i < count; i++) {
		args[i] = words[i];
		lens[i] = strlen(words[i]);
	}
	return redisAsyncCommandArgv(link->ac, replied, privdata, (int)count, args, lens) == REDIS_OK;
}

static bool link_send_auth(
	struct redis_link *link, const struct redis_url *url, redisCallbackFn *replied) {
	static char what[] = "AUTH";
	if (url->user) {
		const char *const words[] = {"AUTH", url->user, url->password};
		return link_send(link, replied, what, 3, words);
	}
	const char *const words[] = {"AUTH", url->password};
	return link_send(link, replied, what, 2, words);
}

static void commands_on_connected(struct redis_link *link) {
	static char select_what[] = "SELECT", write_what[] = "a write";
	struct redis_conn *conn = conn_of_commands(link);
	const struct redis_url *url = &conn->options.url;
	bool is_fine = true;
	conn_forget_settings(conn);
	memset(conn->is_reloading, 0, sizeof conn->is_reloading);
	conn->setup_pending = 1 + SETTINGS_COUNT + REDIS_SCRIPT_COUNT;
	if (url->password) {
		conn->setup_pending++;
		is_fine = link_send_auth(link, url, commands_on_required);
	}
	if (url->database > 0) {
		char number[12];
		(void)snprintf(number, sizeof number, "%u", url->database);
		const char *const words[] = {"SELECT", number};
		conn->setup_pending++;
		is_fine = is_fine && link_send(link, commands_on_required, select_what, 2, words);
	}
	const char *const probe[] = {"DEL", "bw:probe"};
	is_fine = is_fine && link_send(link, commands_on_required, write_what, 2, probe);
	for (uintptr_t i = 0; i < SETTINGS_COUNT; i++) {
		const char *const words[] = {"CONFIG", "GET", conn_settings[i].name};
		is_fine = is_fine && link_send(link, commands_on_setting, (void *)i, 3, words);
	}
	for (size_t i = 0; i < REDIS_SCRIPT_COUNT; i++) {
		is_fine = is_fine && conn_load_script(conn, i, commands_on_loaded) == REDIS_OK;
	}
	if (!is_fine) {
		redis_link_drop(link, "it hung up");
	}
}

static void listening_on_message(redisAsyncContext *ac, void *r, void *privdata) {
	(void)privdata;
	struct redis_link *link = ac->data;
	const redisReply *reply = r;
	if (!link || !reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
		return;
	}
	struct redis_conn *conn = conn_of_listening(link);
	const redisReply *kind = reply->element[0], *text = reply->element[2];
	if (link->state == REDIS_LINK_SETUP && strcmp(kind->str, "subscribe") == 0) {
		redis_link_set_ready(link);
		conn->has_heard = true;
		conn_on_up(conn);
	} else if (text->type == REDIS_REPLY_STRING && strcmp(kind->str, "message") == 0) {
		conn->has_heard = true;
		struct slice heard = {text->str, text->len};
		if (!slice_equals(heard, HEARTBEAT_TEXT)) {
			conn->options.on_heard(heard, conn->options.ctx);
		}
	}
}

static void listening_subscribe(struct redis_link *link) {
	const char *const words[] = {"SUBSCRIBE", conn_of_listening(link)->channel};
	if (!link_send(link, listening_on_message, NULL, 2, words)) {
		redis_link_drop(link, "it hung up");
	}
}

/* SUBSCRIBE waits for this: hiredis takes an error reply to it for the end of the connection. */
static void listening_on_auth(redisAsyncContext *ac, void *reply, void *what) {
	struct redis_link *link = ac->data;
	if (link_accepts(link, what, reply)) {
		listening_subscribe(link);
	}
}

static void listening_on_connected(struct redis_link *link) {
	const struct redis_url *url = &conn_of_listening(link)->options.url;
	if (!url->password) {
		listening_subscribe(link);
	} else if (!link_send_auth(link, url, listening_on_auth)) {
		redis_link_drop(link, "it hung up");
	}
}

/* ---- life ---- */

static void conn_free(struct redis_conn *conn) {
	redis_tls_destroy(conn->tls);
	conn_forget_settings(conn);
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
	store_later_init(&conn->later, loop);
	ev_timer_init(&conn->deadline, conn_on_deadline, 0, 0);
	ev_timer_init(&conn->heartbeat, conn_on_heartbeat, HEARTBEAT_SEC, HEARTBEAT_SEC);
	conn->deadline.data = conn->heartbeat.data = conn;
	ev_timer_start(loop, &conn->heartbeat);
	conn->commands = (struct redis_link){.loop = loop,
		.url = &conn->options.url,
		.tls = conn->tls,
		.on_connected = commands_on_connected,
		.on_down = commands_on_down};
	conn->listening = (struct redis_link){.loop = loop,
		.url = &conn->options.url,
		.tls = conn->tls,
		.on_connected = listening_on_connected,
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
		bool is_later = op->later.run != NULL;
		if (is_later) {
			list_remove(&op->later.link);
		}
		redis_op_end(op, NULL);
		if (is_later) {
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
