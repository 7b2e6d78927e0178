/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP proxies: which one the environment asks for, and whether it lets us through. libwebsockets
 * tells no more than that a proxy did not agree, so it is asked beforehand.
 */
#pragma once
#include "common/url.h"
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

enum { PROXY_CREDENTIALS_MAX = 90, PROXY_CHECK_MS = 10000 };

struct proxy {
	char host[URL_HOST_MAX + 1];
	uint16_t port;
	char credentials[PROXY_CREDENTIALS_MAX + 1]; /* "user:password", "" when there are none */
};

/* https_proxy for wss, http_proxy for ws, else all_proxy, unless no_proxy names the host; capital
 * letters count too, but for http_proxy. True with *out when there is one. False with *out_error
 * NULL: none; with a sentence: one that cannot be used. */
bool proxy_from_environment(const struct url *url, struct proxy *out, char **out_error);
/* "[http://][user[:password]@]host[:port]", percent-encoding undone. Pure. */
bool proxy_parse(const char *text, struct proxy *out, char **out_error);
/* A list of hosts, domains (".example.org" or "example.org", all below), addresses, "host:port", or
 * "*". Pure. */
bool proxy_is_excepted(const char *no_proxy, const struct url *url);
/* As websocket_open() takes it; `address` is an IP address. */
char *proxy_print(const struct proxy *proxy, const char *address);

struct proxy_check;
/* status: of the proxy's answer; 0 with a reason when there was none. Once, later, from the loop;
 * the check is gone then. */
typedef void proxy_checked_fn(int status, const char *reason, void *ctx);
/* Asks on a connection that stands. Takes the descriptor. */
struct proxy_check *proxy_check_start(struct ev_loop *loop, int take_fd, const struct proxy *proxy,
	const struct url *url, proxy_checked_fn *checked, void *ctx);
void proxy_check_cancel(struct proxy_check *check); /* NULL is fine */
