/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: what each is for, and telling the relay until it has answered. */
#include "common/hashmap.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/accounts.h"
#include <assert.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNEL_BODY_MAX = 4096 }; /* what UnifiedPush apps take */

/* ---- objects ---- */

static void channel_name_random(char out[CHANNEL_NAME_LENGTH + 1]) {
	uint8_t b[16];
	if (RAND_bytes(b, sizeof b) != 1) {
		log_fatal("no random bytes can be had");
	}
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	(void)snprintf(out, CHANNEL_NAME_LENGTH + 1,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool channel_name_is_valid(const char *name) {
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	for (size_t i = 0; i < CHANNEL_NAME_LENGTH; i++) {
		bool fits = shape[i] == '-' ? name[i] == '-'
									: name[i] != '\0' && strchr("0123456789abcdef", name[i]);
		if (!fits) {
			return false;
		}
	}
	return name[CHANNEL_NAME_LENGTH] == '\0';
}

struct channel *channel_create(struct account *account, const char *name) {
	struct channel *channel = mem_zalloc(sizeof *channel);
	list_init(&channel->link);
	list_init(&channel->sync);
	channel->account = account;
	if (name) {
		(void)snprintf(channel->name, sizeof channel->name, "%s", name);
	} else {
		channel_name_random(channel->name);
	}
	list_append(&account->channels, &channel->link);
	(void)hashmap_put(accounts_channels(account->accounts), channel);
	return channel;
}

void channel_free(struct channel *channel) {
	struct account *account = channel->account;
	if (channel->asked_boot_ms > 0) {
		account->in_flight--;
	}
	(void)hashmap_remove(accounts_channels(account->accounts), channel->name);
	list_remove(&channel->link);
	list_remove(&channel->sync);
	free(channel->endpoint);
	free(channel->vapid_key);
	free(channel);
}

struct channel *channels_find(const struct accounts *accounts, struct slice name) {
	char key[CHANNEL_NAME_LENGTH + 1] = {0};
	if (name.len != CHANNEL_NAME_LENGTH) {
		return NULL;
	}
	memcpy(key, name.data, name.len);
	return hashmap_get(accounts_channels(accounts), key);
}

/* What the relay answers to the old question counts for nothing. */
static void channel_unask(struct channel *channel) {
	if (channel->asked_boot_ms > 0) {
		channel->asked_boot_ms = 0;
		channel->account->in_flight--;
	}
}

/* The relay has to be told something about it. */
static void channel_unsync(struct channel *channel) {
	channel_unask(channel);
	if (list_is_empty(&channel->sync)) {
		list_append(&channel->account->unsynced, &channel->sync);
	}
	channels_sync(channel->account);
}

struct channel *channels_ask(struct account *account, const char *vapid_key, bool small) {
	struct channel *channel = channel_create(account, NULL);
	channel->use = CHANNEL_ASKED;
	channel->vapid_key = vapid_key ? mem_strdup(vapid_key) : NULL;
	channel->small = small;
	channel_unsync(channel);
	return channel;
}

struct channel *channels_take(struct accounts *accounts, const char *vapid_key) {
	struct account *account = accounts_present(accounts);
	struct channel *channel;
	if (!account) {
		return NULL;
	}
	LIST_FOREACH (channel, &account->channels, link) {
		if (channel->use != CHANNEL_POOLED || !channel->endpoint ||
			channel->key_later != (vapid_key != NULL)) {
			continue;
		}
		channel->use = CHANNEL_ASKED;
		if (vapid_key) {
			channel->vapid_key = mem_strdup(vapid_key);
			channel->key_later = false;
			channel_unsync(channel);
		}
		channels_fill_pool(account);
		return channel;
	}
	return NULL;
}

void channel_use(struct channel *channel, struct registration *registration) {
	assert(channel->use == CHANNEL_ASKED || channel->registration == registration);
	channel->use = CHANNEL_USED;
	channel->registration = registration;
	channel->owner = NULL;
}

void channel_ask_for(struct channel *channel, void *owner) {
	channel->use = CHANNEL_ASKED;
	channel->registration = NULL;
	channel->owner = owner;
}

void channel_make_old(struct channel *channel, int64_t until_ms) {
	channel->use = CHANNEL_OLD;
	channel->until_ms = until_ms;
}

void channel_leave(struct channel *channel) {
	channel->use = CHANNEL_LEAVING;
	channel->registration = NULL;
	channel->owner = NULL;
	channel_unsync(channel);
}

void channel_abandon(struct channel *channel, void *owner) {
	channel->use = CHANNEL_LEAVING;
	channel->registration = NULL;
	channel->owner = owner;
	channel_unask(channel);
	list_remove(&channel->sync);
}

void channels_leave(struct accounts *accounts, const void *owner) {
	const struct account *account = NULL;
	while ((account = accounts_next(accounts, account))) {
		struct channel *channel;
		LIST_FOREACH (channel, &account->channels, link) {
			if (channel->use == CHANNEL_LEAVING && channel->owner == owner) {
				channel_leave(channel);
			}
		}
	}
}

struct channel *channels_adopt(struct accounts *accounts, const char *name) {
	struct channel *channel = channels_find(accounts, slice_of(name));
	return channel && channel->use != CHANNEL_LEAVING && !channel->registration ? channel : NULL;
}

/* ---- with the relay ---- */

static bool channel_tell(struct channel *channel) {
	struct link *relay = channel->account->relay;
	if (channel->use == CHANNEL_LEAVING) {
		return link_unregister(relay, channel->name);
	}
	return link_register(relay, channel->name, channel->vapid_key, channel->key_later,
		channel->small ? CHANNEL_BODY_MAX : 0);
}

void channels_sync(struct account *account) {
	struct channel *channel, *next;
	bool waits = false;
	if (!account->relay || !link_is_up(account->relay)) {
		return;
	}
	int64_t now_ms = clock_boot_ms();
	LIST_FOREACH_SAFE (channel, next, &account->unsynced, sync) {
		if (channel->asked_boot_ms > 0 && now_ms - channel->asked_boot_ms >= CHANNEL_ANSWER_MS) {
			channel->asked_boot_ms = 0;
			account->in_flight--;
		}
		if (channel->asked_boot_ms == 0 && account->in_flight < CHANNELS_IN_FLIGHT_MAX &&
			channel_tell(channel)) {
			channel->asked_boot_ms = now_ms;
			account->in_flight++;
		}
		waits = true;
	}
	if (waits && !alarm_is_set(&account->retry)) {
		alarm_set(&account->retry, CHANNEL_ANSWER_MS, ALARM_SLACK_DEADLINE_MS);
	}
}

/* The relay begins anew, and with it its numbers: a version of the former life under the same name
 * would be taken for one that was delivered already. */
static void channel_rename(struct channel *channel) {
	struct hashmap *channels = accounts_channels(channel->account->accounts);
	(void)hashmap_remove(channels, channel->name);
	channel_name_random(channel->name);
	(void)hashmap_put(channels, channel);
}

void channels_unsync_all(struct account *account, bool are_gone) {
	struct channel *channel, *next;
	LIST_FOREACH_SAFE (channel, next, &account->channels, link) {
		channel->asked_boot_ms = 0;
		if (are_gone && channel->use == CHANNEL_LEAVING) {
			account->in_flight = 0;
			channel_free(channel);
			continue;
		}
		if (are_gone && channel->endpoint) {
			channel_rename(channel);
		}
		if (are_gone && list_is_empty(&channel->sync)) {
			list_append(&account->unsynced, &channel->sync);
		}
	}
	account->in_flight = 0;
}

void channels_fill_pool(struct account *account) {
	uint32_t wanted = account->leave_ms == 0 ? accounts_pool(account->accounts) : 0;
	for (int kind = 0; kind < 2; kind++) {
		uint32_t count = 0;
		struct channel *channel;
		LIST_FOREACH (channel, &account->channels, link) {
			count += channel->use == CHANNEL_POOLED && channel->key_later == (kind == 1);
		}
		for (; count < wanted; count++) {
			channel = channel_create(account, NULL);
			channel->use = CHANNEL_POOLED;
			channel->key_later = kind == 1;
			channel->small = true;
			channel_unsync(channel);
		}
	}
}

/* Ends the question to the relay; false when there was none. */
static bool channel_answered(struct channel *channel) {
	if (channel->asked_boot_ms == 0) {
		return false;
	}
	channel->asked_boot_ms = 0;
	channel->account->in_flight--;
	return true;
}

static void channel_got_endpoint(struct channel *channel, struct slice endpoint) {
	struct accounts *accounts = channel->account->accounts;
	list_remove(&channel->sync);
	if (channel->endpoint && slice_equals(endpoint, channel->endpoint)) {
		return;
	}
	mem_replace_text(&channel->endpoint, endpoint);
	accounts_changed(accounts);
	accounts_options(accounts)->events->endpoint(channel, accounts_options(accounts)->ctx);
}

void channels_on_registered(
	struct account *account, struct slice name, int status, struct slice endpoint) {
	struct channel *channel = channels_find(account->accounts, name);
	if (!channel || channel->account != account || channel->use == CHANNEL_LEAVING ||
		!channel_answered(channel)) {
		return;
	}
	if (status == 200) {
		channel_got_endpoint(channel, endpoint);
	} else if (status >= 400 && status < 500 && status != 429) {
		const struct accounts_options *options = accounts_options(account->accounts);
		options->events->refused(channel, status, options->ctx);
	} else if (!alarm_is_set(&account->retry)) {
		log_info("relay refuses a registration for now status=%d", status);
		alarm_set(&account->retry, CHANNEL_RETRY_MS, ALARM_SLACK_DEADLINE_MS);
	}
	if (status == 200) {
		channels_sync(account); /* there is room for the next */
	}
}

void channels_on_unregistered(struct account *account, struct slice name, int status) {
	struct channel *channel = channels_find(account->accounts, name);
	if (!channel || channel->account != account) {
		return;
	}
	if (channel->use == CHANNEL_LEAVING) {
		if (channel_answered(channel) && status < 500) {
			channel_free(channel);
			accounts_changed(account->accounts);
			channels_sync(account);
		}
		return;
	}
	/* not asked for: the relay dropped it, so it needs a new endpoint */
	channel_unsync(channel);
}
