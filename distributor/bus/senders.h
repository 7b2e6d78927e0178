/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections that call us: how fast they may, and which sandbox they live in. The latest 256
 * are remembered (a unique name is never given twice), so that one question a caller is enough.
 */
#pragma once
#include "common/list.h"
#include "distributor/bus/sandbox.h"
#include <stdint.h>
#include <systemd/sd-bus.h>

enum {
	SENDERS_MAX = 256,
	SENDERS_BURST = 64, /* calls at once, of each kind */
	SENDERS_PER_SEC = 10, /* and then */
};
enum sender_call { SENDER_REGISTER, SENDER_UNREGISTER, SENDER_CALL_COUNT };

/* NULL: the bus does not say (the caller left already). */
typedef void sender_identified_fn(const struct sandbox *sandbox, void *ctx);

/* Embedded in the call that waits; zeroed before. */
struct sender_wait {
	struct list link; /* struct sender::waits */
	sender_identified_fn *identified;
	void *ctx;
};

struct senders;
struct senders *senders_create(struct sd_bus *sd);
void senders_destroy(struct senders *senders); /* NULL is fine */

/* Takes one from its bucket; false when it is empty. `out_is_first` tells that it was not empty
 * before. */
bool senders_admit(
	struct senders *senders, const char *unique_name, enum sender_call call, bool *out_is_first);
/* Calls `identified` once: now when it is known, else later. */
void senders_identify(struct senders *senders, const char *unique_name, struct sender_wait *wait);
void sender_wait_cancel(struct sender_wait *wait); /* fine when zeroed or done */
