/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a store by URL, checks arguments, forwards to the backend. */
#include "storage/store.h"
#include "common/mem.h"
#include "storage/store_backend.h"
#include <assert.h>

static const struct {
	const char *scheme;
	const struct store_backend *backend;
} store_schemes[] = {
	{"memory:", &store_memory_backend},
	{"sqlite:", &store_sqlite_backend},
	{"fault:", &store_fault_backend},
	{"redis:", &store_redis_backend},
	{"rediss:", &store_redis_backend},
	{"unix:", &store_redis_backend},
};

const char *store_outcome_name(enum store_outcome outcome) {
	static const char *const names[STORE_OUTCOME_COUNT] = {
		[STORE_OK] = "ok",
		[STORE_MISSING] = "missing",
		[STORE_GONE] = "gone",
		[STORE_KEY_MISMATCH] = "key-mismatch",
		[STORE_TOO_LARGE] = "too-large",
		[STORE_FULL] = "full",
		[STORE_OVER_QUOTA] = "over-quota",
		[STORE_UNAVAILABLE] = "unavailable",
	};
	return outcome < STORE_OUTCOME_COUNT ? names[outcome] : "?";
}

bool store_key_is_later(const uint8_t key_hash[STORE_KEY_HASH_BYTES]) {
	static const uint8_t later[STORE_KEY_HASH_BYTES];
	return memcmp(key_hash, later, sizeof later) == 0;
}

static const struct store_backend *store_backend_of(const char *url, const char **out_rest) {
	for (size_t i = 0; i < sizeof store_schemes / sizeof store_schemes[0]; i++) {
		size_t len = strlen(store_schemes[i].scheme);
		if (strncmp(url, store_schemes[i].scheme, len) == 0) {
			*out_rest = url + len;
			return store_schemes[i].backend;
		}
	}
	return NULL;
}

struct store *store_open(const struct store_options *options, char **out_error) {
	const char *rest;
	const struct store_backend *backend = store_backend_of(options->url, &rest);
	if (!backend) {
		*out_error = mem_printf("store \"%s\" is of an unknown kind; use sqlite:PATH, "
								"redis://HOST:PORT/DB, unix://PATH or memory:",
			options->url);
		return NULL;
	}
	struct store *store = backend->open(options, rest, out_error);
	if (store) {
		store->backend = backend;
		store->options = *options;
		store->options.url = NULL;
	}
	return store;
}

void store_close(struct store *store) {
	if (store) {
		store->backend->close(store);
	}
}

bool store_is_available(const struct store *store) {
	return store->backend->is_available(store);
}

bool store_url_is_known(const char *url) {
	const char *rest;
	return store_backend_of(url, &rest) != NULL;
}

bool store_url_is_shared(const char *url) {
	const char *rest;
	const struct store_backend *backend = store_backend_of(url, &rest);
	if (backend == &store_fault_backend) {
		return store_url_is_shared(rest);
	}
	return !backend ||
		   backend->is_shared; /* an unknown one is refused at opening, with its reason */
}

int64_t store_now_ms(const struct store *store) {
	return (int64_t)(ev_now(store->options.loop) * 1000);
}

void store_attach(struct store *store, struct device_id device, store_device_fn *done, void *ctx) {
	assert(done);
	store->backend->attach(store, device, done, ctx);
}

void store_detach(struct store *store, struct device_id device, store_done_fn *done, void *ctx) {
	store->backend->detach(store, device, done, ctx);
}

void store_set_urgency(struct store *store, struct device_id device, enum urgency min,
	store_done_fn *done, void *ctx) {
	assert(min < URGENCY_COUNT);
	store->backend->set_urgency(store, device, min, done, ctx);
}

void store_settle_missed(
	struct store *store, struct device_id device, uint64_t count, store_done_fn *done, void *ctx) {
	store->backend->settle_missed(store, device, count, done, ctx);
}

void store_subscribe(
	struct store *store, const struct store_subscribe *what, store_subscribed_fn *done, void *ctx) {
	assert(done);
	store->backend->subscribe(store, what, done, ctx);
}

void store_unsubscribe(struct store *store, struct device_id device, struct channel_id channel,
	store_done_fn *done, void *ctx) {
	store->backend->unsubscribe(store, device, channel, done, ctx);
}

void store_lookup(struct store *store, struct device_id device, struct subscription_id subscription,
	store_subscription_fn *done, void *ctx) {
	assert(done);
	store->backend->lookup(store, device, subscription, done, ctx);
}

void store_remove_invited(
	struct store *store, struct invite_id invite, store_done_fn *done, void *ctx) {
	store->backend->remove_invited(store, invite, done, ctx);
}

void store_put(struct store *store, const struct store_put *put, store_put_fn *done, void *ctx) {
	assert(done && put->topic.len <= STORE_TOPIC_MAX && put->urgency < URGENCY_COUNT);
	assert(put->encoding.len <= UINT16_MAX && put->encryption.len <= UINT16_MAX &&
		   put->crypto_key.len <= UINT16_MAX && put->body.len <= UINT32_MAX / 2);
	store->backend->put(store, put, done, ctx);
}

void store_fetch(struct store *store, struct device_id device, struct message_id after,
	enum urgency min, size_t max, store_fetched_fn *done, void *ctx) {
	assert(done && max > 0);
	store->backend->fetch(
		store, device, after, min, max < STORE_FETCH_MAX ? max : STORE_FETCH_MAX, done, ctx);
}

void store_ack(struct store *store, struct device_id device, const struct store_ack *acks,
	size_t count, store_acked_fn *done, void *ctx) {
	store->backend->ack(store, device, acks, count, done, ctx);
}

void store_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx) {
	assert(done);
	store->backend->cancel(store, device, id, done, ctx);
}

void store_tell(
	struct store *store, struct node_id to, struct device_id device, struct slice text) {
	if (store->backend->tell) {
		store->backend->tell(store, to, device, text);
	}
}

void store_get_stats(const struct store *store, struct store_stats *out_stats) {
	store->backend->get_stats(store, out_stats);
}

void store_sweep(struct store *store) {
	if (store->backend->sweep) {
		store->backend->sweep(store);
	}
}
