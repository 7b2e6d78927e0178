/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting answers of each kind. */
#include "storage/store_results.h"
#include "common/mem.h"
#include <stdlib.h>

/* Defines one kind of answer: its item, what runs it, and its constructor's body. */
#define STORE_ANSWER(kind, result_type, fn_type)                                                   \
	struct answer_##kind {                                                                         \
		struct store_later_item item;                                                              \
		result_type result;                                                                        \
		fn_type *done;                                                                             \
		void *ctx;                                                                                 \
	};                                                                                             \
	static void answer_##kind##_run(struct store_later_item *item) {                               \
		struct answer_##kind *answer = container_of(item, struct answer_##kind, item);             \
		answer->done(&answer->result, answer->ctx);                                                \
		free(answer);                                                                              \
	}                                                                                              \
	void store_answer_##kind(                                                                      \
		struct store_later *later, const result_type *result, fn_type *done, void *ctx) {          \
		if (done) {                                                                                \
			struct answer_##kind *answer = mem_alloc(sizeof *answer);                              \
			answer->result = *result;                                                              \
			answer->done = done;                                                                   \
			answer->ctx = ctx;                                                                     \
			store_later_add(later, &answer->item, answer_##kind##_run);                            \
		}                                                                                          \
	}

STORE_ANSWER(device, struct store_device, store_device_fn)
STORE_ANSWER(subscribed, struct store_subscribed, store_subscribed_fn)
STORE_ANSWER(subscription, struct store_subscription, store_subscription_fn)
STORE_ANSWER(put, struct store_put_result, store_put_fn)

struct answer_plain {
	struct store_later_item item;
	enum store_outcome outcome;
	size_t removed;
	store_done_fn *done;
	store_acked_fn *acked;
	void *ctx;
};

static void answer_plain_run(struct store_later_item *item) {
	struct answer_plain *answer = container_of(item, struct answer_plain, item);
	if (answer->done) {
		answer->done(answer->outcome, answer->ctx);
	} else {
		answer->acked(answer->outcome, answer->removed, answer->ctx);
	}
	free(answer);
}

static void answer_plain_add(struct store_later *later, struct answer_plain what) {
	if (what.done || what.acked) {
		struct answer_plain *answer = mem_dup(&what, sizeof what);
		store_later_add(later, &answer->item, answer_plain_run);
	}
}

void store_answer_done(
	struct store_later *later, enum store_outcome outcome, store_done_fn *done, void *ctx) {
	answer_plain_add(later, (struct answer_plain){.outcome = outcome, .done = done, .ctx = ctx});
}

void store_answer_acked(struct store_later *later, enum store_outcome outcome, size_t removed,
	store_acked_fn *done, void *ctx) {
	answer_plain_add(later,
		(struct answer_plain){.outcome = outcome, .removed = removed, .acked = done, .ctx = ctx});
}
