/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our identities: one account a relay (URL and UAID), with its link and its channels. One account
 * is the present one; others are being left after a move, and go on bringing what is sent to their
 * endpoints until their time is over. Channels say what the relay should know; they are told to it
 * whenever the link is up and until it has answered.
 */
#pragma once
#include "common/list.h"
#include "distributor/alarm.h"
#include "distributor/link/link.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct accounts;
struct registration;

enum {
	CHANNEL_NAME_LENGTH = 36,
	CHANNELS_IN_FLIGHT_MAX = 32, /* registers that await the relay's answer */
	/* a relay may let registers of one address wait; asking again would make the line longer */
	CHANNEL_ANSWER_MS = 300000,
	CHANNEL_RETRY_MS = 60000, /* after a refusal for now */
	ACCOUNT_GRACE_DAYS = 7, /* a relay that we moved away from is still drained */
	ACCOUNTS_MAX = 8,
};

enum channel_use {
	CHANNEL_POOLED, /* made ahead, for nobody yet */
	CHANNEL_ASKED, /* for a request that waits for its endpoint */
	CHANNEL_USED, /* a registration's present one */
	CHANNEL_OLD, /* a registration's former one: still brings messages until `until_ms` */
	CHANNEL_LEAVING, /* the relay is to forget it, then we do */
};

/* Read-only outside accounts.c and channels.c, but for `owner`. */
struct channel {
	struct list link; /* struct account::channels */
	struct list sync; /* struct account::unsynced; alone when the relay knows all */
	struct account *account;
	char name[CHANNEL_NAME_LENGTH + 1]; /* UUID; key of struct accounts::channels */
	enum channel_use use;
	char *endpoint; /* NULL until the relay gave one */
	char *vapid_key; /* NULL: none */
	bool key_later; /* pooled for an app with a key that is not known yet */
	bool small; /* UnifiedPush: bodies of at most 4096 bytes */
	int64_t asked_boot_ms; /* when the relay was asked and has not answered; 0: not asked */
	int64_t until_ms; /* OLD: wall clock; 0: until its registration has announced the new one */
	struct registration *registration; /* USED, OLD */
	void *owner; /* ASKED: the request; LEAVING: who must have left the disk first */
};

struct account {
	struct list link; /* struct accounts::all */
	struct accounts *accounts;
	struct link *relay;
	char *url;
	char *uaid; /* NULL before the first greeting */
	int64_t leave_ms; /* wall clock: forgotten then; 0: the present one */
	struct list channels, unsynced; /* struct channel::link, ::sync */
	uint32_t in_flight;
	bool is_new; /* no greeting yet since it was made */
	struct alarm retry; /* looks at unsynced channels again */
};

struct accounts_events {
	/* The relay gave an endpoint, the first or another one. */
	void (*endpoint)(struct channel *channel, void *ctx);
	/* The relay refuses a channel for good: status 400..499 beside 429. */
	void (*refused)(struct channel *channel, int status, void *ctx);
	void (*notified)(
		struct account *account, const struct link_notification *notification, void *ctx);
	/* missed > 0: the relay dropped some; forgotten: it did not know us any more. */
	void (*greeted)(struct account *account, uint64_t missed, bool forgotten, void *ctx);
	void (*entered)(struct account *account, enum link_state state, void *ctx);
	/* Something that the state file holds has changed. */
	void (*changed)(void *ctx);
};

struct accounts_options {
	struct link_options link; /* url, uaid, events, ctx are filled by us */
	uint32_t pool; /* endpoints kept ahead, of either kind; 0: none */
	const struct accounts_events *events;
	void *ctx;
};

struct accounts *accounts_create(const struct accounts_options *options);
void accounts_destroy(struct accounts *accounts);
/* "accounts" of the state file: to be called before accounts_start. False when it is not what
 * accounts_print made; what could be read is there. */
bool accounts_load(struct accounts *accounts, const json_t *json);
json_t *accounts_print(const struct accounts *accounts);

void accounts_start(struct accounts *accounts);
/* Makes url the present account (a known one or a new one); the former one is left. NULL with a
 * sentence in *out_error when the URL will not do. */
struct account *accounts_move(struct accounts *accounts, const char *url, char **out_error);
struct account *accounts_present(const struct accounts *accounts); /* NULL: no relay is set */
struct account *accounts_next(const struct accounts *accounts, const struct account *after);
/* Ends an account at once, with all its channels: not the present one, and none that a
 * registration or a request still uses. */
void accounts_leave(struct accounts *accounts, struct account *account);

void accounts_hint(struct accounts *accounts, enum link_hint hint, int64_t slept_ms);
void accounts_set_urgency(struct accounts *accounts, enum urgency min);
void accounts_stop(struct accounts *accounts); /* pause: links end, nothing is forgotten */
void accounts_set_thrift(struct accounts *accounts, enum link_thrift thrift, bool on_mains);

/* ---- channels.c ---- */

struct channel *channels_find(const struct accounts *accounts, struct slice name);
/* A new channel at account, which the relay will be asked for. vapid_key NULL: none. */
struct channel *channels_ask(struct account *account, const char *vapid_key, bool small);
/* One with an endpoint out of the present account's pool, bound to the key if there is one; NULL
 * when there is none. */
struct channel *channels_take(struct accounts *accounts, const char *vapid_key);
void channel_use(struct channel *channel, struct registration *registration);
/* Back from it: for a request, as before. */
void channel_ask_for(struct channel *channel, void *owner);
/* Still brings messages until then (0: until told otherwise). */
void channel_make_old(struct channel *channel, int64_t until_ms);
void channel_leave(struct channel *channel);
/* Belongs to nobody any more; the relay hears it after channels_leave() for this owner, or after
 * the next start. */
void channel_abandon(struct channel *channel, void *owner);
void channels_leave(struct accounts *accounts, const void *owner);
/* The present channel of a loaded registration. */
struct channel *channels_adopt(struct accounts *accounts, const char *name);

/* For accounts.c. */
void channels_sync(struct account *account);
void channels_unsync_all(struct account *account, bool are_gone);
void channels_fill_pool(struct account *account);
void channels_on_registered(
	struct account *account, struct slice name, int status, struct slice endpoint);
void channels_on_unregistered(struct account *account, struct slice name, int status);
void channel_free(struct channel *channel);
struct channel *channel_create(struct account *account, const char *name);
bool channel_name_is_valid(const char *name); /* a UUID as we make them */
uint32_t accounts_pool(const struct accounts *accounts);
struct hashmap *accounts_channels(const struct accounts *accounts);
void accounts_changed(struct accounts *accounts);
const struct accounts_options *accounts_options(const struct accounts *accounts);
