/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind control.h share: how a method is run and answered. */
#pragma once
#include "common/list.h"
#include "distributor/bus/control.h"
#include <stdbool.h>

enum { CONTROL_PENDING_MAX = 64 };

struct listeners;
struct control {
	struct control_options options;
	struct sd_bus *sd;
	sd_bus_slot *object;
	struct listeners *listeners;
	struct list pending; /* struct control_pending::link */
	uint32_t pending_count;
	bool is_named;
};

/* What a method leaves to be answered; negative, with the error set: that. */
enum control_answer {
	CONTROL_DONE, /* nothing to say but that */
	CONTROL_CHANGED, /* the same, when it is on the disk */
	CONTROL_LATER, /* it answers by itself */
};
typedef int control_run_fn(struct control *control, sd_bus_message *call, sd_bus_error *error);
typedef int control_report_fn(sd_bus_message *reply, const struct control *control);

/* A call that waits for its answer; it may outlive the control. */
struct control_pending {
	struct list link; /* struct control::pending */
	struct control *control; /* NULL: we end */
	sd_bus_message *call;
};
/* NULL, with the error set, when too many wait. */
struct control_pending *control_pend(
	struct control *control, sd_bus_message *call, sd_bus_error *error);
/* May it still be answered? */
bool control_is_awaited(const struct control_pending *pending);
void control_pending_free(struct control_pending *pending);
/* A disk_done_fn that answers the call given as ctx (a reference, which it drops). */
void control_on_saved(int result, void *ctx);
