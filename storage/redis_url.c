/* SPDX-License-Identifier: Apache-2.0 */
/* Parses the URLs of Redis servers. */
#include "storage/redis_url.h"
#include "common/mem.h"
#include "common/slice.h"
#include <stdlib.h>

enum { REDIS_PORT = 6379, REDIS_URL_HOST_MAX = 255, REDIS_DATABASE_MAX = 65535 };

static bool redis_number_parse(struct slice text, uint32_t max, uint32_t *out_number) {
	uint32_t number = 0;
	if (text.len == 0 || text.len > 6) {
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9') {
			return false;
		}
		number = number * 10 + (uint32_t)(text.data[i] - '0');
	}
	if (number > max) {
		return false;
	}
	*out_number = number;
	return true;
}

static int redis_hex_digit(char c) {
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL when an escape is not one, or hides a NUL. */
static char *redis_decode_dup(struct slice text) {
	char *decoded = mem_alloc(text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c == '%') {
			bool is_whole = text.len - i > 2;
			int high = is_whole ? redis_hex_digit(text.data[i + 1]) : -1;
			int low = is_whole ? redis_hex_digit(text.data[i + 2]) : -1;
			if (high < 0 || low < 0 || high + low == 0) {
				free(decoded);
				return NULL;
			}
			c = (char)(high * 16 + low);
			i += 2;
		}
		decoded[len++] = c;
	}
	decoded[len] = '\0';
	return decoded;
}

static struct slice slice_from(const char *begin, const char *end) {
	return (struct slice){begin, (size_t)(end - begin)};
}

static const char *redis_login_parse(struct slice login, struct redis_url *url) {
	const char *colon = memchr(login.data, ':', login.len);
	if (!colon) {
		return "before '@' stands user:password or :password";
	}
	url->user = colon > login.data ? redis_decode_dup(slice_from(login.data, colon)) : NULL;
	url->password = redis_decode_dup(slice_from(colon + 1, login.data + login.len));
	if (!url->password || (colon > login.data && !url->user)) {
		return "the user or password has a '%' that begins no escape";
	}
	return NULL;
}

static const char *redis_server_parse(struct slice server, struct redis_url *url) {
	const char *end = server.data + server.len;
	const char *colon;
	struct slice host;
	if (server.len > 0 && server.data[0] == '[') {
		const char *bracket = memchr(server.data, ']', server.len);
		if (!bracket) {
			return "the IPv6 address has no closing bracket";
		}
		host = slice_from(server.data + 1, bracket);
		colon = bracket + 1 < end ? bracket + 1 : NULL;
	} else {
		colon = memchr(server.data, ':', server.len);
		host = slice_from(server.data, colon ? colon : end);
	}
	uint32_t port = REDIS_PORT;
	if (colon && (*colon != ':' || !redis_number_parse(slice_from(colon + 1, end), 65535, &port) ||
					 port == 0)) {
		return "the port is a number from 1 to 65535";
	}
	if (host.len == 0 || host.len > REDIS_URL_HOST_MAX) {
		return "it names no host";
	}
	url->port = (uint16_t)port;
	url->host = mem_strndup(host.data, host.len);
	return NULL;
}

static const char *redis_network_parse(const char *rest, struct redis_url *url) {
	const char *end = rest + strlen(rest);
	const char *slash = strchr(rest, '/');
	const char *server_end = slash ? slash : end;
	const char *at = memrchr(rest, '@', (size_t)(server_end - rest));
	if (strpbrk(rest, "?# \t\r\n")) {
		return "it has no query, fragment or blanks";
	}
	const char *error = at ? redis_login_parse(slice_from(rest, at), url) : NULL;
	if (!error) {
		error = redis_server_parse(slice_from(at ? at + 1 : rest, server_end), url);
	}
	if (!error && slash && slash[1] &&
		!redis_number_parse(slice_from(slash + 1, end), REDIS_DATABASE_MAX, &url->database)) {
		error = "behind the host stands the number of a database";
	}
	return error;
}

static const char *redis_unix_parse(const char *rest, struct redis_url *url) {
	const char *query = strchr(rest, '?');
	struct slice path = slice_from(rest, query ? query : rest + strlen(rest));
	if (path.len == 0 || path.data[0] != '/' || path.len > 107) {
		return "the socket's path is absolute and at most 107 bytes long";
	}
	if (query && (strncmp(query, "?db=", 4) != 0 || !redis_number_parse(slice_of(query + 4),
														REDIS_DATABASE_MAX, &url->database))) {
		return "behind the path only ?db=NUMBER may stand";
	}
	url->path = mem_strndup(path.data, path.len);
	return NULL;
}

const char *redis_url_parse(const char *text, struct redis_url *out_url) {
	struct redis_url url = {.port = REDIS_PORT};
	const char *error;
	if (strncmp(text, "redis://", 8) == 0) {
		error = redis_network_parse(text + 8, &url);
	} else if (strncmp(text, "rediss://", 9) == 0) {
		url.is_tls = true;
		error = redis_network_parse(text + 9, &url);
	} else if (strncmp(text, "unix://", 7) == 0) {
		error = redis_unix_parse(text + 7, &url);
	} else {
		error = "it begins with redis://, rediss:// or unix://";
	}
	if (error) {
		redis_url_finish(&url);
		return error;
	}
	*out_url = url;
	return NULL;
}

void redis_url_finish(struct redis_url *url) {
	if (url->password) {
		mem_wipe(url->password, strlen(url->password));
	}
	free(url->host);
	free(url->path);
	free(url->user);
	free(url->password);
	*url = (struct redis_url){0};
}

char *redis_url_place_print(const struct redis_url *url) {
	if (url->path) {
		return mem_strdup(url->path);
	}
	bool is_ipv6 = strchr(url->host, ':') != NULL;
	return mem_printf("%s%s%s:%u", is_ipv6 ? "[" : "", url->host, is_ipv6 ? "]" : "", url->port);
}
