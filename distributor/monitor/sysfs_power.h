/* SPDX-License-Identifier: Apache-2.0 */
/* Batteries and supplies as the kernel shows them under /sys/class/power_supply. */
#pragma once
#include <stdbool.h>

enum { SYSFS_POWER_LOW_PERCENT = 20 }; /* UPower's default */

struct sysfs_power {
	bool has_battery; /* that feeds the machine; not a mouse's */
	bool on_mains; /* a supply is plugged in, or there is no battery */
	bool is_low; /* the batteries together, and none charges */
};
/* A directory that cannot be read means a machine without batteries. */
struct sysfs_power sysfs_power_read(const char *directory);
