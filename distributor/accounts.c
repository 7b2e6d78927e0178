/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts: made, greeted, moved away from, left; kept as JSON. */
#include "distributor/accounts.h"
#include "common/autopush.h"
#include "common/cleanup.h"
#include "common/hashmap.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/load.h"
#include "distributor/registrations.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	ACCOUNTS_CARE_MS = 3600 * 1000, /* how often old channels and accounts are looked at */
	ACCOUNT_URL_MAX = 4096,
	ACCOUNT_WORD_MAX = 16,
};
static const int64_t ACCOUNTS_GRACE_MS = (int64_t)ACCOUNT_GRACE_DAYS * 24 * 3600 * 1000;

struct accounts {
	struct accounts_options options;
	struct list all; /* struct account::link */
	struct hashmap *channels; /* by struct channel::name */
	struct alarm care;
	enum urgency min_urgency;
	bool is_started;
};

uint32_t accounts_pool(const struct accounts *accounts) {
	return accounts->options.pool;
}

struct hashmap *accounts_channels(const struct accounts *accounts) {
	return accounts->channels;
}

const struct accounts_options *accounts_options(const struct accounts *accounts) {
	return &accounts->options;
}

void accounts_changed(struct accounts *accounts) {
	accounts->options.events->changed(accounts->options.ctx);
}

/* ---- one account ---- */

static void account_on_retry(struct alarm *alarm, void *ctx) {
	(void)alarm;
	channels_sync(ctx);
}

static struct account *account_create(struct accounts *accounts, const char *url) {
	struct account *account = mem_zalloc(sizeof *account);
	account->accounts = accounts;
	account->url = mem_strdup(url);
	account->is_new = true;
	list_init(&account->channels);
	list_init(&account->unsynced);
	alarm_init(&account->retry, accounts->options.link.alarms, account_on_retry, account);
	list_append(&accounts->all, &account->link);
	return account;
}

static void account_free(struct account *account) {
	struct channel *channel, *next;
	link_destroy(account->relay);
	LIST_FOREACH_SAFE (channel, next, &account->channels, link) {
		channel_free(channel);
	}
	alarm_stop(&account->retry);
	list_remove(&account->link);
	free(account->url);
	free(account->uaid);
	free(account);
}

/* Does a registration or a request still depend on it? It has not moved, however long that takes.
 */
static bool account_is_needed(const struct account *account) {
	const struct channel *channel;
	LIST_FOREACH (channel, &account->channels, link) {
		if (channel->use == CHANNEL_USED || channel->use == CHANNEL_ASKED ||
			(channel->use == CHANNEL_OLD && channel->until_ms == 0)) {
			return true;
		}
	}
	return false;
}

/* Does anybody know an endpoint of it? */
static bool account_has_told(const struct account *account) {
	const struct channel *channel;
	LIST_FOREACH (channel, &account->channels, link) {
		if (channel->use == CHANNEL_USED || channel->use == CHANNEL_OLD) {
			return true;
		}
	}
	return false;
}

/* One that is being left goes when no channel is left, or its time is over. */
static bool account_is_done(const struct account *account) {
	return account->leave_ms > 0 &&
		   (list_is_empty(&account->channels) ||
			   (clock_wall_ms() > account->leave_ms + (int64_t)24 * 3600 * 1000 &&
				   !account_is_needed(account)));
}

static void account_on_entered(enum link_state state, void *ctx) {
	struct account *account = ctx;
	const struct accounts_options *options = &account->accounts->options;
	if (state != LINK_UP) {
		channels_unsync_all(account, false);
	}
	options->events->entered(account, state, options->ctx);
}

static void account_on_greeted(const struct link_greeting *greeting, void *ctx) {
	struct account *account = ctx;
	const struct accounts_options *options = &account->accounts->options;
	bool is_other = !account->uaid || strcmp(account->uaid, greeting->uaid) != 0;
	bool forgotten = is_other && account_has_told(account);
	if (is_other) {
		free(account->uaid);
		account->uaid = mem_strdup(greeting->uaid);
		accounts_changed(account->accounts);
	}
	if (forgotten) {
		log_warn("the relay did not know this device any more; every endpoint is made anew");
	}
	channels_unsync_all(account, is_other);
	account->is_new = false;
	channels_fill_pool(account);
	channels_sync(account);
	options->events->greeted(account, greeting->missed, forgotten, options->ctx);
}

static void account_on_registered(
	struct slice channel, int status, struct slice endpoint, void *ctx) {
	channels_on_registered(ctx, channel, status, endpoint);
}

static void account_on_unregistered(struct slice channel, int status, void *ctx) {
	channels_on_unregistered(ctx, channel, status);
}

static void account_on_notified(const struct link_notification *notification, void *ctx) {
	struct account *account = ctx;
	const struct accounts_options *options = &account->accounts->options;
	options->events->notified(account, notification, options->ctx);
}

static const struct link_events account_events = {
	.entered = account_on_entered,
	.greeted = account_on_greeted,
	.registered = account_on_registered,
	.unregistered = account_on_unregistered,
	.notified = account_on_notified,
};

static bool account_connect(struct account *account, char **out_error) {
	struct accounts *accounts = account->accounts;
	struct link_options options = accounts->options.link;
	options.url = account->url;
	options.uaid = account->uaid;
	options.events = &account_events;
	options.ctx = account;
	account->relay = link_create(&options, out_error);
	if (account->relay) {
		link_set_urgency(account->relay, accounts->min_urgency);
	}
	return account->relay != NULL;
}

/* ---- all of them ---- */

static void account_drop_old_channels(struct account *account) {
	struct channel *channel, *next;
	int64_t now_ms = clock_wall_ms();
	LIST_FOREACH_SAFE (channel, next, &account->channels, link) {
		if (channel->use == CHANNEL_OLD && channel->until_ms > 0 && channel->until_ms <= now_ms) {
			channel_leave(channel);
		}
	}
}

static void accounts_on_care(struct alarm *alarm, void *ctx) {
	struct accounts *accounts = ctx;
	struct account *account, *next;
	LIST_FOREACH_SAFE (account, next, &accounts->all, link) {
		account_drop_old_channels(account);
		if (account_is_done(account)) {
			log_info("left the former relay");
			account_free(account);
			accounts_changed(accounts);
		}
	}
	alarm_set(alarm, ACCOUNTS_CARE_MS, ALARM_SLACK_CARE_MS * 5);
}

struct accounts *accounts_create(const struct accounts_options *options) {
	struct accounts *accounts = mem_zalloc(sizeof *accounts);
	accounts->options = *options;
	list_init(&accounts->all);
	accounts->channels =
		hashmap_create(offsetof(struct channel, name), sizeof(((struct channel *)0)->name));
	alarm_init(&accounts->care, options->link.alarms, accounts_on_care, accounts);
	return accounts;
}

void accounts_destroy(struct accounts *accounts) {
	if (!accounts) {
		return;
	}
	struct account *account;
	while ((account = list_first(&accounts->all, struct account, link))) {
		account_free(account);
	}
	alarm_stop(&accounts->care);
	hashmap_destroy(accounts->channels);
	free(accounts);
}

static void account_start(struct account *account) {
	CLEANUP_FREE char *error = NULL;
	if (!account->relay && !account_connect(account, &error)) {
		log_error("the relay's URL will not do: %s", error);
		return;
	}
	link_start(account->relay);
}

void accounts_start(struct accounts *accounts) {
	struct account *account;
	accounts->is_started = true;
	LIST_FOREACH (account, &accounts->all, link) {
		account_start(account);
	}
	if (!alarm_is_set(&accounts->care)) {
		alarm_set(&accounts->care, ACCOUNTS_CARE_MS, ALARM_SLACK_CARE_MS);
	}
}

void accounts_stop(struct accounts *accounts) {
	struct account *account;
	accounts->is_started = false;
	LIST_FOREACH (account, &accounts->all, link) {
		if (account->relay) {
			link_stop(account->relay);
		}
	}
}

struct account *accounts_present(const struct accounts *accounts) {
	struct account *account;
	LIST_FOREACH (account, &accounts->all, link) {
		if (account->leave_ms == 0) {
			return account;
		}
	}
	return NULL;
}

struct account *accounts_next(const struct accounts *accounts, const struct account *after) {
	const struct list *next = after ? after->link.next : accounts->all.next;
	return next == &accounts->all ? NULL : container_of(next, struct account, link);
}

static bool account_is_at(const struct account *account, const char *url) {
	struct url ours, theirs;
	return strcmp(account->url, url) == 0 ||
		   (url_parse(slice_of(account->url), &ours) && url_parse(slice_of(url), &theirs) &&
			   url_equals(&ours, &theirs));
}

static struct account *accounts_find(const struct accounts *accounts, const char *url) {
	struct account *account;
	LIST_FOREACH (account, &accounts->all, link) {
		if (account_is_at(account, url)) {
			return account;
		}
	}
	return NULL;
}

static void account_give_up(struct account *account) {
	struct channel *channel, *next;
	account->leave_ms = clock_wall_ms() + ACCOUNTS_GRACE_MS;
	LIST_FOREACH_SAFE (channel, next, &account->channels, link) {
		if (channel->use == CHANNEL_POOLED) {
			channel_leave(channel);
		}
	}
}

/* The most forsaken one goes when there are too many; false when all are needed. */
static bool accounts_make_room(struct accounts *accounts) {
	struct account *account, *oldest = NULL;
	size_t count = 0;
	LIST_FOREACH (account, &accounts->all, link) {
		count++;
		if (account->leave_ms > 0 && (!oldest || account->leave_ms < oldest->leave_ms) &&
			!account_is_needed(account)) {
			oldest = account;
		}
	}
	if (count >= ACCOUNTS_MAX && oldest) {
		accounts_leave(accounts, oldest);
	}
	return count < ACCOUNTS_MAX || oldest;
}

struct account *accounts_move(struct accounts *accounts, const char *url, char **out_error) {
	struct account *present = accounts_present(accounts);
	struct account *account = accounts_find(accounts, url);
	if (account && account == present) {
		return account;
	}
	if (!account) {
		if (!accounts_make_room(accounts)) {
			*out_error = mem_strdup("registrations are still on their way from too many former "
									"relays; move back to one of them first");
			return NULL;
		}
		account = account_create(accounts, url);
		if (!account_connect(account, out_error)) {
			account_free(account);
			return NULL;
		}
	}
	if (present) {
		account_give_up(present);
	}
	account->leave_ms = 0;
	if (accounts->is_started) {
		account_start(account);
	}
	if (account->relay && link_is_up(account->relay)) {
		channels_fill_pool(account);
	}
	accounts_changed(accounts);
	return account;
}

void accounts_leave(struct accounts *accounts, struct account *account) {
	account_free(account);
	accounts_changed(accounts);
}

void accounts_hint(struct accounts *accounts, enum link_hint hint, int64_t slept_ms) {
	struct account *account;
	LIST_FOREACH (account, &accounts->all, link) {
		if (account->relay) {
			link_hint(account->relay, hint, slept_ms);
		}
	}
}

void accounts_set_urgency(struct accounts *accounts, enum urgency min) {
	struct account *account;
	accounts->min_urgency = min;
	LIST_FOREACH (account, &accounts->all, link) {
		if (account->relay) {
			link_set_urgency(account->relay, min);
		}
	}
}

void accounts_set_thrift(struct accounts *accounts, enum link_thrift thrift, bool on_mains) {
	struct account *account;
	LIST_FOREACH (account, &accounts->all, link) {
		if (account->relay) {
			link_set_thrift(account->relay, thrift, on_mains);
		}
	}
}

/* ---- the state file ---- */

static const char *const channel_use_names[] = {
	[CHANNEL_POOLED] = "pooled",
	[CHANNEL_ASKED] = "asked",
	[CHANNEL_USED] = "used",
	[CHANNEL_OLD] = "old",
	[CHANNEL_LEAVING] = "leaving",
};
enum { CHANNEL_USES = sizeof channel_use_names / sizeof *channel_use_names };

static json_t *channel_print(const struct channel *channel) {
	json_t *json = json_pack("{s:s,s:s,s:s*,s:s*,s:b,s:b}", "name", channel->name, "use",
		channel_use_names[channel->use], "endpoint", channel->endpoint, "vapid_key",
		channel->vapid_key, "small", channel->small, "synced",
		list_is_empty(&channel->sync) && channel->use != CHANNEL_LEAVING);
	if (channel->key_later) {
		(void)json_object_set_new(json, "key_later", json_true());
	}
	if (channel->until_ms > 0) {
		(void)json_object_set_new(json, "until_ms", json_integer(channel->until_ms));
	}
	return json;
}

/* What must not outlive this run: the channel of a service with a unique name. */
static bool channel_is_transient(const struct channel *channel) {
	return channel->registration && channel->registration->is_transient;
}

json_t *accounts_print(const struct accounts *accounts) {
	json_t *json = json_array();
	struct account *account;
	struct channel *channel;
	LIST_FOREACH (account, &accounts->all, link) {
		json_t *channels = json_array();
		LIST_FOREACH (channel, &account->channels, link) {
			json_t *one = channel_print(channel);
			if (channel_is_transient(channel)) {
				(void)json_object_set_new(one, "use", json_string("leaving"));
				(void)json_object_set_new(one, "synced", json_false());
			}
			(void)json_array_append_new(channels, one);
		}
		(void)json_array_append_new(
			json, json_pack("{s:s,s:s*,s:I,s:o}", "url", account->url, "uaid", account->uaid,
					  "leave_ms", (json_int_t)account->leave_ms, "channels", channels));
	}
	return json;
}

/* A time that lies nowhere is over when the grace is. */
static int64_t accounts_bounded_ms(int64_t wall_ms) {
	int64_t latest_ms = clock_wall_ms() + ACCOUNTS_GRACE_MS;
	return wall_ms < 0 || wall_ms > latest_ms ? latest_ms : wall_ms;
}

static bool channel_use_parse(const char *text, enum channel_use *out_use) {
	for (int i = 0; i < CHANNEL_USES; i++) {
		if (strcmp(text, channel_use_names[i]) == 0) {
			*out_use = (enum channel_use)i;
			return true;
		}
	}
	return false;
}

static char *channel_load_endpoint(struct load *load) {
	struct url url;
	char *endpoint = load_text(load, "endpoint", ACCOUNT_URL_MAX);
	if (endpoint && !url_parse(slice_of(endpoint), &url)) {
		load->is_wrong = true;
		free(steal(&endpoint));
	}
	return endpoint;
}

static bool channel_load(struct account *account, const json_t *json) {
	struct load load = {.json = json};
	CLEANUP_FREE char *name = load_text(&load, "name", CHANNEL_NAME_LENGTH);
	CLEANUP_FREE char *use = load_text(&load, "use", ACCOUNT_WORD_MAX);
	bool synced = false;
	if (!name || !channel_name_is_valid(name) || !use ||
		channels_find(account->accounts, slice_of(name))) {
		return false;
	}
	struct channel *channel = channel_create(account, name);
	if (!channel_use_parse(use, &channel->use)) {
		load.is_wrong = true;
		channel->use = CHANNEL_LEAVING;
	}
	channel->endpoint = channel_load_endpoint(&load);
	channel->vapid_key = load_text(&load, "vapid_key", REGISTRATION_VAPID_LENGTH);
	load_bool(&load, "key_later", &channel->key_later);
	load_bool(&load, "small", &channel->small);
	load_number(&load, "until_ms", &channel->until_ms);
	channel->until_ms = accounts_bounded_ms(channel->until_ms);
	load_bool(&load, "synced", &synced);
	if (channel->use == CHANNEL_ASKED) {
		channel->use = CHANNEL_LEAVING; /* nobody was told of it */
	}
	if (!synced || !channel->endpoint || channel->use == CHANNEL_LEAVING) {
		list_append(&account->unsynced, &channel->sync);
	}
	return !load.is_wrong;
}

static char *account_load_uaid(struct load *load) {
	CLEANUP_FREE char *text = load_text(load, "uaid", AUTOPUSH_UAID_MAX);
	char uaid[AUTOPUSH_UAID_LENGTH + 1];
	if (!text) {
		return NULL;
	}
	load->is_wrong = !autopush_uaid_normalise(slice_of(text), uaid) || load->is_wrong;
	return load->is_wrong ? NULL : mem_strdup(uaid);
}

static bool account_load(struct accounts *accounts, const json_t *json) {
	struct load load = {.json = json};
	struct url parsed;
	CLEANUP_FREE char *url = load_text(&load, "url", ACCOUNT_URL_MAX);
	const json_t *channels = json_object_get(json, "channels");
	bool is_second = accounts_present(accounts) != NULL;
	int64_t leave_ms = 0;
	if (!url || !url_parse(slice_of(url), &parsed) || accounts_find(accounts, url)) {
		return false;
	}
	struct account *account = account_create(accounts, url);
	account->uaid = account_load_uaid(&load);
	load_number(&load, "leave_ms", &leave_ms);
	account->leave_ms = is_second && leave_ms == 0 ? clock_wall_ms() + ACCOUNTS_GRACE_MS
												   : accounts_bounded_ms(leave_ms);
	bool good = json_is_array(channels) && !load.is_wrong;
	for (size_t i = 0; i < json_array_size(channels); i++) {
		good = channel_load(account, json_array_get(channels, i)) && good;
	}
	return good;
}

bool accounts_load(struct accounts *accounts, const json_t *json) {
	bool good = json_is_array(json) && json_array_size(json) <= ACCOUNTS_MAX;
	for (size_t i = 0; i < json_array_size(json) && i < ACCOUNTS_MAX; i++) {
		good = account_load(accounts, json_array_get(json, i)) && good;
	}
	return good;
}
