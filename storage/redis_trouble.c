/* SPDX-License-Identifier: Apache-2.0 */
/* Sorts error replies of Redis and says what to do about them. */
#include "storage/redis_trouble.h"
#include "common/log.h"
#include <string.h>

enum { LOG_PAUSE_SEC = 30 };

static const struct {
	const char *code, *event, *cure;
} redis_troubles[REDIS_TROUBLE_COUNT] = {
	[REDIS_TROUBLE_OTHER] = {"", "redis refused a command", "see the reason"},
	[REDIS_TROUBLE_NOSCRIPT] = {"NOSCRIPT", "redis forgets scripts",
		"is something calling SCRIPT FLUSH again and again?"},
	[REDIS_TROUBLE_LOADING] = {"LOADING", "redis is loading its data",
		"it will be ready by itself"},
	[REDIS_TROUBLE_READONLY] = {"READONLY", "redis is a read-only replica",
		"point the store URL at the master"},
	[REDIS_TROUBLE_OOM] = {"OOM", "redis is out of memory",
		"raise its maxmemory, or lower queue-messages and queue-bytes"},
	[REDIS_TROUBLE_MISCONF] = {"MISCONF", "redis cannot write its snapshot and refuses writes",
		"make room on its disk, see its log; stop-writes-on-bgsave-error is what stops it"},
	[REDIS_TROUBLE_BUSY] = {"BUSY", "redis is busy with a script of someone else",
		"SCRIPT KILL ends it; busy-reply-threshold is its limit"},
	[REDIS_TROUBLE_NOREPLICAS] = {"NOREPLICAS", "redis has too few replicas to accept writes",
		"start them, or lower its min-replicas-to-write"},
	[REDIS_TROUBLE_MASTERDOWN] = {"MASTERDOWN", "redis is a replica without its master",
		"point the store URL at the master"},
	[REDIS_TROUBLE_NOPERM] = {"NOPERM", "redis does not permit a command",
		"give the user ~bw:* &bw:* +@read +@write +@scripting +@pubsub +@connection +time"},
	[REDIS_TROUBLE_NOAUTH] = {"NOAUTH", "redis asks for a password",
		"set redis-password, or put it into the store URL"},
	[REDIS_TROUBLE_CLUSTER] = {"MOVED", "redis is part of a cluster", "use a single Redis"},
};

enum redis_trouble_kind redis_trouble_of(const char *error) {
	for (int kind = REDIS_TROUBLE_OTHER + 1; kind < REDIS_TROUBLE_COUNT; kind++) {
		const char *code = redis_troubles[kind].code;
		size_t len = strlen(code);
		if (strncmp(error, code, len) == 0 && (error[len] == ' ' || error[len] == '\0')) {
			return (enum redis_trouble_kind)kind;
		}
		/* Redis 6 wraps what a script met: "ERR Error running script …: @user_script:9: -OOM …" */
		const char *at = strncmp(error, "ERR ", 4) == 0 ? strstr(error, code) : NULL;
		if (at && at[-1] == '-') {
			return (enum redis_trouble_kind)kind;
		}
	}
	if (strncmp(error, "WRONGPASS", 9) == 0) {
		return REDIS_TROUBLE_NOAUTH;
	}
	if (strstr(error, "user executing the script")) { /* Redis 7, without a code */
		return REDIS_TROUBLE_NOPERM;
	}
	return strncmp(error, "CLUSTERDOWN", 11) == 0 || strncmp(error, "CROSSSLOT", 9) == 0
			   ? REDIS_TROUBLE_CLUSTER
			   : REDIS_TROUBLE_OTHER;
}

const char *redis_trouble_cure(enum redis_trouble_kind kind) {
	return redis_troubles[kind].cure;
}

void redis_trouble_log(
	struct redis_trouble *trouble, enum redis_trouble_kind kind, const char *error, ev_tstamp now) {
	if (trouble->logged[kind] > 0 && now - trouble->logged[kind] < LOG_PAUSE_SEC) {
		return;
	}
	trouble->logged[kind] = now;
	log_error("%s cure=\"%s\" reason=\"%.160s\"", redis_troubles[kind].event,
		redis_troubles[kind].cure, error);
}

static bool is_value(const char *value, const char *expected) {
	return value && strcmp(value, expected) == 0;
}

void redis_settings_check(const struct redis_settings *settings) {
	bool has_log = is_value(settings->appendonly, "yes");
	bool has_snapshots = settings->save && settings->save[0];
	if (settings->appendonly && !has_log && !has_snapshots) {
		log_warn("redis does not persist anything: its restart loses every message and "
				 "subscription cure=\"set its appendonly yes\"");
	} else if (settings->appendonly && !has_log) {
		log_warn("redis persists snapshots only: its crash loses what came since the last one "
				 "cure=\"set its appendonly yes\" save=\"%s\"",
			settings->save);
	} else if (has_log && is_value(settings->appendfsync, "no")) {
		log_warn("redis persists when the system likes: a power cut loses up to half a minute of "
				 "messages cure=\"set its appendfsync everysec or always\"");
	} else if (has_log && is_value(settings->appendfsync, "everysec")) {
		log_info("redis syncs every second: a power cut may lose a second of messages; "
				 "appendfsync always loses none");
	}
	if (settings->maxmemory && !is_value(settings->maxmemory, "0") && settings->maxmemory_policy &&
		!is_value(settings->maxmemory_policy, "noeviction")) {
		log_warn("redis evicts messages and devices when its memory is full "
				 "cure=\"set its maxmemory-policy noeviction\" maxmemory=%s policy=%s",
			settings->maxmemory, settings->maxmemory_policy);
	}
}
