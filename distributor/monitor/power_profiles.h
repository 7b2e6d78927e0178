/* SPDX-License-Identifier: Apache-2.0 */
/* The power profile that the user chose, from power-profiles-daemon or whoever serves its names:
 * the newer one first, then the older. */
#pragma once
#include <stdbool.h>
#include <systemd/sd-bus.h>

struct power_profiles;
/* After each change, and once it is known whether anyone serves profiles. It may not unfollow. */
typedef void power_profiles_changed_fn(void *ctx);

struct power_profiles *power_profiles_follow(
	struct sd_bus *bus, power_profiles_changed_fn *changed, void *ctx);
void power_profiles_unfollow(struct power_profiles *profiles); /* NULL is fine */
bool power_profiles_is_settled(const struct power_profiles *profiles);
bool power_profiles_is_there(const struct power_profiles *profiles);
bool power_profiles_is_saving(const struct power_profiles *profiles);
