/* SPDX-License-Identifier: Apache-2.0 */
/* Follows UPower's manager and its DisplayDevice. */
#include "distributor/monitor/upower.h"
#include "common/mem.h"
#include "distributor/monitor/bus_object.h"
#include <stdlib.h>
#include <string.h>

#define UPOWER_SERVICE "org.freedesktop.UPower"
#define UPOWER_PATH "/org/freedesktop/UPower"

enum { UPOWER_CHARGING = 1, UPOWER_FULL = 4, UPOWER_PENDING_CHARGE = 5, UPOWER_WARNING_LOW = 3 };

struct upower {
	struct bus_object *manager, *display;
	upower_changed_fn *changed;
	void *ctx;
	bool is_manager_settled, is_display_settled;
	bool on_battery, is_present;
	int64_t state, warning;
};

static void upower_manager_property(const char *name, const struct bus_value *value, void *ctx) {
	struct upower *upower = ctx;
	if (strcmp(name, "OnBattery") == 0 && upower->on_battery != (value->number != 0)) {
		upower->on_battery = value->number;
		if (upower->is_display_settled) {
			bus_object_refresh(upower->display);
		}
	}
}

static void upower_manager_settled(bool is_there, void *ctx) {
	(void)is_there; /* bus_object_is_there() tells */
	struct upower *upower = ctx;
	upower->is_manager_settled = true;
	upower->changed(upower->ctx);
}

static void upower_display_property(const char *name, const struct bus_value *value, void *ctx) {
	struct upower *upower = ctx;
	if (strcmp(name, "IsPresent") == 0) {
		upower->is_present = value->number;
	} else if (strcmp(name, "State") == 0) {
		upower->state = value->number;
	} else if (strcmp(name, "WarningLevel") == 0) {
		upower->warning = value->number;
	}
}

static void upower_display_settled(bool is_there, void *ctx) {
	struct upower *upower = ctx;
	upower->is_display_settled = true;
	upower->is_present &= is_there;
	upower->changed(upower->ctx);
}

/* The may_start of each; only the first question could start it. */
static const struct bus_object_class upower_managers[] = {
	[false] = {.service = UPOWER_SERVICE,
		.interface = UPOWER_SERVICE,
		.property = upower_manager_property,
		.settled = upower_manager_settled},
	[true] = {.service = UPOWER_SERVICE,
		.interface = UPOWER_SERVICE,
		.may_start = true,
		.property = upower_manager_property,
		.settled = upower_manager_settled},
};
static const struct bus_object_class upower_displays[] = {
	[false] = {.service = UPOWER_SERVICE,
		.interface = UPOWER_SERVICE ".Device",
		.is_polled = true,
		.property = upower_display_property,
		.settled = upower_display_settled},
	[true] = {.service = UPOWER_SERVICE,
		.interface = UPOWER_SERVICE ".Device",
		.may_start = true,
		.is_polled = true,
		.property = upower_display_property,
		.settled = upower_display_settled},
};

struct upower *upower_follow(
	struct sd_bus *bus, bool may_start, upower_changed_fn *changed, void *ctx) {
	struct upower *upower = mem_zalloc(sizeof *upower);
	upower->changed = changed;
	upower->ctx = ctx;
	upower->manager = bus_object_follow(bus, &upower_managers[may_start], UPOWER_PATH, upower);
	upower->display = bus_object_follow(
		bus, &upower_displays[may_start], UPOWER_PATH "/devices/DisplayDevice", upower);
	return upower;
}

void upower_unfollow(struct upower *upower) {
	if (!upower) {
		return;
	}
	bus_object_unfollow(upower->manager);
	bus_object_unfollow(upower->display);
	free(upower);
}

void upower_refresh(struct upower *upower) {
	bus_object_refresh(upower->display);
}

bool upower_is_settled(const struct upower *upower) {
	return upower->is_manager_settled && upower->is_display_settled;
}

bool upower_is_there(const struct upower *upower) {
	return upower && bus_object_is_there(upower->manager);
}

struct upower_view upower_view(const struct upower *upower) {
	/* on mains the state may lag behind for some seconds */
	bool charges = !upower->on_battery || upower->state == UPOWER_CHARGING ||
				   upower->state == UPOWER_FULL || upower->state == UPOWER_PENDING_CHARGE;
	return (struct upower_view){
		.on_battery = upower->on_battery,
		.is_low = upower->is_present && upower->warning >= UPOWER_WARNING_LOW && !charges,
	};
}
