/* SPDX-License-Identifier: Apache-2.0 */
/* One request as its handler sees it; it outlives its socket. */
#include "relay/http/request.h"
#include "common/mem.h"
#include "relay/http/connection.h"
#include "relay/http/exchange.h"
#include "relay/http/trusted.h"
#include <assert.h>
#include <stdlib.h>

static void request_reset(struct http_request *request) {
	request->next_spare = NULL;
	request->on_body = NULL;
	request->on_body_ctx = NULL;
	request->limit_bytes = 0;
	request->scanned = request->head_end = request->input_at = 0;
	http_chunks_init(&request->chunks);
	request->drained = 0;
	free(request->body);
	request->body = NULL;
	request->body_bytes = request->body_capacity = 0;
	request->is_body_done = request->is_continue_sent = false;
	request->is_peer_known = request->is_broken = false;
	request->head.method = HTTP_OTHER;
}

struct http_request *http_request_create(struct http_server *server) {
	struct http_request *request = server->spare;
	if (request) {
		server->spare = request->next_spare;
		server->spare_count--;
	} else {
		request = mem_alloc(sizeof *request);
		request->text = mem_alloc(HTTP_TEXT_BYTES);
		request->capacity = HTTP_TEXT_BYTES;
		request->body = NULL;
	}
	request->used = 0;
	request_reset(request);
	return request;
}

void http_request_recycle(struct http_request *request) {
	size_t behind = request->used - request->input_at;
	memmove(request->text, request->text + request->input_at, behind);
	request->used = behind;
	request_reset(request);
}

void http_request_release(struct http_request *request, struct http_server *server) {
	free(request->body);
	request->body = NULL;
	request->connection = NULL;
	if (server && server->spare_count < HTTP_SPARE_REQUESTS &&
		request->capacity == HTTP_TEXT_BYTES) {
		request->next_spare = server->spare;
		server->spare = request;
		server->spare_count++;
		return;
	}
	free(request->text);
	free(request);
}

const struct http_head *http_request_head(const struct http_request *request) {
	return &request->head;
}

/* An address of the form ::ffff:1.2.3.4 is the IPv4 one. */
static void request_set_address(struct http_peer *peer, const union http_address *address) {
	memset(&peer->address, 0, sizeof peer->address);
	if (address->any.sa_family == AF_INET) {
		memcpy(&peer->address, &address->v4, sizeof address->v4);
	} else if (address->any.sa_family == AF_INET6) {
		if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
			struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = address->v6.sin6_port};
			memcpy(&v4.sin_addr, &address->v6.sin6_addr.s6_addr[12], 4);
			memcpy(&peer->address, &v4, sizeof v4);
		} else {
			memcpy(&peer->address, &address->v6, sizeof address->v6);
		}
	} else {
		peer->address.ss_family = AF_UNSPEC;
	}
}

const struct http_peer *http_request_peer(const struct http_request *constant) {
	/* Worked out at the first question, for most requests never ask. */
	struct http_request *request = (struct http_request *)constant;
	if (!request->is_peer_known) {
		const struct http_connection *connection = request->connection;
		assert(connection);
		request_set_address(&request->peer, &connection->peer);
		request->peer.is_secure = connection->ssl != NULL;
		request->peer.is_proxy = false;
		if (connection->server->trusted) {
			http_trusted_resolve(connection->server->trusted, &request->head, &request->peer);
		}
		request->is_peer_known = true;
	}
	return &request->peer;
}

uint64_t http_peer_client(const struct http_peer *peer) {
	return peer->is_proxy ? 0 : client_key((const struct sockaddr *)(const void *)&peer->address);
}

const struct slice *http_request_header(
	const struct http_request *request, const char *name, size_t *out_count) {
	const struct http_head *head = &request->head;
	const struct slice *first = NULL;
	size_t len = strlen(name), count = 0;
	for (size_t i = 0; i < head->header_count; i++) {
		const struct http_header *header = &head->headers[i];
		if (header->name.len == len && strncasecmp(header->name.data, name, len) == 0) {
			count++;
			if (!first) {
				first = &header->value;
			}
			if (!out_count) {
				break;
			}
		}
	}
	if (out_count) {
		*out_count = count;
	}
	return first;
}

bool http_request_is_orphan(const struct http_request *request) {
	return request->connection == NULL;
}

void http_request_read_body(
	struct http_request *request, size_t limit_bytes, http_body_fn *done, void *ctx) {
	if (!request->connection) {
		request->is_broken = true;
		done(request, HTTP_BODY_BROKEN, (struct slice){NULL, 0}, ctx);
		http_request_release(request, NULL);
		return;
	}
	request->limit_bytes = limit_bytes;
	request->on_body = done;
	request->on_body_ctx = ctx;
	http_exchange_begin_body(request->connection);
}

void http_request_answer(struct http_request *request, const struct http_answer *answer) {
	if (request->is_broken) {
		return; /* ends with the callback that said so */
	}
	if (!request->connection) {
		http_request_release(request, NULL);
		return;
	}
	http_exchange_answer(request->connection, answer);
}

/* The bytes of an upgrade for another parser: without empty lines before it, its target as path
 * and query only. */
static char *request_copy_bytes(const struct http_request *request, size_t *out_bytes) {
	const struct http_head *head = &request->head;
	const char *start = request->text, *end = request->text + request->used;
	while (*start == '\r' || *start == '\n') {
		start++;
	}
	if (head->target.data == head->path.data) {
		*out_bytes = (size_t)(end - start);
		return mem_dup(start, *out_bytes);
	}
	const char *behind = head->target.data + head->target.len;
	size_t before_bytes = (size_t)(head->target.data - start);
	size_t behind_bytes = (size_t)(end - behind);
	size_t mark = head->query.len > 0 ? 1 : 0;
	char *bytes = mem_alloc(before_bytes + head->path.len + mark + head->query.len + behind_bytes);
	char *p = mempcpy(bytes, start, before_bytes);
	p = mempcpy(p, head->path.data, head->path.len);
	if (mark) {
		*p++ = '?';
		p = mempcpy(p, head->query.data, head->query.len);
	}
	p = mempcpy(p, behind, behind_bytes);
	*out_bytes = (size_t)(p - bytes);
	return bytes;
}

bool http_request_take_upgrade(
	struct http_request *request, int *out_fd, char **take_bytes, size_t *out_bytes) {
	struct http_connection *connection = request->connection;
	assert(request->head.is_websocket_upgrade);
	if (!connection) {
		http_request_release(request, NULL);
		return false;
	}
	int fd = http_connection_detach(connection);
	if (fd < 0) {
		const struct http_answer_header retry = {"Retry-After", "30"};
		http_request_answer(
			request, &(struct http_answer){
						 .status = 503, .headers = &retry, .header_count = 1, .close = true});
		return false;
	}
	*out_fd = fd;
	*take_bytes = request_copy_bytes(request, out_bytes);
	http_request_release(request, NULL);
	return true;
}
