/* SPDX-License-Identifier: Apache-2.0 */
/* Push and message tokens, the key file and its rotation. */
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/mem.h"
#include "relay/push/token_file.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

struct fixture {
	char folder[40];
	char *path;
	struct token_keys *keys;
};

static const struct device_id test_device = {"0123456789abcde"};
static const struct subscription_id test_subscription = {"ABCDEFGHIJKLMNO"};

static int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	(void)snprintf(f->folder, sizeof f->folder, "/tmp/bellwire-token.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->path = mem_printf("%s/keys", f->folder);
	char *error = NULL;
	f->keys = token_keys_open(f->path, true, &error);
	assert_non_null(f->keys);
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	token_keys_destroy(f->keys);
	(void)unlink(f->path);
	assert_int_equal(rmdir(f->folder), 0); /* no temporary file was left */
	free(f->path);
	free(f);
	return 0;
}

static void refuses(const char *path, const char *words) {
	char *error = NULL;
	assert_null(token_keys_open(path, true, &error));
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, words));
	free(error);
}

static void a_token_opens_to_what_it_was_made_of(void **state) {
	struct fixture *f = *state;
	char text[TOKEN_LENGTH + 1];
	struct device_id device;
	struct subscription_id subscription;
	struct message_id message, sent = {0x0102030405060708, 0xf1f2f3f4f5f6f7f8};
	token_make_push(f->keys, test_device, test_subscription, text);
	assert_int_equal(strlen(text), TOKEN_LENGTH);
	assert_true(token_open_push(f->keys, slice_of(text), &device, &subscription));
	assert_memory_equal(&device, &test_device, sizeof device);
	assert_memory_equal(&subscription, &test_subscription, sizeof subscription);
	token_make_message(f->keys, test_device, sent, text);
	assert_true(token_open_message(f->keys, slice_of(text), &device, &message));
	assert_memory_equal(&device, &test_device, sizeof device);
	assert_int_equal(message_id_compare(message, sent), 0);
}

static void one_kind_never_opens_as_the_other(void **state) {
	struct fixture *f = *state;
	char text[TOKEN_LENGTH + 1];
	struct device_id device;
	struct subscription_id subscription;
	struct message_id message;
	token_make_push(f->keys, test_device, test_subscription, text);
	assert_false(token_open_message(f->keys, slice_of(text), &device, &message));
	token_make_message(f->keys, test_device, (struct message_id){1, 2}, text);
	assert_false(token_open_push(f->keys, slice_of(text), &device, &subscription));
}

static void every_changed_character_is_refused(void **state) {
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct fixture *f = *state;
	char text[TOKEN_LENGTH + 3];
	struct device_id device;
	struct subscription_id subscription;
	token_make_push(f->keys, test_device, test_subscription, text);
	for (size_t at = 0; at < TOKEN_LENGTH; at++) {
		char was = text[at];
		for (const char *other = alphabet; *other; other++) {
			text[at] = *other;
			assert_int_equal(
				token_open_push(f->keys, slice_of(text), &device, &subscription), *other == was);
		}
		text[at] = was;
	}
	for (size_t len = 0; len < TOKEN_LENGTH; len++) {
		assert_false(token_open_push(f->keys, (struct slice){text, len}, &device, &subscription));
	}
	memcpy(text + TOKEN_LENGTH, "A", 2);
	assert_false(token_open_push(f->keys, slice_of(text), &device, &subscription));
	memcpy(text + TOKEN_LENGTH, "==", 3);
	assert_false(token_open_push(f->keys, slice_of(text), &device, &subscription));
	assert_false(token_open_push(f->keys, (struct slice){NULL, 0}, &device, &subscription));
}

static void tokens_of_one_device_share_nothing_but_the_key_number(void **state) {
	struct fixture *f = *state;
	char a[TOKEN_LENGTH + 1], b[TOKEN_LENGTH + 1];
	struct subscription_id other = test_subscription;
	other.bytes[15] ^= 1;
	token_make_push(f->keys, test_device, test_subscription, a);
	token_make_push(f->keys, test_device, other, b);
	size_t equal = 0;
	for (size_t i = 2; i < TOKEN_LENGTH; i++) {
		equal += a[i] == b[i];
	}
	assert_true(equal < 16);
}

static void the_file_is_kept_secret_and_read_again(void **state) {
	struct fixture *f = *state;
	struct stat status;
	char text[TOKEN_LENGTH + 1], *error = NULL;
	struct device_id device;
	struct subscription_id subscription;
	assert_int_equal(stat(f->path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	token_make_push(f->keys, test_device, test_subscription, text);
	struct token_keys *again = token_keys_open(f->path, false, &error);
	assert_non_null(again);
	assert_true(token_open_push(again, slice_of(text), &device, &subscription));
	uint8_t one[48], two[48], other[48];
	token_keys_derive(f->keys, "message ids", one, sizeof one);
	token_keys_derive(again, "message ids", two, sizeof two);
	token_keys_derive(again, "node ids", other, sizeof other);
	assert_memory_equal(one, two, sizeof one);
	assert_memory_not_equal(one, other, sizeof one);
	token_keys_destroy(again);
}

static void old_urls_open_after_rotation(void **state) {
	struct fixture *f = *state;
	char old[TOKEN_LENGTH + 1], fresh[TOKEN_LENGTH + 1], *error = NULL;
	uint8_t before[32], after[32];
	struct device_id device;
	struct subscription_id subscription;
	token_make_push(f->keys, test_device, test_subscription, old);
	token_keys_derive(f->keys, "x", before, sizeof before);
	assert_int_equal(token_keys_add(f->path, &error), 0);
	struct token_keys *both = token_keys_open(f->path, false, &error);
	assert_int_equal(token_keys_count(both), 2);
	assert_true(token_open_push(both, slice_of(old), &device, &subscription));
	token_make_push(both, test_device, test_subscription, fresh);
	assert_string_not_equal(old, fresh);
	assert_true(token_open_push(both, slice_of(fresh), &device, &subscription));
	assert_false(token_open_push(f->keys, slice_of(fresh), &device, &subscription));
	token_keys_derive(both, "x", after, sizeof after);
	assert_memory_equal(before, after, sizeof before);
	token_keys_destroy(both);
}

static void keys_can_be_added_until_the_file_is_full(void **state) {
	struct fixture *f = *state;
	char *error = NULL, *text = NULL;
	for (int i = 1; i < TOKEN_KEYS_MAX; i++) {
		assert_int_equal(token_keys_add(f->path, &error), 0);
	}
	assert_int_equal(token_keys_add(f->path, &error), -ENOSPC);
	assert_non_null(strstr(error, "32 keys"));
	free(error);
	assert_int_equal(token_keys_list(f->path, &text, &error), 0);
	assert_int_equal(strncmp(text, "1  20", 5), 0);
	assert_non_null(strstr(text, "\n32  20"));
	assert_non_null(strstr(text, "makes new push URLs\n"));
	free(text);
}

static void a_listing_never_shows_a_key(void **state) {
	struct fixture *f = *state;
	char *content = NULL, *text = NULL, *error = NULL;
	size_t bytes = 0;
	assert_int_equal(file_read(f->path, 4096, &content, &bytes), 0);
	const char *secret = strrchr(content, ' ') + 1;
	assert_int_equal(token_keys_list(f->path, &text, &error), 0);
	for (size_t i = 0; i + 8 < strlen(secret); i++) {
		char part[9] = "";
		memcpy(part, secret + i, 8);
		assert_null(strstr(text, part));
	}
	free(content);
	free(text);
}

static void a_file_open_to_others_is_refused(void **state) {
	struct fixture *f = *state;
	const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0666, 0644};
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		assert_int_equal(chmod(f->path, modes[i]), 0);
		refuses(f->path, "chmod 600");
	}
}

static void a_file_of_another_user_is_refused(void **state) {
	struct fixture *f = *state;
	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(chown(f->path, 12345, 12345), 0);
	refuses(f->path, "belongs to user 12345");
}

static void a_missing_or_unusable_path_is_named(void **state) {
	struct fixture *f = *state;
	char *error = NULL, *path = mem_printf("%s/none", f->folder);
	assert_null(token_keys_open(path, false, &error));
	assert_non_null(strstr(error, "No such file"));
	free(error);
	free(path);
	path = mem_printf("%s/no/such/folder", f->folder);
	refuses(path, "No such file");
	free(path);
	assert_int_equal(chmod(f->folder, 0700), 0);
	refuses(f->folder, "Is a directory");
}

static void a_malformed_file_is_refused_with_its_line(void **state) {
	struct fixture *f = *state;
	char secret[BASE64URL_LENGTH(TOKEN_KEY_BYTES) + 1] = "";
	memset(secret, 'A', sizeof secret - 1);
	char *good = mem_printf("bellwire-keys 1\n7 1700000000 %s\n", secret);
	struct token_file file;
	assert_int_equal(token_file_parse(slice_of(good), &file), 0);
	assert_int_equal(file.keys[0].number, 7);
	assert_int_equal(file.keys[0].created_sec, 1700000000);
	/* without a line break at its end */
	assert_int_equal(token_file_parse((struct slice){good, strlen(good) - 1}, &file), 0);
	static const struct {
		const char *format; /* %s is a good secret */
		size_t line;
	} cases[] = {
		{"", 1},
		{"bellwire-keys 2\n1 1 %s\n", 1},
		{"bellwire-keys 1", 2},
		{"bellwire-keys 1\n", 2},
		{"bellwire-keys 1\n\n", 2},
		{"bellwire-keys 1\n256 1 %s\n", 2},
		{"bellwire-keys 1\n-1 1 %s\n", 2},
		{"bellwire-keys 1\n1 x %s\n", 2},
		{"bellwire-keys 1\n1 1 %sA\n", 2},
		{"bellwire-keys 1\n1 1 AAAA\n", 2},
		{"bellwire-keys 1\n1 1 %s \n", 2},
		{"bellwire-keys 1\n1 1 %s\r\n", 2},
		{"bellwire-keys 1\n1  1 %s\n", 2},
		{"bellwire-keys 1\n1 9999999999999999999999 %s\n", 2},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *hole = strstr(cases[i].format, "%s");
		char *text = hole ? mem_printf("%.*s%s%s", (int)(hole - cases[i].format), cases[i].format,
								secret, hole + 2)
						  : mem_strdup(cases[i].format);
		assert_int_equal(token_file_parse(slice_of(text), &file), cases[i].line);
		free(text);
	}
	char *twice = mem_printf("%s7 1700000000 %s\n", good, secret);
	assert_int_equal(token_file_parse(slice_of(twice), &file), 3);
	assert_int_equal(file_replace(f->path, twice, strlen(twice), 0600), 0);
	refuses(f->path, "line 3");
	free(twice);
	free(good);
}

static void subscription_ids_say_whether_they_are_restricted(void **state) {
	(void)state;
	struct subscription_id a, b;
	for (int i = 0; i < 64; i++) {
		subscription_id_generate(true, &a);
		subscription_id_generate(false, &b);
		assert_true(subscription_is_restricted(&a));
		assert_false(subscription_is_restricted(&b));
		assert_memory_not_equal(&a, &b, sizeof a);
	}
}

/* Two of these are on the path of every POST. Printed, and held to a bound that a slow machine
 * with sanitizers meets. */
static void a_token_costs_microseconds(void **state) {
	struct fixture *f = *state;
	enum { ROUNDS = 20000 };
	char text[TOKEN_LENGTH + 1];
	struct device_id device = test_device;
	struct subscription_id subscription;
	struct timespec start, middle, end;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (int i = 0; i < ROUNDS; i++) {
		token_make_push(f->keys, device, test_subscription, text);
	}
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &middle);
	for (int i = 0; i < ROUNDS; i++) {
		assert_true(token_open_push(f->keys, slice_of(text), &device, &subscription));
	}
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	double make = (double)(middle.tv_sec - start.tv_sec) * 1e6 +
				  (double)(middle.tv_nsec - start.tv_nsec) / 1e3;
	double open =
		(double)(end.tv_sec - middle.tv_sec) * 1e6 + (double)(end.tv_nsec - middle.tv_nsec) / 1e3;
	print_message("make %.2f us, open %.2f us\n", make / ROUNDS, open / ROUNDS);
	assert_true(make / ROUNDS < 100 && open / ROUNDS < 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(a_token_opens_to_what_it_was_made_of),
		TEST(one_kind_never_opens_as_the_other),
		TEST(every_changed_character_is_refused),
		TEST(tokens_of_one_device_share_nothing_but_the_key_number),
		TEST(the_file_is_kept_secret_and_read_again),
		TEST(old_urls_open_after_rotation),
		TEST(keys_can_be_added_until_the_file_is_full),
		TEST(a_listing_never_shows_a_key),
		TEST(a_file_open_to_others_is_refused),
		TEST(a_file_of_another_user_is_refused),
		TEST(a_missing_or_unusable_path_is_named),
		TEST(a_malformed_file_is_refused_with_its_line),
		cmocka_unit_test(subscription_ids_say_whether_they_are_restricted),
		TEST(a_token_costs_microseconds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
