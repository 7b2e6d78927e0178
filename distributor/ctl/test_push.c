/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bellwire test`: is an app for a moment. Registers at the distributor as UnifiedPush apps do,
 * sends a push to itself over the relay, and says how long each step took.
 */
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/webpush.h"
#include "distributor/alarm.h"
#include "distributor/bus/unifiedpush.h"
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include "distributor/ctl/http_client.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEST_STEP_MS = 30000, TEST_TOKEN_BYTES = 18 };

static const char test_usage[] =
	"usage: bellwire test [OPTION...]\n"
	"\n"
	"Registers at the distributor as an app does, sends an encrypted push to itself over the "
	"relay,\n"
	"waits for it on the session bus, and says how long each step took.\n"
	"\n"
	"  --distributor NAME  another UnifiedPush distributor's bus name\n"
	"  --ca FILE           trust the certificates in FILE instead of the system's\n"
	"  --insecure          accept any certificate\n"
	"  --json              print the result as JSON\n";

struct test_options {
	const char *distributor, *ca;
	bool insecure, json;
};

struct test {
	const struct test_options *options;
	sd_bus *bus;
	char *token;
	EVP_PKEY *key;
	uint8_t auth[WEBPUSH_AUTH_BYTES];
	char *endpoint; /* from NewEndpoint */
	bool is_pushed, is_unregistered;
	int64_t register_ms, push_ms;
};

static const char test_text[] = "a push from bellwire test";

/* ---- what the distributor calls ---- */

static int test_on_endpoint(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct test *test = userdata;
	(void)error;
	json_t *dict = daemon_read_dict(call);
	if (strcmp(daemon_text(dict, "token"), test->token) == 0) {
		free(test->endpoint);
		test->endpoint = mem_strdup(daemon_text(dict, "endpoint"));
	}
	json_decref(dict);
	return sd_bus_reply_method_return(call, "a{sv}", 0);
}

/* Only what was encrypted for us counts. */
static bool test_is_ours(const struct test *test, const json_t *dict) {
	const char *body = daemon_text(dict, "message_base64");
	size_t bytes = 0, plain_bytes = 0;
	CLEANUP_FREE uint8_t *raw = mem_alloc(strlen(body) + 1);
	CLEANUP_FREE uint8_t *plain = NULL;
	return base64url_decode(slice_of(body), raw, strlen(body), &bytes) &&
		   webpush_decrypt((struct slice){(char *)raw, bytes}, test->key, test->auth, &plain,
			   &plain_bytes) == WEBPUSH_OK &&
		   plain_bytes == strlen(test_text) && memcmp(plain, test_text, plain_bytes) == 0;
}

static int test_on_message(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct test *test = userdata;
	(void)error;
	json_t *dict = daemon_read_dict(call);
	test->is_pushed = test->is_pushed || test_is_ours(test, dict);
	CLEANUP_FREE char *id = mem_strdup(daemon_text(dict, "id"));
	json_decref(dict);
	return sd_bus_reply_method_return(call, "a{sv}", 1, "id", "s", id);
}

static int test_on_unregistered(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct test *test = userdata;
	(void)error;
	test->is_unregistered = true;
	return sd_bus_reply_method_return(call, "a{sv}", 0);
}

static const sd_bus_vtable test_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("NewEndpoint", "a{sv}", "a{sv}", test_on_endpoint, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Message", "a{sv}", "a{sv}", test_on_message, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD(
		"Unregistered", "a{sv}", "a{sv}", test_on_unregistered, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* ---- steps ---- */

/* Serves the bus until the condition holds. */
static bool test_wait(struct test *test, const bool *condition, char *const *pointer) {
	int64_t until_ms = clock_mono_ms() + TEST_STEP_MS;
	while (!(condition ? *condition : *pointer != NULL)) {
		int64_t left_ms = until_ms - clock_mono_ms();
		int result = sd_bus_process(test->bus, NULL);
		if (result < 0 || left_ms <= 0) {
			return false;
		}
		if (result == 0 && sd_bus_wait(test->bus, (uint64_t)left_ms * 1000) < 0) {
			return false;
		}
	}
	return true;
}

static int test_call(
	struct test *test, const char *method, sd_bus_message **out_reply, const char *types, ...) {
	CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	va_list args;
	int result = sd_bus_message_new_method_call(test->bus, &call, test->options->distributor,
		"/org/unifiedpush/Distributor", "org.unifiedpush.Distributor2", method);
	va_start(args, types);
	result = result < 0 ? result : sd_bus_message_appendv(call, types, args);
	va_end(args);
	result = result < 0
				 ? result
				 : sd_bus_call(test->bus, call, (uint64_t)TEST_STEP_MS * 1000, &error, out_reply);
	if (result >= 0) {
		return COMMAND_OK;
	}
	if (sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN)) {
		return strcmp(test->options->distributor, UNIFIEDPUSH_NAME) == 0
				   ? daemon_fail_absent()
				   : command_fail("%s does not run", test->options->distributor);
	}
	return command_fail("%s fails: %s", method, error.message ? error.message : strerror(-result));
}

static int test_register(struct test *test) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *name = NULL;
	int64_t began_ms = clock_mono_ms();
	int result = sd_bus_get_unique_name(test->bus, &name);
	if (result < 0) {
		return command_fail("the session bus gave us no name: %s", strerror(-result));
	}
	result = test_call(test, "Register", &reply, "a{sv}", 3, "service", "s", name, "token", "s",
		test->token, "description", "s", "bellwire test");
	if (result != COMMAND_OK) {
		return result;
	}
	json_t *answer = daemon_read_dict(reply);
	bool good = strcmp(daemon_text(answer, "success"), "REGISTRATION_SUCCEEDED") == 0;
	if (!good) {
		result = command_fail("the distributor refuses: %s%s%s", daemon_text(answer, "reason"),
			daemon_text(answer, "detail")[0] ? ", " : "", daemon_text(answer, "detail"));
	} else if (!test_wait(test, NULL, &test->endpoint)) {
		result = command_fail("the distributor gave no endpoint");
	}
	json_decref(answer);
	test->register_ms = clock_mono_ms() - began_ms;
	return result;
}

static int test_post(const struct test *test, struct slice body) {
	CLEANUP_FREE char *error = NULL;
	struct http_client_answer answer;
	struct url url;
	if (!url_parse(slice_of(test->endpoint), &url)) {
		return command_fail("the distributor gave an endpoint that is no URL");
	}
	const char *path_end = test->endpoint + strlen(test->endpoint);
	struct http_client_request request = {.url = &url,
		.target = {url.path.data, (size_t)(path_end - url.path.data)},
		.headers = "TTL: 60\r\nUrgency: high\r\nContent-Encoding: aes128gcm\r\n",
		.body = body,
		.ca_file = test->options->ca,
		.insecure = test->options->insecure};
	if (!http_client_post(&request, &answer, &error)) {
		return command_fail("the relay does not take the push: %s", error);
	}
	int status = answer.status;
	http_client_answer_finish(&answer);
	return status == 201 ? COMMAND_OK
						 : command_fail("the relay does not take the push: status %d", status);
}

static int test_push(struct test *test) {
	uint8_t point[P256_POINT_BYTES];
	CLEANUP_FREE uint8_t *body = NULL;
	size_t bytes = 0;
	if (!p256_point_of(test->key, point) ||
		webpush_encrypt(slice_of(test_text), point, test->auth, 0, &body, &bytes) != WEBPUSH_OK) {
		return command_fail("OpenSSL cannot encrypt");
	}
	int64_t began_ms = clock_mono_ms();
	int result = test_post(test, (struct slice){(char *)body, bytes});
	if (result == COMMAND_OK && !test_wait(test, &test->is_pushed, NULL)) {
		result = command_fail("the relay took the push, but it did not arrive within 30 s; see: "
							  "bellwire status");
	}
	test->push_ms = clock_mono_ms() - began_ms;
	return result;
}

static int test_unregister(struct test *test) {
	int result = test_call(test, "Unregister", NULL, "a{sv}", 1, "token", "s", test->token);
	if (result == COMMAND_OK && !test_wait(test, &test->is_unregistered, NULL)) {
		result = command_fail("the distributor does not confirm that the registration is gone");
	}
	return result;
}

static int test_report(const struct test *test) {
	if (test->options->json) {
		return command_print_json(json_pack("{s:I,s:I}", "register_ms",
				   (json_int_t)test->register_ms, "push_ms", (json_int_t)test->push_ms))
				   ? COMMAND_OK
				   : COMMAND_FAILED;
	}
	printf("registered in %lld ms, push arrived %lld ms after it was sent\n",
		(long long)test->register_ms, (long long)test->push_ms);
	return COMMAND_OK;
}

static int test_steps(struct test *test) {
	int result = sd_bus_add_object_vtable(test->bus, NULL, "/org/unifiedpush/Connector",
		"org.unifiedpush.Connector2", test_vtable, test);
	if (result < 0) {
		return command_fail("the session bus refuses: %s", strerror(-result));
	}
	result = test_register(test);
	if (result == COMMAND_OK) {
		result = test_push(test);
		int left = test_unregister(test);
		result = result == COMMAND_OK ? left : result;
	}
	return result == COMMAND_OK ? test_report(test) : result;
}

static int test_run(const struct test_options *options) {
	uint8_t random[TEST_TOKEN_BYTES];
	struct test test = {.options = options, .key = p256_generate()};
	if (!test.key || RAND_bytes(random, sizeof random) != 1 ||
		RAND_bytes(test.auth, sizeof test.auth) != 1) {
		EVP_PKEY_free(test.key);
		return command_fail("OpenSSL cannot make a key");
	}
	test.token = base64url_print(random, sizeof random);
	int result = daemon_open(&test.bus);
	result = result == COMMAND_OK ? test_steps(&test) : result;
	sd_bus_flush_close_unref(test.bus);
	EVP_PKEY_free(test.key);
	free(test.token);
	free(test.endpoint);
	return result;
}

int test_command(int argc, char **argv) {
	struct test_options options = {.distributor = UNIFIEDPUSH_NAME};
	const struct arguments_flag flags[] = {{"distributor", .text = &options.distributor},
		{"ca", .text = &options.ca}, {"insecure", .is_given = &options.insecure},
		{"json", .is_given = &options.json}, {.name = NULL}};
	const struct arguments arguments = {.usage = test_usage, .flags = flags};
	int result;
	return arguments_read(&arguments, argc, argv, NULL, &result) ? test_run(&options) : result;
}
