/* SPDX-License-Identifier: Apache-2.0 */
/* One keep-alive HTTP/1.1 connection that POSTs pushes, one at a time. */
#pragma once
#include "tests/bench/loadgen/stream.h"

struct sender;

/* status is 0 when the connection was lost with the request on its way. */
typedef void sender_answered_fn(struct sender *sender, int status);

struct sender {
	struct stream stream; /* first member: events are cast back */
	sender_answered_fn *on_answered;
	void (*on_idle)(struct sender *sender); /* connected: may post */
	void (*on_lost)(struct sender *sender, int error); /* after on_answered(0), if it was busy */
	void *ctx;
	unsigned index;
	bool busy;
	uint64_t sent_ns;
	uint64_t sequence; /* the owner's: what it is posting */

	char answer[2048]; /* the head, until it is whole */
	size_t answer_bytes;
	size_t body_left;
	int status;
};

enum { SENDER_BODY_MAX = 65536 };

void sender_open(struct sender *sender, struct loop *loop, struct stream_target *target);
/* path is the target of the request; body is copied. */
void sender_post(struct sender *sender, const char *path, const void *body, size_t bytes);
