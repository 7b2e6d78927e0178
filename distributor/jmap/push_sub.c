/* SPDX-License-Identifier: Apache-2.0 */
/* One subscription at the server, and those that are to go there. */
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/push_internal.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PUSH_CLOCK_RENEW_MS = 12 * 3600 * 1000 };

void push_sub_clear(struct push_sub *sub) {
	free(sub->id);
	free(sub->bound);
	free(sub->code);
	*sub = (struct push_sub){.id = NULL};
}

void push_early_clear(struct push_subscription *push) {
	while (push->early_count > 0) {
		struct push_early *early = &push->early[--push->early_count];
		free(early->id);
		free(early->code);
	}
}

void push_note_old(struct push_subscription *push, const char *id) {
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		if (push->old[i] && strcmp(push->old[i], id) == 0) {
			return;
		}
	}
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		if (!push->old[i]) { /* what does not fit is found again by its deviceClientId */
			push->old[i] = mem_strdup(id);
			return;
		}
	}
}

void push_retire(struct push_subscription *push, struct push_sub *sub) {
	if (sub->id) {
		push_note_old(push, sub->id);
	}
	push_sub_clear(sub);
}

size_t push_old_list(const struct push_subscription *push, const char *out_ids[PUSH_OLD_MAX]) {
	size_t count = 0;
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		if (push->old[i]) {
			out_ids[count++] = push->old[i];
		}
	}
	return count;
}

void push_old_clear(struct push_subscription *push) {
	for (size_t i = 0; i < PUSH_OLD_MAX; i++) {
		free(steal(&push->old[i]));
	}
}

int64_t push_random(int64_t low, int64_t high) {
	uint64_t random = 0;
	ssize_t got = getrandom(&random, sizeof random, 0);
	assert(got == (ssize_t)sizeof random && high >= low);
	return low + (int64_t)(random % (uint64_t)(high - low + 1));
}

void push_sub_set_life(struct push_sub *sub, int64_t expires_ms) {
	int64_t now_ms = clock_wall_ms(), life_ms = expires_ms - now_ms;
	bool is_clock_wrong = expires_ms > 0 && life_ms <= 0;
	sub->expires_ms = is_clock_wrong ? 0 : expires_ms;
	if (is_clock_wrong) {
		log_warn("the mail server's clock and ours differ by more than a push subscription lasts");
		sub->renew_ms = now_ms + PUSH_CLOCK_RENEW_MS;
	} else if (expires_ms > 0) {
		int64_t after_ms = push_random(life_ms * 60 / 100, life_ms * 75 / 100);
		sub->renew_ms = now_ms + (after_ms > PUSH_RENEW_MIN_MS ? after_ms : PUSH_RENEW_MIN_MS);
	} else {
		sub->renew_ms = 0;
	}
}

bool push_has_expired(const struct push_sub *sub) {
	return sub->expires_ms > 0 && sub->expires_ms <= clock_wall_ms();
}

bool push_fits(const struct push_sub *sub, const struct registration *registration) {
	CLEANUP_FREE char *bound = push_bound_dup(registration);
	return sub->id && sub->bound && strcmp(sub->bound, bound) == 0;
}

void push_sub_load(struct push_sub *sub, const json_t *json) {
	struct slice id, bound, code;
	if (json_get_string(json, "id", &id) != JSON_PRESENT || id.len == 0 ||
		json_get_string(json, "bound", &bound) != JSON_PRESENT) {
		return;
	}
	sub->id = mem_strndup(id.data, id.len);
	sub->bound = mem_strndup(bound.data, bound.len);
	if (json_get_string(json, "code", &code) == JSON_PRESENT) {
		sub->code = mem_strndup(code.data, code.len);
	}
	/* absent ones stay 0 */
	(void)json_get_integer(json, "created_ms", &sub->created_ms);
	(void)json_get_integer(json, "verified_ms", &sub->verified_ms);
	(void)json_get_integer(json, "expires_ms", &sub->expires_ms);
	(void)json_get_integer(json, "renew_ms", &sub->renew_ms);
	(void)json_get_bool(json, "touched", &sub->is_touched);
}

json_t *push_sub_print(const struct push_sub *sub) {
	return sub->id
			   ? json_pack("{s:s,s:s,s:s*,s:I,s:I,s:I,s:I,s:b}", "id", sub->id, "bound", sub->bound,
					 "code", sub->code, "created_ms", (json_int_t)sub->created_ms, "verified_ms",
					 (json_int_t)sub->verified_ms, "expires_ms", (json_int_t)sub->expires_ms,
					 "renew_ms", (json_int_t)sub->renew_ms, "touched", (int)sub->is_touched)
			   : NULL;
}
