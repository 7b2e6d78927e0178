/* SPDX-License-Identifier: Apache-2.0 */
/* IPv4 and IPv6 addresses without their ports. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* The raw bytes and how many there are; NULL and 0 for other families. */
const unsigned char *address_bytes(const struct sockaddr *address, size_t *out_bytes);
bool address_equals(const struct sockaddr *a, const struct sockaddr *b);
/* Does prefix/prefix_bits hold the address? Any prefix of length 0 of its family does. */
bool address_is_within(
	const struct sockaddr *address, const struct sockaddr *prefix, unsigned prefix_bits);
bool address_is_link_local(const struct sockaddr *address);
bool address_is_loopback(const struct sockaddr *address);
/* "192.0.2.1", "" for other families; out is INET6_ADDRSTRLEN long. */
void address_print(const struct sockaddr *address, char *out);
/* An IPv4 address in the clothes of IPv6 (::ffff:192.0.2.1) becomes a plain one; others are copied.
 */
struct sockaddr_storage address_plain(const struct sockaddr *address);
