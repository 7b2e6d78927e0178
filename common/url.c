/* SPDX-License-Identifier: Apache-2.0 */
/* Splits and checks absolute URLs. */
#include "common/url.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>

static const struct url_scheme_info {
	const char *prefix;
	const char *origin;
	uint16_t port;
	bool is_secure;
} url_schemes[] = {
	[URL_HTTP] = {"http://", "http", 80, false},
	[URL_HTTPS] = {"https://", "https", 443, true},
	[URL_WS] = {"ws://", "http", 80, false},
	[URL_WSS] = {"wss://", "https", 443, true},
};
enum { URL_SCHEME_COUNT = sizeof url_schemes / sizeof *url_schemes, URL_LABEL_MAX = 63 };

/* Only printable ASCII, and no fragment. */
static bool url_characters_are_fine(struct slice text) {
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f || text.data[i] == '#') {
			return false;
		}
	}
	return true;
}

static bool url_take_scheme(struct slice *text, enum url_scheme *out_scheme) {
	for (size_t i = 0; i < URL_SCHEME_COUNT; i++) {
		size_t len = strlen(url_schemes[i].prefix);
		if (text->len >= len && strncasecmp(text->data, url_schemes[i].prefix, len) == 0) {
			*out_scheme = (enum url_scheme)i;
			text->data += len;
			text->len -= len;
			return true;
		}
	}
	return false;
}

static bool url_parse_port(struct slice digits, uint16_t *out_port) {
	uint32_t port = 0;
	if (digits.len == 0 || digits.len > 5) {
		return false;
	}
	for (size_t i = 0; i < digits.len; i++) {
		if (!isdigit((unsigned char)digits.data[i])) {
			return false;
		}
		port = port * 10 + (uint32_t)(digits.data[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX) {
		return false;
	}
	*out_port = (uint16_t)port;
	return true;
}

/* Canonical text, so that equal addresses have equal origins. */
static bool url_set_ipv6(struct url *url, struct slice literal) {
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	if (literal.len == 0 || literal.len >= sizeof text) {
		return false;
	}
	memcpy(text, literal.data, literal.len);
	text[literal.len] = '\0';
	url->host_is_ipv6 = true;
	return inet_pton(AF_INET6, text, &address) == 1 &&
		   inet_ntop(AF_INET6, &address, url->host, sizeof url->host);
}

/* Labels of 1-63 letters, digits, '-' and '_', with at most a dot at the end. */
static bool url_labels_are_fine(const char *host) {
	size_t label = 0;
	for (const char *at = host; *at; at++) {
		if (*at == '.') {
			if (label == 0) {
				return false;
			}
			label = 0;
		} else if (isalnum((unsigned char)*at) || *at == '-' || *at == '_') {
			if (++label > URL_LABEL_MAX) {
				return false;
			}
		} else {
			return false;
		}
	}
	return true;
}

/* Resolvers read "127.1", "2130706433" and "0x7f.1" as IPv4 addresses, so a host whose last label
 * is a number must be one in the usual spelling. */
static bool url_number_is_fine(const char *host) {
	size_t end = strlen(host);
	if (end > 0 && host[end - 1] == '.') {
		end--;
	}
	size_t start = end;
	while (start > 0 && host[start - 1] != '.') {
		start--;
	}
	const char *last = host + start;
	bool is_hex = last[0] == '0' && last[1] == 'x';
	size_t digits = strspn(last + (is_hex ? 2 : 0), is_hex ? "0123456789abcdef" : "0123456789");
	if (start + (is_hex ? 2 : 0) + digits < end) {
		return true; /* a name */
	}
	struct in_addr address;
	return inet_pton(AF_INET, host, &address) == 1;
}

static bool url_set_host(struct url *url, struct slice name) {
	if (name.len == 0 || name.len > URL_HOST_MAX) {
		return false;
	}
	for (size_t i = 0; i < name.len; i++) {
		url->host[i] = (char)tolower((unsigned char)name.data[i]);
	}
	url->host[name.len] = '\0';
	return url_labels_are_fine(url->host) && url_number_is_fine(url->host);
}

static bool url_parse_authority(struct url *url, struct slice authority) {
	struct slice host = authority;
	size_t after; /* where a port may begin */
	if (slice_starts_with(authority, "[")) {
		const char *close = memchr(authority.data, ']', authority.len);
		if (!close) {
			return false;
		}
		host = (struct slice){authority.data + 1, (size_t)(close - authority.data) - 1};
		after = host.len + 2;
	} else {
		const char *colon = authority.len ? memchr(authority.data, ':', authority.len) : NULL;
		host.len = colon ? (size_t)(colon - authority.data) : authority.len;
		after = host.len;
	}
	struct slice rest = {authority.data + after, authority.len - after};
	if (rest.len > 0 &&
		(rest.data[0] != ':' ||
			!url_parse_port((struct slice){rest.data + 1, rest.len - 1}, &url->port))) {
		return false;
	}
	return host.data != authority.data ? url_set_ipv6(url, host) : url_set_host(url, host);
}

bool url_parse(struct slice text, struct url *out_url) {
	struct url url = {0};
	if (text.len > URL_MAX_BYTES || !url_characters_are_fine(text) ||
		!url_take_scheme(&text, &url.scheme)) {
		return false;
	}
	url.port = url_schemes[url.scheme].port;
	size_t end = 0;
	while (end < text.len && text.data[end] != '/' && text.data[end] != '?') {
		end++;
	}
	if (!url_parse_authority(&url, (struct slice){text.data, end})) {
		return false;
	}
	struct slice rest = {text.data + end, text.len - end};
	const char *mark = rest.len ? memchr(rest.data, '?', rest.len) : NULL;
	size_t path_len = mark ? (size_t)(mark - rest.data) : rest.len;
	url.path = path_len ? (struct slice){rest.data, path_len} : slice_of("/");
	url.query = mark ? (struct slice){mark + 1, rest.len - path_len - 1} : slice_of("");
	*out_url = url;
	return true;
}

bool url_is_secure(const struct url *url) {
	return url_schemes[url->scheme].is_secure;
}

bool url_is_loopback(const struct url *url) {
	if (url->host_is_ipv6) {
		return strcmp(url->host, "::1") == 0;
	}
	struct in_addr address;
	if (inet_pton(AF_INET, url->host, &address) == 1) {
		return ntohl(address.s_addr) >> 24 == 127;
	}
	size_t len = strlen(url->host);
	if (url->host[len - 1] == '.') {
		len--;
	}
	static const char name[] = "localhost";
	size_t name_len = sizeof name - 1;
	return len >= name_len && memcmp(url->host + len - name_len, name, name_len) == 0 &&
		   (len == name_len || url->host[len - name_len - 1] == '.');
}

void url_origin_print(const struct url *url, char out[URL_ORIGIN_MAX]) {
	const struct url_scheme_info *info = &url_schemes[url->scheme];
	const char *open = url->host_is_ipv6 ? "[" : "", *close = url->host_is_ipv6 ? "]" : "";
	int len = snprintf(out, URL_ORIGIN_MAX, "%s://%s%s%s", info->origin, open, url->host, close);
	if (url->port != info->port) {
		(void)snprintf(out + len, URL_ORIGIN_MAX - (size_t)len, ":%u", url->port);
	}
}

static bool url_slices_equal(struct slice a, struct slice b) {
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool url_same_origin(const struct url *a, const struct url *b) {
	return url_is_secure(a) == url_is_secure(b) && a->port == b->port &&
		   strcmp(a->host, b->host) == 0;
}

bool url_equals(const struct url *a, const struct url *b) {
	return url_same_origin(a, b) && url_slices_equal(a->path, b->path) &&
		   url_slices_equal(a->query, b->query);
}
