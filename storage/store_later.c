/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds one watcher to run waiting callbacks in this turn of the loop. */
#include "storage/store_later.h"

static void store_later_run(struct store_later *later) {
	struct list ready;
	list_init(&ready);
	list_splice(&ready, &later->items);
	struct store_later_item *item;
	while ((item = list_first(&ready, struct store_later_item, link))) {
		list_remove(&item->link);
		item->run(item);
	}
}

static void store_later_on_fed(struct ev_loop *loop, ev_prepare *watcher, int events) {
	(void)loop;
	(void)events;
	store_later_run(watcher->data);
}

void store_later_init(struct store_later *later, struct ev_loop *loop) {
	later->loop = loop;
	ev_prepare_init(&later->watcher, store_later_on_fed);
	later->watcher.data = later;
	list_init(&later->items);
}

void store_later_add(struct store_later *later, struct store_later_item *item,
	void (*run)(struct store_later_item *)) {
	item->run = run;
	list_init(&item->link);
	list_append(&later->items, &item->link);
	ev_feed_event(later->loop, &later->watcher, EV_PREPARE);
}

void store_later_finish(struct store_later *later) {
	while (!list_is_empty(&later->items)) {
		store_later_run(later);
	}
	ev_clear_pending(later->loop, &later->watcher);
}
