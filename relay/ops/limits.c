/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets in bounded tables with a list of use each. */
#include "relay/ops/limits.h"
#include "common/hashmap.h"
#include "common/list.h"
#include "common/mem.h"
#include "relay/http/client.h"
#include <math.h>
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

static double limits_tokens(
	const struct limit_table *table, const struct limit_bucket *bucket, double now_sec) {
	double earned = (now_sec - bucket->filled_at) * table->rate.per_sec;
	return fmin(table->rate.burst, bucket->tokens + fmax(0, earned));
}

static void limits_forget(struct limit_table *table, struct limit_bucket *bucket) {
	(void)hashmap_remove(table->buckets, bucket->key);
	list_remove(&bucket->link);
	free(bucket);
}

static struct limit_bucket *limits_bucket(struct limits *limits, enum limit_kind kind,
	const uint8_t key[LIMITS_KEY_BYTES], double now_sec) {
	struct limit_table *table = &limits->tables[kind];
	struct limit_bucket *bucket = hashmap_get(table->buckets, key);
	if (!bucket && hashmap_count(table->buckets) >= limits->entries) {
		limits_forget(table, container_of(table->used.next, struct limit_bucket, link));
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
	bucket->tokens = limits_tokens(table, bucket, now_sec);
	bucket->filled_at = now_sec;
	return bucket;
}

static void limits_client_key(uint64_t client, uint8_t out_key[LIMITS_KEY_BYTES]) {
	memset(out_key, 0, LIMITS_KEY_BYTES);
	memcpy(out_key, &client, sizeof client);
}

/* False for what is never limited. */
static bool limits_address_key(
	const struct sockaddr_storage *address, uint8_t out_key[LIMITS_KEY_BYTES]) {
	uint64_t client = client_key((const struct sockaddr *)(const void *)address);
	limits_client_key(client, out_key);
	return client != 0;
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
	struct limit_bucket *buckets[LIMIT_MESSAGE_KINDS];
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
	for (int kind = 0; kind < LIMIT_MESSAGE_KINDS; kind++) {
		wait = fmax(wait, limits_wait(limits, kind, buckets[kind]));
	}
	if (wait > 0) {
		return limits_wait_sec(wait);
	}
	for (int kind = 0; kind < LIMIT_MESSAGE_KINDS; kind++) {
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

/* Looks at two of those used longest ago: more than come. */
static void limits_forget_full(struct limit_table *table, double now_sec) {
	for (int i = 0; i < 2; i++) {
		struct limit_bucket *bucket = list_first(&table->used, struct limit_bucket, link);
		if (!bucket || limits_tokens(table, bucket, now_sec) < table->rate.burst) {
			return;
		}
		limits_forget(table, bucket);
	}
}

bool limits_take_register(struct limits *limits, double now_sec, uint64_t client) {
	struct limit_table *table = &limits->tables[LIMIT_REGISTER];
	if (!client || table->rate.per_sec <= 0) {
		return true;
	}
	uint8_t key[LIMITS_KEY_BYTES];
	limits_client_key(client, key);
	limits_forget_full(table, now_sec);
	struct limit_bucket *bucket = limits_bucket(limits, LIMIT_REGISTER, key, now_sec);
	if (bucket->tokens < 1) {
		return false;
	}
	bucket->tokens -= 1;
	return true;
}
