/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing and printing IPv4 and IPv6 addresses. */
#include "distributor/monitor/address.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

const unsigned char *address_bytes(const struct sockaddr *address, size_t *out_bytes) {
	if (address->sa_family == AF_INET) {
		*out_bytes = sizeof(struct in_addr);
		return (const unsigned char *)&((const struct sockaddr_in *)(const void *)address)
			->sin_addr;
	}
	if (address->sa_family == AF_INET6) {
		*out_bytes = sizeof(struct in6_addr);
		return (const unsigned char *)&((const struct sockaddr_in6 *)(const void *)address)
			->sin6_addr;
	}
	*out_bytes = 0;
	return NULL;
}

bool address_equals(const struct sockaddr *a, const struct sockaddr *b) {
	size_t a_bytes, b_bytes;
	const unsigned char *a_data = address_bytes(a, &a_bytes);
	const unsigned char *b_data = address_bytes(b, &b_bytes);
	return a_bytes == b_bytes && (a_bytes == 0 || memcmp(a_data, b_data, a_bytes) == 0);
}

bool address_is_within(
	const struct sockaddr *address, const struct sockaddr *prefix, unsigned prefix_bits) {
	size_t bytes, prefix_bytes;
	const unsigned char *data = address_bytes(address, &bytes);
	if (prefix_bits == 0) {
		return address->sa_family == prefix->sa_family;
	}
	const unsigned char *prefix_data = address_bytes(prefix, &prefix_bytes);
	if (bytes == 0 || bytes != prefix_bytes || prefix_bits > bytes * 8) {
		return false;
	}
	unsigned whole = prefix_bits / 8, rest = prefix_bits % 8;
	if (memcmp(data, prefix_data, whole) != 0) {
		return false;
	}
	return rest == 0 || (data[whole] ^ prefix_data[whole]) >> (8 - rest) == 0;
}

bool address_is_link_local(const struct sockaddr *address) {
	size_t bytes;
	const unsigned char *data = address_bytes(address, &bytes);
	return (bytes == 4 && data[0] == 169 && data[1] == 254) ||
		   (bytes == 16 && data[0] == 0xfe && (data[1] & 0xc0) == 0x80);
}

bool address_is_loopback(const struct sockaddr *address) {
	static const unsigned char loopback[16] = {[15] = 1};
	size_t bytes;
	const unsigned char *data = address_bytes(address, &bytes);
	return (bytes == 4 && data[0] == 127) || (bytes == 16 && memcmp(data, loopback, 16) == 0);
}

void address_print(const struct sockaddr *address, char *out) {
	size_t bytes;
	const unsigned char *data = address_bytes(address, &bytes);
	if (!data || !inet_ntop(address->sa_family, data, out, INET6_ADDRSTRLEN)) {
		out[0] = '\0';
	}
}

struct sockaddr_storage address_plain(const struct sockaddr *address) {
	struct sockaddr_storage plain = {.ss_family = AF_UNSPEC};
	if (address->sa_family == AF_INET) {
		memcpy(&plain, address, sizeof(struct sockaddr_in));
	} else if (address->sa_family == AF_INET6) {
		memcpy(&plain, address, sizeof(struct sockaddr_in6));
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&plain;
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6->sin6_port};
			memcpy(&in.sin_addr, in6->sin6_addr.s6_addr + 12, sizeof in.sin_addr);
			memset(&plain, 0, sizeof plain);
			memcpy(&plain, &in, sizeof in);
		}
	}
	return plain;
}
