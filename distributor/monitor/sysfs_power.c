/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the power_supply class of sysfs. */
#include "distributor/monitor/sysfs_power.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/mem.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { SYSFS_VALUE_MAX = 4096 };

struct sysfs_sum {
	int batteries, supplies, online;
	int charging, discharging; /* batteries that say so; full and waiting ones count as charging */
	int percents, with_percent;
};

/* One value as text without its newline; "" when there is none. */
static char *sysfs_value_dup(const char *directory, const char *device, const char *name) {
	CLEANUP_FREE char *path = mem_printf("%s/%s/%s", directory, device, name);
	char *text;
	size_t length;
	if (file_read(path, SYSFS_VALUE_MAX, &text, &length) < 0) {
		return mem_strdup("");
	}
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static bool sysfs_value_is(
	const char *directory, const char *device, const char *name, const char *wanted) {
	CLEANUP_FREE char *value = sysfs_value_dup(directory, device, name);
	return strcmp(value, wanted) == 0;
}

/* The driver's own words, for batteries that have no percentage. */
static int sysfs_level_percent(const char *directory, const char *device) {
	static const struct {
		const char *level;
		int percent;
	} levels[] = {{"Critical", 5}, {"Low", 15}, {"Normal", 50}, {"High", 80}, {"Full", 100}};
	CLEANUP_FREE char *value = sysfs_value_dup(directory, device, "capacity_level");
	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
		if (strcmp(value, levels[i].level) == 0) {
			return levels[i].percent;
		}
	}
	return -1;
}

static void sysfs_add_battery(const char *directory, const char *device, struct sysfs_sum *sum) {
	if (sysfs_value_is(directory, device, "present", "0")) {
		return;
	}
	sum->batteries++;
	CLEANUP_FREE char *status = sysfs_value_dup(directory, device, "status");
	sum->discharging += strcmp(status, "Discharging") == 0;
	sum->charging += strcmp(status, "Charging") == 0 || strcmp(status, "Full") == 0 ||
					 strcmp(status, "Not charging") == 0;
	CLEANUP_FREE char *capacity = sysfs_value_dup(directory, device, "capacity");
	char *end;
	long percent = strtol(capacity, &end, 10);
	if (end == capacity || percent < 0 || percent > 100) {
		percent = sysfs_level_percent(directory, device);
	}
	if (percent >= 0) {
		sum->percents += (int)percent;
		sum->with_percent++;
	}
}

static void sysfs_add(const char *directory, const char *device, struct sysfs_sum *sum) {
	CLEANUP_FREE char *type = sysfs_value_dup(directory, device, "type");
	if (type[0] == '\0' || sysfs_value_is(directory, device, "scope", "Device")) {
		return; /* a mouse or headset feeds itself */
	}
	if (strcmp(type, "Battery") == 0 || strcmp(type, "UPS") == 0) {
		sysfs_add_battery(directory, device, sum);
		return;
	}
	/* Mains, USB of any kind, wireless chargers; online is 1, or 2 for a programmable one */
	CLEANUP_FREE char *online = sysfs_value_dup(directory, device, "online");
	sum->supplies++;
	sum->online += online[0] == '1' || online[0] == '2';
}

static void cleanup_closedir_p(DIR **stream) {
	if (*stream) {
		(void)closedir(*stream); /* only read */
	}
}

struct sysfs_power sysfs_power_read(const char *directory) {
	struct sysfs_sum sum = {0};
	CLEANUP(cleanup_closedir_p) DIR *stream = opendir(directory);
	struct dirent *entry;
	while (stream && (entry = readdir(stream))) {
		if (entry->d_name[0] != '.') {
			sysfs_add(directory, entry->d_name, &sum);
		}
	}
	bool is_fed = sum.online > 0 || (sum.supplies == 0 && sum.discharging == 0);
	bool is_low =
		sum.with_percent > 0 && sum.percents <= SYSFS_POWER_LOW_PERCENT * sum.with_percent;
	return (struct sysfs_power){
		.has_battery = sum.batteries > 0,
		.on_mains = sum.batteries == 0 || is_fed,
		/* what says neither is believed to discharge unless it is fed */
		.is_low = is_low && sum.charging == 0 && (sum.discharging > 0 || !is_fed),
	};
}
