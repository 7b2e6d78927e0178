/* SPDX-License-Identifier: Apache-2.0 */
/* Who sends? Finds, checks and remembers the signed tokens of RFC 8292. */
#include "relay/push/vapid.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/hashmap.h"
#include "common/json.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/push/push_headers.h"
#include <assert.h>
#include <openssl/evp.h>

enum {
	VAPID_MAX_AHEAD_SEC = 24 * 3600 + 300, /* some sign for 24 h sharp with a fast clock */
	VAPID_GRACE_SEC = 60,
	VAPID_AUD_MAX = 16, /* members of an array that are looked at */
};

/* A token whose signature and audience are known to be right. */
struct vapid_entry {
	struct list link;
	uint8_t hash[STORE_KEY_HASH_BYTES]; /* of token and key */
	double exp;
	struct vapid_claims claims;
};

struct vapid {
	char (*origins)[URL_ORIGIN_MAX];
	size_t origins_count;
	struct hashmap *known; /* struct vapid_entry::hash */
	struct list used; /* struct vapid_entry::link, latest first */
	size_t max_entries;
	EVP_MD *sha256;
	EVP_MD_CTX *digest;
	uint64_t verified, cached;
};

const char *vapid_result_text(enum vapid_result result) {
	static const char *const texts[] = {
		[VAPID_OK] = "The VAPID token is valid.",
		[VAPID_ABSENT] = "This subscription takes messages only from the holder of its VAPID key; "
						 "send Authorization: vapid t=TOKEN, k=KEY (RFC 8292).",
		[VAPID_MALFORMED] = "The Authorization header is not a usable VAPID one; it needs exactly "
							"one ES256 token t and one P-256 key k in base64url (RFC 8292).",
		[VAPID_EXPIRED] = "The VAPID token has expired, or its exp claim is missing or more than "
						  "24 hours ahead; sign a new one and check the clock.",
		[VAPID_WRONG_AUDIENCE] = "The aud claim of the VAPID token must be the origin of this push "
								 "URL: scheme, host and port, without a path.",
		[VAPID_BAD_SIGNATURE] = "The signature of the VAPID token does not fit its key.",
		[VAPID_UNCHECKED] = "The signature of the VAPID token was not checked.",
	};
	static_assert(sizeof texts / sizeof *texts == VAPID_RESULT_COUNT, "a sentence for each");
	return texts[result];
}

/* Takes the next parameter off rest: text up to a comma outside of quotes. False at the end. */
static bool vapid_next_param(struct slice *rest, struct slice *out_name, struct slice *out_value) {
	while (rest->len > 0) {
		size_t len = 0;
		for (bool is_quoted = false; len < rest->len && (is_quoted || rest->data[len] != ',');
			 len++) {
			is_quoted ^= rest->data[len] == '"';
		}
		struct slice part = slice_trim((struct slice){rest->data, len});
		size_t used = len < rest->len ? len + 1 : len;
		*rest = (struct slice){rest->data + used, rest->len - used};
		if (part.len == 0) {
			continue; /* an empty list element, RFC 9110 5.6.1 */
		}
		const char *equals = memchr(part.data, '=', part.len);
		size_t name_len = equals ? (size_t)(equals - part.data) : part.len;
		size_t value_at = equals ? name_len + 1 : name_len;
		struct slice value = slice_trim((struct slice){part.data + value_at, part.len - value_at});
		if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
			value = (struct slice){value.data + 1, value.len - 2};
		}
		*out_name = slice_trim((struct slice){part.data, name_len});
		*out_value = value;
		return true;
	}
	return false;
}

/* t and k of the "vapid" scheme: each once, in any order, others are ignored. */
static bool vapid_find_params(struct slice params, struct slice *out_t, struct slice *out_k) {
	struct slice name, value, t = {NULL, 0}, k = {NULL, 0};
	while (vapid_next_param(&params, &name, &value)) {
		struct slice *slot = slice_equals_nocase(name, "t")	  ? &t
							 : slice_equals_nocase(name, "k") ? &k
															  : NULL;
		if (slot && (slot->data || value.len == 0)) {
			return false;
		}
		if (slot) {
			*slot = value;
		}
	}
	*out_t = t;
	*out_k = k;
	return t.data && k.data;
}

static bool vapid_decode_key(struct slice text, uint8_t out_key[P256_POINT_BYTES]) {
	uint8_t key[P256_POINT_BYTES];
	size_t bytes = 0;
	if (!base64url_decode_lenient(text, key, sizeof key, &bytes) || bytes != sizeof key ||
		key[0] != 4) {
		return false;
	}
	memcpy(out_key, key, sizeof key);
	return true;
}

enum vapid_result vapid_parse(struct slice authorization, size_t authorization_count,
	struct slice crypto_key, struct slice *out_token, uint8_t out_key[P256_POINT_BYTES]) {
	if (authorization_count != 1) {
		return authorization_count == 0 ? VAPID_ABSENT : VAPID_MALFORMED;
	}
	struct slice rest = slice_trim(authorization), token, key;
	size_t len = 0;
	while (len < rest.len && rest.data[len] != ' ' && rest.data[len] != '\t') {
		len++;
	}
	struct slice scheme = {rest.data, len};
	rest = slice_trim((struct slice){rest.data ? rest.data + len : NULL, rest.len - len});
	bool is_vapid = slice_equals_nocase(scheme, "vapid");
	bool is_webpush = slice_equals_nocase(scheme, "webpush");
	if (!is_vapid && !is_webpush && !slice_equals_nocase(scheme, "bearer")) {
		return VAPID_ABSENT;
	}
	if (is_vapid && !vapid_find_params(rest, &token, &key)) {
		return VAPID_MALFORMED;
	}
	if (!is_vapid) {
		token = rest;
		if (!push_crypto_param(crypto_key, "p256ecdsa", &key)) {
			/* Bearer alone may belong to anything else */
			return is_webpush ? VAPID_MALFORMED : VAPID_ABSENT;
		}
	}
	if (token.len == 0 || !vapid_decode_key(key, out_key)) {
		return VAPID_MALFORMED;
	}
	*out_token = token;
	return VAPID_OK;
}

static void vapid_add_origin(struct vapid *vapid, const struct url *url) {
	url_origin_print(url, vapid->origins[vapid->origins_count++]);
}

struct vapid *vapid_create(const char *const *origins, size_t cache_entries) {
	size_t count = 0;
	while (origins[count]) {
		count++;
	}
	struct vapid *vapid = mem_zalloc(sizeof *vapid);
	vapid->origins = mem_zalloc((2 * count + 1) * sizeof *vapid->origins);
	for (size_t i = 0; i < count; i++) {
		struct url url;
		if (url_parse(slice_of(origins[i]), &url)) {
			vapid_add_origin(vapid, &url);
			/* web-push-php and the Ruby gems leave the port out of aud */
			url.port = url_is_secure(&url) ? 443 : 80;
			vapid_add_origin(vapid, &url);
		}
	}
	vapid->known = hashmap_create(offsetof(struct vapid_entry, hash), STORE_KEY_HASH_BYTES);
	list_init(&vapid->used);
	vapid->max_entries = cache_entries;
	vapid->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	vapid->digest = EVP_MD_CTX_new();
	if (!vapid->sha256 || !vapid->digest) {
		log_fatal("OpenSSL has no SHA-256");
	}
	return vapid;
}

static void vapid_forget(struct vapid *vapid, struct vapid_entry *entry) {
	(void)hashmap_remove(vapid->known, entry->hash);
	list_remove(&entry->link);
	free(entry);
}

void vapid_destroy(struct vapid *vapid) {
	if (!vapid) {
		return;
	}
	struct vapid_entry *entry;
	while ((entry = list_first(&vapid->used, struct vapid_entry, link))) {
		vapid_forget(vapid, entry);
	}
	hashmap_destroy(vapid->known);
	EVP_MD_CTX_free(vapid->digest);
	EVP_MD_free(vapid->sha256);
	free(vapid->origins);
	free(vapid);
}

/* SHA-256 over both; the key has a fixed length, so the two cannot be shifted. */
static void vapid_hash(struct vapid *vapid, const uint8_t key[P256_POINT_BYTES], struct slice token,
	uint8_t out[STORE_KEY_HASH_BYTES]) {
	if (EVP_DigestInit_ex2(vapid->digest, vapid->sha256, NULL) != 1 ||
		EVP_DigestUpdate(vapid->digest, key, P256_POINT_BYTES) != 1 ||
		EVP_DigestUpdate(vapid->digest, token.data, token.len) != 1 ||
		EVP_DigestFinal_ex(vapid->digest, out, NULL) != 1) {
		log_fatal("OpenSSL cannot hash");
	}
}

static bool vapid_is_in_time(double exp, int64_t now_sec) {
	double now = (double)now_sec;
	return exp + VAPID_GRACE_SEC >= now && exp <= now + VAPID_MAX_AHEAD_SEC;
}

/* An origin as RFC 6454 prints it, and what senders make of it: capital letters, a default port,
 * the
 * "/" that makes a URL of it. */
static bool vapid_is_our_origin(const struct vapid *vapid, const json_t *aud) {
	if (!json_is_string(aud)) {
		return false;
	}
	struct slice text = {json_string_value(aud), json_string_length(aud)};
	struct url url;
	char origin[URL_ORIGIN_MAX];
	if (!url_parse(text, &url) || (url.scheme != URL_HTTP && url.scheme != URL_HTTPS)) {
		return false;
	}
	if (!slice_equals(url.path, "/") || memchr(text.data, '?', text.len)) {
		return false;
	}
	url_origin_print(&url, origin);
	for (size_t i = 0; i < vapid->origins_count; i++) {
		if (strcmp(vapid->origins[i], origin) == 0) {
			return true;
		}
	}
	return false;
}

static bool vapid_is_for_us(const struct vapid *vapid, const json_t *aud) {
	size_t count = json_array_size(aud); /* 0 for what is no array */
	for (size_t i = 0; i < count && i < VAPID_AUD_MAX; i++) {
		if (vapid_is_our_origin(vapid, json_array_get(aud, i))) {
			return true;
		}
	}
	return vapid_is_our_origin(vapid, aud);
}

static enum vapid_result vapid_check_claims(
	const struct vapid *vapid, const struct jwt *jwt, int64_t now_sec, double *out_exp) {
	json_t *claims = json_parse((struct slice){jwt->payload, jwt->payload_bytes});
	const json_t *exp = json_object_get(claims, "exp");
	double exp_sec = json_number_value(exp); /* 0 for what is no number */
	enum vapid_result result = VAPID_OK;
	if (!json_is_object(claims)) {
		result = VAPID_MALFORMED;
	} else if (!json_is_number(exp) || !vapid_is_in_time(exp_sec, now_sec)) {
		result = VAPID_EXPIRED;
	} else if (!vapid_is_for_us(vapid, json_object_get(claims, "aud"))) {
		result = VAPID_WRONG_AUDIENCE;
	}
	json_decref(claims);
	*out_exp = exp_sec;
	return result;
}

static enum vapid_result vapid_verify(struct vapid *vapid, struct slice token,
	const uint8_t key[P256_POINT_BYTES], int64_t now_sec, bool with_signature, double *out_exp) {
	struct jwt jwt;
	if (!jwt_parse(token, &jwt)) {
		return VAPID_MALFORMED;
	}
	/* the signature last, for it costs the most */
	enum vapid_result result = vapid_check_claims(vapid, &jwt, now_sec, out_exp);
	if (result == VAPID_OK && !with_signature) {
		result = VAPID_UNCHECKED;
	} else if (result == VAPID_OK) {
		vapid->verified++;
		if (!jwt_verify(&jwt, key)) {
			result = p256_point_is_valid(key) ? VAPID_BAD_SIGNATURE : VAPID_MALFORMED;
		}
	}
	jwt_finish(&jwt);
	return result;
}

static struct vapid_entry *vapid_remember(
	struct vapid *vapid, const uint8_t hash[STORE_KEY_HASH_BYTES], double exp) {
	if (hashmap_count(vapid->known) >= vapid->max_entries) {
		vapid_forget(vapid, container_of(vapid->used.prev, struct vapid_entry, link));
	}
	struct vapid_entry *entry = mem_zalloc(sizeof *entry);
	memcpy(entry->hash, hash, STORE_KEY_HASH_BYTES);
	entry->exp = exp;
	list_prepend(&vapid->used, &entry->link);
	(void)hashmap_put(vapid->known, entry);
	return entry;
}

/* True when the cache has the answer. */
static bool vapid_recall(struct vapid *vapid, const uint8_t hash[STORE_KEY_HASH_BYTES],
	int64_t now_sec, enum vapid_result *out_result, struct vapid_claims *out_claims) {
	struct vapid_entry *entry = hashmap_get(vapid->known, hash);
	if (!entry) {
		return false;
	}
	vapid->cached++;
	if (!vapid_is_in_time(entry->exp, now_sec)) {
		vapid_forget(vapid, entry);
		*out_result = VAPID_EXPIRED;
		return true;
	}
	list_remove(&entry->link);
	list_prepend(&vapid->used, &entry->link);
	*out_claims = entry->claims;
	*out_result = VAPID_OK;
	return true;
}

static enum vapid_result vapid_check_with(struct vapid *vapid, struct slice authorization,
	size_t authorization_count, struct slice crypto_key, int64_t now_sec, bool with_signature,
	struct vapid_claims *out_claims) {
	struct vapid_claims claims;
	struct slice token;
	uint8_t hash[STORE_KEY_HASH_BYTES];
	enum vapid_result result =
		vapid_parse(authorization, authorization_count, crypto_key, &token, claims.key);
	if (result != VAPID_OK) {
		return result;
	}
	vapid_hash(vapid, claims.key, token, hash);
	if (vapid_recall(vapid, hash, now_sec, &result, out_claims)) {
		return result;
	}
	double exp = 0;
	result = vapid_verify(vapid, token, claims.key, now_sec, with_signature, &exp);
	if (result != VAPID_OK) {
		return result;
	}
	vapid_hash(vapid, claims.key, (struct slice){NULL, 0}, claims.key_hash);
	if (vapid->max_entries > 0) {
		vapid_remember(vapid, hash, exp)->claims = claims;
	}
	*out_claims = claims;
	return VAPID_OK;
}

enum vapid_result vapid_check(struct vapid *vapid, struct slice authorization,
	size_t authorization_count, struct slice crypto_key, int64_t now_sec,
	struct vapid_claims *out_claims) {
	return vapid_check_with(
		vapid, authorization, authorization_count, crypto_key, now_sec, true, out_claims);
}

enum vapid_result vapid_check_known(struct vapid *vapid, struct slice authorization,
	size_t authorization_count, struct slice crypto_key, int64_t now_sec,
	struct vapid_claims *out_claims) {
	return vapid_check_with(
		vapid, authorization, authorization_count, crypto_key, now_sec, false, out_claims);
}

void vapid_get_stats(const struct vapid *vapid, uint64_t *out_verified, uint64_t *out_cached) {
	*out_verified = vapid->verified;
	*out_cached = vapid->cached;
}
