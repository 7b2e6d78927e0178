/* SPDX-License-Identifier: Apache-2.0 */
/* The distributor's settings table, and the checks that go beyond one value. */
#include "distributor/config.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/action/hooks_config.h"
#include "distributor/jmap/jmap_config.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(member) .offset = offsetof(struct config, member)

static const char *const config_thrifts[] = {"reliable", "balanced", "thrifty", NULL};
static const char *const config_other_sections[] = {HOOKS_SECTION, JMAP_SECTION, NULL};
static const char *const config_urgencies[] = {"auto", "very-low", "low", "normal", "high", NULL};

static const struct setting config_table[] = {
	{.name = "relay",
		.kind = SETTING_TEXT,
		AT(relay),
		.section = "distributor",
		.value_name = "URL",
		.help = "The relay, for instance wss://push.example/ or the URL of an invite.\n"
				"`bellwire login URL` checks it and writes it here.",
		.is_secret = true},
	{.name = "state_dir",
		.kind = SETTING_TEXT,
		AT(state_dir),
		.section = "distributor",
		.value_name = "DIR",
		.help = "What must survive: identity, registrations, undelivered messages.\n"
				"Default: $XDG_STATE_HOME/bellwire, which is ~/.local/state/bellwire."},
	{.name = "no_bus",
		.kind = SETTING_BOOL,
		AT(no_bus),
		.initial = "off",
		.section = "distributor",
		.help = "Work without a session bus: hooks only, no apps, no notifications."},
	{.name = "ca_file",
		.kind = SETTING_TEXT,
		AT(ca_file),
		.section = "distributor",
		.value_name = "FILE",
		.help = "Trust the certificates in FILE instead of the system's."},
	{.name = "insecure",
		.kind = SETTING_BOOL,
		AT(insecure),
		.initial = "off",
		.section = "distributor",
		.help = "Accept any certificate, and ws:// to other machines. For tests."},
	{.name = "use_proxy",
		.kind = SETTING_BOOL,
		AT(use_proxy),
		.initial = "on",
		.section = "distributor",
		.help = "Heed https_proxy, http_proxy, all_proxy and no_proxy of the environment."},
	{.name = "pool",
		.kind = SETTING_INTEGER,
		AT(pool),
		.initial = "4",
		.min = 0,
		.max = 64,
		.section = "distributor",
		.value_name = "N",
		.help = "Endpoints made ahead, of either kind, so that apps can register offline."},
	{.name = "require_vapid",
		.kind = SETTING_BOOL,
		AT(require_vapid),
		.initial = "off",
		.section = "distributor",
		.help = "Serve only apps that name the key of their sender."},
	{.name = "only_sandboxed",
		.kind = SETTING_BOOL,
		AT(only_sandboxed),
		.initial = "off",
		.section = "distributor",
		.help = "Serve only sandboxed apps. Refuses what the distribution packages."},
	{.name = "thrift",
		.kind = SETTING_CHOICE,
		AT(thrift),
		.initial = "balanced",
		.choices = config_thrifts,
		.section = "distributor",
		.help =
			"How long the connection may be silent: reliable (at most 4 minutes), balanced (what "
			"the\n"
			"network was found to bear, at most 15 minutes) or thrifty (also beyond)."},
	{.name = "min_urgency",
		.kind = SETTING_CHOICE,
		AT(min_urgency),
		.initial = "auto",
		.choices = config_urgencies,
		.section = "distributor",
		.help = "Less urgent messages wait at the relay. auto: by battery, mains and metered "
				"network."},
	{.name = "notice_after",
		.kind = SETTING_DURATION,
		AT(notice_after_sec),
		.initial = "15m",
		.min = 0,
		.max = 24 * 3600,
		.section = "distributor",
		.value_name = "TIME",
		.help = "Tell the user when the relay cannot be reached for so long although there is a "
				"network; 0: never."},
	LOG_SETTINGS(struct config, log, ""),
};

/* A directory of the XDG base directory specification: the variable, else below the home. */
static char *config_xdg(const char *variable, const char *below_home, const char *rest) {
	const char *dir = getenv(variable), *home = getenv("HOME");
	if (dir && dir[0] == '/') {
		return mem_printf("%s/%s", dir, rest);
	}
	return home && home[0] == '/' ? mem_printf("%s/%s/%s", home, below_home, rest) : NULL;
}

char *config_file_dup(const char *rest) {
	return config_xdg("XDG_CONFIG_HOME", ".config", rest);
}

char *config_default_path(void) {
	return config_file_dup("bellwire/distributor.conf");
}

char *config_default_state_dir(void) {
	return config_xdg("XDG_STATE_HOME", ".local/state", "bellwire");
}

const struct settings_program *config_program(void) {
	static struct settings_program program = {
		.name = "bellwire-distributor",
		.env_prefix = "BELLWIRE_",
		.table = config_table,
		.count = sizeof config_table / sizeof *config_table,
		.other_sections = config_other_sections,
	};
	if (!program.config_path) {
		program.config_path = config_default_path();
	}
	return &program;
}

static int config_refuse(
	FILE *err, const struct config *config, const char *name, const char *problem) {
	(void)fprintf(err, "%s: %s: %s\n", settings_source(config, name), name, problem);
	return -EINVAL;
}

static int config_check_relay(const struct config *config, FILE *err) {
	struct url url;
	if (!config->relay) {
		return 0;
	}
	if (!url_parse(slice_of(config->relay), &url)) {
		return config_refuse(err, config, "relay",
			"is no URL; give one like wss://push.example/, without quotes and with nothing behind "
			"it");
	}
	if (!url_is_secure(&url) && !url_is_loopback(&url) && !config->insecure) {
		return config_refuse(
			err, config, "relay", "is not encrypted; use wss://, or set insecure for a test");
	}
	return 0;
}

/* No shell has seen it. */
static void config_expand_home(char **path) {
	const char *home = getenv("HOME");
	if (*path && strncmp(*path, "~/", 2) == 0 && home) {
		char *whole = mem_printf("%s/%s", home, *path + 2);
		free(*path);
		*path = whole;
	}
}

void config_complete(struct config *config) {
	config_expand_home(&config->ca_file);
	config_expand_home(&config->state_dir);
	if (!config->state_dir) {
		config->state_dir = config_default_state_dir();
	}
}

int config_check(struct config *config, FILE *err) {
	int result = config_check_relay(config, err);
	config_complete(config);
	if (config->ca_file && access(config->ca_file, R_OK) < 0) {
		CLEANUP_FREE char *problem = mem_printf("cannot be read: %s", strerror(errno));
		result = config_refuse(err, config, "ca_file", problem);
	}
	if (!config->state_dir) {
		result = config_refuse(err, config, "state_dir", "is not set, and neither is HOME");
	}
	return result;
}
