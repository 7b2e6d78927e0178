/* SPDX-License-Identifier: Apache-2.0 */
/* jmap-NAME.json: what one login must know after a restart. */
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/login_internal.h"
#include "distributor/state.h"
#include <stdlib.h>
#include <string.h>

enum { LOGIN_SAVE_MS = 5000, LOGIN_FORMAT = 1 };

static char *login_path_dup(const struct jmap_login *login) {
	return mem_printf("%s/jmap-%s.json", login->parts->options.state_dir, login->config->name);
}

/* At which server, and who: what is remembered is of no use to another one. */
static char *login_whose_dup(const struct jmap_config *config) {
	return mem_printf(
		"%s %s", config->user ? config->user : "", config->session_url ? config->session_url : "");
}

static bool login_file_is_good(const json_t *json, void *ctx) {
	(void)ctx;
	int64_t format = 0;
	return json_get_integer(json, "format", &format) == JSON_PRESENT && format == LOGIN_FORMAT &&
		   json_is_string(json_object_get(json, "login"));
}

json_t *login_file_read(struct jmap_login *login) {
	CLEANUP_FREE char *path = login_path_dup(login);
	enum state_condition condition;
	json_t *json = state_read_file(path, login_file_is_good, NULL, &condition);
	if (condition == STATE_PARTIAL) {
		json_decref(steal(&json)); /* of another format, or of nobody */
	}
	if (condition == STATE_LOST || condition == STATE_PARTIAL || condition == STATE_UNREADABLE) {
		login->is_lost = true;
		log_warn(
			"what was known of a mail login is lost, it begins anew login=%s", login->config->name);
	}
	return json;
}

/* What commands have still to do. */
static json_t *login_runs_print(const struct jmap_login *login) {
	json_t *json = json_object();
	for (int kind = 0; kind < JMAP_KIND_COUNT; kind++) {
		json_t *left = login->commands[kind] ? change_command_print(login->commands[kind]) : NULL;
		if (left) {
			(void)json_object_set_new(json, jmap_kind_name((enum jmap_kind)kind), left);
		}
	}
	return json;
}

json_t *jmap_login_print(const struct jmap_login *login) {
	CLEANUP_FREE char *whose = login_whose_dup(login->config);
	return json_pack("{s:i,s:s,s:b,s:I,s:I,s:o,s:o,s:o}", "format", LOGIN_FORMAT, "login", whose,
		"paused", (int)login->is_paused, "synced_ms", (json_int_t)login->synced_ms, "pushed_ms",
		(json_int_t)login->pushed_ms, "push", push_subscription_print(login->push), "accounts",
		login_accounts_print(login), "runs", login_runs_print(login));
}

static char *login_print_text(void *ctx) {
	json_t *json = jmap_login_print(ctx);
	char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	json_decref(json);
	if (!text) {
		log_fatal("the state of a mail login cannot be put into words");
	}
	return text;
}

static void login_on_save(struct alarm *alarm, void *ctx) {
	(void)alarm;
	state_file_save(((struct jmap_login *)ctx)->file, NULL, NULL);
}

bool login_file_open(struct jmap_login *login, const json_t *saved) {
	CLEANUP_FREE char *path = login_path_dup(login);
	CLEANUP_FREE char *whose = login_whose_dup(login->config);
	struct slice of = {NULL, 0};
	login->file =
		state_file_create(login->parts->options.disk, path, true, login_print_text, login);
	alarm_init(&login->save, login->parts->options.alarms, login_on_save, login);
	(void)json_get_bool(saved, "paused", &login->is_paused); /* absent: not */
	if (json_get_string(saved, "login", &of) != JSON_PRESENT || !slice_equals(of, whose)) {
		return false;
	}
	(void)json_get_integer(saved, "synced_ms", &login->synced_ms);
	(void)json_get_integer(saved, "pushed_ms", &login->pushed_ms);
	const json_t *accounts = json_object_get(saved, "accounts");
	login->saved_accounts = json_is_object(accounts) ? json_deep_copy(accounts) : NULL;
	return true;
}

void login_save_later(struct jmap_login *login) {
	if (!alarm_is_set(&login->save)) {
		alarm_set(&login->save, LOGIN_SAVE_MS, ALARM_SLACK_DEADLINE_MS);
	}
}

void login_save_now(struct jmap_login *login) {
	alarm_stop(&login->save);
	state_file_save(login->file, NULL, NULL);
}

void login_file_close(struct jmap_login *login, bool is_forgotten) {
	CLEANUP_FREE char *path = login_path_dup(login);
	CLEANUP_FREE char *before = mem_printf("%s.bak", path);
	if (!login->file) {
		return;
	}
	if (!is_forgotten) {
		login_save_now(login);
	}
	alarm_stop(&login->save);
	state_file_release(login->file);
	login->file = NULL;
	if (is_forgotten) { /* behind what is being written */
		disk_remove(login->parts->options.disk, path);
		disk_remove(login->parts->options.disk, before);
	}
}
