/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses behind trusted proxies. */
#include "relay/http/trusted.h"
#include "common/mem.h"
#include "relay/http/listener.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

struct http_network {
	struct in6_addr address; /* IPv4 as mapped */
	unsigned prefix;
	bool is_unix;
};

struct http_trusted {
	size_t count;
	struct http_network networks[];
};

static bool http_address_parse(const char *text, struct in6_addr *out, bool *out_v4) {
	struct in_addr v4;
	*out_v4 = inet_pton(AF_INET, text, &v4) == 1;
	if (*out_v4) {
		memset(out, 0, sizeof *out);
		out->s6_addr[10] = out->s6_addr[11] = 0xff;
		memcpy(out->s6_addr + 12, &v4, 4);
		return true;
	}
	return inet_pton(AF_INET6, text, out) == 1;
}

static bool http_network_parse(const char *text, struct http_network *out) {
	*out = (struct http_network){.is_unix = strcmp(text, "unix") == 0};
	if (out->is_unix) {
		return true;
	}
	char host[64];
	size_t len = strcspn(text, "/");
	bool is_v4;
	if (len >= sizeof host) {
		return false;
	}
	memcpy(host, text, len);
	host[len] = '\0';
	if (!http_address_parse(host, &out->address, &is_v4)) {
		return false;
	}
	unsigned most = is_v4 ? 32 : 128, prefix = most;
	if (text[len] == '/') {
		char *end;
		unsigned long value = strtoul(text + len + 1, &end, 10);
		if (end == text + len + 1 || *end != '\0' || value > most) {
			return false;
		}
		prefix = (unsigned)value;
	}
	out->prefix = is_v4 ? prefix + 96 : prefix;
	return true;
}

char *http_trusted_check(const char *const *proxies) {
	struct http_network network;
	for (; *proxies; proxies++) {
		if (!http_network_parse(*proxies, &network)) {
			return mem_printf(
				"\"%s\" must be an address, a network such as 10.0.0.0/8, or unix", *proxies);
		}
	}
	return NULL;
}

struct http_trusted *http_trusted_create(const char *const *proxies) {
	size_t count = 0;
	while (proxies && proxies[count]) {
		count++;
	}
	struct http_trusted *trusted =
		mem_zalloc(sizeof *trusted + count * sizeof trusted->networks[0]);
	for (size_t i = 0; i < count; i++) {
		trusted->count += http_network_parse(proxies[i], &trusted->networks[trusted->count]);
	}
	return trusted;
}

void http_trusted_destroy(struct http_trusted *trusted) {
	free(trusted);
}

static bool http_in_network(const struct http_network *network, const struct in6_addr *address) {
	unsigned whole = network->prefix / 8, bits = network->prefix % 8;
	if (network->is_unix || memcmp(network->address.s6_addr, address->s6_addr, whole) != 0) {
		return false;
	}
	unsigned mask = (0xff00u >> bits) & 0xff;
	return bits == 0 || ((network->address.s6_addr[whole] ^ address->s6_addr[whole]) & mask) == 0;
}

static bool http_is_trusted(
	const struct http_trusted *trusted, const struct sockaddr_storage *peer) {
	struct in6_addr address = {0};
	if (peer->ss_family == AF_INET) {
		address.s6_addr[10] = address.s6_addr[11] = 0xff;
		memcpy(
			address.s6_addr + 12, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
	} else if (peer->ss_family == AF_INET6) {
		address = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
	}
	for (size_t i = 0; i < trusted->count; i++) {
		bool matches = peer->ss_family == AF_UNSPEC
						   ? trusted->networks[i].is_unix
						   : http_in_network(&trusted->networks[i], &address);
		if (matches) {
			return true;
		}
	}
	return false;
}

/* "1.2.3.4", "1.2.3.4:567", "::1", "[::1]:567". */
static bool http_forwarded_parse(struct slice text, struct sockaddr_storage *out) {
	char host[64];
	if (text.len > 0 && text.data[0] == '[') {
		const char *end = memchr(text.data, ']', text.len);
		if (!end) {
			return false;
		}
		text = (struct slice){text.data + 1, (size_t)(end - text.data) - 1};
	} else if (text.len > 0) {
		const char *colon = memchr(text.data, ':', text.len);
		size_t at = colon ? (size_t)(colon - text.data) : text.len;
		bool is_v6 = colon && memchr(colon + 1, ':', text.len - at - 1);
		text.len = is_v6 ? text.len : at;
	}
	struct in6_addr address;
	bool is_v4;
	if (text.len == 0 || text.len >= sizeof host) {
		return false;
	}
	memcpy(host, text.data, text.len);
	host[text.len] = '\0';
	if (!http_address_parse(host, &address, &is_v4)) {
		return false;
	}
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = address};
	memset(out, 0, sizeof *out);
	memcpy(out, &v6, sizeof v6);
	return true;
}

static struct slice http_last_header(const struct http_head *head, const char *name) {
	struct slice value = {NULL, 0};
	for (size_t i = 0; i < head->header_count; i++) {
		if (slice_equals_nocase(head->headers[i].name, name)) {
			value = head->headers[i].value;
		}
	}
	return value;
}

/* From the right: each trusted proxy vouches for the address before it. */
void http_trusted_resolve(
	const struct http_trusted *trusted, const struct http_head *head, struct http_peer *peer) {
	if (trusted->count == 0 || !http_is_trusted(trusted, &peer->address)) {
		return;
	}
	struct slice list = http_last_header(head, "x-forwarded-for");
	while (list.len > 0 && http_is_trusted(trusted, &peer->address)) {
		size_t start = list.len;
		while (start > 0 && list.data[start - 1] != ',') {
			start--;
		}
		struct slice last = slice_trim((struct slice){list.data + start, list.len - start});
		if (!http_forwarded_parse(last, &peer->address)) {
			break;
		}
		list.len = start > 0 ? start - 1 : 0;
	}
	struct slice scheme = http_last_header(head, "x-forwarded-proto");
	if (scheme.len > 0) {
		peer->is_secure = slice_equals_nocase(scheme, "https");
	}
}
