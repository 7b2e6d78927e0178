/* SPDX-License-Identifier: Apache-2.0 */
/* A socket or TLS connection, one request, its answer. */
#include "distributor/ctl/http_client.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/ctl/commands.h"
#include "distributor/link/tls_client.h"
#include "distributor/link/tls_error.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

enum { HTTP_CLIENT_HEAD_MAX = 32768 };

struct http_client {
	const struct http_client_request *request;
	int fd; /* not blocking */
	SSL_CTX *tls_context;
	SSL *tls;
	int64_t deadline_ms;
	char *error;
};

static int64_t http_client_now_ms(void) {
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Notes the first error, which is the cause of those after it. */
static bool http_client_fail(struct http_client *client, char *take_error) {
	if (client->error) {
		free(take_error);
	} else {
		client->error = take_error;
	}
	return false;
}

/* Waits until the socket is ready; false at the deadline. */
static bool http_client_wait(struct http_client *client, short events) {
	for (;;) {
		int64_t left_ms = client->deadline_ms - http_client_now_ms();
		struct pollfd ready = {.fd = client->fd, .events = events};
		int n = left_ms > 0 ? poll(&ready, 1, (int)left_ms) : 0;
		if (n > 0) {
			return true;
		}
		if (n == 0) {
			return http_client_fail(
				client, mem_printf("%s did not answer within %d s", client->request->url->host,
							HTTP_CLIENT_TIMEOUT_SEC));
		}
		if (errno != EINTR) {
			return http_client_fail(client, mem_printf("poll: %s", strerror(errno)));
		}
	}
}

/* 0 when connected, else an errno. */
static int http_client_try(struct http_client *client, const struct addrinfo *address) {
	client->fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0) {
		return errno;
	}
	if (connect(client->fd, address->ai_addr, address->ai_addrlen) == 0) {
		return 0;
	}
	int error = errno;
	if (error == EINPROGRESS) {
		socklen_t len = sizeof error;
		if (!http_client_wait(client, POLLOUT) ||
			getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
			error = ETIMEDOUT;
		}
	}
	if (error != 0) {
		(void)close(client->fd);
		client->fd = -1;
	}
	return error;
}

static bool http_client_connect(struct http_client *client) {
	const struct url *url = client->request->url;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
	if (tls_host_is_address(url->host)) {
		hints.ai_flags = AI_NUMERICHOST; /* AI_ADDRCONFIG hides ::1 where IPv6 has no address */
	}
	char port[8];
	(void)snprintf(port, sizeof port, "%u", url->port);
	int result = getaddrinfo(url->host, port, &hints, &found);
	if (result != 0) {
		return http_client_fail(
			client, mem_printf("%s cannot be found: %s", url->host, gai_strerror(result)));
	}
	int error = EHOSTUNREACH;
	for (const struct addrinfo *at = found; at && client->fd < 0 && !client->error;
		 at = at->ai_next) {
		error = http_client_try(client, at);
	}
	freeaddrinfo(found);
	if (client->fd < 0) {
		return http_client_fail(client,
			mem_printf("cannot connect to %s port %u: %s", url->host, url->port, strerror(error)));
	}
	return true;
}

/* Waits for what OpenSSL wants; false when the connection is over. */
static bool http_client_tls_wait(struct http_client *client, int result) {
	switch (SSL_get_error(client->tls, result)) {
	case SSL_ERROR_WANT_READ:
		return http_client_wait(client, POLLIN);
	case SSL_ERROR_WANT_WRITE:
		return http_client_wait(client, POLLOUT);
	default:
		return false;
	}
}

/* Keeps the verdict on the first certificate that is refused, while its text can still be had. */
static int http_client_on_certificate(int is_good, X509_STORE_CTX *store) {
	SSL *tls = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct http_client *client = SSL_get_app_data(tls);
	if (!is_good) {
		(void)http_client_fail(
			client, tls_error_print(X509_STORE_CTX_get_error(store),
						X509_STORE_CTX_get_current_cert(store), client->request->url->host));
	}
	return is_good;
}

static bool http_client_tls_prepare(struct http_client *client) {
	const struct http_client_request *request = client->request;
	const char *host = request->url->host;
	char *error = NULL;
	client->tls_context = tls_client_create(request->ca_file, &error);
	if (!client->tls_context) {
		return http_client_fail(client, error);
	}
	SSL_CTX_set_verify(client->tls_context, request->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
		request->insecure ? NULL : http_client_on_certificate);
	client->tls = SSL_new(client->tls_context);
	bool is_address = tls_host_is_address(host);
	if (!client->tls || SSL_set_app_data(client->tls, client) != 1 ||
		SSL_set_fd(client->tls, client->fd) != 1 ||
		(is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(client->tls), host) != 1
					: SSL_set1_host(client->tls, host) != 1 ||
						  SSL_set_tlsext_host_name(client->tls, host) != 1)) {
		return http_client_fail(client, mem_strdup("OpenSSL cannot set up TLS"));
	}
	return true;
}

static bool http_client_tls_connect(struct http_client *client) {
	const char *host = client->request->url->host;
	if (!http_client_tls_prepare(client)) {
		return false;
	}
	for (;;) {
		ERR_clear_error();
		int result = SSL_connect(client->tls);
		if (result == 1) {
			return true;
		}
		if (http_client_tls_wait(client, result)) {
			continue;
		}
		const char *reason = ERR_reason_error_string(ERR_peek_last_error());
		return http_client_fail(
			client, mem_printf("no TLS with %s port %u: %s", host, client->request->url->port,
						reason ? reason : "the connection ended"));
	}
}

static bool http_client_write(struct http_client *client, const char *data, size_t bytes) {
	while (bytes > 0) {
		ssize_t n;
		if (client->tls) {
			ERR_clear_error();
			int result = SSL_write(client->tls, data, (int)bytes);
			if (result <= 0 && http_client_tls_wait(client, result)) {
				continue;
			}
			n = result > 0 ? result : -1;
		} else {
			n = send(client->fd, data, bytes, MSG_NOSIGNAL);
			if (n < 0 && errno == EAGAIN && http_client_wait(client, POLLOUT)) {
				continue;
			}
		}
		if (n <= 0) {
			return client->error ? false : true; /* a server that refuses early still answers */
		}
		data += n;
		bytes -= (size_t)n;
	}
	return true;
}

/* Bytes read, 0 at the end of the connection, however it came. */
static size_t http_client_read(struct http_client *client, char *out, size_t max) {
	for (;;) {
		if (client->tls) {
			ERR_clear_error();
			int result = SSL_read(client->tls, out, (int)max);
			if (result > 0) {
				return (size_t)result;
			}
			if (!http_client_tls_wait(client, result)) {
				return 0;
			}
			continue;
		}
		ssize_t n = recv(client->fd, out, max, 0);
		if (n >= 0 || errno != EAGAIN) {
			return n > 0 ? (size_t)n : 0;
		}
		if (!http_client_wait(client, POLLIN)) {
			return 0;
		}
	}
}

static bool http_client_send(struct http_client *client) {
	const struct http_client_request *request = client->request;
	const struct url *url = request->url;
	char port[8] = "";
	if (url->port != (url_is_secure(url) ? 443 : 80)) {
		(void)snprintf(port, sizeof port, ":%u", url->port);
	}
	CLEANUP_FREE char *head = mem_printf("POST %.*s HTTP/1.1\r\nHost: %s%s%s%s\r\n"
										 "User-Agent: bellwire/" BELLWIRE_VERSION "\r\n"
										 "%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
		(int)request->target.len, request->target.data, url->host_is_ipv6 ? "[" : "", url->host,
		url->host_is_ipv6 ? "]" : "", port, request->headers, request->body.len);
	return http_client_write(client, head, strlen(head)) &&
		   http_client_write(client, request->body.data, request->body.len);
}

/* The value of a header in head, which begins with the status line and ends with an empty one. */
static bool http_client_header(struct slice head, const char *name, struct slice *out_value) {
	size_t name_len = strlen(name);
	while (head.len > 0) {
		const char *end = memchr(head.data, '\n', head.len);
		size_t len = end ? (size_t)(end - head.data) : head.len;
		struct slice line = {head.data, len > 0 && head.data[len - 1] == '\r' ? len - 1 : len};
		size_t used = end ? len + 1 : len;
		head = (struct slice){head.data + used, head.len - used};
		if (line.len > name_len && line.data[name_len] == ':' &&
			strncasecmp(line.data, name, name_len) == 0) {
			*out_value =
				slice_trim((struct slice){line.data + name_len + 1, line.len - name_len - 1});
			return true;
		}
	}
	return false;
}

static int64_t http_client_header_number(struct slice head, const char *name) {
	struct slice value;
	if (!http_client_header(head, name, &value)) {
		return -1;
	}
	CLEANUP_FREE char *text = mem_strndup(value.data, value.len);
	return command_number(text, INT32_MAX);
}

/* The status of "HTTP/1.x 201 …", or 0. */
static int http_client_status(struct slice head) {
	if (head.len < 12 || !slice_starts_with(head, "HTTP/1.") || head.data[8] != ' ') {
		return 0;
	}
	char digits[4] = {head.data[9], head.data[10], head.data[11], '\0'};
	int64_t status = command_number(digits, 599);
	return status >= 100 ? (int)status : 0;
}

/* Reads until text holds a whole head, whose length is returned with the empty line; 0 if none. */
static size_t http_client_read_head(struct http_client *client, struct buffer *text) {
	for (;;) {
		const char *begin = buffer_begin(text);
		size_t len = buffer_length(text);
		const char *end = len > 0 ? memmem(begin, len, "\r\n\r\n", 4) : NULL;
		if (end) {
			return (size_t)(end - begin) + 4;
		}
		char piece[4096];
		size_t n = http_client_read(client, piece, sizeof piece);
		if (n == 0 || !buffer_append(text, piece, n)) {
			return 0;
		}
	}
}

/* Reads what the body still lacks, up to the limit. */
static void http_client_read_body(struct http_client *client, struct buffer *text, size_t want) {
	while (buffer_length(text) < want) {
		char piece[4096];
		size_t n = http_client_read(client, piece, sizeof piece);
		if (n == 0 || !buffer_append(text, piece, n)) {
			return;
		}
	}
}

static bool http_client_receive(struct http_client *client, struct http_client_answer *out) {
	struct buffer text;
	buffer_init(&text, HTTP_CLIENT_HEAD_MAX);
	struct http_client_answer answer = {0};
	size_t head_len;
	while ((head_len = http_client_read_head(client, &text)) > 0) {
		struct slice head = {buffer_begin(&text), head_len}, location;
		answer.status = http_client_status(head);
		if (answer.status >= 100 && answer.status < 200) {
			buffer_consume(&text, head_len); /* an interim answer */
			continue;
		}
		if (http_client_header(head, "Location", &location)) {
			answer.location = mem_strndup(location.data, location.len);
		}
		answer.ttl_sec = http_client_header_number(head, "TTL");
		answer.retry_after_sec = http_client_header_number(head, "Retry-After");
		int64_t length = http_client_header_number(head, "Content-Length");
		buffer_consume(&text, head_len);
		/* without a length the connection's end is the body's */
		size_t want =
			length >= 0 && length < HTTP_CLIENT_BODY_MAX ? (size_t)length : HTTP_CLIENT_BODY_MAX;
		http_client_read_body(client, &text, want);
		size_t got = buffer_length(&text);
		answer.body_bytes = got < want ? got : want;
		answer.body = mem_strndup(buffer_begin(&text), answer.body_bytes);
		break;
	}
	buffer_finish(&text);
	if (answer.status == 0 || head_len == 0) {
		http_client_answer_finish(&answer);
		return http_client_fail(
			client, mem_printf("%s did not answer in HTTP/1.1", client->request->url->host));
	}
	*out = answer;
	return true;
}

bool http_client_post(const struct http_client_request *request,
	struct http_client_answer *out_answer, char **out_error) {
	struct http_client client = {
		.request = request,
		.fd = -1,
		.deadline_ms = http_client_now_ms() + HTTP_CLIENT_TIMEOUT_SEC * 1000,
	};
	bool ok = http_client_connect(&client) &&
			  (!url_is_secure(request->url) || http_client_tls_connect(&client)) &&
			  http_client_send(&client) && http_client_receive(&client, out_answer);
	SSL_free(client.tls);
	SSL_CTX_free(client.tls_context);
	if (client.fd >= 0) {
		(void)close(client.fd);
	}
	assert(ok || client.error);
	*out_error = client.error;
	return ok;
}

void http_client_answer_finish(struct http_client_answer *answer) {
	free(answer->location);
	free(answer->body);
	*answer = (struct http_client_answer){0};
}
