/* SPDX-License-Identifier: Apache-2.0 */
/* Racing real sockets of the loopback: refused, silent and answering addresses. */
#include "distributor/link/race.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct round {
	struct ev_loop *loop;
	struct race_memory memory;
	bool is_done;
	enum race_outcome outcome;
	char address[RACE_ADDRESS_TEXT], reason[256];
	bool has_fd;
	unsigned int resolved;
	double took_sec;
	bool only_ipv6; /* the paths that are usable */
};

static struct sockaddr_storage address_of(const char *text, uint16_t port) {
	struct sockaddr_storage address = {0};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		address.ss_family = AF_INET6;
		in6->sin6_port = htons(port);
	} else {
		assert_int_equal(inet_pton(AF_INET, text, &in->sin_addr), 1);
		address.ss_family = AF_INET;
		in->sin_port = htons(port);
	}
	return address;
}

/* A listener; *port 0 takes a free one. backlog < 0: bound, so that connects are refused. */
static int listen_at(const char *text, uint16_t *port, int backlog) {
	struct sockaddr_storage address = address_of(text, *port);
	socklen_t bytes =
		address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
	if (backlog >= 0) {
		assert_int_equal(listen(fd, backlog), 0);
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	*port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	return fd;
}

/* Fills a listener's queue: further connects get no answer, as from a black hole. */
static void fill(const char *text, uint16_t port, int fds[4]) {
	struct sockaddr_storage address = address_of(text, port);
	for (int i = 0; i < 4; i++) {
		fds[i] = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fds[i], (struct sockaddr *)&address, sizeof(struct sockaddr_in));
	}
}

static void on_done(struct race_result *result, void *ctx) {
	struct round *round = ctx;
	assert_false(round->is_done);
	round->is_done = true;
	round->outcome = result->outcome;
	round->has_fd = result->fd >= 0;
	round->resolved = result->resolved_count;
	if (result->outcome == RACE_WON) {
		race_address_print(result->address, round->address);
	} else {
		assert_non_null(result->reason);
		(void)snprintf(round->reason, sizeof round->reason, "%s", result->reason);
	}
	ev_break(round->loop, EVBREAK_ALL);
}

static bool is_usable(const struct sockaddr *address, void *ctx) {
	struct round *round = ctx;
	return !round->only_ipv6 || address->sa_family == AF_INET6;
}

static void run(struct round *round, const char *host, uint16_t port, bool must_try) {
	struct race_options options = {
		.loop = round->loop,
		.host = host,
		.port = port,
		.memory = &round->memory,
		.must_try = must_try,
		.is_usable = is_usable,
		.done = on_done,
		.ctx = round,
	};
	round->is_done = false;
	double begin = ev_time();
	(void)race_start(&options);
	assert_false(round->is_done); /* never before the call has returned */
	(void)ev_run(round->loop, 0);
	assert_true(round->is_done);
	round->took_sec = ev_time() - begin;
}

static int setup(void **state) {
	struct round *round = calloc(1, sizeof *round);
	round->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	*state = round;
	return 0;
}

static int teardown(void **state) {
	struct round *round = *state;
	ev_loop_destroy(round->loop);
	free(round);
	return 0;
}

static void test_an_only_candidate_is_not_tried(void **state) {
	struct round *round = *state;
	run(round, "192.0.2.7", 443, false);
	assert_int_equal(round->outcome, RACE_WON);
	assert_false(round->has_fd);
	assert_string_equal(round->address, "192.0.2.7");
}

static void test_unless_it_must_be(void **state) {
	struct round *round = *state;
	uint16_t port = 0;
	int fd = listen_at("127.0.0.1", &port, 4);
	run(round, "127.0.0.1", port, true);
	assert_int_equal(round->outcome, RACE_WON);
	assert_true(round->has_fd);
	(void)close(fd);
}

static void test_a_refused_one_gives_way_at_once(void **state) {
	struct round *round = *state;
	uint16_t port = 0;
	int fd = listen_at("127.0.0.1", &port, 4);
	double fastest = RACE_CONNECT_MS; /* a busy machine makes some of them slow, not all */
	for (int i = 0; i < 20 && fastest >= RACE_STAGGER_MS / 1000.0; i++) {
		run(round, "localhost", port, true); /* [::1] refuses, or has no address here */
		assert_int_equal(round->outcome, RACE_WON);
		assert_string_equal(round->address, "127.0.0.1");
		assert_true(round->resolved >= 1);
		fastest = round->took_sec < fastest ? round->took_sec : fastest;
	}
	assert_true(fastest < RACE_STAGGER_MS / 1000.0);
	(void)close(fd);
}

static void test_all_refused_says_so(void **state) {
	struct round *round = *state;
	uint16_t port = 0;
	int fd = listen_at("127.0.0.1", &port, -1);
	run(round, "127.0.0.1", port, true);
	assert_int_equal(round->outcome, RACE_LOST);
	assert_non_null(strstr(round->reason, "the connection was refused"));
	(void)close(fd);
}

/* The name does not resolve, so that the remembered addresses are the candidates. */
static void test_a_silent_one_costs_a_quarter_second(void **state) {
	struct round *round = *state;
	uint16_t port = 0;
	int silent = listen_at("127.0.0.2", &port, 0), fds[4];
	int answering = listen_at("127.0.0.3", &port, 4);
	fill("127.0.0.2", port, fds);
	round->memory.addresses[0] = address_of("127.0.0.2", 0);
	round->memory.addresses[1] = address_of("127.0.0.3", 0);
	round->memory.count = 2;
	run(round, "relay.invalid", port, false);
	assert_int_equal(round->outcome, RACE_WON);
	assert_string_equal(round->address, "127.0.0.3");
	assert_int_equal(round->resolved, 0);
	assert_true(round->took_sec >= 0.2 && round->took_sec < RACE_CONNECT_MS / 1000.0);
	/* the winner comes first next time, whatever the order */
	round->memory.winner = address_of("127.0.0.3", port);
	run(round, "relay.invalid", port, false);
	assert_string_equal(round->address, "127.0.0.3");
	for (int i = 0; i < 4; i++) {
		(void)close(fds[i]);
	}
	(void)close(silent);
	(void)close(answering);
}

static void test_no_such_name_says_so(void **state) {
	struct round *round = *state;
	run(round, "relay.invalid", 443, false);
	assert_int_equal(round->outcome, RACE_NO_NAME);
	assert_non_null(strstr(round->reason, "relay.invalid"));
}

static void test_addresses_without_a_path_are_left_out(void **state) {
	struct round *round = *state;
	round->only_ipv6 = true;
	run(round, "192.0.2.7", 443, false);
	assert_int_equal(round->outcome, RACE_NO_PATH);
	run(round, "2001:db8::7", 443, false);
	assert_int_equal(round->outcome, RACE_WON);
	assert_string_equal(round->address, "[2001:db8::7]");
}

static void test_one_that_is_cancelled_tells_nothing(void **state) {
	struct round *round = *state;
	static const char *const hosts[] = {"localhost", "127.0.0.1", "relay.invalid"};
	for (size_t i = 0; i < 3; i++) {
		struct race_options options = {.loop = round->loop,
			.host = hosts[i],
			.port = 1,
			.memory = &round->memory,
			.must_try = true,
			.done = on_done,
			.ctx = round};
		race_cancel(race_start(&options));
		struct race *race = race_start(&options);
		(void)ev_run(round->loop, EVRUN_NOWAIT);
		if (!round->is_done) {
			race_cancel(race);
		}
		round->is_done = false;
	}
	(void)ev_run(round->loop, EVRUN_NOWAIT);
	assert_false(round->is_done);
}

static void test_private_addresses_are_known(void **state) {
	(void)state;
	static const struct {
		const char *text;
		bool is_private;
	} table[] = {{"10.1.2.3", true}, {"172.16.0.1", true}, {"172.32.0.1", false},
		{"192.168.1.1", true}, {"100.64.0.1", true}, {"169.254.1.1", true}, {"8.8.8.8", false},
		{"127.0.0.1", false}, {"fd00::1", true}, {"fe80::1", true}, {"2001:db8::1", false}};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct sockaddr_storage address = address_of(table[i].text, 1);
		assert_int_equal(race_address_is_private((struct sockaddr *)&address), table[i].is_private);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_only_candidate_is_not_tried, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unless_it_must_be, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_refused_one_gives_way_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_refused_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_silent_one_costs_a_quarter_second, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_name_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_addresses_without_a_path_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_is_cancelled_tells_nothing, setup, teardown),
		cmocka_unit_test(test_private_addresses_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
