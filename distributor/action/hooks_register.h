/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps registrations and config in step: each hook of the config has a push URL, bound to its
 * VAPID key, and no other hook has one. What fails is tried again.
 */
#pragma once
#include "distributor/action/hooks_config.h"
#include "distributor/alarm.h"
#include "distributor/registrations.h"

struct hooks_register;
/* All outlive it. */
struct hooks_register *hooks_register_open(
	struct registrations *registrations, struct alarms *alarms, const struct hooks_config *config);
/* Answers that are still awaited are ignored when they come. NULL is fine. */
void hooks_register_close(struct hooks_register *hooks);
