/* SPDX-License-Identifier: Apache-2.0 */
/* A link without a network: tests play the relay. */
#pragma once
#include "distributor/link/link.h"

struct fake_register {
	char channel[40], vapid_key[100];
	bool key_later, is_unregister;
};
struct fake_ack {
	char channel[40], version[64];
};

/* The link of a URL, or NULL. */
struct link *fake_link_find(const char *url);
void fake_link_greet(struct link *link, const char *uaid, uint64_t missed);
void fake_link_drop(struct link *link, enum link_state state);
/* What was asked since the last call; answers each register with an endpoint and each unregister
 * with 200, until nothing new is asked. Returns how many there were. */
size_t fake_link_answer_all(struct link *link);
void fake_link_answer(struct link *link, const char *channel, int status, const char *endpoint);
void fake_link_notify(
	struct link *link, const char *channel, const char *version, const char *body);
const struct fake_register *fake_link_asked(const struct link *link, size_t at); /* NULL beyond */
size_t fake_link_acks(const struct link *link);
const struct fake_ack *fake_link_ack(const struct link *link, size_t at);
