/* SPDX-License-Identifier: Apache-2.0 */
/* What push_service.c, which routes, shares with push.c, which has the flow of one POST. */
#pragma once
#include "common/log_limit.h"
#include "relay/push/push.h"

struct push_service {
	struct push_options options;
	const struct token_keys *keys;
	struct log_limit overflow;
	size_t pending; /* operations under way */
	bool is_stopping;
};

/* Leads a POST whose token is good to its answer. */
void push_begin(struct push_service *service, struct http_request *request,
	const struct device_id *device, const struct subscription_id *subscription);
