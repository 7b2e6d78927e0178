/* SPDX-License-Identifier: Apache-2.0 */
/* The hash map, beside a plain array that says what it should hold; and SipHash beside OpenSSL's.
 */
#include "common/hashmap.h"
#include "common/mem.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

struct thing {
	int before;
	uint32_t key;
	bool is_in;
	bool was_seen;
};

static struct hashmap *things_create(void) {
	return hashmap_create(offsetof(struct thing, key), sizeof(uint32_t));
}

static void starts_empty(void **state) {
	(void)state;
	struct hashmap *map = things_create();
	uint32_t key = 1;
	size_t at = 0;
	assert_null(hashmap_get(map, &key));
	assert_null(hashmap_remove(map, &key));
	assert_null(hashmap_next(map, &at));
	assert_int_equal(hashmap_count(map), 0);
	hashmap_destroy(map);
	hashmap_destroy(NULL);
}

static void replaces_the_same_key(void **state) {
	(void)state;
	struct hashmap *map = things_create();
	struct thing a = {.key = 7}, b = {.key = 7};
	assert_null(hashmap_put(map, &a));
	assert_ptr_equal(hashmap_put(map, &b), &a);
	assert_int_equal(hashmap_count(map), 1);
	assert_ptr_equal(hashmap_get(map, &a.key), &b);
	assert_ptr_equal(hashmap_remove(map, &a.key), &b);
	assert_null(hashmap_remove(map, &a.key));
	hashmap_destroy(map);
}

/* Grows and shrinks at random; the array knows the truth. */
static void agrees_with_an_array(void **state) {
	(void)state;
	enum { THINGS = 5000, ROUNDS = 300000 };
	struct hashmap *map = things_create();
	struct thing *things = mem_zalloc(THINGS * sizeof *things);
	size_t count = 0;
	srand(2);
	for (uint32_t i = 0; i < THINGS; i++) {
		things[i].key = i * 2654435761u;
	}
	for (int round = 0; round < ROUNDS; round++) {
		/* Waves: mostly adding, then mostly removing. */
		bool adds = rand() % 10 < (round / 20000 % 2 ? 2 : 8);
		struct thing *thing = &things[rand() % THINGS];
		void *had = adds ? hashmap_put(map, thing) : hashmap_remove(map, &thing->key);
		assert_ptr_equal(had, thing->is_in ? thing : NULL);
		count += (size_t)adds - thing->is_in;
		thing->is_in = adds;
		assert_int_equal(hashmap_count(map), count);
		struct thing *other = &things[rand() % THINGS];
		assert_ptr_equal(hashmap_get(map, &other->key), other->is_in ? other : NULL);
	}
	hashmap_destroy(map);
	free(things);
}

/* Small maps with new random keys each time, so that runs end at the table's edge too. */
static void visits_each_once_while_removing(void **state) {
	(void)state;
	enum { THINGS = 24, MAPS = 5000 };
	srand(3);
	for (int n = 0; n < MAPS; n++) {
		struct hashmap *map = things_create();
		struct thing things[THINGS] = {0};
		for (uint32_t i = 0; i < THINGS; i++) {
			things[i].key = i;
			(void)hashmap_put(map, &things[i]);
		}
		struct thing *thing;
		size_t left = THINGS;
		for (size_t at = 0; (thing = hashmap_next(map, &at));) {
			assert_false(thing->was_seen);
			thing->was_seen = true;
			if (rand() % 4) {
				assert_ptr_equal(hashmap_remove(map, &thing->key), thing);
				left--;
			}
		}
		for (uint32_t i = 0; i < THINGS; i++) {
			assert_true(things[i].was_seen);
		}
		assert_int_equal(hashmap_count(map), left);
		hashmap_destroy(map);
	}
}

static void holds_a_million_and_lets_them_go(void **state) {
	(void)state;
	enum { THINGS = 1000000 };
	struct hashmap *map = things_create();
	struct thing *things = mem_zalloc(THINGS * sizeof *things);
	for (uint32_t i = 0; i < THINGS; i++) {
		things[i].key = i;
		assert_null(hashmap_put(map, &things[i]));
	}
	assert_int_equal(hashmap_count(map), THINGS);
	for (uint32_t i = 0; i < THINGS; i++) {
		assert_ptr_equal(hashmap_get(map, &i), &things[i]);
	}
	for (uint32_t i = 0; i < THINGS; i++) {
		assert_ptr_equal(hashmap_remove(map, &i), &things[i]);
	}
	assert_int_equal(hashmap_count(map), 0);
	hashmap_destroy(map);
	free(things);
}

static uint64_t openssl_siphash(const uint8_t key[16], const uint8_t *data, size_t bytes) {
	uint64_t hash = 0;
	size_t size = sizeof hash;
	unsigned c_rounds = 1, d_rounds = 3;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c_rounds),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d_rounds),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	assert_int_equal(EVP_MAC_init(ctx, key, 16, params), 1);
	assert_int_equal(EVP_MAC_update(ctx, data, bytes), 1);
	assert_int_equal(EVP_MAC_final(ctx, (uint8_t *)&hash, &size, sizeof hash), 1);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return hash;
}

static void siphash_is_openssls(void **state) {
	(void)state;
	uint8_t key[16], data[64];
	for (size_t i = 0; i < sizeof data; i++) {
		data[i] = (uint8_t)(i * 7 + 250);
		key[i % 16] = (uint8_t)i;
	}
	for (size_t bytes = 0; bytes <= sizeof data; bytes++) {
		uint8_t *exact = mem_dup(data, bytes);
		assert_true(hashmap_siphash(key, exact, bytes) == openssl_siphash(key, data, bytes));
		free(exact);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_empty),
		cmocka_unit_test(replaces_the_same_key),
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(visits_each_once_while_removing),
		cmocka_unit_test(holds_a_million_and_lets_them_go),
		cmocka_unit_test(siphash_is_openssls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
