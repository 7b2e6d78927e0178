/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash map from a fixed-length key, which lies inside the stored object, to that object. Borrowed
 * pointers: the map frees nothing. SipHash with a random key, since peers choose some of the keys.
 * Memory: 16-32 bytes an entry, none while nothing was put; given back as entries go and come.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct hashmap;

/* Objects put into the map hold their key of key_bytes at key_offset; it must not change meanwhile.
 */
struct hashmap *hashmap_create(size_t key_offset, size_t key_bytes);
void hashmap_destroy(struct hashmap *map); /* NULL is fine */

void *hashmap_get(const struct hashmap *map, const void *key); /* NULL when absent */
/* Adds object, or replaces the one with the same key, which is returned (else NULL). */
void *hashmap_put(struct hashmap *map, void *object);
void *hashmap_remove(struct hashmap *map, const void *key); /* the object, or NULL */
size_t hashmap_count(const struct hashmap *map);

/* Visits every object: `for (size_t at = 0; (object = hashmap_next(map, &at));)`. The body may
 * remove the object just returned, and nothing else. */
void *hashmap_next(const struct hashmap *map, size_t *at);

/* The hash behind it, for other keyed tables (16-byte key). */
uint64_t hashmap_siphash(const uint8_t key[16], const void *data, size_t bytes);
