/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For implementers of a store. A backend is one constant `const struct store_backend
 * store_NAME_backend` at the end of its file. store.c has checked the arguments; the rules of
 * store.h for callbacks are the backend's to keep (store_defer helps). A backend embeds struct
 * store as its first member.
 */
#pragma once
#include "common/list.h"
#include "storage/store.h"

struct store_backend {
	const char *scheme; /* "sqlite" */
	bool is_shared;
	struct store *(*open)(const struct store_options *options, const char *rest,
		char **out_error); /* rest: behind "scheme:" */
	void (*close)(struct store *store);
	bool (*is_available)(const struct store *store);
	void (*attach)(struct store *, struct device_id, store_device_fn *, void *);
	void (*detach)(struct store *, struct device_id, store_done_fn *, void *);
	void (*set_urgency)(struct store *, struct device_id, enum urgency, store_done_fn *, void *);
	void (*settle_missed)(struct store *, struct device_id, uint64_t, store_done_fn *, void *);
	void (*subscribe)(
		struct store *, const struct store_subscribe *, store_subscribed_fn *, void *);
	void (*unsubscribe)(
		struct store *, struct device_id, struct channel_id, store_done_fn *, void *);
	void (*lookup)(
		struct store *, struct device_id, struct subscription_id, store_subscription_fn *, void *);
	void (*remove_invited)(struct store *, struct invite_id, store_done_fn *, void *);
	void (*put)(struct store *, const struct store_put *, store_put_fn *, void *);
	void (*fetch)(struct store *, struct device_id, struct message_id, enum urgency, size_t,
		store_fetched_fn *, void *);
	void (*ack)(struct store *, struct device_id, const struct store_ack *, size_t,
		store_acked_fn *, void *);
	void (*cancel)(struct store *, struct device_id, struct message_id, store_done_fn *, void *);
	void (*tell)(struct store *, struct node_id, struct device_id,
		struct slice); /* NULL: there is one node only */
	void (*get_stats)(const struct store *, struct store_stats *);
	void (*sweep)(struct store *); /* NULL: nothing to do */
};

struct store {
	const struct store_backend *backend;
	struct store_options options; /* url is not kept */
};

extern const struct store_backend store_memory_backend, store_sqlite_backend, store_redis_backend,
	store_fault_backend;

/* Unix time in ms of the loop's iteration. */
int64_t store_now_ms(const struct store *store);
