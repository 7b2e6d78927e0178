/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire login URL`: checks the relay, writes it to the config, tells or starts the daemon. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/settings_parse.h"
#include "common/url.h"
#include "distributor/config.h"
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/config_edit.h"
#include "distributor/ctl/daemon.h"
#include "distributor/ctl/daemon_service.h"
#include "distributor/ctl/login_check.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LOGIN_FILE_MAX = 1 << 20 };

static const char login_usage[] =
	"usage: bellwire login URL [OPTION...]\n"
	"\n"
	"Sets the relay of this device: checks that it can be reached, writes it to the "
	"configuration,\n"
	"and tells the distributor, which is started if it does not run. With a relay set before,\n"
	"everything moves to the new one, and the former one is drained for a week.\n"
	"\n"
	"  URL               wss://push.example/, or the URL of an invite\n"
	"  --config FILE     the configuration (default: $XDG_CONFIG_HOME/bellwire/distributor.conf)\n"
	"  --ca FILE         trust the certificates in FILE instead of the system's\n"
	"  --insecure        accept any certificate, and ws:// to other machines\n"
	"                    (both are written to the configuration; what it says already stays)\n"
	"  --no-check        do not try to reach it\n"
	"  --no-start        do not start the distributor\n"
	"  --json            print the result as JSON\n";

/* One login: what was said, and what the configuration holds with it. */
struct login {
	const char *url, *ca;
	bool insecure, no_check, no_start, json;
	char *path; /* of the configuration */
	char *text; /* it, with what was said */
	struct config config; /* the text, read as the daemon reads it */
	bool trusts_anew; /* a running daemon knows nothing of it */
};

static void login_finish(struct login *login) {
	settings_free(config_program(), &login->config);
	free(login->path);
	free(login->text);
}

/* ---- the configuration ---- */

static int login_edit(struct login *login, const char *text) {
	CLEANUP_FREE char *ca_file = login->ca ? realpath(login->ca, NULL) : NULL;
	if (login->ca && !ca_file) {
		return command_fail("%s cannot be read: %s", login->ca, strerror(errno));
	}
	struct config_change changes[] = {
		{.name = "relay", .value = login->url},
		{.name = "ca_file", .value = ca_file},
		{.name = "insecure", .value = login->insecure ? "on" : NULL},
	};
	login->text = config_edit_dup(text, changes, sizeof changes / sizeof *changes);
	login->trusts_anew = changes[1].is_news || changes[2].is_news;
	return COMMAND_OK;
}

/* Would the daemon start with it? */
static int login_judge(struct login *login, const struct url *url) {
	struct config *config = &login->config;
	bool is_good = settings_load_text(
					   config_program(), slice_of(login->text), login->path, config, stderr) == 0;
	if (is_good && !url_is_secure(url) && !url_is_loopback(url) && !config->insecure) {
		return command_misused("login", "the URL is not encrypted; use wss://");
	}
	return is_good && config_check(config, stderr) == 0 ? COMMAND_OK
														: command_fail("nothing is changed");
}

static int login_read(struct login *login) {
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;
	int result = file_read(login->path, LOGIN_FILE_MAX, &text, &bytes);
	if (result < 0 && result != -ENOENT) {
		return command_fail("%s cannot be read: %s", login->path, strerror(-result));
	}
	return login_edit(login, text ? text : "");
}

static int login_write(const struct login *login) {
	(void)file_make_folders(login->path); /* what fails here fails again when it is written */
	/* an invite is a secret */
	int result = file_replace(login->path, login->text, strlen(login->text), 0600);
	if (result < 0) {
		return command_fail("%s cannot be written: %s", login->path, strerror(-result));
	}
	(void)fprintf(stderr, "bellwire: %s names the relay\n", login->path);
	if (login->config.insecure) {
		(void)fputs("bellwire: any certificate is accepted (insecure = on)\n", stderr);
	}
	return COMMAND_OK;
}

/* ---- the daemon ---- */

/* Whom it trusts is read at its start; then it moves to the new relay, too. */
static void login_restart(const struct login *login) {
	bool is_restarted = !login->no_start && daemon_restart();
	(void)fputs(is_restarted ? "bellwire: the distributor is restarted\n"
							 : "bellwire: restart bellwire-distributor: it reads whom to trust at "
							   "its start, and takes the relay then\n",
		stderr);
}

static int login_apply(const struct login *login) {
	if (!daemon_runs()) {
		(void)(login->no_start || daemon_start()); /* it has said what is to be done */
		return COMMAND_OK;
	}
	if (login->trusts_anew) {
		login_restart(login);
		return COMMAND_OK;
	}
	int result = daemon_tell("Move", "s", login->url);
	if (result == COMMAND_OK) {
		(void)fputs("bellwire: the distributor uses it from now on\n", stderr);
	}
	return result;
}

static int login_go(struct login *login) {
	struct url url;
	if (!url_parse(slice_of(login->url), &url)) {
		return command_misused("login", "\"%s\" is no URL like wss://push.example/", login->url);
	}
	if (!login->path && !(login->path = config_default_path())) {
		return command_fail("HOME is not set; give the configuration with --config");
	}
	int result = login_read(login);
	result = result != COMMAND_OK ? result : login_judge(login, &url);
	result = result != COMMAND_OK || login->no_check ? result : login_check(&login->config);
	result = result != COMMAND_OK ? result : login_write(login);
	result = result != COMMAND_OK ? result : login_apply(login);
	if (result == COMMAND_OK && login->json) {
		return command_print_json(json_pack("{s:s}", "config", login->path)) ? COMMAND_OK
																			 : COMMAND_FAILED;
	}
	return result;
}

int login_command(int argc, char **argv) {
	struct login login = {0};
	const char *path = NULL;
	const struct arguments_flag flags[] = {{"config", .text = &path}, {"ca", .text = &login.ca},
		{"insecure", .is_given = &login.insecure}, {"no-check", .is_given = &login.no_check},
		{"no-start", .is_given = &login.no_start}, {"json", .is_given = &login.json},
		{.name = NULL}};
	const struct arguments arguments = {
		.usage = login_usage, .flags = flags, .words = "URL", .least = 1, .most = 1};
	int result;
	if (!arguments_read(&arguments, argc, argv, &login.url, &result)) {
		return result;
	}
	login.path = path ? mem_strdup(path) : NULL;
	result = login_go(&login);
	login_finish(&login);
	return result;
}
