/* SPDX-License-Identifier: Apache-2.0 */
/* The environment's proxy, and the CONNECT that shows whether it would have us. */
#include "distributor/link/proxy.h"
#include "common/buffer.h"
#include "common/mem.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PROXY_HEAD_MAX = 8192, PROXY_PORT = 8080 };

/* ---- which one ---------------------------------------------------------------------------------
 */

static int proxy_hex(char c) {
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool proxy_decode(const char *text, size_t len, char *out, size_t max) {
	size_t used = 0;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%' && i + 2 < len && proxy_hex(text[i + 1]) >= 0 && proxy_hex(text[i + 2]) >= 0) {
			c = (char)(proxy_hex(text[i + 1]) << 4 | proxy_hex(text[i + 2]));
			i += 2;
		}
		if (used >= max || c == '\0' || c == '\r' || c == '\n') {
			return false;
		}
		out[used++] = c;
	}
	out[used] = '\0';
	return true;
}

static bool proxy_has_port(const char *host) {
	const char *end = strrchr(host, ']'), *colon = strrchr(host, ':');
	return colon && (!end || colon > end);
}

bool proxy_parse(const char *text, struct proxy *out, char **out_error) {
	struct proxy proxy = {0};
	const char *scheme_end = strstr(text, "://"), *rest = text;
	if (scheme_end) {
		if (strncasecmp(text, "http://", 7) != 0) {
			*out_error = mem_printf("a proxy of the kind %.*s cannot be used, only HTTP proxies",
				(int)(scheme_end - text), text);
			return false;
		}
		rest = scheme_end + 3;
	}
	const char *at = strrchr(rest, '@');
	if (at) {
		if (!proxy_decode(rest, (size_t)(at - rest), proxy.credentials, PROXY_CREDENTIALS_MAX)) {
			*out_error = mem_strdup("name and password of the proxy are too long");
			return false;
		}
		rest = at + 1;
	}
	struct url url;
	char *full = mem_printf("http://%.*s", (int)strcspn(rest, "/"), rest);
	bool is_good = url_parse(slice_of(full), &url);
	if (is_good) {
		memcpy(proxy.host, url.host, sizeof proxy.host);
		proxy.port = proxy_has_port(full + strlen("http://")) || scheme_end ? url.port : PROXY_PORT;
		*out = proxy;
	} else {
		*out_error = mem_strdup("the proxy that the environment names is no host and port");
	}
	free(full);
	return is_good;
}

static bool proxy_matches(struct slice item, const struct url *url) {
	if (slice_equals(item, "*")) {
		return true;
	}
	const char *colon = memrchr(item.data, ':', item.len);
	bool is_ipv6 = colon && memchr(item.data, ':', (size_t)(colon - item.data));
	if (colon && (!is_ipv6 || colon[-1] == ']')) {
		char *end;
		char port[8] = "";
		size_t len = (size_t)(item.data + item.len - colon - 1);
		memcpy(port, colon + 1, len < sizeof port ? len : 0);
		if (strtoul(port, &end, 10) != url->port) {
			return false;
		}
		item.len = (size_t)(colon - item.data);
	}
	if (item.len > 1 && item.data[0] == '[' && item.data[item.len - 1] == ']') {
		item = (struct slice){item.data + 1, item.len - 2};
	}
	while (item.len > 0 && item.data[0] == '.') {
		item = (struct slice){item.data + 1, item.len - 1};
	}
	size_t host_len = strlen(url->host);
	if (item.len == 0 || item.len > host_len) {
		return false;
	}
	const char *tail = url->host + host_len - item.len;
	return strncasecmp(tail, item.data, item.len) == 0 && (tail == url->host || tail[-1] == '.');
}

bool proxy_is_excepted(const char *no_proxy, const struct url *url) {
	while (no_proxy && *no_proxy) {
		size_t len = strcspn(no_proxy, ", \t");
		if (len > 0 && proxy_matches((struct slice){no_proxy, len}, url)) {
			return true;
		}
		no_proxy += len + (no_proxy[len] != '\0');
	}
	return false;
}

static const char *proxy_getenv(const char *small, const char *capital) {
	const char *value = getenv(small);
	if ((!value || !*value) && capital) {
		value = getenv(capital);
	}
	return value && *value ? value : NULL;
}

bool proxy_from_environment(const struct url *url, struct proxy *out, char **out_error) {
	*out_error = NULL;
	/* HTTP_PROXY may come from a request's header in programs that are run by a web server */
	const char *text = url_is_secure(url) ? proxy_getenv("https_proxy", "HTTPS_PROXY")
										  : proxy_getenv("http_proxy", NULL);
	if (!text) {
		text = proxy_getenv("all_proxy", "ALL_PROXY");
	}
	if (!text || proxy_is_excepted(proxy_getenv("no_proxy", "NO_PROXY"), url)) {
		return false;
	}
	return proxy_parse(text, out, out_error);
}

char *proxy_print(const struct proxy *proxy, const char *address) {
	bool is_ipv6 = strchr(address, ':') && address[0] != '[';
	return mem_printf("%s%s%s%s%s:%u", proxy->credentials, *proxy->credentials ? "@" : "",
		is_ipv6 ? "[" : "", address, is_ipv6 ? "]" : "", proxy->port);
}

/* ---- would it have us --------------------------------------------------------------------------
 */

struct proxy_check {
	struct ev_loop *loop;
	ev_io io;
	ev_timer limit;
	int fd;
	struct buffer request, answer;
	char *name; /* of the proxy, for people */
	proxy_checked_fn *checked;
	void *ctx;
};

void proxy_check_cancel(struct proxy_check *check) {
	if (!check) {
		return;
	}
	ev_io_stop(check->loop, &check->io);
	ev_timer_stop(check->loop, &check->limit);
	(void)close(check->fd);
	if (check->request.data) {
		mem_wipe(check->request.data, check->request.capacity);
	}
	buffer_finish(&check->request);
	buffer_finish(&check->answer);
	free(check->name);
	free(check);
}

static void proxy_check_finish(struct proxy_check *check, int status, char *take_reason) {
	proxy_checked_fn *checked = check->checked;
	void *ctx = check->ctx;
	proxy_check_cancel(check);
	checked(status, take_reason, ctx);
	free(take_reason);
}

static void proxy_check_judge(struct proxy_check *check, int status) {
	char *reason = NULL;
	if (status == 407) {
		reason = mem_printf("the proxy %s asks for a name and a password, or does not take the "
							"ones it got",
			check->name);
	} else if (status == 403 || status == 405) {
		reason = mem_printf("the proxy %s does not allow the connection (%d)", check->name, status);
	} else if (status < 200 || status > 299) {
		reason = mem_printf("the proxy %s cannot reach the relay (%d)", check->name, status);
	}
	proxy_check_finish(check, status, reason);
}

/* "HTTP/1.1 200 …": the status; 0 for more, -1 for no such thing. */
static int proxy_check_status(const struct buffer *answer) {
	const char *text = buffer_begin(answer);
	size_t len = buffer_length(answer), first = len < 7 ? len : 7;
	if (memcmp("HTTP/1.", text ? text : "", first) != 0) {
		return -1;
	}
	if (len < 13) {
		return 0;
	}
	int status = 0;
	for (size_t i = 9; i < 12; i++) {
		if (text[i] < '0' || text[i] > '9') {
			return -1;
		}
		status = status * 10 + (text[i] - '0');
	}
	return status;
}

static void proxy_check_read(struct proxy_check *check) {
	char *place = buffer_reserve(&check->answer, 512);
	ssize_t got = place ? recv(check->fd, place, 512, 0) : 0;
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got <= 0) {
		proxy_check_finish(
			check, 0, mem_printf("the proxy %s hangs up on us without a word", check->name));
		return;
	}
	buffer_commit(&check->answer, (size_t)got);
	int status = proxy_check_status(&check->answer);
	if (status < 0) {
		proxy_check_finish(check, 0, mem_printf("%s is no HTTP proxy", check->name));
	} else if (status > 0) {
		proxy_check_judge(check, status);
	}
}

static void proxy_check_on_io(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct proxy_check *check = io->data;
	size_t left = buffer_length(&check->request);
	if (left == 0) {
		proxy_check_read(check);
		return;
	}
	ssize_t sent = send(check->fd, buffer_begin(&check->request), left, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		proxy_check_finish(
			check, 0, mem_printf("the proxy %s hangs up on us without a word", check->name));
		return;
	}
	buffer_consume(&check->request, sent > 0 ? (size_t)sent : 0);
	if (buffer_length(&check->request) == 0) {
		ev_io_stop(loop, io);
		ev_io_set(io, check->fd, EV_READ);
		ev_io_start(loop, io);
	}
}

static void proxy_check_on_limit(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct proxy_check *check = timer->data;
	proxy_check_finish(check, 0,
		mem_printf("the proxy %s does not answer within %d s", check->name, PROXY_CHECK_MS / 1000));
}

static bool proxy_check_write_request(
	struct buffer *request, const struct proxy *proxy, const struct url *url) {
	const char *open = url->host_is_ipv6 ? "[" : "", *close = url->host_is_ipv6 ? "]" : "";
	if (!buffer_printf(request, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", open,
			url->host, close, url->port, open, url->host, close, url->port)) {
		return false;
	}
	if (*proxy->credentials) {
		unsigned char encoded[PROXY_CREDENTIALS_MAX * 2];
		int bytes = EVP_EncodeBlock(
			encoded, (const unsigned char *)proxy->credentials, (int)strlen(proxy->credentials));
		if (!buffer_printf(
				request, "Proxy-Authorization: Basic %.*s\r\n", bytes, (const char *)encoded)) {
			return false;
		}
		mem_wipe(encoded, sizeof encoded);
	}
	return buffer_append(request, "\r\n", 2);
}

struct proxy_check *proxy_check_start(struct ev_loop *loop, int take_fd, const struct proxy *proxy,
	const struct url *url, proxy_checked_fn *checked, void *ctx) {
	struct proxy_check *check = mem_zalloc(sizeof *check);
	check->loop = loop;
	check->fd = take_fd;
	check->name = mem_printf("%s port %u", proxy->host, proxy->port);
	check->checked = checked;
	check->ctx = ctx;
	buffer_init(&check->request, PROXY_HEAD_MAX);
	buffer_init(&check->answer, PROXY_HEAD_MAX);
	(void)proxy_check_write_request(&check->request, proxy, url); /* fits: all parts are bounded */
	ev_io_init(&check->io, proxy_check_on_io, check->fd, EV_WRITE);
	ev_timer_init(&check->limit, proxy_check_on_limit, PROXY_CHECK_MS / 1000., 0.);
	check->io.data = check->limit.data = check;
	ev_io_start(loop, &check->io);
	ev_timer_start(loop, &check->limit);
	return check;
}
