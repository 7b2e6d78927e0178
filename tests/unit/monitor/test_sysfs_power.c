/* SPDX-License-Identifier: Apache-2.0 */
/* Trees like /sys/class/power_supply in a temporary directory. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/mem.h"
#include "distributor/monitor/sysfs_power.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* A tree is text: "BAT0/type=Battery BAT0/status=Full AC/type=Mains". */
static void tree_add(const char *root, const char *line) {
	CLEANUP_FREE char *copy = mem_strdup(line);
	char *value = strchr(copy, '=');
	char *slash = strchr(copy, '/');
	assert_true(value && slash);
	*value++ = '\0';
	*slash = '\0';
	CLEANUP_FREE char *device = mem_printf("%s/%s", root, copy);
	(void)mkdir(device, 0700); /* may exist */
	CLEANUP_FREE char *path = mem_printf("%s/%s", device, slash + 1);
	CLEANUP_FREE char *content = mem_printf("%s\n", value);
	assert_int_equal(file_replace(path, content, strlen(content), 0600), 0);
}

static int tree_remove_entry(
	const char *path, const struct stat *status, int kind, struct FTW *place) {
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static struct sysfs_power read_tree(const char *const *lines) {
	char root[] = "/tmp/bellwire-power-XXXXXX";
	assert_non_null(mkdtemp(root));
	for (; *lines; lines++) {
		tree_add(root, *lines);
	}
	struct sysfs_power power = sysfs_power_read(root);
	(void)nftw(root, tree_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	return power;
}

static void reads_trees(void **state) {
	(void)state;
	static const struct {
		const char *what;
		const char *lines[12];
		struct sysfs_power power;
	} cases[] = {
		{"a desktop", {NULL}, {.on_mains = true}},
		{"a desktop with a wireless mouse that is empty",
			{"hid/type=Battery", "hid/scope=Device", "hid/status=Discharging", "hid/capacity=3"},
			{.on_mains = true}},
		{"a laptop on its battery",
			{"BAT0/type=Battery", "BAT0/status=Discharging", "BAT0/capacity=80", "AC/type=Mains",
				"AC/online=0"},
			{.has_battery = true}},
		{"plugged in",
			{"BAT0/type=Battery", "BAT0/status=Charging", "BAT0/capacity=80", "AC/type=Mains",
				"AC/online=1"},
			{.has_battery = true, .on_mains = true}},
		{"by USB",
			{"BAT0/type=Battery", "BAT0/status=Charging", "BAT0/capacity=80", "ucsi/type=USB",
				"ucsi/online=1", "ucsi2/type=USB", "ucsi2/online=0"},
			{.has_battery = true, .on_mains = true}},
		{"low at 20 percent",
			{"BAT0/type=Battery", "BAT0/status=Discharging", "BAT0/capacity=20", "AC/type=Mains",
				"AC/online=0"},
			{.has_battery = true, .is_low = true}},
		{"not yet at 21",
			{"BAT0/type=Battery", "BAT0/status=Discharging", "BAT0/capacity=21", "AC/type=Mains",
				"AC/online=0"},
			{.has_battery = true}},
		{"charging is never low",
			{"BAT0/type=Battery", "BAT0/status=Charging", "BAT0/capacity=2", "AC/type=Mains",
				"AC/online=1"},
			{.has_battery = true, .on_mains = true}},
		{"a charger too weak",
			{"BAT0/type=Battery", "BAT0/status=Discharging", "BAT0/capacity=9", "AC/type=Mains",
				"AC/online=1"},
			{.has_battery = true, .on_mains = true, .is_low = true}},
		{"two batteries count together",
			{"BAT0/type=Battery", "BAT0/status=Discharging", "BAT0/capacity=2", "BAT1/type=Battery",
				"BAT1/status=Unknown", "BAT1/capacity=90", "AC/type=Mains", "AC/online=0"},
			{.has_battery = true}},
		{"a bay without its battery", {"BAT1/type=Battery", "BAT1/present=0"}, {.on_mains = true}},
		{"a phone that shows no supply",
			{"battery/type=Battery", "battery/status=Discharging", "battery/capacity=50"},
			{.has_battery = true}},
		{"the same, charging",
			{"battery/type=Battery", "battery/status=Charging", "battery/capacity=50"},
			{.has_battery = true, .on_mains = true}},
		{"a level for a percentage",
			{"b/type=Battery", "b/status=Discharging", "b/capacity_level=Critical"},
			{.has_battery = true, .is_low = true}},
		{"nonsense",
			{"b/type=Battery", "b/status=Discharging", "b/capacity=-4", "c/type=", "d/x=1"},
			{.has_battery = true}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sysfs_power power = read_tree(cases[i].lines);
		if (memcmp(&power, &cases[i].power, sizeof power) != 0) {
			fail_msg("%s: battery=%d mains=%d low=%d", cases[i].what, power.has_battery,
				power.on_mains, power.is_low);
		}
	}
}

static void no_directory_is_no_battery(void **state) {
	(void)state;
	struct sysfs_power power = sysfs_power_read("/nonexistent/power");
	assert_true(power.on_mains && !power.has_battery && !power.is_low);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_trees),
		cmocka_unit_test(no_directory_is_no_battery),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
