/* SPDX-License-Identifier: Apache-2.0 */
/* UPower's word on mains and on all batteries together (its DisplayDevice). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

struct upower;
struct upower_view {
	bool on_battery;
	bool is_low; /* UPower warns, and the battery does not charge */
};
/* After each change and when UPower comes or goes; also once it is known to be there or not. It may
 * not unfollow. */
typedef void upower_changed_fn(void *ctx);

/* may_start: the bus may start UPower for us. */
struct upower *upower_follow(
	struct sd_bus *bus, bool may_start, upower_changed_fn *changed, void *ctx);
void upower_unfollow(struct upower *upower); /* NULL is fine */
bool upower_is_settled(const struct upower *upower); /* known to be there or not */
bool upower_is_there(const struct upower *upower);
struct upower_view upower_view(const struct upower *upower);
