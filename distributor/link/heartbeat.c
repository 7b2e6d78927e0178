/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the longest silence that a network bears, and its memory. */
#include "distributor/link/heartbeat.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	HEARTBEAT_TRIALS = 3, /* in a row, before a value counts as good */
	HEARTBEAT_NEAR_SEC = 60, /* the setting may lie so much below what fails */
	HEARTBEAT_STEP_MIN_SEC = 15, /* a finer search is not worth its reconnects */
	HEARTBEAT_WRITE_SEC = 60, /* at most one write in that time */
	HEARTBEAT_FILE_MAX = 64 * 1024,
	HEARTBEAT_DAY_SEC = 24 * 3600,
};

struct heartbeat {
	struct list link; /* struct heartbeats::networks */
	char key[HEARTBEAT_KEY_MAX];
	uint32_t cur_sec, good_sec, bad_sec; /* good, bad: 0 when not known */
	uint32_t failed_sec; /* the value that failed once */
	uint32_t held; /* trials at cur, in a row */
	int64_t bad_at_sec, used_at_sec; /* wall clock */
};

struct heartbeats {
	char *path;
	struct list networks; /* struct heartbeat::link, the latest used first */
	unsigned int count;
	int64_t written_sec;
	bool is_changed, is_failing;
	heartbeats_keep_fn *keep; /* NULL: written here */
	void *keep_ctx;
};

static uint32_t heartbeat_min(uint32_t a, uint32_t b) {
	return a < b ? a : b;
}

static uint32_t heartbeat_max(uint32_t a, uint32_t b) {
	return a > b ? a : b;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

/* False when it is there and cannot be ours. */
static bool heartbeat_get_sec(const json_t *object, const char *key, uint32_t *out_sec) {
	int64_t value = 0;
	enum json_found found = json_get_integer(object, key, &value);
	if (found == JSON_WRONG_TYPE || value < 0 || value > HEARTBEAT_DAY_SEC) {
		return false;
	}
	*out_sec = (uint32_t)value;
	return true;
}

/* Of the wall clock; what lies in the future is as good as now. */
static bool heartbeat_get_time(const json_t *object, const char *key, int64_t *out_sec) {
	int64_t value = 0, now_sec = (int64_t)time(NULL);
	if (json_get_integer(object, key, &value) == JSON_WRONG_TYPE || value < 0) {
		return false;
	}
	*out_sec = value < now_sec ? value : now_sec;
	return true;
}

static bool heartbeats_add(struct heartbeats *heartbeats, const json_t *item) {
	struct slice key;
	if (heartbeats->count >= HEARTBEAT_NETWORKS_MAX ||
		json_get_string(item, "key", &key) != JSON_PRESENT || key.len == 0 ||
		key.len >= HEARTBEAT_KEY_MAX) {
		return false;
	}
	struct heartbeat *heartbeat = mem_zalloc(sizeof *heartbeat);
	memcpy(heartbeat->key, key.data, key.len);
	bool good = heartbeat_get_sec(item, "cur", &heartbeat->cur_sec) &&
				heartbeat->cur_sec >= HEARTBEAT_FLOOR_SEC;
	if (!good) {
		heartbeat->cur_sec = HEARTBEAT_START_SEC;
	}
	good = heartbeat_get_sec(item, "good", &heartbeat->good_sec) && good;
	good = heartbeat_get_sec(item, "bad", &heartbeat->bad_sec) && good;
	good = heartbeat_get_sec(item, "failed", &heartbeat->failed_sec) && good;
	good = heartbeat_get_time(item, "bad_at", &heartbeat->bad_at_sec) && good;
	good = heartbeat_get_time(item, "used_at", &heartbeat->used_at_sec) && good;
	list_append(&heartbeats->networks, &heartbeat->link);
	heartbeats->count++;
	return good;
}

static void heartbeats_set_aside(const struct heartbeats *heartbeats, bool stays) {
	CLEANUP_FREE char *aside = NULL;
	int result = file_set_aside(heartbeats->path, stays, &aside);
	log_warn("heartbeat file is damaged, the rest is learned anew path=%s kept=%s",
		heartbeats->path, result < 0 ? strerror(-result) : aside);
}

static void heartbeats_read(struct heartbeats *heartbeats) {
	CLEANUP_FREE char *data = NULL;
	size_t bytes = 0;
	int result = file_read_own(heartbeats->path, HEARTBEAT_FILE_MAX, &data, &bytes);
	if (result == -ENOENT) {
		return;
	}
	json_t *root = result == 0 ? json_parse((struct slice){data, bytes}) : NULL;
	json_t *networks = json_object_get(root, "networks");
	bool is_usable = json_is_array(networks), good = is_usable;
	size_t i;
	json_t *item;
	json_array_foreach(networks, i, item) {
		good = heartbeats_add(heartbeats, item) && good;
	}
	json_decref(root);
	if (!good) {
		heartbeats_set_aside(heartbeats, is_usable);
		heartbeats->is_changed = true; /* written anew, at the end at the latest */
	}
}

static char *heartbeats_print(const struct heartbeats *heartbeats) {
	json_t *networks = json_array();
	const struct heartbeat *heartbeat;
	LIST_FOREACH (heartbeat, &heartbeats->networks, link) {
		if (heartbeat->key[0] != '\0') {
			(void)json_array_append_new(networks,
				json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "key", heartbeat->key, "cur",
					(json_int_t)heartbeat->cur_sec, "good", (json_int_t)heartbeat->good_sec, "bad",
					(json_int_t)heartbeat->bad_sec, "failed", (json_int_t)heartbeat->failed_sec,
					"bad_at", (json_int_t)heartbeat->bad_at_sec, "used_at",
					(json_int_t)heartbeat->used_at_sec));
		}
	}
	json_t *root = json_pack("{s:i,s:o}", "v", 1, "networks", networks);
	char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	json_decref(root);
	return text;
}

static void heartbeats_write(struct heartbeats *heartbeats) {
	if (!heartbeats->path || !heartbeats->is_changed) {
		return;
	}
	CLEANUP_FREE char *text = heartbeats_print(heartbeats);
	heartbeats->is_changed = false;
	if (text && heartbeats->keep) {
		heartbeats->keep(heartbeats->path, steal(&text), heartbeats->keep_ctx);
		return;
	}
	int result = text ? file_replace(heartbeats->path, text, strlen(text), 0600) : -EINVAL;
	if (result < 0 && !heartbeats->is_failing) { /* said once */
		log_warn("heartbeat file cannot be written path=%s error=%s", heartbeats->path,
			strerror(-result));
	}
	heartbeats->is_failing = result < 0;
}

void heartbeats_keep_by(struct heartbeats *heartbeats, heartbeats_keep_fn *keep, void *ctx) {
	heartbeats->keep = keep;
	heartbeats->keep_ctx = ctx;
}

static void heartbeats_changed(struct heartbeats *heartbeats, int64_t now_sec) {
	heartbeats->is_changed = true;
	if (now_sec - heartbeats->written_sec >= HEARTBEAT_WRITE_SEC ||
		now_sec < heartbeats->written_sec) {
		heartbeats->written_sec = now_sec;
		heartbeats_write(heartbeats);
	}
}

struct heartbeats *heartbeats_open(const char *path) {
	struct heartbeats *heartbeats = mem_zalloc(sizeof *heartbeats);
	list_init(&heartbeats->networks);
	if (path) {
		heartbeats->path = mem_strdup(path);
		heartbeats_read(heartbeats);
	}
	return heartbeats;
}

static void heartbeats_drop(struct heartbeats *heartbeats, struct heartbeat *heartbeat) {
	list_remove(&heartbeat->link);
	heartbeats->count--;
	free(heartbeat);
}

void heartbeats_close(struct heartbeats *heartbeats) {
	if (!heartbeats) {
		return;
	}
	heartbeats_write(heartbeats);
	struct heartbeat *heartbeat;
	while ((heartbeat = list_first(&heartbeats->networks, struct heartbeat, link))) {
		heartbeats_drop(heartbeats, heartbeat);
	}
	free(heartbeats->path);
	free(heartbeats);
}

/* ---- the networks ------------------------------------------------------------------------------
 */

static void heartbeats_forget(struct heartbeats *heartbeats, int64_t now_sec) {
	struct heartbeat *heartbeat, *next;
	LIST_FOREACH_SAFE (heartbeat, next, &heartbeats->networks, link) {
		if (now_sec - heartbeat->used_at_sec > (int64_t)HEARTBEAT_FORGET_DAYS * HEARTBEAT_DAY_SEC) {
			heartbeats_drop(heartbeats, heartbeat);
		}
	}
	while (heartbeats->count > HEARTBEAT_NETWORKS_MAX) {
		heartbeats_drop(
			heartbeats, container_of(heartbeats->networks.prev, struct heartbeat, link));
	}
}

/* The network's entry, made when there is none; it moves to the front. */
static struct heartbeat *heartbeats_find(
	struct heartbeats *heartbeats, const char *key, int64_t now_sec) {
	struct heartbeat *heartbeat;
	LIST_FOREACH (heartbeat, &heartbeats->networks, link) {
		if (strncmp(heartbeat->key, key, HEARTBEAT_KEY_MAX - 1) == 0) {
			break;
		}
	}
	if (&heartbeat->link == &heartbeats->networks) {
		heartbeat = mem_zalloc(sizeof *heartbeat);
		(void)snprintf(heartbeat->key, sizeof heartbeat->key, "%s", key);
		heartbeat->cur_sec = HEARTBEAT_START_SEC;
		list_init(&heartbeat->link);
		heartbeats->count++;
	}
	list_remove(&heartbeat->link);
	list_prepend(&heartbeats->networks, &heartbeat->link);
	heartbeat->used_at_sec = now_sec;
	heartbeats_forget(heartbeats, now_sec);
	return heartbeat;
}

/* ---- the search --------------------------------------------------------------------------------
 */

static bool heartbeat_is_settled(const struct heartbeat *heartbeat) {
	uint32_t good_sec = heartbeat->good_sec, bad_sec = heartbeat->bad_sec;
	return good_sec > 0 && bad_sec > 0 &&
		   (bad_sec - good_sec * 95 / 100 <= HEARTBEAT_NEAR_SEC ||
			   bad_sec - good_sec <= HEARTBEAT_STEP_MIN_SEC);
}

static void heartbeat_set(struct heartbeat *heartbeat, uint32_t cur_sec) {
	heartbeat->cur_sec = heartbeat_max(cur_sec, HEARTBEAT_FLOOR_SEC);
	heartbeat->held = 0;
}

/* From good: half as much again, or midway to what failed; near enough: a little below good. */
static void heartbeat_advance(struct heartbeat *heartbeat) {
	uint32_t good_sec = heartbeat->good_sec, bad_sec = heartbeat->bad_sec;
	if (heartbeat_is_settled(heartbeat)) {
		heartbeat_set(heartbeat, good_sec * 95 / 100);
		return;
	}
	uint32_t next_sec = good_sec * 3 / 2;
	heartbeat_set(
		heartbeat, bad_sec > 0 ? heartbeat_min(next_sec, (good_sec + bad_sec) / 2) : next_sec);
}

uint32_t heartbeats_interval_sec(
	struct heartbeats *heartbeats, const char *key, uint32_t ceiling_sec, int64_t now_sec) {
	struct heartbeat *heartbeat = heartbeats_find(heartbeats, key, now_sec);
	int64_t patience_sec = (int64_t)HEARTBEAT_RETRY_BAD_DAYS * HEARTBEAT_DAY_SEC;
	if (heartbeat->bad_sec > 0 && now_sec - heartbeat->bad_at_sec > patience_sec) {
		heartbeat->bad_sec = heartbeat->failed_sec = 0;
		if (heartbeat->good_sec > 0) {
			heartbeat_advance(heartbeat);
		}
		heartbeats_changed(heartbeats, now_sec);
	}
	return heartbeat_min(heartbeat->cur_sec, ceiling_sec);
}

void heartbeats_held(struct heartbeats *heartbeats, const char *key, uint32_t interval_sec,
	uint32_t ceiling_sec, int64_t now_sec) {
	struct heartbeat *heartbeat = heartbeats_find(heartbeats, key, now_sec);
	/* a shorter silence than the one on trial (mains, a cap of the user) says nothing */
	if (interval_sec < heartbeat->cur_sec || ++heartbeat->held < HEARTBEAT_TRIALS) {
		return;
	}
	uint32_t cur_sec = heartbeat->cur_sec;
	if (heartbeat->bad_sec > 0 && cur_sec >= heartbeat->bad_sec) {
		heartbeat->bad_sec = 0;
	}
	if (cur_sec >= heartbeat->failed_sec) {
		heartbeat->failed_sec = 0;
	}
	heartbeat->good_sec = heartbeat_max(heartbeat->good_sec, cur_sec);
	heartbeat_advance(heartbeat);
	heartbeat->cur_sec = heartbeat_min(heartbeat->cur_sec, ceiling_sec);
	if (heartbeat->cur_sec != cur_sec) {
		log_info("heartbeat held network=%s interval_s=%u next_s=%u", heartbeat->key, cur_sec,
			heartbeat->cur_sec);
		heartbeats_changed(heartbeats, now_sec);
	}
}

void heartbeats_failed(
	struct heartbeats *heartbeats, const char *key, uint32_t interval_sec, int64_t now_sec) {
	struct heartbeat *heartbeat = heartbeats_find(heartbeats, key, now_sec);
	bool is_second = heartbeat->failed_sec == interval_sec;
	uint32_t good_sec = heartbeat->good_sec < interval_sec ? heartbeat->good_sec : 0;
	if (is_second) {
		heartbeat->bad_sec = interval_sec;
		heartbeat->bad_at_sec = now_sec;
		heartbeat->good_sec = good_sec;
		heartbeat->failed_sec = 0;
	} else {
		heartbeat->failed_sec = interval_sec;
	}
	heartbeat_set(heartbeat, good_sec > 0 ? good_sec : interval_sec * (is_second ? 70 : 75) / 100);
	log_info("heartbeat failed network=%s interval_s=%u next_s=%u", heartbeat->key, interval_sec,
		heartbeat->cur_sec);
	heartbeats_changed(heartbeats, now_sec);
}
