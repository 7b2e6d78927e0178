/* SPDX-License-Identifier: Apache-2.0 */
/* Follows ActiveProfile under both names that it is served by. */
#include "distributor/monitor/power_profiles.h"
#include "common/mem.h"
#include "distributor/monitor/bus_object.h"
#include <stdlib.h>
#include <string.h>

enum { POWER_PROFILES_NAMES = 2 };

struct power_profiles_name {
	struct power_profiles *profiles;
	struct bus_object *object;
	bool is_settled, is_saving;
};

struct power_profiles {
	struct power_profiles_name names[POWER_PROFILES_NAMES]; /* the preferred first */
	power_profiles_changed_fn *changed;
	void *ctx;
};

static void power_profiles_property(const char *name, const struct bus_value *value, void *ctx) {
	struct power_profiles_name *served = ctx;
	if (strcmp(name, "ActiveProfile") == 0 && value->type == 's') {
		served->is_saving = strcmp(value->text, "power-saver") == 0;
	}
}

static void power_profiles_settled(bool is_there, void *ctx) {
	(void)is_there; /* bus_object_is_there() tells */
	struct power_profiles_name *served = ctx;
	served->is_settled = true;
	served->profiles->changed(served->profiles->ctx);
}

static const struct {
	struct bus_object_class class;
	const char *path;
} power_profiles_services[POWER_PROFILES_NAMES] = {
	{{.service = "org.freedesktop.UPower.PowerProfiles",
		 .interface = "org.freedesktop.UPower.PowerProfiles",
		 .property = power_profiles_property,
		 .settled = power_profiles_settled},
		"/org/freedesktop/UPower/PowerProfiles"},
	{{.service = "net.hadess.PowerProfiles",
		 .interface = "net.hadess.PowerProfiles",
		 .property = power_profiles_property,
		 .settled = power_profiles_settled},
		"/net/hadess/PowerProfiles"},
};

struct power_profiles *power_profiles_follow(
	struct sd_bus *bus, power_profiles_changed_fn *changed, void *ctx) {
	struct power_profiles *profiles = mem_zalloc(sizeof *profiles);
	profiles->changed = changed;
	profiles->ctx = ctx;
	for (int i = 0; i < POWER_PROFILES_NAMES; i++) {
		struct power_profiles_name *served = &profiles->names[i];
		served->profiles = profiles;
		served->object = bus_object_follow(
			bus, &power_profiles_services[i].class, power_profiles_services[i].path, served);
	}
	return profiles;
}

void power_profiles_unfollow(struct power_profiles *profiles) {
	if (!profiles) {
		return;
	}
	for (int i = 0; i < POWER_PROFILES_NAMES; i++) {
		bus_object_unfollow(profiles->names[i].object);
	}
	free(profiles);
}

bool power_profiles_is_settled(const struct power_profiles *profiles) {
	return profiles->names[0].is_settled && profiles->names[1].is_settled;
}

static const struct power_profiles_name *power_profiles_served(
	const struct power_profiles *profiles) {
	for (int i = 0; i < POWER_PROFILES_NAMES; i++) {
		if (bus_object_is_there(profiles->names[i].object)) {
			return &profiles->names[i];
		}
	}
	return NULL;
}

bool power_profiles_is_there(const struct power_profiles *profiles) {
	return profiles && power_profiles_served(profiles);
}

bool power_profiles_is_saving(const struct power_profiles *profiles) {
	const struct power_profiles_name *served = power_profiles_served(profiles);
	return served && served->is_saving;
}
