/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are known already and only wait for their turn: one constructor for each kind of
 * callback. */
#pragma once
#include "storage/store_backend.h"
#include "storage/store_later.h"

/* All copy what they are given. A NULL done makes nothing. */
void store_answer_device(
	struct store_later *later, const struct store_device *result, store_device_fn *done, void *ctx);
void store_answer_done(
	struct store_later *later, enum store_outcome outcome, store_done_fn *done, void *ctx);
void store_answer_subscribed(struct store_later *later, const struct store_subscribed *result,
	store_subscribed_fn *done, void *ctx);
void store_answer_subscription(struct store_later *later, const struct store_subscription *result,
	store_subscription_fn *done, void *ctx);
void store_answer_put(struct store_later *later, const struct store_put_result *result,
	store_put_fn *done, void *ctx);
void store_answer_acked(struct store_later *later, enum store_outcome outcome, size_t removed,
	store_acked_fn *done, void *ctx);
