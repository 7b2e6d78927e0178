/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UPower's word on mains and on all batteries together (its DisplayDevice). The latter tells of
 * each percent and each watt, every half minute while the battery is in use, so it is only read:
 * when mains comes or goes, and when asked to.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

struct upower;
struct upower_view {
	bool on_battery;
	bool is_low; /* UPower warns, on battery, and it does not charge */
};
/* After each change and when UPower comes or goes; also once it is known to be there or not. It may
 * not unfollow. */
typedef void upower_changed_fn(void *ctx);

/* may_start: the bus may start UPower for us. */
struct upower *upower_follow(
	struct sd_bus *bus, bool may_start, upower_changed_fn *changed, void *ctx);
void upower_unfollow(struct upower *upower); /* NULL is fine */
void upower_refresh(struct upower *upower);
bool upower_is_settled(const struct upower *upower); /* known to be there or not */
bool upower_is_there(const struct upower *upower);
struct upower_view upower_view(const struct upower *upower);
