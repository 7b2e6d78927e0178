/* SPDX-License-Identifier: Apache-2.0 */
/* Splits http, https, ws and wss URLs. */
#include "common/url.h"
#include <arpa/inet.h>
#include <stdio.h>

static const struct {
	const char *prefix;
	enum url_scheme scheme;
	uint16_t port;
} url_schemes[] = {
	{"https://", URL_HTTPS, 443},
	{"http://", URL_HTTP, 80},
	{"wss://", URL_WSS, 443},
	{"ws://", URL_WS, 80},
};

static bool url_scheme_parse(struct slice *text, struct url *url) {
	for (size_t i = 0; i < sizeof url_schemes / sizeof url_schemes[0]; i++) {
		size_t len = strlen(url_schemes[i].prefix);
		if (text->len > len && strncasecmp(text->data, url_schemes[i].prefix, len) == 0) {
			url->scheme = url_schemes[i].scheme;
			url->port = url_schemes[i].port;
			text->data += len;
			text->len -= len;
			return true;
		}
	}
	return false;
}

static bool url_port_parse(struct slice text, uint16_t *out_port) {
	unsigned long port = 0;
	if (text.len == 0 || text.len > 5) {
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9') {
			return false;
		}
		port = port * 10 + (unsigned long)(text.data[i] - '0');
	}
	*out_port = (uint16_t)port;
	return port >= 1 && port <= 65535;
}

static bool url_host_char(char c) {
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static bool url_host_parse(struct slice host, struct url *url) {
	url->host_is_ipv6 = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
	if (url->host_is_ipv6) {
		host.data++;
		host.len -= 2;
	}
	if (host.len == 0 || host.len > URL_HOST_MAX) {
		return false;
	}
	for (size_t i = 0; i < host.len; i++) {
		char c = host.data[i];
		url->host[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
		if (!url_host_char(url->host[i]) && !(url->host_is_ipv6 && c == ':')) {
			return false;
		}
	}
	url->host[host.len] = '\0';
	struct in6_addr address;
	return !url->host_is_ipv6 || inet_pton(AF_INET6, url->host, &address) == 1;
}

bool url_parse(struct slice text, struct url *out_url) {
	struct url url = {0};
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 127 || text.data[i] == '#') {
			return false;
		}
	}
	if (text.len > URL_MAX_BYTES || !url_scheme_parse(&text, &url)) {
		return false;
	}
	size_t len = 0;
	while (len < text.len && text.data[len] != '/' && text.data[len] != '?') {
		if (text.data[len++] == '@') {
			return false;
		}
	}
	struct slice host = {text.data, len}, rest = {text.data + len, text.len - len};
	for (size_t i = len; i > 0 && text.data[i - 1] != ']'; i--) {
		if (text.data[i - 1] == ':') {
			host.len = i - 1;
			if (!url_port_parse((struct slice){text.data + i, len - i}, &url.port)) {
				return false;
			}
			break;
		}
	}
	const char *query = rest.len > 0 ? memchr(rest.data, '?', rest.len) : NULL;
	url.path = query ? (struct slice){rest.data, (size_t)(query - rest.data)} : rest;
	url.query =
		query ? (struct slice){query + 1, rest.len - url.path.len - 1} : (struct slice){"", 0};
	if (url.path.len == 0) {
		url.path = slice_of("/");
	}
	if (!url_host_parse(host, &url)) {
		return false;
	}
	*out_url = url;
	return true;
}

bool url_is_secure(const struct url *url) {
	return url->scheme == URL_HTTPS || url->scheme == URL_WSS;
}

bool url_is_loopback(const struct url *url) {
	static const char suffix[] = ".localhost";
	size_t len = strlen(url->host);
	struct in_addr v4;
	if (inet_pton(AF_INET, url->host, &v4) == 1) {
		return ntohl(v4.s_addr) >> 24 == 127;
	}
	return strcmp(url->host, "localhost") == 0 || strcmp(url->host, "::1") == 0 ||
		   (len > sizeof suffix - 1 && strcmp(url->host + len - (sizeof suffix - 1), suffix) == 0);
}

void url_origin_print(const struct url *url, char out[URL_ORIGIN_MAX]) {
	bool is_secure = url_is_secure(url);
	const char *open = url->host_is_ipv6 ? "[" : "", *close = url->host_is_ipv6 ? "]" : "";
	int len = snprintf(
		out, URL_ORIGIN_MAX, "%s://%s%s%s", is_secure ? "https" : "http", open, url->host, close);
	if (url->port != (is_secure ? 443 : 80) && len > 0) {
		(void)snprintf(out + len, URL_ORIGIN_MAX - (size_t)len, ":%u", url->port);
	}
}
