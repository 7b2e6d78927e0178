/* SPDX-License-Identifier: Apache-2.0 */
/* The store that fails on request. */
#include "storage/store_fault.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "storage/store_backend.h"
#include "storage/store_later.h"
#include "storage/store_payload.h"
#include <stdlib.h>

enum fault_op {
	FAULT_ATTACH,
	FAULT_DETACH,
	FAULT_SET_URGENCY,
	FAULT_SETTLE_MISSED,
	FAULT_SUBSCRIBE,
	FAULT_UNSUBSCRIBE,
	FAULT_LOOKUP,
	FAULT_REMOVE_INVITED,
	FAULT_PUT,
	FAULT_FETCH,
	FAULT_ACK,
	FAULT_CANCEL,
	FAULT_OP_COUNT /* all */
};
enum fault_action { FAULT_NONE, FAULT_UNAVAILABLE, FAULT_LOST, FAULT_DROP, FAULT_DELAY };

static const char *const fault_op_names[FAULT_OP_COUNT + 1] = {
	[FAULT_ATTACH] = "attach",
	[FAULT_DETACH] = "detach",
	[FAULT_SET_URGENCY] = "set_urgency",
	[FAULT_SETTLE_MISSED] = "settle_missed",
	[FAULT_SUBSCRIBE] = "subscribe",
	[FAULT_UNSUBSCRIBE] = "unsubscribe",
	[FAULT_LOOKUP] = "lookup",
	[FAULT_REMOVE_INVITED] = "remove_invited",
	[FAULT_PUT] = "put",
	[FAULT_FETCH] = "fetch",
	[FAULT_ACK] = "ack",
	[FAULT_CANCEL] = "cancel",
	[FAULT_OP_COUNT] = "all",
};

struct fault_rule {
	struct list link; /* struct store_fault::rules */
	enum fault_op op;
	enum fault_action action;
	unsigned delay_ms, skip;
	unsigned left; /* UINT_MAX: for ever */
};

struct store_fault {
	struct store store;
	struct store *inner; /* NULL once closed */
	struct list rules; /* struct fault_rule::link */
	struct list calls; /* struct fault_call::link, in the order of the calls */
	struct store_later later;
	ev_timer timer; /* for the first call, when it is answered but not due */
};

/* One operation under way, and its answer. */
struct fault_call {
	struct list link; /* struct store_fault::calls */
	struct store_later_item item; /* when the inner store is not asked */
	struct store_fault *fault;
	enum fault_op op;
	enum fault_action action;
	unsigned delay_ms;
	bool is_answered;
	ev_tstamp due;
	union {
		store_device_fn *device;
		store_done_fn *plain;
		store_subscribed_fn *subscribed;
		store_subscription_fn *subscription;
		store_put_fn *put;
		store_fetched_fn *fetched;
		store_acked_fn *acked;
	} done;
	void *ctx;
	union {
		struct store_device device;
		enum store_outcome plain;
		struct store_subscribed subscribed;
		struct store_subscription subscription;
		struct store_put_result put;
		struct store_fetched fetched;
		struct {
			enum store_outcome outcome;
			size_t removed;
		} acked;
	} answer; /* the outcome always comes first */
	struct store_message *messages; /* of answer.fetched */
	struct store_payload **payloads;
	char (*topics)[STORE_TOPIC_MAX];
};

static struct store_fault *fault_of(struct store *store) {
	return container_of(store, struct store_fault, store);
}

/* ---- rules -------------------------------------------------------------------------------------
 */

/* Cuts a number off the end of text, behind the last mark. False when there is one that is bad. */
static bool fault_cut_number(struct slice *text, char mark, unsigned *out) {
	const char *at = memrchr(text->data, mark, text->len);
	if (!at) {
		return true;
	}
	unsigned long value = 0;
	const char *end = text->data + text->len;
	for (const char *digit = at + 1; digit < end; digit++) {
		if (*digit < '0' || *digit > '9' || value > UINT32_MAX / 20) {
			return false;
		}
		value = value * 10 + (unsigned long)(*digit - '0');
	}
	text->len = (size_t)(at - text->data);
	*out = (unsigned)value;
	return end > at + 1;
}

static bool fault_parse_action(struct slice text, struct fault_rule *out) {
	out->left = UINT32_MAX;
	if (!fault_cut_number(&text, '@', &out->skip) || !fault_cut_number(&text, ':', &out->left)) {
		return false;
	}
	if (slice_equals(text, "unavailable")) {
		out->action = FAULT_UNAVAILABLE;
	} else if (slice_equals(text, "lost")) {
		out->action = FAULT_LOST;
	} else if (slice_equals(text, "drop")) {
		out->action = FAULT_DROP;
	} else if (slice_starts_with(text, "delay-")) {
		out->action = FAULT_DELAY;
		return fault_cut_number(&text, '-', &out->delay_ms);
	}
	return out->action != FAULT_NONE;
}

static bool fault_add_rule(struct store_fault *fault, struct slice text) {
	const char *equals = memchr(text.data, '=', text.len);
	if (!equals) {
		return false;
	}
	size_t name_len = (size_t)(equals - text.data);
	struct fault_rule rule = {.op = FAULT_ATTACH};
	while (rule.op <= FAULT_OP_COUNT &&
		   !slice_equals((struct slice){text.data, name_len}, fault_op_names[rule.op])) {
		rule.op++;
	}
	struct slice action = {equals + 1, text.len - name_len - 1};
	if (rule.op > FAULT_OP_COUNT || !fault_parse_action(action, &rule)) {
		return false;
	}
	struct fault_rule *kept = mem_dup(&rule, sizeof rule);
	list_init(&kept->link);
	list_append(&fault->rules, &kept->link);
	return true;
}

bool store_fault_add(struct store *store, const char *rule) {
	return fault_add_rule(fault_of(store), slice_of(rule));
}

void store_fault_clear(struct store *store) {
	struct fault_rule *rule, *tmp;
	LIST_FOREACH_SAFE (rule, tmp, &fault_of(store)->rules, link) {
		list_remove(&rule->link);
		free(rule);
	}
}

static void fault_decide(struct fault_call *call) {
	struct fault_rule *rule;
	LIST_FOREACH (rule, &call->fault->rules, link) {
		if ((rule->op != call->op && rule->op != FAULT_OP_COUNT) || rule->left == 0) {
			continue;
		}
		if (rule->skip > 0) {
			rule->skip--;
			continue;
		}
		if (rule->left != UINT32_MAX) {
			rule->left--;
		}
		call->action = rule->action;
		call->delay_ms = rule->action == FAULT_DROP ? STORE_DEADLINE_MS : rule->delay_ms;
		return;
	}
}

/* ---- calls and their answers -------------------------------------------------------------------
 */

static void fault_call_run(struct fault_call *call) {
	switch (call->op) {
	case FAULT_ATTACH:
		call->done.device(&call->answer.device, call->ctx);
		break;
	case FAULT_SUBSCRIBE:
		call->done.subscribed(&call->answer.subscribed, call->ctx);
		break;
	case FAULT_LOOKUP:
		call->done.subscription(&call->answer.subscription, call->ctx);
		break;
	case FAULT_PUT:
		call->done.put(&call->answer.put, call->ctx);
		break;
	case FAULT_FETCH:
		call->done.fetched(&call->answer.fetched, call->ctx);
		break;
	case FAULT_ACK:
		if (call->done.acked) {
			call->done.acked(call->answer.acked.outcome, call->answer.acked.removed, call->ctx);
		}
		break;
	case FAULT_DETACH:
	case FAULT_SET_URGENCY:
	case FAULT_SETTLE_MISSED:
	case FAULT_UNSUBSCRIBE:
	case FAULT_REMOVE_INVITED:
	case FAULT_CANCEL:
		if (call->done.plain) {
			call->done.plain(call->answer.plain, call->ctx);
		}
		break;
	case FAULT_OP_COUNT:
		break;
	}
}

static void fault_call_destroy(struct fault_call *call) {
	for (size_t i = 0; call->payloads && i < call->answer.fetched.count; i++) {
		free(call->payloads[i]);
	}
	free(call->payloads);
	free(call->topics);
	free(call->messages);
	free(call);
}

/* Runs the answers whose turn it is. */
static void fault_pump(struct store_fault *fault) {
	struct fault_call *call;
	while ((call = list_first(&fault->calls, struct fault_call, link)) && call->is_answered) {
		ev_tstamp wait = call->due - ev_now(fault->store.options.loop);
		if (wait > 0 && fault->inner) {
			ev_timer_stop(fault->store.options.loop, &fault->timer);
			ev_timer_set(&fault->timer, wait, 0.);
			ev_timer_start(fault->store.options.loop, &fault->timer);
			return;
		}
		list_remove(&call->link);
		fault_call_run(call);
		fault_call_destroy(call);
	}
}

static void fault_on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	fault_pump(timer->data);
}

/* The answer is there; only its time may not have come. */
static void fault_answered(struct fault_call *call) {
	call->is_answered = true;
	fault_pump(call->fault);
}

static void fault_run_refused(struct store_later_item *item) {
	struct fault_call *call = container_of(item, struct fault_call, item);
	memset(&call->answer, 0, sizeof call->answer);
	call->answer.plain = STORE_UNAVAILABLE;
	fault_answered(call);
}

/* Books a call. *out_is_passed: the inner store is to be asked. */
static struct fault_call *fault_call_create(
	struct store *store, enum fault_op op, void *ctx, bool *out_is_passed) {
	struct store_fault *fault = fault_of(store);
	struct fault_call *call = mem_zalloc(sizeof *call);
	call->fault = fault;
	call->op = op;
	call->ctx = ctx;
	list_init(&call->link);
	list_append(&fault->calls, &call->link);
	fault_decide(call);
	call->due = ev_now(fault->store.options.loop) + call->delay_ms / 1000.0;
	*out_is_passed =
		fault->inner && call->action != FAULT_UNAVAILABLE && call->action != FAULT_DROP;
	if (!*out_is_passed) {
		store_later_add(&fault->later, &call->item, fault_run_refused);
	}
	return call;
}

/* The inner store's answers. The outcome is the first member of each. */
#define FAULT_ON(kind, type)                                                                       \
	static void fault_on_##kind(const type *answer, void *ctx) {                                   \
		struct fault_call *call = ctx;                                                             \
		if (call->action == FAULT_LOST) {                                                          \
			call->answer.kind = (type){.outcome = STORE_UNAVAILABLE};                              \
		} else {                                                                                   \
			call->answer.kind = *answer;                                                           \
		}                                                                                          \
		fault_answered(call);                                                                      \
	}
FAULT_ON(device, struct store_device)
FAULT_ON(subscribed, struct store_subscribed)
FAULT_ON(subscription, struct store_subscription)
FAULT_ON(put, struct store_put_result)

static void fault_on_plain(enum store_outcome outcome, void *ctx) {
	struct fault_call *call = ctx;
	call->answer.plain = call->action == FAULT_LOST ? STORE_UNAVAILABLE : outcome;
	fault_answered(call);
}

static void fault_on_acked(enum store_outcome outcome, size_t removed, void *ctx) {
	struct fault_call *call = ctx;
	bool is_lost = call->action == FAULT_LOST;
	call->answer.acked.outcome = is_lost ? STORE_UNAVAILABLE : outcome;
	call->answer.acked.removed = is_lost ? 0 : removed;
	fault_answered(call);
}

/* The messages are the inner store's only for now: copy them. */
static void fault_on_fetched(const struct store_fetched *fetched, void *ctx) {
	struct fault_call *call = ctx;
	if (call->action == FAULT_LOST) {
		call->answer.fetched = (struct store_fetched){.outcome = STORE_UNAVAILABLE};
		fault_answered(call);
		return;
	}
	call->answer.fetched = *fetched;
	if (fetched->count > 0) {
		call->messages = mem_dup(fetched->messages, fetched->count * sizeof *fetched->messages);
		call->payloads = mem_zalloc(fetched->count * sizeof(void *));
		call->topics = mem_zalloc(fetched->count * sizeof *call->topics);
	}
	for (size_t i = 0; i < fetched->count; i++) {
		const struct store_message *message = &fetched->messages[i];
		call->payloads[i] = store_payload_make(
			message->encoding, message->encryption, message->crypto_key, message->body);
		store_payload_open(call->payloads[i], &call->messages[i]);
		if (message->topic.len > 0) {
			memcpy(call->topics[i], message->topic.data, message->topic.len);
			call->messages[i].topic.data = call->topics[i];
		}
	}
	call->answer.fetched.messages = call->messages;
	fault_answered(call);
}

/* ---- the operations ----------------------------------------------------------------------------
 */

static void fault_attach(
	struct store *store, struct device_id device, store_device_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_ATTACH, ctx, &is_passed);
	call->done.device = done;
	if (is_passed) {
		store_attach(call->fault->inner, device, fault_on_device, call);
	}
}

static void fault_detach(
	struct store *store, struct device_id device, store_done_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_DETACH, ctx, &is_passed);
	call->done.plain = done;
	if (is_passed) {
		store_detach(call->fault->inner, device, fault_on_plain, call);
	}
}

static void fault_set_urgency(struct store *store, struct device_id device, enum urgency min,
	store_done_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_SET_URGENCY, ctx, &is_passed);
	call->done.plain = done;
	if (is_passed) {
		store_set_urgency(call->fault->inner, device, min, fault_on_plain, call);
	}
}

static void fault_settle_missed(
	struct store *store, struct device_id device, uint64_t count, store_done_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_SETTLE_MISSED, ctx, &is_passed);
	call->done.plain = done;
	if (is_passed) {
		store_settle_missed(call->fault->inner, device, count, fault_on_plain, call);
	}
}

static void fault_subscribe(
	struct store *store, const struct store_subscribe *what, store_subscribed_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_SUBSCRIBE, ctx, &is_passed);
	call->done.subscribed = done;
	if (is_passed) {
		store_subscribe(call->fault->inner, what, fault_on_subscribed, call);
	}
}

static void fault_unsubscribe(struct store *store, struct device_id device,
	struct channel_id channel, store_done_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_UNSUBSCRIBE, ctx, &is_passed);
	call->done.plain = done;
	if (is_passed) {
		store_unsubscribe(call->fault->inner, device, channel, fault_on_plain, call);
	}
}

static void fault_lookup(struct store *store, struct device_id device,
	struct subscription_id subscription, store_subscription_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_LOOKUP, ctx, &is_passed);
	call->done.subscription = done;
	if (is_passed) {
		store_lookup(call->fault->inner, device, subscription, fault_on_subscription, call);
	}
}

static void fault_remove_invited(
	struct store *store, struct invite_id invite, store_done_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_REMOVE_INVITED, ctx, &is_passed);
	call->done.plain = done;
	if (is_passed) {
		store_remove_invited(call->fault->inner, invite, fault_on_plain, call);
	}
}

static void fault_put(
	struct store *store, const struct store_put *put, store_put_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_PUT, ctx, &is_passed);
	call->done.put = done;
	if (is_passed) {
		store_put(call->fault->inner, put, fault_on_put, call);
	}
}

static void fault_fetch(struct store *store, struct device_id device, struct message_id after,
	enum urgency min, size_t max, store_fetched_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_FETCH, ctx, &is_passed);
	call->done.fetched = done;
	if (is_passed) {
		store_fetch(call->fault->inner, device, after, min, max, fault_on_fetched, call);
	}
}

static void fault_ack(struct store *store, struct device_id device, const struct store_ack *acks,
	size_t count, store_acked_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_ACK, ctx, &is_passed);
	call->done.acked = done;
	if (is_passed) {
		store_ack(call->fault->inner, device, acks, count, fault_on_acked, call);
	}
}

static void fault_cancel(struct store *store, struct device_id device, struct message_id id,
	store_done_fn *done, void *ctx) {
	bool is_passed;
	struct fault_call *call = fault_call_create(store, FAULT_CANCEL, ctx, &is_passed);
	call->done.plain = done;
	if (is_passed) {
		store_cancel(call->fault->inner, device, id, fault_on_plain, call);
	}
}

static void fault_tell(
	struct store *store, struct node_id to, struct device_id device, struct slice text) {
	store_tell(fault_of(store)->inner, to, device, text);
}

static void fault_get_stats(const struct store *store, struct store_stats *out_stats) {
	store_get_stats(container_of(store, const struct store_fault, store)->inner, out_stats);
}

static void fault_sweep(struct store *store) {
	store_sweep(fault_of(store)->inner);
}

static bool fault_is_available(const struct store *store) {
	return store_is_available(container_of(store, const struct store_fault, store)->inner);
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

static void fault_free(struct store_fault *fault) {
	store_fault_clear(&fault->store);
	free(fault);
}

static bool fault_add_rules(struct store_fault *fault, struct slice text) {
	while (text.len > 0) {
		const char *end = memchr(text.data, '&', text.len);
		struct slice rule = {text.data, end ? (size_t)(end - text.data) : text.len};
		if (!fault_add_rule(fault, rule)) {
			return false;
		}
		size_t used = rule.len + (end != NULL);
		text = (struct slice){text.data + used, text.len - used};
	}
	return true;
}

static struct store *fault_open(
	const struct store_options *options, const char *rest, char **out_error) {
	const char *query = strrchr(rest, '?');
	CLEANUP_FREE char *inner_url = mem_strndup(rest, query ? (size_t)(query - rest) : strlen(rest));
	struct store_fault *fault = mem_zalloc(sizeof *fault);
	fault->store.options = *options;
	list_init(&fault->rules);
	list_init(&fault->calls);
	if (query && !fault_add_rules(fault, slice_of(query + 1))) {
		*out_error = mem_printf("store fault:%s: \"%s\" are no rules; write "
								"OPERATION=ACTION[:COUNT][@SKIP], joined by '&'",
			rest, query + 1);
		fault_free(fault);
		return NULL;
	}
	struct store_options inner = *options;
	inner.url = inner_url;
	fault->inner = store_open(&inner, out_error);
	if (!fault->inner) {
		fault_free(fault);
		return NULL;
	}
	store_later_init(&fault->later, options->loop);
	ev_timer_init(&fault->timer, fault_on_timer, 0., 0.);
	fault->timer.data = fault;
	return &fault->store;
}

static void fault_close(struct store *store) {
	struct store_fault *fault = fault_of(store);
	store_close(fault->inner); /* answers all that it was asked */
	fault->inner = NULL;
	ev_timer_stop(fault->store.options.loop, &fault->timer);
	do {
		store_later_finish(&fault->later);
		fault_pump(fault);
	} while (!list_is_empty(&fault->calls));
	fault_free(fault);
}

const struct store_backend store_fault_backend = {
	.scheme = "fault",
	.open = fault_open,
	.close = fault_close,
	.is_available = fault_is_available,
	.attach = fault_attach,
	.detach = fault_detach,
	.set_urgency = fault_set_urgency,
	.settle_missed = fault_settle_missed,
	.subscribe = fault_subscribe,
	.unsubscribe = fault_unsubscribe,
	.lookup = fault_lookup,
	.remove_invited = fault_remove_invited,
	.put = fault_put,
	.fetch = fault_fetch,
	.ack = fault_ack,
	.cancel = fault_cancel,
	.tell = fault_tell,
	.get_stats = fault_get_stats,
	.sweep = fault_sweep,
};
