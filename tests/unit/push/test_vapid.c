/* SPDX-License-Identifier: Apache-2.0 */
/* The Authorization header of RFC 8292, its tolerances, and the cache of verified tokens. */
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "relay/push/vapid.h"
#include <setjmp.h>
#include <stdarg.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define RFC_TOKEN                                                                                  \
	"eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9."                                                        \
	"eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdX"   \
	"NoQGV4YW1wbGUuY29tIn0."                                                                       \
	"i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"
#define RFC_KEY                                                                                    \
	"BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
#define RFC_EXP 1453523768
#define NOW 1800000000LL

static const char *const origins[] = {"https://push.example.net",
	"https://old.example.org:8443/relay", "http://127.0.0.1:8080", NULL};

struct fixture {
	struct vapid *vapid;
	EVP_PKEY *key;
	uint8_t point[P256_POINT_BYTES];
	char *key_text;
};

static int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	f->vapid = vapid_create(origins, 4);
	f->key = p256_generate();
	assert_true(p256_point_of(f->key, f->point));
	f->key_text = base64url_print(f->point, sizeof f->point);
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	vapid_destroy(f->vapid);
	EVP_PKEY_free(f->key);
	free(f->key_text);
	free(f);
	return 0;
}

static enum vapid_result check(
	struct fixture *f, const char *authorization, const char *crypto_key, int64_t now) {
	struct vapid_claims claims = {0};
	return vapid_check(f->vapid, slice_of(authorization), 1, slice_of(crypto_key), now, &claims);
}

/* The result for a token with these claims, signed and presented as it should be. */
static enum vapid_result check_claims(struct fixture *f, const char *claims) {
	char *token = jwt_sign(slice_of(claims), f->key);
	char *header = mem_printf("vapid t=%s, k=%s", token, f->key_text);
	enum vapid_result result = check(f, header, NULL, NOW);
	free(header);
	free(token);
	return result;
}

static enum vapid_result check_exp(struct fixture *f, const char *exp) {
	char *claims = mem_printf("{\"aud\":\"https://push.example.net\",\"exp\":%s}", exp);
	enum vapid_result result = check_claims(f, claims);
	free(claims);
	return result;
}

static enum vapid_result check_aud(struct fixture *f, const char *aud) {
	char *claims = mem_printf("{\"aud\":%s,\"exp\":%lld}", aud, NOW + 3600);
	enum vapid_result result = check_claims(f, claims);
	free(claims);
	return result;
}

static char *good_token(struct fixture *f) {
	return jwt_sign(slice_of("{\"aud\":\"https://push.example.net\",\"exp\":1800003600}"), f->key);
}

static void the_example_of_rfc_8292_is_valid_in_its_time(void **state) {
	struct fixture *f = *state;
	const char *header = "vapid t=" RFC_TOKEN ", k=" RFC_KEY;
	struct vapid_claims claims;
	uint8_t key[P256_POINT_BYTES], hash[32];
	size_t bytes = 0;
	assert_int_equal(
		vapid_check(f->vapid, slice_of(header), 1, slice_of(NULL), RFC_EXP - 3600, &claims),
		VAPID_OK);
	assert_true(base64url_decode(slice_of(RFC_KEY), key, sizeof key, &bytes));
	assert_memory_equal(claims.key, key, sizeof key);
	assert_int_equal(EVP_Digest(key, sizeof key, hash, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(claims.key_hash, hash, sizeof hash);
	assert_int_equal(check(f, header, NULL, RFC_EXP + 61), VAPID_EXPIRED);
	assert_int_equal(check(f, header, NULL, NOW), VAPID_EXPIRED);
}

static void no_header_or_a_foreign_scheme_is_absent(void **state) {
	struct fixture *f = *state;
	struct vapid_claims claims;
	assert_int_equal(
		vapid_check(f->vapid, slice_of(NULL), 0, slice_of(NULL), NOW, &claims), VAPID_ABSENT);
	static const char *const headers[] = {"", " ", "Basic dTpw", "Digest realm=\"x\"", "key=AIzaSy",
		"Bearer abc.def.ghi", "vapi t=a, k=b", "vapidt=a,k=b", "t=a, k=b"};
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		assert_int_equal(check(f, headers[i], NULL, NOW), VAPID_ABSENT);
	}
}

static void a_header_without_one_token_and_one_key_is_malformed(void **state) {
	struct fixture *f = *state;
	static const char *const headers[] = {
		"vapid",
		"vapid ",
		"vapid t=" RFC_TOKEN,
		"vapid k=" RFC_KEY,
		"vapid t=, k=" RFC_KEY,
		"vapid t=" RFC_TOKEN ", k=",
		"vapid t=" RFC_TOKEN ", t=" RFC_TOKEN ", k=" RFC_KEY,
		"vapid t=" RFC_TOKEN ", k=" RFC_KEY ", K=" RFC_KEY,
		"vapid t=" RFC_TOKEN "; k=" RFC_KEY,
		"vapid t=" RFC_TOKEN ", k=***",
		"vapid t=" RFC_TOKEN ", k=" RFC_KEY "A",
		"vapid t=" RFC_TOKEN ", k=AA1Hxzyi1RUM1b5w",
		/* the hybrid form, and x without y */
		"vapid t=" RFC_TOKEN ", k=Bw1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-"
		"dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs",
		"vapid t=" RFC_TOKEN ", k=Aw1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxH",
		/* 65 bytes beginning with 4 that are no point of the curve */
		"vapid t=" RFC_TOKEN ", k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-"
		"dRuU_RCPCfA5aq9ojSwk5Y2EmClBQs",
		"vapid t=abc, k=" RFC_KEY,
		"vapid t=a.b.c.d, k=" RFC_KEY,
		"WebPush " RFC_TOKEN,
	};
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		assert_int_equal(check(f, headers[i], NULL, RFC_EXP - 60), VAPID_MALFORMED);
	}
	struct vapid_claims claims;
	assert_int_equal(vapid_check(f->vapid, slice_of("vapid t=" RFC_TOKEN ", k=" RFC_KEY), 2,
						 slice_of(NULL), RFC_EXP - 60, &claims),
		VAPID_MALFORMED);
}

static void spelling_of_the_header_does_not_matter(void **state) {
	struct fixture *f = *state;
	static const char *const headers[] = {
		"vapid t=" RFC_TOKEN ",k=" RFC_KEY,
		"VAPID t=" RFC_TOKEN ", k=" RFC_KEY,
		"Vapid   k=" RFC_KEY "  ,\tt=" RFC_TOKEN " ",
		"vapid k=" RFC_KEY ", t=" RFC_TOKEN,
		"vapid T=" RFC_TOKEN ", K=" RFC_KEY,
		"vapid realm=\"a, t=b\", t=\"" RFC_TOKEN "\", k=\"" RFC_KEY "\"",
		"vapid ,, t=" RFC_TOKEN ",, x, k=" RFC_KEY ",y=1,",
		"vapid t = " RFC_TOKEN ", k = " RFC_KEY,
		/* padded, and in the standard alphabet */
		"vapid t=" RFC_TOKEN ", k=" RFC_KEY "=",
		"vapid t=" RFC_TOKEN ", k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic+"
		"dRuU/RCPCfA5aq9ojSwk5Y2EmClBPs=",
	};
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		assert_int_equal(check(f, headers[i], NULL, RFC_EXP - 60), VAPID_OK);
	}
}

static void the_legacy_form_takes_its_key_from_crypto_key(void **state) {
	struct fixture *f = *state;
	static const char *const keys[] = {
		"p256ecdsa=" RFC_KEY,
		"dh=BNoRDbb84JGm8g5Z;p256ecdsa=" RFC_KEY,
		"dh=BNoRDbb84JGm8g5Z,p256ecdsa=" RFC_KEY,
		"p256ecdsa=" RFC_KEY ";dh=BNoRDbb84JGm8g5Z",
		"dh=\"BNoRDbb84JGm8g5Z\"; p256ecdsa=\"" RFC_KEY "\"",
		"keyid=p256dh;dh=BNoRDbb84JGm8g5Z, P256ECDSA=" RFC_KEY "=",
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_int_equal(check(f, "WebPush " RFC_TOKEN, keys[i], RFC_EXP - 60), VAPID_OK);
		assert_int_equal(check(f, "webpush " RFC_TOKEN, keys[i], RFC_EXP - 60), VAPID_OK);
		assert_int_equal(check(f, "Bearer " RFC_TOKEN, keys[i], RFC_EXP - 60), VAPID_OK);
	}
	assert_int_equal(
		check(f, "WebPush " RFC_TOKEN, "dh=BNoRDbb84JGm8g5Z", RFC_EXP - 60), VAPID_MALFORMED);
	assert_int_equal(check(f, "WebPush", keys[0], RFC_EXP - 60), VAPID_MALFORMED);
	assert_int_equal(
		check(f, "WebPush " RFC_TOKEN, "p256ecdsa=AAAA", RFC_EXP - 60), VAPID_MALFORMED);
}

static void expiry_has_its_tolerances(void **state) {
	struct fixture *f = *state;
	static const struct {
		const char *exp;
		enum vapid_result result;
	} cases[] = {
		{"1800000000", VAPID_OK},
		{"1799999970", VAPID_OK}, /* 30 s ago */
		{"1799999940", VAPID_OK},
		{"1799999939", VAPID_EXPIRED},
		{"1799999880", VAPID_EXPIRED}, /* 2 min ago */
		{"1800043200.75", VAPID_OK},
		{"1800086400", VAPID_OK}, /* 24 h sharp */
		{"1800086700", VAPID_OK},
		{"1800086701", VAPID_EXPIRED},
		{"1800087000", VAPID_EXPIRED}, /* 24 h and 10 min */
		{"1.8e9", VAPID_OK},
		{"1e300", VAPID_EXPIRED},
		{"9223372036854775807", VAPID_EXPIRED},
		{"-1", VAPID_EXPIRED},
		{"0", VAPID_EXPIRED},
		{"\"1800000100\"", VAPID_EXPIRED},
		{"null", VAPID_EXPIRED},
		{"true", VAPID_EXPIRED},
		{"[1800000100]", VAPID_EXPIRED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(check_exp(f, cases[i].exp), cases[i].result);
	}
	assert_int_equal(check_claims(f, "{\"aud\":\"https://push.example.net\"}"), VAPID_EXPIRED);
}

static void the_audience_is_one_of_our_origins(void **state) {
	struct fixture *f = *state;
	static const struct {
		const char *aud;
		enum vapid_result result;
	} cases[] = {
		{"\"https://push.example.net\"", VAPID_OK},
		{"\"https://push.example.net:443\"", VAPID_OK},
		{"\"HTTPS://Push.Example.NET\"", VAPID_OK},
		{"[\"https://other.example\",\"https://push.example.net\"]", VAPID_OK},
		{"[1,null,\"https://push.example.net\"]", VAPID_OK},
		{"\"https://old.example.org:8443\"", VAPID_OK},
		{"\"https://old.example.org\"", VAPID_OK}, /* without our port */
		{"\"https://push.example.net/\"", VAPID_OK}, /* the same URL, RFC 3986 section 6.2.3 */
		{"\"https://old.example.org/\"", VAPID_OK},
		{"\"http://127.0.0.1:8080\"", VAPID_OK},
		{"\"http://127.0.0.1\"", VAPID_OK},
		{"\"https://old.example.org:8444\"", VAPID_WRONG_AUDIENCE},
		{"\"https://push.example.net:8443\"", VAPID_WRONG_AUDIENCE},
		{"\"https://other.example\"", VAPID_WRONG_AUDIENCE},
		{"\"http://push.example.net\"", VAPID_WRONG_AUDIENCE},
		{"\"https://push.example.net/p/abc\"", VAPID_WRONG_AUDIENCE},
		{"\"https://push.example.net/?\"", VAPID_WRONG_AUDIENCE},
		{"\"https://push.example.net//\"", VAPID_WRONG_AUDIENCE},
		{"\"https://push.example.net/.\"", VAPID_WRONG_AUDIENCE},
		{"\"https://other.example/\"", VAPID_WRONG_AUDIENCE},
		{"\"https://push.example.net?x\"", VAPID_WRONG_AUDIENCE},
		{"\"https://old.example.org:8443/relay\"", VAPID_WRONG_AUDIENCE},
		{"\"https://user@push.example.net\"", VAPID_WRONG_AUDIENCE},
		{"\"https://push.example.net.evil.example\"", VAPID_WRONG_AUDIENCE},
		{"\"wss://push.example.net\"", VAPID_WRONG_AUDIENCE},
		{"\"push.example.net\"", VAPID_WRONG_AUDIENCE},
		{"\"*\"", VAPID_WRONG_AUDIENCE},
		{"\"\"", VAPID_WRONG_AUDIENCE},
		{"[]", VAPID_WRONG_AUDIENCE},
		{"[[\"https://push.example.net\"]]", VAPID_WRONG_AUDIENCE},
		{"null", VAPID_WRONG_AUDIENCE},
		{"{\"https://push.example.net\":1}", VAPID_WRONG_AUDIENCE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(check_aud(f, cases[i].aud), cases[i].result);
	}
	assert_int_equal(check_claims(f, "{\"exp\":1800000100}"), VAPID_WRONG_AUDIENCE);
}

static void sub_and_other_claims_are_ignored(void **state) {
	struct fixture *f = *state;
	assert_int_equal(check_claims(f, "{\"aud\":\"https://push.example.net\",\"exp\":1800000100,"
									 "\"sub\":\"sender@example.com\",\"nbf\":1900000000,\"x\":[]}"),
		VAPID_OK);
	assert_int_equal(check_claims(f, "[]"), VAPID_MALFORMED);
	assert_int_equal(check_claims(f, "not json"), VAPID_MALFORMED);
}

static void only_the_signers_key_is_accepted(void **state) {
	struct fixture *f = *state;
	char *token = good_token(f);
	char *other = mem_printf("vapid t=%s, k=%s", token, RFC_KEY);
	assert_int_equal(check(f, other, NULL, NOW), VAPID_BAD_SIGNATURE);
	char *good = mem_printf("vapid t=%s, k=%s", token, f->key_text);
	assert_int_equal(check(f, good, NULL, NOW), VAPID_OK);
	/* the cache keeps the two apart */
	assert_int_equal(check(f, other, NULL, NOW), VAPID_BAD_SIGNATURE);
	char *signature = strrchr(good, '.');
	signature[5] = signature[5] == 'A' ? 'B' : 'A';
	assert_int_equal(check(f, good, NULL, NOW), VAPID_BAD_SIGNATURE);
	free(other);
	free(good);
	free(token);
}

static void a_verified_token_is_remembered_until_it_expires(void **state) {
	struct fixture *f = *state;
	char *token = good_token(f);
	char *header = mem_printf("vapid t=%s, k=%s", token, f->key_text);
	uint64_t verified = 0, cached = 0;
	struct vapid_claims claims;
	for (int i = 0; i < 10; i++) {
		memset(&claims, 0, sizeof claims);
		assert_int_equal(
			vapid_check(f->vapid, slice_of(header), 1, slice_of(NULL), NOW, &claims), VAPID_OK);
		assert_memory_equal(claims.key, f->point, sizeof f->point);
	}
	vapid_get_stats(f->vapid, &verified, &cached);
	assert_int_equal(verified, 1);
	assert_int_equal(cached, 9);
	assert_int_equal(check(f, header, NULL, NOW + 3660), VAPID_OK);
	assert_int_equal(check(f, header, NULL, NOW + 3661), VAPID_EXPIRED);
	assert_int_equal(check(f, header, NULL, NOW + 3661), VAPID_EXPIRED);
	assert_int_equal(check(f, header, NULL, NOW - 100000), VAPID_EXPIRED);
	free(header);
	free(token);
}

static void what_is_known_needs_no_signature(void **state) {
	struct fixture *f = *state;
	char *token = good_token(f);
	char *header = mem_printf("vapid t=%s, k=%s", token, f->key_text);
	uint64_t verified = 0, cached = 0;
	struct vapid_claims claims;
	assert_int_equal(vapid_check_known(f->vapid, slice_of(header), 1, slice_of(NULL), NOW, &claims),
		VAPID_UNCHECKED);
	assert_int_equal(
		vapid_check_known(f->vapid, slice_of(header), 1, slice_of(NULL), NOW + 100000, &claims),
		VAPID_EXPIRED);
	assert_int_equal(
		vapid_check_known(f->vapid, slice_of(NULL), 0, slice_of(NULL), NOW, &claims), VAPID_ABSENT);
	vapid_get_stats(f->vapid, &verified, &cached);
	assert_int_equal(verified, 0);
	assert_int_equal(check(f, header, NULL, NOW), VAPID_OK);
	assert_int_equal(
		vapid_check_known(f->vapid, slice_of(header), 1, slice_of(NULL), NOW, &claims), VAPID_OK);
	assert_memory_equal(claims.key, f->point, sizeof f->point);
	free(header);
	free(token);
}

static void the_least_recently_used_token_is_forgotten(void **state) {
	struct fixture *f = *state; /* its cache has 4 places */
	char *headers[6];
	uint64_t verified = 0, cached = 0;
	for (size_t i = 0; i < 6; i++) {
		char *token = good_token(f); /* the signature is random, so each differs */
		headers[i] = mem_printf("vapid t=%s, k=%s", token, f->key_text);
		free(token);
		assert_int_equal(check(f, headers[i], NULL, NOW), VAPID_OK);
		assert_int_equal(check(f, headers[0], NULL, NOW), VAPID_OK); /* stays in use */
	}
	vapid_get_stats(f->vapid, &verified, &cached);
	assert_int_equal(verified, 6);
	assert_int_equal(check(f, headers[5], NULL, NOW), VAPID_OK);
	assert_int_equal(check(f, headers[3], NULL, NOW), VAPID_OK);
	vapid_get_stats(f->vapid, &verified, &cached);
	assert_int_equal(verified, 6);
	assert_int_equal(check(f, headers[1], NULL, NOW), VAPID_OK);
	vapid_get_stats(f->vapid, &verified, &cached);
	assert_int_equal(verified, 7);
	for (size_t i = 0; i < 6; i++) {
		free(headers[i]);
	}
}

static void a_cache_of_no_size_works(void **state) {
	struct fixture *f = *state;
	struct vapid *vapid = vapid_create(origins, 0);
	char *token = good_token(f);
	char *header = mem_printf("vapid t=%s, k=%s", token, f->key_text);
	uint64_t verified = 0, cached = 0;
	struct vapid_claims claims;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			vapid_check(vapid, slice_of(header), 1, slice_of(NULL), NOW, &claims), VAPID_OK);
	}
	vapid_get_stats(vapid, &verified, &cached);
	assert_int_equal(verified, 2);
	assert_int_equal(cached, 0);
	vapid_destroy(vapid);
	free(header);
	free(token);
}

static void every_result_has_a_sentence(void **state) {
	(void)state;
	for (enum vapid_result result = 0; result < VAPID_RESULT_COUNT; result++) {
		assert_non_null(vapid_result_text(result));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(the_example_of_rfc_8292_is_valid_in_its_time),
		TEST(no_header_or_a_foreign_scheme_is_absent),
		TEST(a_header_without_one_token_and_one_key_is_malformed),
		TEST(spelling_of_the_header_does_not_matter),
		TEST(the_legacy_form_takes_its_key_from_crypto_key),
		TEST(expiry_has_its_tolerances),
		TEST(the_audience_is_one_of_our_origins),
		TEST(sub_and_other_claims_are_ignored),
		TEST(only_the_signers_key_is_accepted),
		TEST(a_verified_token_is_remembered_until_it_expires),
		TEST(what_is_known_needs_no_signature),
		TEST(the_least_recently_used_token_is_forgotten),
		TEST(a_cache_of_no_size_works),
		cmocka_unit_test(every_result_has_a_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
