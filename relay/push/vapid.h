/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VAPID (RFC 8292): who sends? Reads the Authorization header (vapid t=…, k=…; legacy
 * WebPush/Bearer with the key in Crypto-Key), checks token and signature with the tolerances that
 * real senders force. Verified tokens are remembered by SHA-256 in a cache of bounded size, for the
 * signature is the costly part.
 */
#pragma once
#include "common/jwt.h"
#include "common/url.h"
#include "storage/store.h"

enum vapid_result {
	VAPID_OK,
	VAPID_ABSENT, /* no Authorization, or a scheme that is not ours: 401 */
	VAPID_MALFORMED, /* t or k missing, twice, undecodable, not on the curve, not ES256: 403 */
	VAPID_EXPIRED, /* exp passed (60 s grace), missing, or more than 24 h + 300 s ahead */
	VAPID_WRONG_AUDIENCE,
	VAPID_BAD_SIGNATURE,
	VAPID_UNCHECKED, /* of vapid_check_known: all but the signature is good */
	VAPID_RESULT_COUNT
};
/* A sentence for the sender: what is wrong and what would do. */
const char *vapid_result_text(enum vapid_result result);

struct vapid_claims {
	uint8_t key[P256_POINT_BYTES];
	uint8_t key_hash[STORE_KEY_HASH_BYTES];
};

/* Pure: finds token and key in the headers. authorization_count > 1 is malformed. Costs little:
 * neither the signature nor whether the key lies on the curve is checked. out_token points into
 * authorization. */
enum vapid_result vapid_parse(struct slice authorization, size_t authorization_count,
	struct slice crypto_key, struct slice *out_token, uint8_t out_key[P256_POINT_BYTES]);

struct vapid; /* the accepted origins and the cache */
/* origins: public URLs, NULL-terminated; their origins are what `aud` may name, with or without
 * the port and a "/" behind. cache_entries 0: every signature is checked anew. */
struct vapid *vapid_create(const char *const *origins, size_t cache_entries);
void vapid_destroy(struct vapid *vapid);
/* The whole check at Unix time now. */
enum vapid_result vapid_check(struct vapid *vapid, struct slice authorization,
	size_t authorization_count, struct slice crypto_key, int64_t now_sec,
	struct vapid_claims *out_claims);
/* The same without the costly part: VAPID_UNCHECKED when only the signature would tell. */
enum vapid_result vapid_check_known(struct vapid *vapid, struct slice authorization,
	size_t authorization_count, struct slice crypto_key, int64_t now_sec,
	struct vapid_claims *out_claims);
/* Signatures checked and answered from the cache, for metrics. */
void vapid_get_stats(const struct vapid *vapid, uint64_t *out_verified, uint64_t *out_cached);
