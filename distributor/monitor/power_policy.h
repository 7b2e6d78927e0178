/* SPDX-License-Identifier: Apache-2.0 */
/* When a changed power state is told: what eases at once, what tightens after a minute. Pure. */
#pragma once
#include "distributor/monitor/power.h"

enum { POWER_TIGHTEN_MS = 60000 };

struct power_policy {
	bool is_started;
	struct power_state told;
};

enum power_step {
	POWER_STEP_NONE, /* nothing to tell, and nothing to wait for */
	POWER_STEP_TELL, /* now; power_policy_tell() */
	POWER_STEP_WAIT, /* POWER_TIGHTEN_MS from the first of these on; then tell what is then */
};
enum power_step power_policy_judge(
	const struct power_policy *policy, const struct power_state *state);
void power_policy_tell(struct power_policy *policy, const struct power_state *state);
