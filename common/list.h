/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked list. A head and each member are a struct list; an initialised member
 * that is on no list points to itself, so list_remove() may be called twice. Name the member at
 * each head in a comment beside it: struct device::link.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *head) {
	head->prev = head->next = head;
}
static inline bool list_is_empty(const struct list *head) {
	return head->next == head;
}
static inline void list_insert_before(struct list *at, struct list *item) {
	item->prev = at->prev;
	item->next = at;
	at->prev->next = item;
	at->prev = item;
}
static inline void list_append(struct list *head, struct list *item) {
	list_insert_before(head, item);
}
static inline void list_prepend(struct list *head, struct list *item) {
	list_insert_before(head->next, item);
}
static inline void list_remove(struct list *item) {
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}
/* Moves all members of from to the end of to. */
static inline void list_splice(struct list *to, struct list *from) {
	if (list_is_empty(from)) {
		return;
	}
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_first(head, type, member)                                                             \
	(list_is_empty(head) ? NULL : container_of((head)->next, type, member))
#define LIST_FOREACH(item, head, member)                                                           \
	for ((item) = container_of((head)->next, __typeof__(*(item)), member);                         \
		 &(item)->member != (head);                                                                \
		 (item) = container_of((item)->member.next, __typeof__(*(item)), member))
/* As LIST_FOREACH; the body may remove item. */
#define LIST_FOREACH_SAFE(item, tmp, head, member)                                                 \
	for ((item) = container_of((head)->next, __typeof__(*(item)), member),                         \
		(tmp) = container_of((item)->member.next, __typeof__(*(item)), member);                    \
		 &(item)->member != (head);                                                                \
		 (item) = (tmp), (tmp) = container_of((item)->member.next, __typeof__(*(item)), member))
