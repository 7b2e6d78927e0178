/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of client addresses, and a table of counts with linear probing. */
#include "relay/http/client.h"
#include "common/hashmap.h"
#include "common/log.h"
#include "common/mem.h"
#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* An IPv4 address lies in 0:ffff::/32, which belongs to nobody. */
static const uint64_t client_v4_mark = (uint64_t)0xffff << 32;
enum { CLIENT_PLACES_MIN = 16 };

/* ---- keys ---- */

static uint64_t client_key_v4(const void *bytes) {
	uint32_t address;
	memcpy(&address, bytes, sizeof address);
	address = ntohl(address);
	return address >> 24 == 127 ? 0 : client_v4_mark | address;
}

uint64_t client_key(const struct sockaddr *address) {
	if (address && address->sa_family == AF_INET) {
		return client_key_v4(&((const struct sockaddr_in *)(const void *)address)->sin_addr);
	}
	if (!address || address->sa_family != AF_INET6) {
		return 0;
	}
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(v6)) {
		return client_key_v4(v6->s6_addr + 12);
	}
	if (IN6_IS_ADDR_LOOPBACK(v6)) {
		return 0;
	}
	uint64_t prefix;
	memcpy(&prefix, v6->s6_addr, sizeof prefix);
	prefix = be64toh(prefix);
	return prefix ? prefix : 1; /* ::/64 has old forms of addresses, and is no way around */
}

const char *client_print(uint64_t client, char out_text[CLIENT_TEXT_BYTES]) {
	char address[INET6_ADDRSTRLEN] = "?";
	bool is_v4 = client >> 32 == client_v4_mark >> 32;
	if (is_v4) {
		uint32_t v4 = htonl((uint32_t)client);
		(void)inet_ntop(AF_INET, &v4, address, sizeof address);
	} else {
		uint64_t prefix = htobe64(client);
		struct in6_addr v6 = {0};
		memcpy(v6.s6_addr, &prefix, sizeof prefix);
		(void)inet_ntop(AF_INET6, &v6, address, sizeof address);
	}
	(void)snprintf(out_text, CLIENT_TEXT_BYTES, "%s%s", address, is_v4 ? "" : "/64");
	return out_text;
}

/* ---- counts ---- */

void client_counts_init(struct client_counts *counts) {
	*counts = (struct client_counts){0};
	if (getrandom(counts->secret, sizeof counts->secret, 0) != (ssize_t)sizeof counts->secret) {
		log_fatal("no random bytes to be had");
	}
}

void client_counts_finish(struct client_counts *counts) {
	free(counts->clients);
	free(counts->counts);
	counts->clients = NULL;
	counts->counts = NULL;
	counts->places = counts->used = 0;
}

static size_t client_counts_home(const struct client_counts *counts, uint64_t client) {
	uint64_t hash = hashmap_siphash(counts->secret, &client, sizeof client);
	return (size_t)((hash >> 32) * counts->places >> 32);
}

static size_t client_counts_behind(const struct client_counts *counts, size_t place) {
	return place + 1 < counts->places ? place + 1 : 0;
}

/* Its place, or the free one where it would be put. */
static size_t client_counts_find(const struct client_counts *counts, uint64_t client) {
	size_t place = client_counts_home(counts, client);
	while (counts->clients[place] && counts->clients[place] != client) {
		place = client_counts_behind(counts, place);
	}
	return place;
}

static void client_counts_resize(struct client_counts *counts, size_t places) {
	struct client_counts old = *counts;
	assert(places > old.used);
	counts->clients = mem_zalloc(places * sizeof *counts->clients);
	counts->counts = mem_zalloc(places * sizeof *counts->counts);
	counts->places = places;
	for (size_t i = 0; i < old.places; i++) {
		if (old.clients[i]) {
			size_t place = client_counts_find(counts, old.clients[i]);
			counts->clients[place] = old.clients[i];
			counts->counts[place] = old.counts[i];
		}
	}
	free(old.clients);
	free(old.counts);
}

uint32_t client_counts_get(const struct client_counts *counts, uint64_t client) {
	return client && counts->used > 0 ? counts->counts[client_counts_find(counts, client)] : 0;
}

bool client_counts_enter(struct client_counts *counts, uint64_t client, uint32_t limit) {
	if (!client || limit == 0) {
		return true;
	}
	/* Always an eighth is free; in small steps, for memory counts more than time here. */
	if ((counts->used + 1) * 8 > counts->places * 7) {
		size_t more = counts->places + counts->places / 4;
		client_counts_resize(counts, more < CLIENT_PLACES_MIN ? CLIENT_PLACES_MIN : more);
	}
	size_t place = client_counts_find(counts, client);
	if (counts->counts[place] >= limit) {
		return false;
	}
	counts->used += counts->clients[place] == 0;
	counts->clients[place] = client;
	counts->counts[place]++;
	return true;
}

/* Frees a place, and moves those up that were pushed behind it. */
static void client_counts_free_place(struct client_counts *counts, size_t hole) {
	size_t places = counts->places;
	for (size_t at = client_counts_behind(counts, hole); counts->clients[at];
		 at = client_counts_behind(counts, at)) {
		size_t home = client_counts_home(counts, counts->clients[at]);
		if ((at + places - home) % places >= (at + places - hole) % places) {
			counts->clients[hole] = counts->clients[at];
			counts->counts[hole] = counts->counts[at];
			hole = at;
		}
	}
	counts->clients[hole] = 0;
	counts->counts[hole] = 0;
	counts->used--;
}

void client_counts_leave(struct client_counts *counts, uint64_t client) {
	if (!client || counts->places == 0) {
		return;
	}
	size_t place = client_counts_find(counts, client);
	assert(counts->counts[place] > 0);
	if (--counts->counts[place] > 0) {
		return;
	}
	client_counts_free_place(counts, place);
	if (counts->used < counts->places / 4 && counts->places > CLIENT_PLACES_MIN) {
		size_t fewer = counts->places / 2;
		client_counts_resize(counts, fewer < CLIENT_PLACES_MIN ? CLIENT_PLACES_MIN : fewer);
	}
}
