/* SPDX-License-Identifier: Apache-2.0 */
/* One window after the other. */
#include "distributor/jmap/gather.h"

static bool gather_act(struct gather *gather, int64_t now_ms) {
	gather->has_acted = true;
	gather->acted_ms = now_ms;
	gather->is_pending = false;
	return true;
}

bool gather_note(struct gather *gather, int64_t now_ms) {
	bool is_quiet = !gather->has_acted || now_ms - gather->acted_ms >= gather->quiet_ms;
	if (!gather->is_pending && is_quiet) {
		return gather_act(gather, now_ms);
	}
	if (!gather->is_pending) {
		gather->is_pending = true;
		gather->first_ms = now_ms;
	}
	gather->last_ms = now_ms;
	return false;
}

int64_t gather_left_ms(const struct gather *gather, int64_t now_ms) {
	if (!gather->is_pending) {
		return -1;
	}
	int64_t quiet_at = gather->last_ms + gather->quiet_ms;
	int64_t most_at = gather->first_ms + gather->most_ms;
	int64_t at = most_at < quiet_at ? most_at : quiet_at;
	return at > now_ms ? at - now_ms : 0;
}

bool gather_end(struct gather *gather, int64_t now_ms) {
	return gather_left_ms(gather, now_ms) == 0 && gather_act(gather, now_ms);
}
