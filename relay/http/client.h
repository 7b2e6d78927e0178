/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients as limits of addresses see them: one IPv4 address, or the /64 of an IPv6 one, as a
 * number, and how many of something each has at a time. 0 is who is never limited: loopback, Unix
 * sockets.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { CLIENT_TEXT_BYTES = 52 };

/* address may be NULL, or of any family. */
uint64_t client_key(const struct sockaddr *address);
/* "192.0.2.1" or "2001:db8::/64", for logs. */
const char *client_print(uint64_t client, char out_text[CLIENT_TEXT_BYTES]);

/* A table without an object for each client: 14 to 17 bytes for one that has something, none for
 * the others. Lies embedded in what counts. */
struct client_counts {
	uint64_t *clients; /* 0: a free place */
	uint32_t *counts;
	size_t places, used;
	uint8_t secret[16]; /* peers choose the keys */
};
void client_counts_init(struct client_counts *counts);
void client_counts_finish(struct client_counts *counts);
/* One more, and true; false, with nothing changed, when it has limit already. Client 0 is not
 * counted, nor is anybody with limit 0, which then is the limit of every call. */
bool client_counts_enter(struct client_counts *counts, uint64_t client, uint32_t limit);
/* One less; for each that entered, once. */
void client_counts_leave(struct client_counts *counts, uint64_t client);
uint32_t client_counts_get(const struct client_counts *counts, uint64_t client);
