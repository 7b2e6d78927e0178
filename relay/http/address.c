/* SPDX-License-Identifier: Apache-2.0 */
/* Listening addresses: from text to bound sockets. */
#include "common/cleanup.h"
#include "common/mem.h"
#include "relay/http/listener.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Splits "HOST:PORT", "[V6]:PORT", ":PORT". */
static bool http_address_split(const char *text, char **out_host, char **out_port) {
	const char *colon = strrchr(text, ':');
	if (!colon || colon[1] == '\0') {
		return false;
	}
	size_t len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return false; /* an IPv6 address without brackets */
	}
	char *end;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port > 65535 || colon[1] < '0' || colon[1] > '9') {
		return false;
	}
	*out_host = len > 0 ? mem_strndup(text, len) : NULL;
	*out_port = mem_strdup(colon + 1);
	return true;
}

static int http_unix_parse(const char *path, struct http_listener_address *out, char **out_error) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	if (len == 0 || len >= sizeof address.sun_path) {
		*out_error =
			mem_printf("unix:%s: a path has 1 to %zu bytes", path, sizeof address.sun_path - 1);
		return -EINVAL;
	}
	memcpy(address.sun_path, path, len);
	out->is_unix = true;
	out->path = mem_strdup(path);
	memcpy(&out->address, &address, sizeof address);
	out->address_bytes = (socklen_t)sizeof address;
	return 0;
}

int http_listener_address_parse(
	const char *text, struct http_listener_address *out, char **out_error) {
	*out = (struct http_listener_address){0};
	const char *rest = text;
	if (strncmp(rest, "tls:", 4) == 0) {
		out->is_tls = true;
		rest += 4;
	}
	if (strncmp(rest, "unix:", 5) == 0) {
		if (out->is_tls) {
			*out_error = mem_printf("%s: TLS is not spoken on unix sockets", text);
			return -EINVAL;
		}
		return http_unix_parse(rest + 5, out, out_error);
	}
	CLEANUP_FREE char *host = NULL;
	CLEANUP_FREE char *port = NULL;
	if (!http_address_split(rest, &host, &port)) {
		*out_error = mem_printf(
			"\"%s\" is no address; use HOST:PORT, [IPv6]:PORT, unix:PATH or tls:HOST:PORT", text);
		return -EINVAL;
	}
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE,
		.ai_family = host ? AF_UNSPEC : AF_INET6,
		.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int result = getaddrinfo(host, port, &hints, &found);
	if (result != 0) {
		*out_error = mem_printf("%s: %s", text, gai_strerror(result));
		return -EINVAL;
	}
	memcpy(&out->address, found->ai_addr, found->ai_addrlen);
	out->address_bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

void http_listener_address_finish(struct http_listener_address *address) {
	free(address->path);
	address->path = NULL;
}

/* A socket file of a process that is gone stands in the way: nobody answers there. */
static void http_unix_remove_stale(const struct http_listener_address *address) {
	struct stat status;
	if (lstat(address->path, &status) < 0 || !S_ISSOCK(status.st_mode)) {
		return;
	}
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
		connect(fd, (const struct sockaddr *)&address->address, address->address_bytes) < 0 &&
		errno == ECONNREFUSED) {
		(void)unlink(address->path);
	}
}

static char *http_address_print(const struct http_listener_address *address) {
	char host[NI_MAXHOST], port[NI_MAXSERV];
	if (address->is_unix) {
		return mem_printf("unix:%s", address->path);
	}
	if (getnameinfo((const struct sockaddr *)&address->address, address->address_bytes, host,
			sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		return mem_strdup("?");
	}
	return strchr(host, ':') ? mem_printf("[%s]:%s", host, port) : mem_printf("%s:%s", host, port);
}

static const char *http_bind_cure(int error) {
	switch (error) {
	case EADDRINUSE:
		return "; another program listens there: stop it, or choose another port";
	case EACCES:
		return "; ports below 1024 need CAP_NET_BIND_SERVICE: use a higher port, or systemd's "
			   "socket";
	case EADDRNOTAVAIL:
		return "; this machine has no such address";
	default:
		return "";
	}
}

int http_listener_bind(
	const struct http_listener_address *address, bool reuse_port, char **out_error) {
	const int on = 1, off = 0;
	int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result = fd < 0 ? -1 : 0;
	if (fd >= 0 && address->is_unix) {
		http_unix_remove_stale(address);
	} else if (fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited */
		if (address->address.ss_family == AF_INET6) {
			(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
		}
		if (reuse_port) {
			result = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
		}
	}
	if (result == 0) {
		result = bind(fd, (const struct sockaddr *)&address->address, address->address_bytes);
	}
	if (result == 0 && address->is_unix) {
		/* Access is ruled by the directory: a proxy runs as another user. */
		result = chmod(address->path, 0666);
	}
	if (result == 0) {
		result = listen(fd, SOMAXCONN);
	}
	if (result == 0) {
		return fd;
	}
	int error = errno;
	CLEANUP_FREE char *where = http_address_print(address);
	*out_error =
		mem_printf("cannot listen on %s: %s%s", where, strerror(error), http_bind_cure(error));
	if (fd >= 0) {
		(void)close(fd);
	}
	return -error;
}
