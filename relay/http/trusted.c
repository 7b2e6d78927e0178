/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's address behind trusted proxies: from the right, the first address that is no
 * trusted proxy. X-Forwarded-For is preferred, for a proxy that sets it (nearly all do) would let a
 * forged Forwarded header of the client pass.
 */
#include "relay/http/trusted.h"
#include "common/mem.h"
#include "relay/http/listener.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { TRUSTED_ELEMENTS_MAX = 64, TRUSTED_ADDRESS_CHARS = 64 };

struct trusted_net {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;
};

struct http_trusted {
	bool has_unix;
	size_t count;
	struct trusted_net nets[];
};

static void trusted_map_v4(const struct in_addr *v4, uint8_t out_bytes[16]) {
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	memcpy(out_bytes, prefix, sizeof prefix);
	memcpy(out_bytes + 12, v4, 4);
}

/* *out_is_v4 tells how a prefix length counts. */
static bool trusted_parse_address(const char *text, uint8_t out_bytes[16], bool *out_is_v4) {
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, text, &v4) == 1) {
		trusted_map_v4(&v4, out_bytes);
		*out_is_v4 = true;
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		memcpy(out_bytes, &v6, 16);
		*out_is_v4 = false;
		return true;
	}
	return false;
}

static bool trusted_parse_net(const char *text, struct trusted_net *out_net) {
	char address[TRUSTED_ADDRESS_CHARS];
	const char *slash = strchrnul(text, '/');
	size_t len = (size_t)(slash - text);
	bool is_v4;
	if (len >= sizeof address) {
		return false;
	}
	memcpy(address, text, len);
	address[len] = '\0';
	if (!trusted_parse_address(address, out_net->bytes, &is_v4)) {
		return false;
	}
	unsigned long max = is_v4 ? 32 : 128, bits = max;
	if (*slash) {
		char *end;
		if (slash[1] < '0' || slash[1] > '9') {
			return false;
		}
		bits = strtoul(slash + 1, &end, 10);
		if (*end || bits > max) {
			return false;
		}
	}
	out_net->bits = (unsigned)bits + (is_v4 ? 96 : 0);
	return true;
}

char *http_trusted_check(const char *const *proxies) {
	struct trusted_net net;
	for (size_t i = 0; proxies && proxies[i]; i++) {
		if (strcmp(proxies[i], "unix") != 0 && !trusted_parse_net(proxies[i], &net)) {
			return mem_printf("\"%s\" is no trusted proxy: give an address (127.0.0.1, ::1), a "
							  "network (10.0.0.0/8, fd00::/8), or unix for Unix sockets",
				proxies[i]);
		}
	}
	return NULL;
}

struct http_trusted *http_trusted_create(const char *const *proxies) {
	size_t count = 0;
	while (proxies && proxies[count]) {
		count++;
	}
	if (count == 0) {
		return NULL;
	}
	struct http_trusted *trusted = mem_zalloc(sizeof *trusted + count * sizeof trusted->nets[0]);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(proxies[i], "unix") == 0) {
			trusted->has_unix = true;
		} else if (trusted_parse_net(proxies[i], &trusted->nets[trusted->count])) {
			trusted->count++;
		}
	}
	return trusted;
}

void http_trusted_destroy(struct http_trusted *trusted) {
	free(trusted);
}

static bool trusted_net_holds(const struct trusted_net *net, const uint8_t bytes[16]) {
	unsigned whole = net->bits / 8, rest = net->bits % 8;
	if (memcmp(net->bytes, bytes, whole) != 0) {
		return false;
	}
	return rest == 0 || (net->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

bool http_trusted_holds(const struct http_trusted *trusted, const struct sockaddr *address) {
	uint8_t bytes[16];
	if (!trusted) {
		return false;
	}
	if (address->sa_family == AF_INET) {
		trusted_map_v4(&((const struct sockaddr_in *)(const void *)address)->sin_addr, bytes);
	} else if (address->sa_family == AF_INET6) {
		memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
	} else {
		return trusted->has_unix;
	}
	for (size_t i = 0; i < trusted->count; i++) {
		if (trusted_net_holds(&trusted->nets[i], bytes)) {
			return true;
		}
	}
	return false;
}

static bool trusted_holds(
	const struct http_trusted *trusted, const struct sockaddr_storage *address) {
	return http_trusted_holds(trusted, (const struct sockaddr *)(const void *)address);
}

/* "1.2.3.4", "1.2.3.4:80", "2001:db8::1", "[2001:db8::1]:80", any of them in quotes. */
static bool trusted_parse_node(struct slice text, struct sockaddr_storage *out_address) {
	char address[TRUSTED_ADDRESS_CHARS];
	if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"') {
		text = (struct slice){text.data + 1, text.len - 2};
	}
	const char *end = text.data + text.len;
	if (text.len > 0 && text.data[0] == '[') {
		const char *bracket = memchr(text.data, ']', text.len);
		if (!bracket) {
			return false;
		}
		text = (struct slice){text.data + 1, (size_t)(bracket - text.data - 1)};
	} else {
		const char *colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
		if (colon && !memchr(colon + 1, ':', (size_t)(end - colon - 1))) {
			text.len = (size_t)(colon - text.data);
		}
	}
	if (text.len == 0 || text.len >= sizeof address) {
		return false;
	}
	memcpy(address, text.data, text.len);
	address[text.len] = '\0';
	uint8_t bytes[16];
	bool is_v4;
	if (!trusted_parse_address(address, bytes, &is_v4)) {
		return false;
	}
	memset(out_address, 0, sizeof *out_address);
	if (is_v4 || IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)bytes)) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out_address;
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, bytes + 12, 4);
	} else {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out_address;
		v6->sin6_family = AF_INET6;
		memcpy(&v6->sin6_addr, bytes, 16);
	}
	return true;
}

/* Takes the last element of a list separated by commas from *rest. */
static struct slice trusted_take_last(struct slice *rest) {
	const char *comma = rest->len > 0 ? memrchr(rest->data, ',', rest->len) : NULL;
	struct slice element = *rest;
	if (comma) {
		element = (struct slice){comma + 1, (size_t)(rest->data + rest->len - comma - 1)};
		rest->len = (size_t)(comma - rest->data);
	} else {
		rest->len = 0;
	}
	return slice_trim(element);
}

/* The value of a parameter of one Forwarded element (RFC 7239 4); empty when absent. */
static struct slice trusted_parameter(struct slice element, const char *name) {
	while (element.len > 0) {
		const char *semicolon = memchr(element.data, ';', element.len);
		size_t len = semicolon ? (size_t)(semicolon - element.data) : element.len;
		struct slice pair = slice_trim((struct slice){element.data, len});
		const char *equals = pair.len > 0 ? memchr(pair.data, '=', pair.len) : NULL;
		if (equals &&
			slice_equals_nocase((struct slice){pair.data, (size_t)(equals - pair.data)}, name)) {
			return (struct slice){equals + 1, (size_t)(pair.data + pair.len - equals - 1)};
		}
		size_t step = semicolon ? len + 1 : len;
		element = (struct slice){element.data + step, element.len - step};
	}
	return (struct slice){NULL, 0};
}

static bool trusted_is_secure(struct slice proto) {
	return slice_equals_nocase(proto, "https") || slice_equals_nocase(proto, "\"https\"") ||
		   slice_equals_nocase(proto, "wss");
}

/* Goes through the elements of all headers of that name from the right. parameter is NULL for
 * X-Forwarded-For. False when there is no such header. */
static bool trusted_walk(const struct http_trusted *trusted, const struct http_head *head,
	const char *name, const char *parameter, struct http_peer *peer) {
	bool is_found = false;
	unsigned elements = 0;
	for (size_t i = head->header_count; i-- > 0;) {
		if (!slice_equals_nocase(head->headers[i].name, name)) {
			continue;
		}
		struct slice rest = head->headers[i].value;
		while (rest.len > 0) {
			struct slice element = trusted_take_last(&rest);
			if (parameter && !is_found) {
				struct slice proto = trusted_parameter(element, "proto");
				peer->is_secure = proto.len > 0 ? trusted_is_secure(proto) : peer->is_secure;
			}
			is_found = true;
			struct slice node = parameter ? trusted_parameter(element, parameter) : element;
			if (++elements > TRUSTED_ELEMENTS_MAX || !trusted_parse_node(node, &peer->address)) {
				return true;
			}
			if (!trusted_holds(trusted, &peer->address)) {
				peer->is_proxy = false;
				return true;
			}
		}
	}
	return is_found;
}

void http_trusted_resolve(
	const struct http_trusted *trusted, const struct http_head *head, struct http_peer *peer) {
	peer->is_proxy = trusted_holds(trusted, &peer->address);
	if (!peer->is_proxy) {
		return;
	}
	if (!trusted_walk(trusted, head, "X-Forwarded-For", NULL, peer)) {
		(void)trusted_walk(trusted, head, "Forwarded", "for", peer);
	}
	for (size_t i = head->header_count; i-- > 0;) {
		if (slice_equals_nocase(head->headers[i].name, "X-Forwarded-Proto")) {
			struct slice rest = head->headers[i].value;
			peer->is_secure = trusted_is_secure(trusted_take_last(&rest));
			return;
		}
	}
}
