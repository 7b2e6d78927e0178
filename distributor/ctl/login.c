/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire login URL`: checks the relay, writes it to the config, tells or starts the daemon. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/bus/control.h"
#include "distributor/config.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include "distributor/link/heartbeat.h"
#include "distributor/link/link.h"
#include "distributor/link/websocket_library.h"
#include <errno.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOGIN_CHECK_SEC = 30, LOGIN_FILE_MAX = 1 << 20 };

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
	"  --no-check        do not try to reach it\n"
	"  --no-start        do not start the distributor\n"
	"  --json            print the result as JSON\n";

struct login_options {
	const char *url, *config, *ca;
	bool insecure, no_check, no_start, json;
};

/* ---- the check ---- */

struct login_check {
	struct ev_loop *loop;
	struct link *link;
	bool is_good, is_ended;
};

static void login_on_entered(enum link_state state, void *ctx) {
	struct login_check *check = ctx;
	check->is_good = state == LINK_UP;
	if (state == LINK_UP || state == LINK_WAITING || state == LINK_REFUSED ||
		state == LINK_OFFLINE) {
		check->is_ended = true;
		ev_break(check->loop, EVBREAK_ALL);
	}
}

static void login_on_greeted(const struct link_greeting *greeting, void *ctx) {
	(void)greeting; /* nothing is registered, so the relay forgets us */
	(void)ctx;
}

static void login_on_registered(
	struct slice channel, int status, struct slice endpoint, void *ctx) {
	(void)channel;
	(void)status;
	(void)endpoint;
	(void)ctx;
}

static void login_on_unregistered(struct slice channel, int status, void *ctx) {
	(void)channel;
	(void)status;
	(void)ctx;
}

static void login_on_notified(const struct link_notification *notification, void *ctx) {
	(void)notification;
	(void)ctx;
}

static void login_on_timeout(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)timer;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static int login_report(const struct login_check *check, int64_t began_ms) {
	struct link_status status;
	link_status(check->link, &status);
	if (check->is_good) {
		(void)fprintf(stderr, "bellwire: the relay answers (%s, %lld ms)\n", status.peer,
			(long long)(clock_mono_ms() - began_ms));
		return COMMAND_OK;
	}
	return command_fail("the relay cannot be used: %s",
		check->is_ended ? status.reason : "it did not answer within 30 s");
}

static int login_check(const struct login_options *options) {
	static const struct link_events events = {
		.entered = login_on_entered,
		.greeted = login_on_greeted,
		.registered = login_on_registered,
		.unregistered = login_on_unregistered,
		.notified = login_on_notified,
	};
	CLEANUP_FREE char *error = NULL;
	struct login_check check = {.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV)};
	struct alarms *alarms = alarms_create(check.loop);
	struct heartbeats *heartbeats = heartbeats_open(NULL);
	struct websocket_library_options trust = {
		.loop = check.loop, .ca_file = options->ca, .insecure = options->insecure};
	struct websocket_library *library = websocket_library_create(&trust, &error);
	struct link_options link = {.loop = check.loop,
		.alarms = alarms,
		.library = library,
		.url = options->url,
		.use_proxy = true,
		.heartbeats = heartbeats,
		.events = &events,
		.ctx = &check};
	ev_timer timeout;
	int64_t began_ms = clock_mono_ms();
	int result;
	ev_timer_init(&timeout, login_on_timeout, LOGIN_CHECK_SEC, 0.);
	check.link = library ? link_create(&link, &error) : NULL;
	if (check.link) {
		link_start(check.link);
		ev_timer_start(check.loop, &timeout);
		(void)ev_run(check.loop, 0);
		ev_timer_stop(check.loop, &timeout);
		result = login_report(&check, began_ms);
	} else {
		result = command_fail("%s", error);
	}
	link_destroy(check.link);
	websocket_library_destroy(library);
	heartbeats_close(heartbeats);
	alarms_destroy(alarms);
	ev_loop_destroy(check.loop);
	return result;
}

/* ---- the configuration ---- */

/* Is the line `relay = …`? */
static bool login_is_relay_line(const char *line, size_t len) {
	struct slice text = slice_trim((struct slice){line, len});
	if (!slice_starts_with(text, "relay")) {
		return false;
	}
	text.data += strlen("relay");
	text.len -= strlen("relay");
	return slice_starts_with(slice_trim(text), "=");
}

/* The text with its relay replaced, or with a section for it in front. Fresh. */
static char *login_edit(const char *text, const char *url) {
	char *edited = mem_strdup("");
	bool is_replaced = false;
	while (*text) {
		size_t len = strcspn(text, "\n");
		size_t whole = len + (text[len] == '\n');
		CLEANUP_FREE char *before = edited;
		if (!is_replaced && login_is_relay_line(text, len)) {
			edited = mem_printf("%srelay = %s\n", before, url);
			is_replaced = true;
		} else {
			edited = mem_printf("%s%.*s", before, (int)whole, text);
		}
		text += whole;
	}
	if (!is_replaced) {
		CLEANUP_FREE char *before = edited;
		edited = mem_printf("[distributor]\nrelay = %s\n%s%s", url, *before ? "\n" : "", before);
	}
	return edited;
}

static void login_make_folder(const char *path) {
	CLEANUP_FREE char *folder = mem_strdup(path);
	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(folder, 0700); /* what fails here fails again when the file is written */
		*slash = '/';
	}
}

static int login_write(const struct login_options *options, const char *path) {
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0;
	int result = file_read(path, LOGIN_FILE_MAX, &text, &bytes);
	if (result < 0 && result != -ENOENT) {
		return command_fail("%s cannot be read: %s", path, strerror(-result));
	}
	CLEANUP_FREE char *edited = login_edit(text ? text : "", options->url);
	login_make_folder(path);
	/* an invite is a secret */
	result = file_replace(path, edited, strlen(edited), 0600);
	if (result < 0) {
		return command_fail("%s cannot be written: %s", path, strerror(-result));
	}
	(void)fprintf(stderr, "bellwire: %s names the relay\n", path);
	return COMMAND_OK;
}

/* ---- the daemon ---- */

static bool login_daemon_runs(void) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	return sd_bus_open_user(&bus) >= 0 && sd_bus_get_name_creds(bus, CONTROL_NAME, 0, NULL) >= 0;
}

static bool login_run(const char *const argv[]) {
	extern char **environ;
	pid_t pid;
	int status = 0;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) != 0) {
		return false;
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int login_start(void) {
	static const char *const enable[] = {
		"systemctl", "--user", "--quiet", "enable", "--now", "bellwire-distributor.service", NULL};
	if (access("/run/systemd/system", F_OK) == 0 && login_run(enable)) {
		(void)fputs("bellwire: the distributor is started, now and at each login\n", stderr);
		return COMMAND_OK;
	}
	(void)fputs("bellwire: start bellwire-distributor with your session\n", stderr);
	return COMMAND_OK;
}

static int login_apply(const struct login_options *options) {
	if (login_daemon_runs()) {
		int result = daemon_tell("Move", "s", options->url);
		if (result == COMMAND_OK) {
			(void)fputs("bellwire: the distributor uses it from now on\n", stderr);
		}
		return result;
	}
	return options->no_start ? COMMAND_OK : login_start();
}

/* 0 to go on, else the status to end with; -1 for help. */
static int login_parse(int argc, char **argv, struct login_options *options) {
	static const struct option flags[] = {{"config", required_argument, NULL, 'f'},
		{"ca", required_argument, NULL, 'c'}, {"insecure", no_argument, NULL, 'k'},
		{"no-check", no_argument, NULL, 'C'}, {"no-start", no_argument, NULL, 'S'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	for (int flag; (flag = getopt_long(argc, argv, "h", flags, NULL)) != -1;) {
		switch (flag) {
		case 'f':
			options->config = optarg;
			break;
		case 'c':
			options->ca = optarg;
			break;
		case 'k':
			options->insecure = true;
			break;
		case 'C':
			options->no_check = true;
			break;
		case 'S':
			options->no_start = true;
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			(void)fputs(login_usage, stdout);
			return -1;
		default:
			(void)fputs(login_usage, stderr);
			return COMMAND_USAGE;
		}
	}
	options->url = optind < argc ? argv[optind] : NULL;
	if (argc != optind + 1) {
		(void)fputs(login_usage, stderr);
		return COMMAND_USAGE;
	}
	return COMMAND_OK;
}

int login_command(int argc, char **argv) {
	struct login_options options = {0};
	struct url url;
	int result = login_parse(argc, argv, &options);
	if (result != COMMAND_OK) {
		return result < 0 ? COMMAND_OK : result;
	}
	if (!url_parse(slice_of(options.url), &url)) {
		return command_misused("login", "\"%s\" is no URL like wss://push.example/", options.url);
	}
	if (!url_is_secure(&url) && !url_is_loopback(&url) && !options.insecure) {
		return command_misused("login", "the URL is not encrypted; use wss://");
	}
	CLEANUP_FREE char *path = options.config ? mem_strdup(options.config) : config_default_path();
	if (!path) {
		return command_fail("HOME is not set; give the configuration with --config");
	}
	log_set_level(LOG_LEVEL_ERROR); /* the link's steps are the daemon's news */
	result = options.no_check ? COMMAND_OK : login_check(&options);
	result = result != COMMAND_OK ? result : login_write(&options, path);
	result = result != COMMAND_OK ? result : login_apply(&options);
	if (result == COMMAND_OK && options.json) {
		return command_print_json(json_pack("{s:s}", "config", path)) ? COMMAND_OK : COMMAND_FAILED;
	}
	return result;
}
