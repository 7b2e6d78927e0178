/* SPDX-License-Identifier: Apache-2.0 */
/* What sets the links to Redis up: AUTH, SELECT, settings and scripts on the one, SUBSCRIBE on the
 * other. */
#include "common/mem.h"
#include "storage/redis_conn_internal.h"
#include <assert.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
		redis_conn_note_up(conn);
	}
}

/* AUTH, SELECT, and a write that changes nothing: finds a replica, and data still being loaded. */
static void commands_on_required(redisAsyncContext *ac, void *reply, void *what) {
	struct redis_link *link = ac->data;
	if (link_accepts(link, what, reply)) {
		commands_setup_step(redis_conn_of_commands(link));
	}
}

static void commands_on_loaded(redisAsyncContext *ac, void *r, void *script) {
	struct redis_link *link = ac->data;
	const redisReply *reply = r;
	if (!link_accepts(link, "SCRIPT LOAD", reply)) {
		return;
	}
	struct redis_conn *conn = redis_conn_of_commands(link);
	if (reply->type != REDIS_REPLY_STRING || reply->len != REDIS_SHA_LEN) {
		link_refused(link, "SCRIPT LOAD", NULL);
		return;
	}
	memcpy(
		conn->sha[(const struct redis_script *)script - redis_scripts], reply->str, REDIS_SHA_LEN);
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

void redis_setup_forget_settings(struct redis_conn *conn) {
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
	struct redis_conn *conn = redis_conn_of_commands(link);
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

void redis_setup_commands(struct redis_link *link) {
	static char select_what[] = "SELECT", write_what[] = "a write";
	struct redis_conn *conn = redis_conn_of_commands(link);
	const struct redis_url *url = &conn->options.url;
	bool is_fine = true;
	redis_setup_forget_settings(conn);
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
		is_fine = is_fine && redis_conn_load_script(conn, i, commands_on_loaded) == REDIS_OK;
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
	struct redis_conn *conn = redis_conn_of_listening(link);
	const redisReply *kind = reply->element[0], *text = reply->element[2];
	if (link->state == REDIS_LINK_SETUP && strcmp(kind->str, "subscribe") == 0) {
		redis_link_set_ready(link);
		conn->has_heard = true;
		redis_conn_note_up(conn);
	} else if (text->type == REDIS_REPLY_STRING && strcmp(kind->str, "message") == 0) {
		conn->has_heard = true;
		struct slice heard = {text->str, text->len};
		if (!slice_equals(heard, redis_heartbeat_text)) {
			conn->options.on_heard(heard, conn->options.ctx);
		}
	}
}

static void listening_subscribe(struct redis_link *link) {
	const char *const words[] = {"SUBSCRIBE", redis_conn_of_listening(link)->channel};
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

void redis_setup_listening(struct redis_link *link) {
	const struct redis_url *url = &redis_conn_of_listening(link)->options.url;
	if (!url->password) {
		listening_subscribe(link);
	} else if (!link_send_auth(link, url, listening_on_auth)) {
		redis_link_drop(link, "it hung up");
	}
}
