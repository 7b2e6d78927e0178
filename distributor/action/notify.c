/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications by key: at most one call a key is under way, and the newest text waits for it. */
#include "distributor/action/notify.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include <stdlib.h>
#include <string.h>

#define NOTIFY_NAME "org.freedesktop.Notifications"
#define NOTIFY_PATH "/org/freedesktop/Notifications"

enum {
	NOTIFY_ITEMS_MAX =
		128, /* known at a time; the oldest that is at rest is forgotten for a new one */
	NOTIFY_TITLE_MAX = 200,
	NOTIFY_TEXT_MAX = 1000,
	NOTIFY_URGENT = 2,
	NOTIFY_USUAL = 1,
};

/* What the server can do, asked once a server. */
enum notify_server { NOTIFY_UNASKED, NOTIFY_ASKING, NOTIFY_KNOWN };

struct notify_text {
	char *title, *text, *icon; /* as given, not safe yet; title NULL: nothing waits */
	bool is_urgent;
};

struct notify_item {
	struct list link; /* struct notify::items, the longest unchanged first */
	struct notify *notify;
	char *key; /* NULL: forgotten once it is shown */
	uint32_t id; /* the server's, 0 when it is not shown */
	struct notify_text next; /* to be shown when the call under way has ended */
	bool is_withdrawn; /* … or to be taken away */
	sd_bus_slot *call; /* Notify under way, or NULL */
};

struct notify {
	struct sd_bus *bus; /* NULL: nothing is ever shown */
	struct list items; /* struct notify_item::link */
	size_t count;
	enum notify_server server;
	bool has_markup;
	sd_bus_slot *asking, *closed_match, *owner_match;
};

static void notify_item_send(struct notify_item *item);

/* ---- items ---- */

static void notify_text_clear(struct notify_text *text) {
	free(text->title);
	free(text->text);
	free(text->icon);
	*text = (struct notify_text){0};
}

static void notify_item_free(struct notify_item *item) {
	list_remove(&item->link);
	item->notify->count--;
	sd_bus_slot_unref(item->call);
	notify_text_clear(&item->next);
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

/* NULL when all that are known have a call under way or wait for the server. */
static struct notify_item *notify_add(struct notify *notify, const char *key) {
	struct notify_item *item, *next;
	LIST_FOREACH_SAFE (item, next, &notify->items, link) {
		if (notify->count >= NOTIFY_ITEMS_MAX && !item->call && !item->next.title) {
			notify_item_free(item);
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

static bool notify_item_is_idle(const struct notify_item *item) {
	return !item->call && !item->next.title;
}

/* Nothing is known of an item that is neither shown nor under way. */
static void notify_item_settle(struct notify_item *item) {
	if (notify_item_is_idle(item) && (item->id == 0 || !item->key)) {
		notify_item_free(item);
	}
}

/* ---- the server ---- */

/* Another server, or none: it knows nothing of what the last one showed. */
static void notify_forget_server(struct notify *notify) {
	notify->server = NOTIFY_UNASKED;
	notify->asking = sd_bus_slot_unref(notify->asking);
	struct notify_item *item, *next;
	LIST_FOREACH_SAFE (item, next, &notify->items, link) {
		item->id = 0;
		notify_item_settle(item);
	}
}

static void notify_send_waiting(struct notify *notify) {
	struct notify_item *item, *next;
	LIST_FOREACH_SAFE (item, next, &notify->items, link) {
		if (item->next.title && !item->call) {
			notify_item_send(item);
		}
	}
}

static void notify_drop_waiting(struct notify *notify) {
	struct notify_item *item, *next;
	LIST_FOREACH_SAFE (item, next, &notify->items, link) {
		notify_text_clear(&item->next);
		notify_item_settle(item);
	}
}

static int notify_on_capabilities(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct notify *notify = ctx;
	notify->asking = sd_bus_slot_unref(notify->asking);
	if (sd_bus_message_is_method_error(reply, NULL)) {
		notify->server = NOTIFY_UNASKED;
		log_warn(
			"no notification can be shown error=\"%s\"", sd_bus_message_get_error(reply)->name);
		notify_drop_waiting(notify);
		return 0;
	}
	notify->has_markup = false;
	const char *name;
	if (sd_bus_message_enter_container(reply, 'a', "s") > 0) {
		while (sd_bus_message_read(reply, "s", &name) > 0) {
			notify->has_markup |= strcmp(name, "body-markup") == 0;
		}
	}
	notify->server = NOTIFY_KNOWN;
	notify_send_waiting(notify);
	return 0;
}

static void notify_ask(struct notify *notify) {
	int result = sd_bus_call_method_async(notify->bus, &notify->asking, NOTIFY_NAME, NOTIFY_PATH,
		NOTIFY_NAME, "GetCapabilities", notify_on_capabilities, notify, NULL);
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
	struct notify_item *item, *next;
	LIST_FOREACH_SAFE (item, next, &notify->items, link) {
		if (item->id == id) {
			item->id = 0;
			notify_item_settle(item);
		}
	}
	return 0;
}

static int notify_on_owner(sd_bus_message *message, void *ctx, sd_bus_error *error) {
	(void)error;
	const char *name, *old, *new;
	if (sd_bus_message_read(message, "sss", &name, &old, &new) > 0 && old[0]) {
		notify_forget_server(ctx);
		notify_send_waiting(ctx); /* each asks, or starts, the new one */
	}
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
	} else {
		notify_item_settle(item);
	}
	return 0;
}

static int notify_call_make(struct notify *notify, const struct notify_text *shown, uint32_t id,
	sd_bus_message **out_call) {
	unsigned markup = notify->has_markup ? SANITIZE_MARKUP : 0;
	char *title = sanitize_dup(slice_of(shown->title), NOTIFY_TITLE_MAX, SANITIZE_ONE_LINE);
	char *text = sanitize_dup(slice_of(shown->text), NOTIFY_TEXT_MAX, markup);
	int result = sd_bus_message_new_method_call(
		notify->bus, out_call, NOTIFY_NAME, NOTIFY_PATH, NOTIFY_NAME, "Notify");
	if (result >= 0) {
		uint8_t urgency = shown->is_urgent ? NOTIFY_URGENT : NOTIFY_USUAL;
		result = sd_bus_message_append(*out_call, "susssasa{sv}i", "Bellwire", id,
			shown->icon ? shown->icon : "mail-unread", title[0] ? title : "Bellwire", text, 0, 1,
			"urgency", "y", urgency, -1);
	}
	free(title);
	free(text);
	return result;
}

/* Shows what waits. The item may be gone afterwards. */
static void notify_item_send(struct notify_item *item) {
	struct notify *notify = item->notify;
	if (notify->server != NOTIFY_KNOWN) {
		if (notify->server == NOTIFY_UNASKED) {
			notify_ask(notify);
		}
		return;
	}
	sd_bus_message *call = NULL;
	int result = notify_call_make(notify, &item->next, item->id, &call);
	if (result >= 0) {
		result = sd_bus_call_async(notify->bus, &item->call, call, notify_on_shown, item, 0);
	}
	sd_bus_message_unref(call);
	notify_text_clear(&item->next);
	list_remove(&item->link);
	list_append(&notify->items, &item->link);
	if (result < 0) {
		log_warn("a notification was not shown error=\"%s\"", strerror(-result));
		notify_item_settle(item);
	}
}

void notify_show(struct notify *notify, const struct notification *notification) {
	if (!notify->bus) {
		return;
	}
	struct notify_item *item = notify_find(notify, notification->key);
	if (!item) {
		item = notify_add(notify, notification->key);
	}
	if (!item) {
		log_debug("notify", "too many notifications at once");
		return;
	}
	notify_text_clear(&item->next);
	item->is_withdrawn = false;
	item->next = (struct notify_text){
		.title = mem_strdup(notification->title),
		.text = mem_strdup(notification->text ? notification->text : ""),
		.icon = notification->icon ? mem_strdup(notification->icon) : NULL,
		.is_urgent = notification->is_urgent,
	};
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

/* ---- the whole ---- */

struct notify *notify_open(struct bus *bus) {
	struct notify *notify = mem_zalloc(sizeof *notify);
	list_init(&notify->items);
	if (!bus) {
		return notify;
	}
	notify->bus = sd_bus_ref(bus_get(bus));
	/* Without these a notification that was closed is only shown anew. */
	(void)sd_bus_match_signal_async(notify->bus, &notify->closed_match, NOTIFY_NAME, NOTIFY_PATH,
		NOTIFY_NAME, "NotificationClosed", notify_on_closed, NULL, notify);
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
	sd_bus_slot_unref(notify->owner_match);
	sd_bus_unref(notify->bus);
	free(notify);
}
