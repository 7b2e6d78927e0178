/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the address of a host that answers first (RFC 8305): names are resolved off the loop, plain
 * TCP connects start 250 ms apart, families take turns, the losers are closed. When the resolver
 * fails or takes its time, the addresses that were good before are used.
 */
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	RACE_ADDRESSES_MAX = 16,
	RACE_STAGGER_MS = 250,
	RACE_FAMILY_MS = 50, /* the second family's addresses are waited for */
	RACE_RESOLVER_MS = 600, /* then the addresses known from before are used */
	RACE_CONNECT_MS = 10000, /* an address */
	RACE_MS = 30000, /* in all */
};

/* What an earlier race found that led to a session; zeroed at first, kept by the caller. */
struct race_memory {
	struct sockaddr_storage addresses[RACE_ADDRESSES_MAX];
	unsigned int count;
	struct sockaddr_storage winner; /* AF_UNSPEC: none */
};

enum race_outcome {
	RACE_WON,
	RACE_NO_NAME, /* the name has no address, or the resolver is out of reach */
	RACE_NO_PATH, /* no route to any address */
	RACE_LOST, /* all refused, or none answered */
};
struct race_result {
	enum race_outcome outcome;
	const struct sockaddr *address; /* of the winner, with port */
	int fd; /* connected to it; -1: it was the only candidate, and not tried. Whoever takes it sets
			   it to -1. */
	const char *reason; /* a sentence when not won */
	/* What the resolver said just now; 0 when it said nothing, or was not asked. */
	const struct sockaddr_storage *resolved;
	unsigned int resolved_count;
};
typedef void race_done_fn(struct race_result *result, void *ctx);

struct race_options {
	struct ev_loop *loop;
	const char *host; /* a name or an address; copied */
	uint16_t port;
	const struct race_memory *memory; /* outlives the race */
	bool must_try; /* also when there is but one candidate */
	/* May a packet leave to this address? NULL: yes. */
	bool (*is_usable)(const struct sockaddr *address, void *ctx);
	race_done_fn *done; /* once, later, from the loop; the race is gone then */
	void *ctx;
};
struct race;
struct race *race_start(const struct race_options *options);
void race_cancel(struct race *race); /* NULL is fine */

/* "192.0.2.1" or "[2001:db8::1]" without port. */
enum { RACE_ADDRESS_TEXT = 64 };
void race_address_print(const struct sockaddr *address, char out[RACE_ADDRESS_TEXT]);
bool race_address_is_private(const struct sockaddr *address);
