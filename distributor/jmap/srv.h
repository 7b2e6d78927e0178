/* SPDX-License-Identifier: Apache-2.0 */
/* SRV records (RFC 2782) without blocking the loop: one thread for one question. */
#pragma once
#include "common/slice.h"
#include "common/url.h"
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct srv_result {
	bool is_found;
	char host[URL_HOST_MAX + 1];
	uint16_t port;
};
/* Pure: the record of the lowest priority in a DNS answer, if it names a host that a URL may have.
 */
void srv_read(struct slice answer, struct srv_result *out_result);

/* Once, later, from the loop. */
typedef void srv_done_fn(const struct srv_result *result, void *ctx);

struct srv;
/* name: "_jmap._tcp.example.org" */
struct srv *srv_start(struct ev_loop *loop, const char *name, srv_done_fn *done, void *ctx);
void srv_cancel(struct srv *srv); /* no callback comes any more; not from within it */
