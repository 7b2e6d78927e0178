/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tells one login on one device from all others, without telling anybody which device it is:
 * deviceClientId of RFC 8620 7.2, and which endpoint and keys a subscription is bound to.
 */
#pragma once
#include "distributor/jmap/jmap_config.h"
#include "distributor/registrations.h"

enum { PUSH_DEVICE_LENGTH = 22 }; /* 16 bytes in base64url */

struct push_device {
	char client_id[PUSH_DEVICE_LENGTH + 1];
	/* What to save, for where the system has no identity of its own; "" when it has. */
	char invented[PUSH_DEVICE_LENGTH + 1];
};
/* The same for the same machine, user, state directory and login. `saved`: `invented` of an earlier
 * run, NULL for none. */
void push_device_init(struct push_device *device, const struct jmap_config *config,
	const char *state_dir, const char *saved);
/* Fresh text that is the same as long as endpoint and keys are. */
char *push_bound_dup(const struct registration *registration);
