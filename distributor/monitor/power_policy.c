/* SPDX-License-Identifier: Apache-2.0 */
/* From power to urgency, with hysteresis. */
#include "distributor/monitor/power_policy.h"

enum urgency power_min_urgency(const struct power_state *state) {
	if (state->is_low || state->is_saving) {
		return URGENCY_HIGH;
	}
	if (state->on_mains) {
		return state->is_metered ? URGENCY_LOW : URGENCY_VERY_LOW;
	}
	return state->is_metered ? URGENCY_NORMAL : URGENCY_LOW;
}

static bool power_state_equals(const struct power_state *a, const struct power_state *b) {
	return a->on_mains == b->on_mains && a->is_low == b->is_low && a->is_saving == b->is_saving &&
		   a->is_metered == b->is_metered;
}

enum power_step power_policy_judge(
	const struct power_policy *policy, const struct power_state *state) {
	/* whoever listens begins with the least thrifty state */
	struct power_state easy = {.on_mains = true};
	const struct power_state *told = policy->is_started ? &policy->told : &easy;
	if (power_state_equals(told, state)) {
		return POWER_STEP_NONE;
	}
	bool tightens = power_min_urgency(state) > power_min_urgency(told);
	return tightens && policy->is_started ? POWER_STEP_WAIT : POWER_STEP_TELL;
}

void power_policy_tell(struct power_policy *policy, const struct power_state *state) {
	policy->is_started = true;
	policy->told = *state;
}
