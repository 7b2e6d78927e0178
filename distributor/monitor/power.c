/* SPDX-License-Identifier: Apache-2.0 */
/* One power state out of UPower, power profiles, logind and sysfs. */
#include "distributor/monitor/power.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/monitor/bus_object.h"
#include "distributor/monitor/power_policy.h"
#include "distributor/monitor/power_profiles.h"
#include "distributor/monitor/sysfs_power.h"
#include "distributor/monitor/upower.h"
#include <stdlib.h>
#include <string.h>

enum {
	POWER_AWAY_MS = 60000, /* so long a restart may take before other sources are asked */
	POWER_POLL_MS =
		15 * 60 * 1000, /* of the battery's charge, while it is in use or UPower missing */
	POWER_START_MS = 5000, /* what is known of the network only now was so before */
};

struct power {
	struct alarms *alarms;
	char *sysfs;
	power_changed_fn *changed;
	void *ctx;
	struct upower *upower;
	struct power_profiles *profiles;
	struct bus_object *logind; /* followed only while there is no UPower */
	struct sd_bus *bus;
	struct alarm settle; /* the first word, when no bus is to be waited for */
	struct alarm tighten, away, poll;
	struct power_state state;
	struct power_policy policy;
	bool is_logind_known, is_external; /* logind's OnExternalPower */
	bool had_upower, had_profiles; /* heard of, and not yet given up */
	bool has_battery;
	bool was_metered; /* ever */
	int64_t opened_ms; /* boot clock */
};

static void power_tell(struct power *power) {
	alarm_stop(&power->tighten);
	power_policy_tell(&power->policy, &power->state);
	power->changed(&power->state, power_min_urgency(&power->state), power->ctx);
}

/* After any change of `state`. */
static void power_judge(struct power *power) {
	switch (power_policy_judge(&power->policy, &power->state)) {
	case POWER_STEP_NONE:
		alarm_stop(&power->tighten);
		break;
	case POWER_STEP_TELL:
		power_tell(power);
		break;
	case POWER_STEP_WAIT:
		if (!alarm_is_set(&power->tighten)) {
			alarm_set(&power->tighten, POWER_TIGHTEN_MS, ALARM_SLACK_DEADLINE_MS);
		}
		break;
	}
}

static void power_on_tighten(struct alarm *alarm, void *ctx) {
	(void)alarm;
	power_tell(ctx);
}

static void power_on_logind_property(const char *name, const struct bus_value *value, void *ctx) {
	struct power *power = ctx;
	if (strcmp(name, "OnExternalPower") == 0) {
		power->is_logind_known = true;
		power->is_external = value->number;
	}
}

static void power_read(struct power *power);

static void power_on_logind_settled(bool is_there, void *ctx) {
	struct power *power = ctx;
	power->is_logind_known &= is_there;
	if (!upower_is_there(power->upower)) {
		power_read(power);
	}
}

static const struct bus_object_class power_logind = {
	.service = "org.freedesktop.login1",
	.interface = "org.freedesktop.login1.Manager",
	.is_polled = true,
	.property = power_on_logind_property,
	.settled = power_on_logind_settled,
};

static void power_forget_logind(struct power *power) {
	bus_object_unfollow(power->logind);
	power->logind = NULL;
	power->is_logind_known = false;
}

/* Without UPower: the kernel's word, and on mains logind's, who knows more kinds of supplies. */
static void power_read_sysfs(struct power *power) {
	struct sysfs_power sysfs = sysfs_power_read(power->sysfs);
	power->has_battery = sysfs.has_battery;
	power->state.on_mains = sysfs.on_mains;
	power->state.is_low = sysfs.is_low;
	if (sysfs.has_battery && power->is_logind_known) {
		power->state.on_mains = power->is_external;
	}
	if (sysfs.has_battery && power->bus && !power->logind) {
		power->logind =
			bus_object_follow(power->bus, &power_logind, "/org/freedesktop/login1", power);
	}
	if (sysfs.has_battery) {
		alarm_set(&power->poll, POWER_POLL_MS, ALARM_SLACK_CARE_MS);
	} else {
		alarm_stop(&power->poll);
	}
}

/* Reads whichever source speaks; the state changes only by this and power_set_metered(). */
static void power_read(struct power *power) {
	bool has_upower = upower_is_there(power->upower);
	bool has_profiles = power_profiles_is_there(power->profiles);
	if (has_upower) {
		struct upower_view view = upower_view(power->upower);
		power->state.on_mains = !view.on_battery;
		power->state.is_low = view.is_low;
		if (!view.on_battery) {
			alarm_stop(&power->poll);
		} else if (!alarm_is_set(&power->poll)) {
			alarm_set(&power->poll, POWER_POLL_MS, ALARM_SLACK_CARE_MS);
		}
		power_forget_logind(power);
	} else if (!power->had_upower) {
		power_read_sysfs(power);
	}
	if (has_profiles || !power->had_profiles) {
		power->state.is_saving = has_profiles && power_profiles_is_saving(power->profiles);
	}
	bool is_away = (power->had_upower && !has_upower) || (power->had_profiles && !has_profiles);
	if (!is_away) {
		alarm_stop(&power->away);
	} else if (!alarm_is_set(&power->away)) {
		alarm_set(&power->away, POWER_AWAY_MS, ALARM_SLACK_DEADLINE_MS);
	}
	power->had_upower |= has_upower;
	power->had_profiles |= has_profiles;
	if (!alarm_is_set(&power->settle)) {
		power_judge(power);
	}
}

static void power_on_away(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct power *power = ctx;
	power->had_upower = upower_is_there(power->upower);
	power->had_profiles = power_profiles_is_there(power->profiles);
	power_read(power);
}

/* The first word waits until all sources have spoken or have been found missing. */
static bool power_is_settled(const struct power *power) {
	return !power->bus || (power->upower && upower_is_settled(power->upower) && power->profiles &&
							  power_profiles_is_settled(power->profiles));
}

static void power_on_settle(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct power *power = ctx;
	power_read(power);
	log_info("watching power upower=%s profiles=%s battery=%s",
		upower_is_there(power->upower) ? "yes" : "no",
		power_profiles_is_there(power->profiles) ? "yes" : "no",
		upower_is_there(power->upower) ? "upower"
		: power->has_battery		   ? "yes"
									   : "no");
	if (!power->policy.is_started) {
		power_policy_tell(&power->policy, &power->state); /* mains: as everyone believes */
	}
}

static void power_on_source(void *ctx) {
	struct power *power = ctx;
	if (!power->policy.is_started) {
		if (power_is_settled(power)) {
			alarm_set(&power->settle, 0, 0);
		}
		return;
	}
	if (power_is_settled(power)) {
		power_read(power);
	}
}

static void power_on_poll(struct alarm *alarm, void *ctx) {
	(void)alarm;
	power_look(ctx);
}

void power_set_bus(struct power *power, struct bus *system_bus) {
	upower_unfollow(power->upower);
	power_profiles_unfollow(power->profiles);
	power->upower = NULL;
	power->profiles = NULL;
	power_forget_logind(power);
	power->bus = system_bus ? bus_get(system_bus) : NULL;
	if (power->bus) {
		/* a machine without a battery need not be bothered with another daemon */
		bool may_start = sysfs_power_read(power->sysfs).has_battery;
		power->upower = upower_follow(power->bus, may_start, power_on_source, power);
		power->profiles = power_profiles_follow(power->bus, power_on_source, power);
	}
	power_on_source(power);
}

struct power *power_open(const struct power_options *options) {
	struct power *power = mem_zalloc(sizeof *power);
	power->alarms = options->alarms;
	power->sysfs = mem_strdup(options->sysfs);
	power->changed = options->changed;
	power->ctx = options->ctx;
	power->state.on_mains = true;
	power->opened_ms = clock_boot_ms();
	alarm_init(&power->settle, options->alarms, power_on_settle, power);
	alarm_init(&power->tighten, options->alarms, power_on_tighten, power);
	alarm_init(&power->away, options->alarms, power_on_away, power);
	alarm_init(&power->poll, options->alarms, power_on_poll, power);
	power_set_bus(power, options->system_bus);
	return power;
}

void power_close(struct power *power) {
	if (!power) {
		return;
	}
	upower_unfollow(power->upower);
	power_profiles_unfollow(power->profiles);
	bus_object_unfollow(power->logind);
	alarm_stop(&power->settle);
	alarm_stop(&power->tighten);
	alarm_stop(&power->away);
	alarm_stop(&power->poll);
	free(power->sysfs);
	free(power);
}

void power_look(struct power *power) {
	if (!power->policy.is_started) {
		return;
	}
	if (upower_is_there(power->upower)) {
		if (upower_view(power->upower).on_battery) {
			upower_refresh(power->upower);
			alarm_set(&power->poll, POWER_POLL_MS, ALARM_SLACK_CARE_MS);
		}
		return;
	}
	if (power->logind) {
		bus_object_refresh(power->logind);
	}
	power_read(power);
}

void power_set_metered(struct power *power, bool is_metered) {
	bool is_late =
		is_metered && !power->was_metered && clock_boot_ms() - power->opened_ms < POWER_START_MS;
	power->was_metered |= is_metered;
	power->state.is_metered = is_metered;
	if (power->policy.is_started && is_late) {
		power_tell(power); /* it does not tighten, it was so from the start */
	} else if (power->policy.is_started) {
		power_judge(power);
	}
}

const struct power_state *power_state(const struct power *power) {
	return &power->state;
}
