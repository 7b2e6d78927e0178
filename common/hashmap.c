/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing with linear probing over two arrays: 32 bits of each hash, which nearly always
 * decide a probe alone, and the objects. A search never wraps around: behind the last home slot
 * lies some slack, and the table grows when that runs out. Removing moves later entries of the run
 * back, so there are no tombstones; a visit runs downwards and therefore misses none.
 */
#include "common/hashmap.h"
#include "common/mem.h"
#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { HASHMAP_FIRST_BITS = 4, HASHMAP_LAST_BITS = 31, HASHMAP_SLACK = 256 };

struct hashmap {
	uint8_t hash_key[16];
	size_t key_offset, key_bytes;
	size_t count;
	size_t slots; /* home slots and slack */
	unsigned bits; /* 2^bits home slots, once there are slots */
	uint32_t *tags; /* 0 for a free slot; the upper bits are the home slot */
	void **objects;
};

static inline uint64_t hashmap_rotate(uint64_t x, unsigned by) {
	return (x << by) | (x >> (64 - by));
}

static inline void hashmap_sip_round(uint64_t v[4]) {
	v[0] += v[1];
	v[2] += v[3];
	v[1] = hashmap_rotate(v[1], 13) ^ v[0];
	v[3] = hashmap_rotate(v[3], 16) ^ v[2];
	v[0] = hashmap_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = hashmap_rotate(v[1], 17) ^ v[2];
	v[3] = hashmap_rotate(v[3], 21) ^ v[0];
	v[2] = hashmap_rotate(v[2], 32);
}

static inline uint64_t hashmap_load(const void *at) {
	uint64_t word;
	memcpy(&word, at, sizeof word);
	return le64toh(word);
}

uint64_t hashmap_siphash(const uint8_t key[16], const void *data, size_t bytes) {
	uint64_t k0 = hashmap_load(key), k1 = hashmap_load(key + 8);
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573};
	const uint8_t *at = data;
	size_t left = bytes;
	for (; left >= 8; at += 8, left -= 8) {
		uint64_t word = hashmap_load(at);
		v[3] ^= word;
		hashmap_sip_round(v);
		v[0] ^= word;
	}
	uint64_t last = (uint64_t)bytes << 56;
	for (size_t i = 0; i < left; i++) {
		last |= (uint64_t)at[i] << (8 * i);
	}
	v[3] ^= last;
	hashmap_sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	hashmap_sip_round(v);
	hashmap_sip_round(v);
	hashmap_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline uint32_t hashmap_tag(const struct hashmap *map, const void *key) {
	uint32_t tag = (uint32_t)hashmap_siphash(map->hash_key, key, map->key_bytes);
	return tag ? tag : 1;
}

static inline size_t hashmap_home(const struct hashmap *map, uint32_t tag) {
	return tag >> (32 - map->bits);
}

static inline const void *hashmap_key(const struct hashmap *map, const void *object) {
	return (const char *)object + map->key_offset;
}

static void hashmap_allocate(struct hashmap *map, unsigned bits) {
	assert(bits <= HASHMAP_LAST_BITS);
	size_t homes = (size_t)1 << bits;
	map->bits = bits;
	map->slots = homes + (homes < HASHMAP_SLACK ? homes : HASHMAP_SLACK);
	map->tags = mem_zalloc(map->slots * sizeof *map->tags);
	map->objects = mem_alloc(map->slots * sizeof *map->objects);
}

struct hashmap *hashmap_create(size_t key_offset, size_t key_bytes) {
	struct hashmap *map = mem_zalloc(sizeof *map);
	map->key_offset = key_offset;
	map->key_bytes = key_bytes;
	ssize_t got = getrandom(map->hash_key, sizeof map->hash_key, 0);
	assert(got == (ssize_t)sizeof map->hash_key); /* so few bytes come whole or not at all */
	return map;
}

void hashmap_destroy(struct hashmap *map) {
	if (!map) {
		return;
	}
	free(map->tags);
	free(map->objects);
	free(map);
}

/* False when the slack is used up. */
static bool hashmap_place(struct hashmap *map, uint32_t tag, void *object) {
	size_t i = hashmap_home(map, tag);
	while (i < map->slots && map->tags[i] != 0) {
		i++;
	}
	if (i == map->slots) {
		return false;
	}
	map->tags[i] = tag;
	map->objects[i] = object;
	return true;
}

/* Moves everything to a table of 2^bits home slots, or a larger one should its slack not do. */
static void hashmap_resize(struct hashmap *map, unsigned bits) {
	uint32_t *tags = map->tags;
	void **objects = map->objects;
	size_t slots = map->slots;
	hashmap_allocate(map, bits);
	for (size_t i = 0; i < slots; i++) {
		if (tags[i] != 0 && !hashmap_place(map, tags[i], objects[i])) {
			free(map->tags);
			free(map->objects);
			hashmap_allocate(map, map->bits + 1);
			i = (size_t)-1; /* from the start */
		}
	}
	free(tags);
	free(objects);
}

/* The slot of key, or map->slots. */
static size_t hashmap_find(const struct hashmap *map, uint32_t tag, const void *key) {
	if (map->slots == 0) {
		return 0;
	}
	for (size_t i = hashmap_home(map, tag); i < map->slots && map->tags[i] != 0; i++) {
		if (map->tags[i] == tag &&
			memcmp(hashmap_key(map, map->objects[i]), key, map->key_bytes) == 0) {
			return i;
		}
	}
	return map->slots;
}

void *hashmap_get(const struct hashmap *map, const void *key) {
	size_t i = hashmap_find(map, hashmap_tag(map, key), key);
	return i < map->slots ? map->objects[i] : NULL;
}

void *hashmap_put(struct hashmap *map, void *object) {
	assert(object);
	const void *key = hashmap_key(map, object);
	uint32_t tag = hashmap_tag(map, key);
	size_t i = hashmap_find(map, tag, key);
	if (i < map->slots) {
		void *old = map->objects[i];
		map->objects[i] = object;
		return old;
	}
	/* Shrinks here and not at removal, which may happen amid a visit. */
	size_t homes = (size_t)1 << map->bits;
	if (map->slots == 0) {
		hashmap_allocate(map, HASHMAP_FIRST_BITS);
	} else if (map->count >= homes / 4 * 3) {
		hashmap_resize(map, map->bits + 1);
	} else if (map->count < homes / 16 && map->bits > HASHMAP_FIRST_BITS) {
		hashmap_resize(map, map->bits - 1);
	}
	while (!hashmap_place(map, tag, object)) {
		hashmap_resize(map, map->bits + 1);
	}
	map->count++;
	return NULL;
}

void *hashmap_remove(struct hashmap *map, const void *key) {
	size_t hole = hashmap_find(map, hashmap_tag(map, key), key);
	if (hole == map->slots) {
		return NULL;
	}
	void *removed = map->objects[hole];
	for (size_t i = hole + 1; i < map->slots && map->tags[i] != 0; i++) {
		if (hashmap_home(map, map->tags[i]) <= hole) {
			map->tags[hole] = map->tags[i];
			map->objects[hole] = map->objects[i];
			hole = i;
		}
	}
	map->tags[hole] = 0;
	map->count--;
	return removed;
}

size_t hashmap_count(const struct hashmap *map) {
	return map->count;
}

void *hashmap_next(const struct hashmap *map, size_t *at) {
	while (*at < map->slots) {
		size_t i = map->slots - ++*at;
		if (map->tags[i] != 0) {
			return map->objects[i];
		}
	}
	return NULL;
}
