/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing and backward-shift deletion, keyed by SipHash-1-3. */
#include "common/hashmap.h"
#include "common/mem.h"
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { HASHMAP_FIRST_SLOTS = 16 };

struct hashmap {
	size_t key_offset, key_bytes;
	size_t count, slots; /* slots is a power of two */
	void **objects;
	uint8_t secret[16];
};

static inline uint64_t hashmap_rotate(uint64_t x, int bits) {
	return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(uint64_t v[4]) {
	v[0] += v[1];
	v[1] = hashmap_rotate(v[1], 13) ^ v[0];
	v[0] = hashmap_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = hashmap_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = hashmap_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = hashmap_rotate(v[1], 17) ^ v[2];
	v[2] = hashmap_rotate(v[2], 32);
}

uint64_t hashmap_siphash(const uint8_t key[16], const void *data, size_t bytes) {
	uint64_t k0, k1, word;
	memcpy(&k0, key, 8);
	memcpy(&k1, key + 8, 8);
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
		k1 ^ 0x7465646279746573u};
	const uint8_t *at = data;
	size_t left = bytes;
	for (; left >= 8; left -= 8, at += 8) {
		memcpy(&word, at, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)bytes << 56;
	for (size_t i = 0; i < left; i++) {
		word |= (uint64_t)at[i] << (8 * i);
	}
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct hashmap *hashmap_create(size_t key_offset, size_t key_bytes) {
	struct hashmap *map = mem_zalloc(sizeof *map);
	map->key_offset = key_offset;
	map->key_bytes = key_bytes;
	if (RAND_bytes(map->secret, sizeof map->secret) != 1) {
		abort(); /* without randomness nothing here is safe */
	}
	return map;
}

void hashmap_destroy(struct hashmap *map) {
	if (map) {
		free(map->objects);
		free(map);
	}
}

static const void *hashmap_key(const struct hashmap *map, const void *object) {
	return (const char *)object + map->key_offset;
}

static size_t hashmap_home(const struct hashmap *map, const void *key) {
	return (size_t)hashmap_siphash(map->secret, key, map->key_bytes) & (map->slots - 1);
}

/* The slot of key, or the free one where it would go. */
static size_t hashmap_find(const struct hashmap *map, const void *key) {
	size_t at = hashmap_home(map, key);
	while (
		map->objects[at] && memcmp(hashmap_key(map, map->objects[at]), key, map->key_bytes) != 0) {
		at = (at + 1) & (map->slots - 1);
	}
	return at;
}

static void hashmap_grow(struct hashmap *map) {
	void **old = map->objects;
	size_t slots = map->slots;
	map->slots = slots ? slots * 2 : HASHMAP_FIRST_SLOTS;
	map->objects = mem_zalloc(map->slots * sizeof *map->objects);
	for (size_t i = 0; i < slots; i++) {
		if (old[i]) {
			map->objects[hashmap_find(map, hashmap_key(map, old[i]))] = old[i];
		}
	}
	free(old);
}

void *hashmap_get(const struct hashmap *map, const void *key) {
	return map->slots ? map->objects[hashmap_find(map, key)] : NULL;
}

void *hashmap_put(struct hashmap *map, void *object) {
	if ((map->count + 1) * 4 > map->slots * 3) {
		hashmap_grow(map);
	}
	size_t at = hashmap_find(map, hashmap_key(map, object));
	void *old = map->objects[at];
	map->objects[at] = object;
	map->count += !old;
	return old;
}

void *hashmap_remove(struct hashmap *map, const void *key) {
	if (!map->slots) {
		return NULL;
	}
	size_t mask = map->slots - 1, hole = hashmap_find(map, key);
	void *object = map->objects[hole];
	if (!object) {
		return NULL;
	}
	/* Whoever was pushed past the hole moves back into it. */
	for (size_t at = (hole + 1) & mask; map->objects[at]; at = (at + 1) & mask) {
		size_t home = hashmap_home(map, hashmap_key(map, map->objects[at]));
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			map->objects[hole] = map->objects[at];
			hole = at;
		}
	}
	map->objects[hole] = NULL;
	map->count--;
	return object;
}

size_t hashmap_count(const struct hashmap *map) {
	return map->count;
}

/* From the last slot down: a removal moves only objects behind it, which were visited (or wrapped
 * to the front). */
void *hashmap_next(const struct hashmap *map, size_t *at) {
	while (*at < map->slots) {
		void *object = map->objects[map->slots - 1 - (*at)++];
		if (object) {
			return object;
		}
	}
	return NULL;
}
