/* SPDX-License-Identifier: Apache-2.0 */
/* Resolving and racing: addresses become attempts one after the other, the first to stand wins. */
#include "distributor/link/race.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/link/resolve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

enum { RACE_FAMILIES = 2 };

struct race_attempt {
	struct race *race;
	ev_io io;
	int fd; /* -1: over */
};

struct race {
	struct ev_loop *loop;
	char *host;
	uint16_t port;
	const struct race_memory *memory;
	bool must_try;
	bool (*is_usable)(const struct sockaddr *address, void *ctx);
	race_done_fn *done;
	void *ctx;
	struct resolve *lookups[RACE_FAMILIES]; /* AF_INET6, AF_INET; NULL: over */
	int name_error; /* of the resolver, the last */
	bool has_answer; /* of the resolver */
	struct sockaddr_storage candidates[RACE_ADDRESSES_MAX];
	struct race_attempt attempts[RACE_ADDRESSES_MAX]; /* one for each candidate, in order */
	unsigned int count, started, running;
	bool has_begun; /* connecting */
	bool was_unreachable; /* some candidate was left out for want of a path */
	ev_timer patience; /* for the resolver */
	ev_timer stagger; /* the next attempt, or what comes first */
	ev_timer limit;
	char *reason;
};

/* The steps, in the order in which they run. */
static void race_on_resolved(struct race *race, int family, const struct resolve_result *result);
static void race_begin(struct race *race);
static void race_next(struct race *race);
static void race_on_connected(struct ev_loop *loop, ev_io *io, int events);
static void race_finish(struct race *race, enum race_outcome outcome, unsigned int winner);

/* ---- addresses ---------------------------------------------------------------------------------
 */

void race_address_print(const struct sockaddr *address, char out[RACE_ADDRESS_TEXT]) {
	char text[INET6_ADDRSTRLEN] = "?";
	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
		(void)snprintf(out, RACE_ADDRESS_TEXT, "[%s]", text);
	} else {
		const struct sockaddr_in *in = (const void *)address;
		(void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
		(void)snprintf(out, RACE_ADDRESS_TEXT, "%s", text);
	}
}

bool race_address_is_private(const struct sockaddr *address) {
	if (address->sa_family == AF_INET6) {
		const struct in6_addr *in6 =
			&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
		return (in6->s6_addr[0] & 0xfe) == 0xfc || IN6_IS_ADDR_LINKLOCAL(in6);
	}
	uint32_t ip = ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr);
	return ip >> 24 == 10 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8 || ip >> 22 == 0x191 ||
		   ip >> 16 == 0xa9fe; /* RFC 1918, 6598, 3927 */
}

static void race_set_port(struct sockaddr_storage *address, uint16_t port) {
	if (address->ss_family == AF_INET6) {
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
	} else {
		((struct sockaddr_in *)address)->sin_port = htons(port);
	}
}

static bool race_is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
	if (a->ss_family != b->ss_family) {
		return false;
	}
	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
		return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
	}
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
}

/* Adds those that are new and may be reached. */
static void race_add(
	struct race *race, const struct sockaddr_storage *addresses, unsigned int count) {
	for (unsigned int i = 0; i < count; i++) {
		struct sockaddr_storage address = addresses[i];
		bool is_known = false;
		for (unsigned int j = 0; j < race->count; j++) {
			is_known = is_known || race_is_same_host(&race->candidates[j], &address);
		}
		race_set_port(&address, race->port);
		if (is_known || race->count >= RACE_ADDRESSES_MAX) {
			continue;
		}
		if (race->is_usable && !race->is_usable((const struct sockaddr *)&address, race->ctx)) {
			race->was_unreachable = true;
			continue;
		}
		race->candidates[race->count++] = address;
	}
}

static void race_swap_in(struct race *race, unsigned int at, unsigned int from) {
	struct sockaddr_storage moved = race->candidates[from];
	memmove(
		&race->candidates[at + 1], &race->candidates[at], (from - at) * sizeof race->candidates[0]);
	race->candidates[at] = moved;
}

/* The last winner first, then families in turn (RFC 8305 4), from `from` on: what runs stays. */
static void race_sort(struct race *race, unsigned int from) {
	sa_family_t wanted = AF_INET6;
	for (unsigned int i = from; i < race->count; i++) {
		if (race_is_same_host(&race->candidates[i], &race->memory->winner)) {
			race_swap_in(race, from, i);
			wanted = race->candidates[from++].ss_family == AF_INET6 ? AF_INET : AF_INET6;
			break;
		}
	}
	for (unsigned int at = from; at < race->count; at++) {
		for (unsigned int i = at; i < race->count; i++) {
			if (race->candidates[i].ss_family == wanted) {
				race_swap_in(race, at, i);
				break;
			}
		}
		wanted = race->candidates[at].ss_family == AF_INET6 ? AF_INET : AF_INET6;
	}
}

/* ---- resolving ---------------------------------------------------------------------------------
 */

static void race_arm(struct race *race, ev_timer *timer, int delay_ms) {
	ev_timer_stop(race->loop, timer);
	ev_now_update(race->loop);
	ev_timer_set(timer, delay_ms / 1000., 0.);
	ev_timer_start(race->loop, timer);
}

static bool race_is_resolving(const struct race *race) {
	return race->lookups[0] || race->lookups[1];
}

static void race_on_resolved_in6(const struct resolve_result *result, void *ctx) {
	struct race *race = ctx;
	race->lookups[0] = NULL;
	race_on_resolved(race, AF_INET6, result);
}

static void race_on_resolved_in(const struct resolve_result *result, void *ctx) {
	struct race *race = ctx;
	race->lookups[1] = NULL;
	race_on_resolved(race, AF_INET, result);
}

static void race_use_memory(struct race *race) {
	race_add(race, race->memory->addresses, race->memory->count);
}

static void race_on_resolved(struct race *race, int family, const struct resolve_result *result) {
	(void)family;
	if (result->error == 0) {
		race->has_answer = true;
		race_add(race, result->addresses, result->count);
	} else if (result->error != EAI_NONAME || race->name_error == 0) {
		/* having no address of one family is no news, a resolver out of reach is */
		race->name_error = result->error;
	}
	if (race->has_begun) {
		race_sort(race, race->started);
		if (race->running == 0) {
			race_next(race);
		}
	} else if (!race_is_resolving(race)) {
		race_begin(race);
	} else if (race->has_answer) {
		race_arm(race, &race->patience, RACE_FAMILY_MS);
	}
}

static void race_on_patience(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct race *race = timer->data;
	if (!race->has_begun) {
		race_begin(race);
	}
}

static bool race_take_literal(struct race *race) {
	struct sockaddr_storage address = {0};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	if (inet_pton(AF_INET6, race->host, &in6->sin6_addr) == 1) {
		address.ss_family = AF_INET6;
	} else if (inet_pton(AF_INET, race->host, &in->sin_addr) == 1) {
		address.ss_family = AF_INET;
	} else {
		return false;
	}
	race_add(race, &address, 1);
	return true;
}

/* ---- racing ------------------------------------------------------------------------------------
 */

static void race_set_reason(struct race *race, char *take_reason) {
	free(race->reason);
	race->reason = take_reason;
}

static const char *race_name_trouble(const struct race *race) {
	switch (race->name_error) {
	case EAI_NONAME:
		return "there is no such name";
	case EAI_AGAIN:
	case 0:
		return "the name server does not answer";
	default:
		return gai_strerror(race->name_error);
	}
}

static void race_begin(struct race *race) {
	race->has_begun = true;
	ev_timer_stop(race->loop, &race->patience);
	if (race->count == 0) {
		race_use_memory(race); /* no answer, or an empty one */
	}
	race_sort(race, 0);
	if (race->count == 1 && !race->must_try && !race_is_resolving(race)) {
		race_finish(race, RACE_WON, 0);
		return;
	}
	race_next(race);
}

static void race_give_up(struct race *race) {
	if (race->count > 0) {
		race_finish(race, RACE_LOST, 0);
	} else if (race->was_unreachable) {
		race_set_reason(race, mem_printf("there is no route to %s", race->host));
		race_finish(race, RACE_NO_PATH, 0);
	} else {
		race_set_reason(race, mem_printf("the address of %s is not to be had: %s", race->host,
								  race_name_trouble(race)));
		race_finish(race, RACE_NO_NAME, 0);
	}
}

static void race_note_failure(struct race *race, unsigned int at, int error) {
	char text[RACE_ADDRESS_TEXT];
	race_address_print((const struct sockaddr *)&race->candidates[at], text);
	const char *what = error == ECONNREFUSED ? "the connection was refused"
					   : error == ETIMEDOUT	 ? "no answer"
											 : strerror(error);
	race_set_reason(race,
		mem_printf("%s port %u cannot be reached at %s: %s", race->host, race->port, text, what));
}

/* Negative errno when it failed at once. */
static int race_attempt_start(
	struct race_attempt *attempt, const struct sockaddr_storage *address) {
	unsigned int limit_ms = RACE_CONNECT_MS;
	attempt->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (attempt->fd < 0) {
		return -errno;
	}
	(void)setsockopt(attempt->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
	socklen_t bytes =
		address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	if (connect(attempt->fd, (const struct sockaddr *)address, bytes) < 0 && errno != EINPROGRESS) {
		int error = errno;
		(void)close(attempt->fd);
		attempt->fd = -1;
		return -error;
	}
	return 0;
}

/* Starts the next candidate that does not fail at once. */
static void race_next(struct race *race) {
	ev_timer_stop(race->loop, &race->stagger);
	while (race->started < race->count) {
		unsigned int at = race->started++;
		struct race_attempt *attempt = &race->attempts[at];
		attempt->race = race;
		int result = race_attempt_start(attempt, &race->candidates[at]);
		if (result < 0) {
			race_note_failure(race, at, -result);
			continue;
		}
		race->running++;
		ev_io_init(&attempt->io, race_on_connected, attempt->fd, EV_WRITE);
		attempt->io.data = attempt;
		ev_io_start(race->loop, &attempt->io);
		if (race->started < race->count || race_is_resolving(race)) {
			race_arm(race, &race->stagger, RACE_STAGGER_MS);
		}
		return;
	}
	if (race->running == 0 && !race_is_resolving(race)) {
		race_give_up(race);
	}
}

static void race_on_stagger(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct race *race = timer->data;
	if (race->has_begun) {
		race_next(race);
	} else {
		race_begin(race); /* a literal */
	}
}

static void race_on_connected(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct race_attempt *attempt = io->data;
	struct race *race = attempt->race;
	unsigned int at = (unsigned int)(attempt - race->attempts);
	int error = 0;
	socklen_t bytes = sizeof error;
	(void)getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
	ev_io_stop(loop, io);
	if (error == 0) {
		race_finish(race, RACE_WON, at);
		return;
	}
	(void)close(attempt->fd);
	attempt->fd = -1;
	race->running--;
	race_note_failure(race, at, error);
	race_next(race);
}

static void race_on_limit(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct race *race = timer->data;
	if (!race->reason && race->count > 0) {
		race_set_reason(race, mem_printf("%s port %u does not answer within %d s", race->host,
								  race->port, RACE_MS / 1000));
	}
	race_give_up(race);
}

static void race_free(struct race *race) {
	resolve_cancel(race->lookups[0]);
	resolve_cancel(race->lookups[1]);
	ev_timer_stop(race->loop, &race->patience);
	ev_timer_stop(race->loop, &race->stagger);
	ev_timer_stop(race->loop, &race->limit);
	for (unsigned int i = 0; i < race->started; i++) {
		if (race->attempts[i].fd >= 0) {
			ev_io_stop(race->loop, &race->attempts[i].io);
			(void)close(race->attempts[i].fd);
		}
	}
	free(race->reason);
	free(race->host);
	free(race);
}

static void race_finish(struct race *race, enum race_outcome outcome, unsigned int winner) {
	struct race_result result = {.outcome = outcome, .fd = -1, .reason = race->reason};
	if (outcome == RACE_WON) {
		result.address = (const struct sockaddr *)&race->candidates[winner];
		if (winner < race->started) {
			result.fd = race->attempts[winner].fd;
			race->attempts[winner].fd = -1;
		}
	}
	if (race->has_answer) {
		result.resolved = race->candidates;
		result.resolved_count = race->count;
	}
	race->done(&result, race->ctx);
	if (result.fd >= 0) {
		(void)close(result.fd);
	}
	race_free(race);
}

struct race *race_start(const struct race_options *options) {
	struct race *race = mem_zalloc(sizeof *race);
	race->loop = options->loop;
	race->host = mem_strdup(options->host);
	race->port = options->port;
	race->memory = options->memory;
	race->must_try = options->must_try;
	race->is_usable = options->is_usable;
	race->done = options->done;
	race->ctx = options->ctx;
	ev_timer_init(&race->patience, race_on_patience, 0., 0.);
	ev_timer_init(&race->stagger, race_on_stagger, 0., 0.);
	ev_timer_init(&race->limit, race_on_limit, 0., 0.);
	race->patience.data = race->stagger.data = race->limit.data = race;
	race_arm(race, &race->limit, RACE_MS);
	if (race_take_literal(race)) {
		race_arm(race, &race->stagger, 0);
		return race;
	}
	race->lookups[0] = resolve_start(race->loop, race->host, AF_INET6, race_on_resolved_in6, race);
	race->lookups[1] = resolve_start(race->loop, race->host, AF_INET, race_on_resolved_in, race);
	if (race->memory->count > 0) {
		race_arm(race, &race->patience, RACE_RESOLVER_MS);
	}
	return race;
}

void race_cancel(struct race *race) {
	if (race) {
		race_free(race);
	}
}
