/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications by key: at most one call a key is under way, and the newest text waits for it. */
#include "distributor/action/notify.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NOTIFY_NAME "org.freedesktop.Notifications"
#define NOTIFY_PATH "/org/freedesktop/Notifications"
#define NOTIFY_DESKTOP_ENTRY "bellwire-distributor" /* deploy/applications has it */

enum {
	NOTIFY_ITEMS_MAX =
		128, /* known at a time; the oldest that is at rest is forgotten for a new one */
	NOTIFY_WAITING_MAX = 16, /* for a server that is not there; the oldest goes for a new one */
	NOTIFY_TITLE_MAX = 200,
	NOTIFY_TEXT_MAX = 1000,
	NOTIFY_TOKEN_MAX = 1000,
	NOTIFY_URGENT = 2,
	NOTIFY_USUAL = 1,
};

/* For ever: the bus says so when the server goes before it has answered. */
#define NOTIFY_PATIENCE_USEC UINT64_MAX

/* What the server can do, asked once a server. */
enum notify_server { NOTIFY_UNASKED, NOTIFY_ASKING, NOTIFY_KNOWN };

struct notify_text {
	char *title, *text, *icon, *category; /* as given, not safe yet; title NULL: nothing waits */
	bool is_urgent;
	char *actions[2 * NOTIFY_ACTIONS_MAX]; /* name, label, name, label, …; NULL behind them */
};

/* Whom to tell. */
struct notify_watcher {
	notify_acted_fn *acted;
	notify_closed_fn *closed;
	void *ctx;
};

struct notify_item {
	struct list link; /* struct notify::items, the longest unchanged first */
	struct notify *notify;
	char *key; /* NULL: forgotten once it is shown */
	uint32_t id; /* the server's, 0 when it is not shown */
	struct notify_text next; /* to be shown when the call under way has ended */
	struct notify_watcher watcher;
	char *token; /* for the action that is to come, or NULL */
	bool is_withdrawn; /* … or to be taken away */
	sd_bus_slot *call; /* Notify under way, or NULL */
};

struct notify {
	struct sd_bus *bus; /* NULL: nothing is ever shown */
	struct list items; /* struct notify_item::link */
	size_t count;
	enum notify_server server;
	bool is_absent; /* it did not answer when it was asked last */
	bool has_markup, has_actions;
	sd_bus_slot *asking, *closed_match, *acted_match, *token_match, *owner_match;
};

static void notify_item_send(struct notify_item *item);
static void notify_ask(struct notify *notify);

/* ---- items ---- */

static void notify_text_clear(struct notify_text *text) {
	free(text->title);
	free(text->text);
	free(text->icon);
	free(text->category);
	for (size_t i = 0; i < 2 * NOTIFY_ACTIONS_MAX; i++) {
		free(text->actions[i]);
	}
	*text = (struct notify_text){0};
}

static void notify_item_free(struct notify_item *item) {
	list_remove(&item->link);
	item->notify->count--;
	sd_bus_slot_unref(item->call);
	notify_text_clear(&item->next);
	free(item->token);
	free(item->key);
	free(item);
}

static struct notify_item *notify_find(struct notify *notify, const char *key) {
	struct notify_item *item;
	LIST_FOREACH (item, &notify->items, link) {
		if (key && item->key && strcmp(item->key, key) == 0) {
			return item;
		}
	}
	return NULL;
}

static struct notify_item *notify_find_id(struct notify *notify, uint32_t id) {
	struct notify_item *item;
	LIST_FOREACH (item, &notify->items, link) {
		if (id != 0 && item->id == id) {
			return item;
		}
	}
	return NULL;
}

static bool notify_item_is_idle(const struct notify_item *item) {
	return !item->call && !item->next.title;
}

static bool notify_item_is_watched(const struct notify_item *item) {
	return item->watcher.acted || item->watcher.closed;
}

/* Nothing is known of an item that is neither shown nor under way, nor of one that nobody asks for.
 */
static void notify_item_settle(struct notify_item *item) {
	if (notify_item_is_idle(item) &&
		(item->id == 0 || (!item->key && !notify_item_is_watched(item)))) {
		notify_item_free(item);
	}
}

/* It is not shown, unless it is about to be. The item may be gone afterwards. */
static void notify_item_end(struct notify_item *item) {
	item->id = 0;
	if (!notify_item_is_idle(item)) {
		return;
	}
	struct notify_watcher watcher = item->watcher;
	notify_item_free(item);
	if (watcher.closed) {
		watcher.closed(watcher.ctx);
	}
}

/* NULL when all that are known have a call under way or wait for the server. */
static struct notify_item *notify_add(struct notify *notify, const char *key) {
	struct notify_item *item;
	if (notify->count >= NOTIFY_ITEMS_MAX) {
		LIST_FOREACH (item, &notify->items, link) {
			if (notify_item_is_idle(item)) {
				notify_item_end(item);
				break;
			}
		}
	}
	if (notify->count >= NOTIFY_ITEMS_MAX) {
		return NULL;
	}
	item = mem_zalloc(sizeof *item);
	item->notify = notify;
	item->key = key ? mem_strdup(key) : NULL;
	list_init(&item->link);
	list_append(&notify->items, &item->link);
	notify->count++;
	return item;
}

/* ---- the server ---- */

/* One that waits for the server, or NULL. */
static struct notify_item *notify_find_waiting(struct notify *notify) {
	struct notify_item *item;
	LIST_FOREACH (item, &notify->items, link) {
		if (item->next.title && !item->call) {
			return item;
		}
	}
	return NULL;
}

static void notify_send_waiting(struct notify *notify) {
	struct notify_item *item;
	while ((item = notify_find_waiting(notify))) {
		if (notify->server != NOTIFY_KNOWN) {
			notify_ask(notify);
			return;
		}
		notify_item_send(item);
	}
}

/* One more is to wait for a server that is not there. */
static void notify_limit_waiting(struct notify *notify) {
	size_t count = 0;
	struct notify_item *item;
	LIST_FOREACH (item, &notify->items, link) {
		count += item->next.title && !item->call;
	}
	for (; count >= NOTIFY_WAITING_MAX; count--) {
		item = notify_find_waiting(notify);
		notify_text_clear(&item->next);
		notify_item_end(item);
	}
}

/* Another server, or none: it knows nothing of what the last one showed. */
static void notify_forget_server(struct notify *notify) {
	notify->server = NOTIFY_UNASKED;
	notify->asking = sd_bus_slot_unref(notify->asking);
	struct notify_item *item, *next;
again:
	LIST_FOREACH_SAFE (item, next, &notify->items, link) {
		if (item->id != 0) {
			notify_item_end(item);
			goto again;
		}
	}
}

static int notify_on_capabilities(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct notify *notify = ctx;
	notify->asking = sd_bus_slot_unref(notify->asking);
	if (sd_bus_message_is_method_error(reply, NULL)) {
		if (!notify->is_absent) {
			log_warn("notifications wait for a program that shows them error=\"%s\"",
				sd_bus_message_get_error(reply)->name);
		}
		notify->server = NOTIFY_UNASKED;
		notify->is_absent = true;
		return 0;
	}
	notify->is_absent = false;
	notify->has_markup = notify->has_actions = false;
	const char *name;
	if (sd_bus_message_enter_container(reply, 'a', "s") > 0) {
		while (sd_bus_message_read(reply, "s", &name) > 0) {
			notify->has_markup |= strcmp(name, "body-markup") == 0;
			notify->has_actions |= strcmp(name, "actions") == 0;
		}
	}
	notify->server = NOTIFY_KNOWN;
	notify_send_waiting(notify);
	return 0;
}

static void notify_ask(struct notify *notify) {
	if (notify->server != NOTIFY_UNASKED) {
		return;
	}
	sd_bus_message *call = NULL;
	int result = sd_bus_message_new_method_call(
		notify->bus, &call, NOTIFY_NAME, NOTIFY_PATH, NOTIFY_NAME, "GetCapabilities");
	if (result >= 0) {
		result = sd_bus_call_async(notify->bus, &notify->asking, call, notify_on_capabilities,
			notify, NOTIFY_PATIENCE_USEC);
	}
	sd_bus_message_unref(call);
	if (result >= 0) { /* else what waits, waits for the next one */
		notify->server = NOTIFY_ASKING;
	}
}

static int notify_on_closed(sd_bus_message *message, void *ctx, sd_bus_error *error) {
	(void)error;
	struct notify *notify = ctx;
	uint32_t id, reason;
	if (sd_bus_message_read(message, "uu", &id, &reason) <= 0 || id == 0) {
		return 0;
	}
	struct notify_item *item = notify_find_id(notify, id);
	if (item) {
		notify_item_end(item);
	}
	return 0;
}

/* Comes before the action that it belongs to. */
static int notify_on_token(sd_bus_message *message, void *ctx, sd_bus_error *error) {
	(void)error;
	uint32_t id;
	const char *token;
	if (sd_bus_message_read(message, "us", &id, &token) <= 0 || strlen(token) > NOTIFY_TOKEN_MAX) {
		return 0;
	}
	struct notify_item *item = notify_find_id(ctx, id);
	if (item) {
		free(item->token);
		item->token = mem_strdup(token);
	}
	return 0;
}

static int notify_on_acted(sd_bus_message *message, void *ctx, sd_bus_error *error) {
	(void)error;
	uint32_t id;
	const char *action;
	if (sd_bus_message_read(message, "us", &id, &action) <= 0) {
		return 0;
	}
	struct notify_item *item = notify_find_id(ctx, id);
	if (item && item->watcher.acted) {
		CLEANUP_FREE char *token = steal(&item->token);
		item->watcher.acted(action, token ? token : "", item->watcher.ctx);
	}
	return 0;
}

static int notify_on_owner(sd_bus_message *message, void *ctx, sd_bus_error *error) {
	(void)error;
	const char *name, *old, *new;
	if (sd_bus_message_read(message, "sss", &name, &old, &new) <= 0) {
		return 0;
	}
	if (old[0]) {
		notify_forget_server(ctx);
	}
	notify_send_waiting(ctx); /* asks, or starts, the new one */
	return 0;
}

/* ---- showing ---- */

static void notify_close_shown(struct notify *notify, uint32_t id) {
	/* It may be gone; then there is nothing to close. */
	(void)sd_bus_call_method_async(notify->bus, NULL, NOTIFY_NAME, NOTIFY_PATH, NOTIFY_NAME,
		"CloseNotification", NULL, NULL, "u", id);
}

static int notify_on_shown(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct notify_item *item = ctx;
	item->call = sd_bus_slot_unref(item->call);
	item->id = 0;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		log_warn(
			"a notification was not shown error=\"%s\"", sd_bus_message_get_error(reply)->name);
	} else {
		(void)sd_bus_message_read(reply, "u", &item->id);
	}
	if (item->is_withdrawn && item->id != 0) {
		notify_close_shown(item->notify, item->id);
		item->id = 0;
	}
	item->is_withdrawn = false;
	if (item->next.title) {
		notify_item_send(item);
	} else if (item->id == 0) {
		notify_item_end(item);
	} else {
		notify_item_settle(item);
	}
	return 0;
}

static int notify_append_facts(
	const struct notify *notify, sd_bus_message *call, const struct notify_text *shown) {
	uint8_t urgency = shown->is_urgent ? NOTIFY_URGENT : NOTIFY_USUAL;
	int result = sd_bus_message_open_container(call, 'a', "s");
	for (size_t i = 0;
		 notify->has_actions && i < 2 * NOTIFY_ACTIONS_MAX && shown->actions[i] && result >= 0;
		 i++) {
		result = sd_bus_message_append(call, "s", shown->actions[i]);
	}
	result = result < 0 ? result : sd_bus_message_close_container(call);
	result = result < 0 ? result : sd_bus_message_open_container(call, 'a', "{sv}");
	result = result < 0 ? result
						: sd_bus_message_append(call, "{sv}{sv}", "urgency", "y", urgency,
							  "desktop-entry", "s", NOTIFY_DESKTOP_ENTRY);
	if (result >= 0 && shown->category) {
		result = sd_bus_message_append(call, "{sv}", "category", "s", shown->category);
	}
	return result < 0 ? result : sd_bus_message_close_container(call);
}

static int notify_call_make(struct notify *notify, const struct notify_text *shown, uint32_t id,
	sd_bus_message **out_call) {
	unsigned markup = notify->has_markup ? SANITIZE_MARKUP : 0;
	char *title = sanitize_dup(slice_of(shown->title), NOTIFY_TITLE_MAX, SANITIZE_ONE_LINE);
	char *text = sanitize_dup(slice_of(shown->text), NOTIFY_TEXT_MAX, markup);
	int result = sd_bus_message_new_method_call(
		notify->bus, out_call, NOTIFY_NAME, NOTIFY_PATH, NOTIFY_NAME, "Notify");
	if (result >= 0) {
		result = sd_bus_message_append(*out_call, "susss", "Bellwire", id,
			shown->icon ? shown->icon : "mail-unread", title[0] ? title : "Bellwire", text);
	}
	result = result < 0 ? result : notify_append_facts(notify, *out_call, shown);
	result = result < 0 ? result : sd_bus_message_append(*out_call, "i", -1);
	free(title);
	free(text);
	return result;
}

/* Shows what waits. The item may be gone afterwards. */
static void notify_item_send(struct notify_item *item) {
	struct notify *notify = item->notify;
	if (notify->server != NOTIFY_KNOWN) {
		notify_ask(notify);
		return;
	}
	sd_bus_message *call = NULL;
	int result = notify_call_make(notify, &item->next, item->id, &call);
	if (result >= 0) {
		result = sd_bus_call_async(
			notify->bus, &item->call, call, notify_on_shown, item, NOTIFY_PATIENCE_USEC);
	}
	sd_bus_message_unref(call);
	notify_text_clear(&item->next);
	list_remove(&item->link);
	list_append(&notify->items, &item->link);
	if (result < 0) {
		log_warn("a notification was not shown error=\"%s\"", strerror(-result));
		notify_item_end(item);
	}
}

static char *notify_dup(const char *text) {
	return text ? mem_strdup(text) : NULL;
}

static void notify_text_copy(struct notify_text *text, const struct notification *notification) {
	assert(notification->actions_count <= NOTIFY_ACTIONS_MAX);
	*text = (struct notify_text){
		.title = mem_strdup(notification->title),
		.text = mem_strdup(notification->text ? notification->text : ""),
		.icon = notify_dup(notification->icon),
		.category = notify_dup(notification->category),
		.is_urgent = notification->is_urgent,
	};
	for (size_t i = 0; i < notification->actions_count; i++) {
		text->actions[2 * i] = mem_strdup(notification->actions[i].name);
		text->actions[2 * i + 1] = mem_strdup(notification->actions[i].label);
	}
}

static void notify_tell_closed(const struct notification *notification) {
	if (notification->closed) {
		notification->closed(notification->ctx);
	}
}

void notify_show(struct notify *notify, const struct notification *notification) {
	if (!notify->bus) {
		notify_tell_closed(notification);
		return;
	}
	struct notify_item *item = notify_find(notify, notification->key);
	if (!item) {
		if (notify->is_absent) {
			notify_limit_waiting(notify);
		}
		item = notify_add(notify, notification->key);
	}
	if (!item) {
		log_debug("notify", "too many notifications at once");
		notify_tell_closed(notification);
		return;
	}
	notify_text_clear(&item->next);
	notify_text_copy(&item->next, notification);
	item->is_withdrawn = false;
	item->watcher =
		(struct notify_watcher){notification->acted, notification->closed, notification->ctx};
	if (!item->call) {
		notify_item_send(item);
	}
}

void notify_withdraw(struct notify *notify, const char *key) {
	struct notify_item *item = notify_find(notify, key);
	if (!item) {
		return;
	}
	notify_text_clear(&item->next);
	item->watcher = (struct notify_watcher){0};
	if (item->call) {
		item->is_withdrawn = true;
		return;
	}
	if (item->id != 0) {
		notify_close_shown(notify, item->id);
		item->id = 0;
	}
	notify_item_settle(item);
}

void notify_forget(struct notify *notify, const void *ctx) {
	struct notify_item *item;
	LIST_FOREACH (item, &notify->items, link) {
		if (item->watcher.ctx == ctx) {
			item->watcher = (struct notify_watcher){0};
		}
	}
}

/* ---- the whole ---- */

struct notify *notify_open(struct bus *bus) {
	struct notify *notify = mem_zalloc(sizeof *notify);
	list_init(&notify->items);
	if (!bus) {
		return notify;
	}
	notify->bus = sd_bus_ref(bus_get(bus));
	/* Without these a notification that was closed is only shown anew, and no action is heard. */
	(void)sd_bus_match_signal_async(notify->bus, &notify->closed_match, NOTIFY_NAME, NOTIFY_PATH,
		NOTIFY_NAME, "NotificationClosed", notify_on_closed, NULL, notify);
	(void)sd_bus_match_signal_async(notify->bus, &notify->acted_match, NOTIFY_NAME, NOTIFY_PATH,
		NOTIFY_NAME, "ActionInvoked", notify_on_acted, NULL, notify);
	(void)sd_bus_match_signal_async(notify->bus, &notify->token_match, NOTIFY_NAME, NOTIFY_PATH,
		NOTIFY_NAME, "ActivationToken", notify_on_token, NULL, notify);
	(void)sd_bus_add_match_async(notify->bus, &notify->owner_match,
		"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
		"member='NameOwnerChanged',arg0='" NOTIFY_NAME "'",
		notify_on_owner, NULL, notify);
	return notify;
}

void notify_close(struct notify *notify) {
	if (!notify) {
		return;
	}
	struct notify_item *item, *next;
	LIST_FOREACH_SAFE (item, next, &notify->items, link) {
		notify_item_free(item);
	}
	sd_bus_slot_unref(notify->asking);
	sd_bus_slot_unref(notify->closed_match);
	sd_bus_slot_unref(notify->acted_match);
	sd_bus_slot_unref(notify->token_match);
	sd_bus_slot_unref(notify->owner_match);
	sd_bus_unref(notify->bus);
	free(notify);
}
