/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets for what senders may do: by endpoint, by VAPID key, by address; and for what
 * devices of an address may register. The first LIMITS_EXEMPT messages that an endpoint gets here
 * are never limited, for a mail server sends its verification once and never again. Memory is
 * bounded: the bucket that was used longest ago goes.
 */
#pragma once
#include "storage/ids.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { LIMITS_EXEMPT = 10 };

enum limit_kind {
	LIMIT_ENDPOINT,
	LIMIT_SENDER,
	LIMIT_ADDRESS,
	LIMIT_MESSAGE_KINDS, /* the kinds before it are those of a message */
	LIMIT_REGISTER = LIMIT_MESSAGE_KINDS,
	LIMIT_KIND_COUNT
};

struct limit_rate {
	double per_sec;
	double burst;
};
struct limits;

/* entries: buckets kept of each kind. */
struct limits *limits_create(const struct limit_rate rates[LIMIT_KIND_COUNT], size_t entries);
void limits_destroy(struct limits *limits);

/* One message to this subscription, by this sender (SHA-256 of its VAPID key, or NULL) from this
 * address (NULL or AF_UNIX: not limited; loopback neither). Takes one from each bucket and returns
 * 0, or takes nothing and returns after how many seconds (at least 1) the next would pass. now_sec
 * is any steady clock. */
uint32_t limits_take(struct limits *limits, double now_sec,
	const struct subscription_id *subscription, const uint8_t *sender_key_hash,
	const struct sockaddr_storage *address);

/* A signature of a message to this subscription is about to be checked, which is costly, whether it
 * is good or not. Takes one from address's bucket alone and returns 0, or takes nothing and returns
 * as limits_take does. With an empty bucket LIMITS_EXEMPT of an endpoint pass nevertheless, for its
 * first messages. */
uint32_t limits_take_check(struct limits *limits, double now_sec,
	const struct subscription_id *subscription, const struct sockaddr_storage *address);

/* One registration of this client (see http/client.h; 0 is not limited). Takes one from its bucket,
 * or nothing and returns false. Without a rate nobody is limited. Buckets that are full again are
 * forgotten. now_sec may be another clock than that of messages, but always the same. */
bool limits_take_register(struct limits *limits, double now_sec, uint64_t client);
