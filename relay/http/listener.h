/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets to accept from. Addresses: "HOST:PORT", "[V6]:PORT", ":PORT", "unix:PATH", each
 * optionally with "tls:" before it (not unix). Sockets are opened before privileges drop or workers
 * fork, connections are accepted on a loop later.
 */
#pragma once
#include "relay/http/routes.h"
#include <ev.h>

struct http_listener_address {
	bool is_tls, is_unix;
	char *path; /* unix */
	struct sockaddr_storage address; /* otherwise; port 0 means any */
	socklen_t address_bytes;
};
/* -EINVAL with a sentence in *out_error (free it). Names are resolved here, so this can block:
 * start-up only. */
int http_listener_address_parse(
	const char *text, struct http_listener_address *out, char **out_error);
void http_listener_address_finish(struct http_listener_address *address);

/* A bound, listening, non-blocking, close-on-exec socket; SO_REUSEPORT if asked. Negative errno,
 * with a sentence that names the address and the cure (port in use, no permission, stale socket
 * file: that one is replaced when nobody answers). */
int http_listener_bind(
	const struct http_listener_address *address, bool reuse_port, char **out_error);

struct http_tls;
struct http_trusted; /* trusted proxies */

struct http_limits {
	double head_sec, body_sec, idle_sec; /* 15, 60, 75 */
	unsigned tcp_user_timeout_ms; /* on sockets that became WebSockets; 0: as the system does */
	size_t max_connections; /* beyond it: 503 and close, then not accepted; 0: no limit */
	/* The same of one client (see client.h), by the address of its socket, trusted proxies exempt.
	 * Nobody else waits for it: what cannot get its 503 is closed without. */
	uint32_t client_connections;
	/* A socket with a number from here on gets 503 as well, so that what lies above stays for files
	 * and the store; from max_fd + spare_fds on, connections wait. 0: no limit */
	int max_fd, spare_fds;
};
struct http_server_stats {
	uint64_t accepted, refused, client_refused, timed_out, bad_requests;
	size_t open; /* HTTP connections now */
};

struct http_server;
struct http_server_options {
	struct ev_loop *loop;
	const struct http_routes *routes; /* kept by pointer */
	struct http_limits limits;
	const char *const
		*trusted_proxies; /* "127.0.0.1", "10.0.0.0/8", "unix"; NULL-terminated, checked before */
};
struct http_server *http_server_create(const struct http_server_options *options);
/* Takes the socket over. tls is NULL for plain text; it is kept by pointer. */
void http_server_listen(struct http_server *server, int fd, struct http_tls *tls);
/* No new connections from now on; those under way finish their request and close. */
void http_server_stop(struct http_server *server);
bool http_server_is_idle(
	const struct http_server *server); /* no request under way, for a graceful end */
void http_server_get_stats(const struct http_server *server, struct http_server_stats *out_stats);
void http_server_destroy(struct http_server *server);
/* NULL when all are well formed, else a sentence (free it). */
char *http_trusted_check(const char *const *proxies);
