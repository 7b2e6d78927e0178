/* SPDX-License-Identifier: Apache-2.0 */
/* Callbacks that run later from the loop, in order, at no system call: how a store that knows its
 * answer at once keeps the rule that `done` never runs before the call has returned. */
#pragma once
#include "common/list.h"
#include <ev.h>

struct store_later {
	struct ev_loop *loop;
	ev_prepare watcher; /* never started: only fed */
	struct list items; /* struct store_later_item::link */
};
struct store_later_item {
	struct list link;
	void (*run)(struct store_later_item *item); /* frees it */
};

void store_later_init(struct store_later *later, struct ev_loop *loop);
void store_later_add(struct store_later *later, struct store_later_item *item,
	void (*run)(struct store_later_item *));
/* Runs what waits, now; for closing. */
void store_later_finish(struct store_later *later);
