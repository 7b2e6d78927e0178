/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of hashes for each registration; the file holds them in hexadecimal. Hashes of another
 * "format" say nothing to us: what they stand for may come once more, which is better than a
 * message lost to a wrong match.
 */
#include "distributor/delivered.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/hashmap.h"
#include "common/json.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DELIVERED_RING = 256,
	DELIVERED_SAVE_MS = 5000,
	DELIVERED_FILE_MAX = 64 << 20,
	DELIVERED_HASH_DIGITS = 16,
	DELIVERED_FORMAT = 2, /* 1 hashed the version alone */
};

struct delivered_ring {
	uint32_t number; /* of the registration; key of struct delivered::rings */
	uint32_t next, count;
	uint64_t hashes[DELIVERED_RING];
};

struct delivered {
	struct hashmap *rings;
	struct state_file *file;
	struct alarm save;
	bool is_dirty;
};

/* The file outlives the run, so the hash has a fixed key: apps choose none of what is hashed. The
 * channel's hash goes into the version's key, so that no two pairs run into each other. */
uint64_t delivered_hash(struct slice channel, struct slice version) {
	uint8_t key[16] = "bellwire-version";
	uint64_t channel_hash = hashmap_siphash(key, channel.data, channel.len);
	memcpy(key, &channel_hash, sizeof channel_hash);
	return hashmap_siphash(key, version.data, version.len);
}

static struct delivered_ring *delivered_ring(const struct delivered *delivered, uint32_t number) {
	return hashmap_get(delivered->rings, &number);
}

static void delivered_put(struct delivered *delivered, uint32_t number, uint64_t hash) {
	struct delivered_ring *ring = delivered_ring(delivered, number);
	if (!ring) {
		ring = mem_zalloc(sizeof *ring);
		ring->number = number;
		(void)hashmap_put(delivered->rings, ring);
	}
	ring->hashes[ring->next] = hash;
	ring->next = (ring->next + 1) % DELIVERED_RING;
	ring->count += ring->count < DELIVERED_RING;
}

static char *delivered_print(void *ctx) {
	struct delivered *delivered = ctx;
	json_t *json = json_pack("{s:i}", "format", DELIVERED_FORMAT);
	struct delivered_ring *ring;
	delivered->is_dirty = false;
	for (size_t at = 0; (ring = hashmap_next(delivered->rings, &at));) {
		char key[16], text[DELIVERED_RING * DELIVERED_HASH_DIGITS + 1];
		size_t len = 0;
		for (uint32_t i = 0; i < ring->count; i++) { /* oldest first */
			uint32_t place = (ring->next + DELIVERED_RING - ring->count + i) % DELIVERED_RING;
			(void)snprintf(text + len, sizeof text - len, "%016" PRIx64, ring->hashes[place]);
			len += DELIVERED_HASH_DIGITS;
		}
		(void)snprintf(key, sizeof key, "%" PRIu32, ring->number);
		(void)json_object_set_new(json, key, json_stringn(text, len));
	}
	char *printed = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return printed ? printed : mem_strdup("{}");
}

static void delivered_load_ring(struct delivered *delivered, const char *key, const char *text) {
	char *end;
	unsigned long number = strtoul(key, &end, 10);
	if (*end != '\0' || number == 0 || number > UINT32_MAX) {
		return;
	}
	for (size_t len = strlen(text); len >= DELIVERED_HASH_DIGITS; len -= DELIVERED_HASH_DIGITS) {
		char digits[DELIVERED_HASH_DIGITS + 1] = {0};
		memcpy(digits, text, DELIVERED_HASH_DIGITS);
		delivered_put(delivered, (uint32_t)number, strtoull(digits, NULL, 16));
		text += DELIVERED_HASH_DIGITS;
	}
}

static void delivered_load(struct delivered *delivered, const char *path) {
	CLEANUP_FREE char *data = NULL;
	size_t bytes = 0;
	const char *key;
	json_t *value;
	int64_t format = 0;
	int result = file_read_own(path, DELIVERED_FILE_MAX, &data, &bytes);
	if (result == -ENOENT) {
		return;
	}
	json_t *json = result < 0 ? NULL : json_parse((struct slice){data, bytes});
	if (json_get_integer(json, "format", &format) != JSON_PRESENT || format != DELIVERED_FORMAT) {
		CLEANUP_FREE char *aside = NULL;
		result = file_set_aside(path, false, &aside);
		log_warn("%s is damaged or of another version; messages may come twice kept=%s", path,
			result < 0 ? strerror(-result) : aside);
	} else {
		json_object_foreach(json, key, value) {
			delivered_load_ring(
				delivered, key, json_is_string(value) ? json_string_value(value) : "");
		}
	}
	json_decref(json);
}

static void delivered_on_save(struct alarm *alarm, void *ctx) {
	(void)alarm;
	delivered_save(ctx);
}

struct delivered *delivered_open(struct alarms *alarms, struct disk *disk, const char *path) {
	struct delivered *delivered = mem_zalloc(sizeof *delivered);
	delivered->rings = hashmap_create(offsetof(struct delivered_ring, number), sizeof(uint32_t));
	delivered->file = state_file_create(disk, path, false, delivered_print, delivered);
	alarm_init(&delivered->save, alarms, delivered_on_save, delivered);
	delivered_load(delivered, path);
	return delivered;
}

void delivered_save(struct delivered *delivered) {
	alarm_stop(&delivered->save);
	if (delivered->is_dirty) {
		state_file_save(delivered->file, NULL, NULL);
	}
}

void delivered_close(struct delivered *delivered) {
	if (!delivered) {
		return;
	}
	struct delivered_ring *ring;
	for (size_t at = 0; (ring = hashmap_next(delivered->rings, &at));) {
		(void)hashmap_remove(delivered->rings, &ring->number);
		free(ring);
	}
	alarm_stop(&delivered->save);
	hashmap_destroy(delivered->rings);
	state_file_destroy(delivered->file);
	free(delivered);
}

bool delivered_has(const struct delivered *delivered, uint32_t number, struct slice channel,
	struct slice version) {
	const struct delivered_ring *ring = delivered_ring(delivered, number);
	uint64_t hash = delivered_hash(channel, version);
	for (uint32_t i = 0; ring && i < ring->count; i++) {
		if (ring->hashes[i] == hash) {
			return true;
		}
	}
	return false;
}

void delivered_add(
	struct delivered *delivered, uint32_t number, struct slice channel, struct slice version) {
	delivered_put(delivered, number, delivered_hash(channel, version));
	delivered->is_dirty = true;
	if (!alarm_is_set(&delivered->save)) {
		alarm_set(&delivered->save, DELIVERED_SAVE_MS, ALARM_SLACK_DEADLINE_MS);
	}
}

void delivered_forget(struct delivered *delivered, uint32_t number) {
	free(hashmap_remove(delivered->rings, &number));
}
