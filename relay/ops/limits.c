/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets in three bounded tables with a list of use each. */
#include "relay/ops/limits.h"
#include "common/hashmap.h"
#include "common/list.h"
#include "common/mem.h"
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { LIMITS_KEY_BYTES = 16 };

struct limit_bucket {
	struct list link; /* struct limit_table::used */
	uint8_t key[LIMITS_KEY_BYTES];
	double tokens, filled_at;
	uint32_t seen; /* messages, up to LIMITS_EXEMPT */
	uint32_t unpaid; /* checks while the address had nothing left, up to LIMITS_EXEMPT */
};

struct limit_table {
	struct limit_rate rate;
	struct hashmap *buckets;
	struct list used; /* struct limit_bucket::link, longest ago first */
};

struct limits {
	size_t entries;
	struct limit_table tables[LIMIT_KIND_COUNT];
};

struct limits *limits_create(const struct limit_rate rates[LIMIT_KIND_COUNT], size_t entries) {
	struct limits *limits = mem_zalloc(sizeof *limits);
	limits->entries = entries;
	for (int kind = 0; kind < LIMIT_KIND_COUNT; kind++) {
		struct limit_table *table = &limits->tables[kind];
		table->rate = rates[kind];
		table->buckets = hashmap_create(offsetof(struct limit_bucket, key), LIMITS_KEY_BYTES);
		list_init(&table->used);
	}
	return limits;
}

void limits_destroy(struct limits *limits) {
	if (!limits) {
		return;
	}
	for (int kind = 0; kind < LIMIT_KIND_COUNT; kind++) {
		struct limit_table *table = &limits->tables[kind];
		struct limit_bucket *bucket, *tmp;
		LIST_FOREACH_SAFE (bucket, tmp, &table->used, link) {
			free(bucket);
		}
		hashmap_destroy(table->buckets);
	}
	free(limits);
}

static struct limit_bucket *limits_bucket(struct limits *limits, enum limit_kind kind,
	const uint8_t key[LIMITS_KEY_BYTES], double now_sec) {
	struct limit_table *table = &limits->tables[kind];
	struct limit_bucket *bucket = hashmap_get(table->buckets, key);
	if (!bucket && hashmap_count(table->buckets) >= limits->entries) {
		bucket = container_of(table->used.next, struct limit_bucket, link);
		(void)hashmap_remove(table->buckets, bucket->key);
		list_remove(&bucket->link);
		free(bucket);
		bucket = NULL;
	}
	if (!bucket) {
		bucket = mem_zalloc(sizeof *bucket);
		memcpy(bucket->key, key, LIMITS_KEY_BYTES);
		bucket->tokens = table->rate.burst;
		bucket->filled_at = now_sec;
		list_init(&bucket->link);
		(void)hashmap_put(table->buckets, bucket);
	}
	list_remove(&bucket->link);
	list_append(&table->used, &bucket->link);
	double earned = (now_sec - bucket->filled_at) * table->rate.per_sec;
	bucket->tokens = fmin(table->rate.burst, bucket->tokens + fmax(0, earned));
	bucket->filled_at = now_sec;
	return bucket;
}

/* An IPv4 address, or the /64 of an IPv6 one. False for what is never limited. */
static bool limits_address_key(
	const struct sockaddr_storage *address, uint8_t out_key[LIMITS_KEY_BYTES]) {
	memset(out_key, 0, LIMITS_KEY_BYTES);
	if (address && address->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)address;
		memcpy(out_key, &v4->sin_addr, 4);
		out_key[15] = 4;
		return out_key[0] != 127;
	}
	if (address && address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)address;
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			memcpy(out_key, v6->sin6_addr.s6_addr + 12, 4);
			out_key[15] = 4;
			return out_key[0] != 127;
		}
		memcpy(out_key, v6->sin6_addr.s6_addr, 8);
		out_key[15] = 6;
		return !IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	}
	return false;
}

static double limits_wait(
	const struct limits *limits, enum limit_kind kind, const struct limit_bucket *bucket) {
	return bucket && bucket->tokens < 1 ? (1 - bucket->tokens) / limits->tables[kind].rate.per_sec
										: 0;
}

static uint32_t limits_wait_sec(double wait) {
	return (uint32_t)fmin(86400, ceil(wait));
}

uint32_t limits_take(struct limits *limits, double now_sec,
	const struct subscription_id *subscription, const uint8_t *sender_key_hash,
	const struct sockaddr_storage *address) {
	struct limit_bucket *buckets[LIMIT_KIND_COUNT];
	buckets[LIMIT_ENDPOINT] = limits_bucket(limits, LIMIT_ENDPOINT, subscription->bytes, now_sec);
	if (buckets[LIMIT_ENDPOINT]->seen < LIMITS_EXEMPT) {
		buckets[LIMIT_ENDPOINT]->seen++;
		return 0;
	}
	buckets[LIMIT_SENDER] =
		sender_key_hash ? limits_bucket(limits, LIMIT_SENDER, sender_key_hash, now_sec) : NULL;
	uint8_t key[LIMITS_KEY_BYTES];
	buckets[LIMIT_ADDRESS] = limits_address_key(address, key)
								 ? limits_bucket(limits, LIMIT_ADDRESS, key, now_sec)
								 : NULL;
	double wait = 0;
	for (int kind = 0; kind < LIMIT_KIND_COUNT; kind++) {
		wait = fmax(wait, limits_wait(limits, kind, buckets[kind]));
	}
	if (wait > 0) {
		return limits_wait_sec(wait);
	}
	for (int kind = 0; kind < LIMIT_KIND_COUNT; kind++) {
		if (buckets[kind]) {
			buckets[kind]->tokens -= 1;
		}
	}
	return 0;
}

uint32_t limits_take_check(struct limits *limits, double now_sec,
	const struct subscription_id *subscription, const struct sockaddr_storage *address) {
	uint8_t key[LIMITS_KEY_BYTES];
	if (!limits_address_key(address, key)) {
		return 0;
	}
	struct limit_bucket *bucket = limits_bucket(limits, LIMIT_ADDRESS, key, now_sec);
	double wait = limits_wait(limits, LIMIT_ADDRESS, bucket);
	if (wait <= 0) {
		bucket->tokens -= 1;
		return 0;
	}
	struct limit_bucket *endpoint =
		limits_bucket(limits, LIMIT_ENDPOINT, subscription->bytes, now_sec);
	if (endpoint->seen < LIMITS_EXEMPT && endpoint->unpaid < LIMITS_EXEMPT) {
		endpoint->unpaid++;
		return 0;
	}
	return limits_wait_sec(wait);
}
