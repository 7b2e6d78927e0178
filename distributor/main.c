/* SPDX-License-Identifier: Apache-2.0 */
/* bellwire-distributor: settings, then the daemon until a signal. */
#include "common/cleanup.h"
#include "common/log.h"
#include "distributor/config.h"
#include "distributor/distributor.h"
#include "distributor/jmap/jmap_config.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

/* 4: another one runs already; the unit does not start it again. */
enum { EXIT_GOOD, EXIT_BAD, EXIT_USAGE, EXIT_OTHER_RUNS = 4 };

static const char main_usage[] =
	"usage: bellwire-distributor [--relay URL] [OPTION...]\n"
	"       bellwire-distributor sample-config\n"
	"\n"
	"Holds one connection to a relay and wakes apps (UnifiedPush on D-Bus) and the hooks of the\n"
	"config for what comes. It is usually started by `systemctl --user enable --now\n"
	"bellwire-distributor`; `bellwire login URL` sets the relay, `bellwire status` says how it "
	"is.\n";

static void main_on_signal(struct ev_loop *loop, ev_signal *signal, int events) {
	(void)signal;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void main_on_hangup(struct ev_loop *loop, ev_signal *signal, int events) {
	CLEANUP_FREE char *problem = NULL;
	(void)loop;
	(void)events;
	if (!signal->data) {
		return; /* what is just being started has read them a moment ago */
	}
	if (!distributor_reload(signal->data, &problem)) {
		log_error("mail logins stay as they are: %s", problem);
	}
	log_info("other settings are read at the start only; restart to take over new ones");
}

static int main_run(const struct distributor_config *configured) {
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
	struct distributor *distributor = NULL;
	size_t logins = configured->take_logins->count;
	ev_signal interrupted, terminated, hangup;
	int status = EXIT_GOOD;
	ev_signal_init(&interrupted, main_on_signal, SIGINT);
	ev_signal_init(&terminated, main_on_signal, SIGTERM);
	ev_signal_init(&hangup, main_on_hangup, SIGHUP);
	ev_signal_start(loop, &interrupted);
	ev_signal_start(loop, &terminated);
	hangup.data = NULL;
	ev_signal_start(loop, &hangup);
	switch (distributor_create(loop, configured, &distributor)) {
	case DISTRIBUTOR_OK:
		hangup.data = distributor;
		log_info("ready state_dir=%s hooks=%zu logins=%zu", configured->config->state_dir,
			configured->hooks->count, logins);
		(void)sd_notify(0, "READY=1");
		ev_run(loop, 0);
		status = distributor_is_broken(distributor) ? EXIT_BAD : EXIT_GOOD;
		(void)sd_notify(0, "STOPPING=1");
		break;
	case DISTRIBUTOR_FAILED:
		status = EXIT_BAD;
		break;
	case DISTRIBUTOR_OTHER_RUNS:
		status = EXIT_OTHER_RUNS;
		break;
	}
	distributor_destroy(distributor);
	ev_signal_stop(loop, &interrupted);
	ev_signal_stop(loop, &terminated);
	ev_signal_stop(loop, &hangup);
	ev_loop_destroy(loop);
	return status;
}

static const char *main_config_path(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--config=", 9) == 0) {
			return argv[i] + 9;
		}
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
			return argv[i + 1];
		}
	}
	return config_program()->config_path;
}

/* Beside what is wrong with the settings: what is wrong with the rest of their file. */
static void main_complain_of_sections(int argc, char **argv) {
	struct hooks_config hooks = {0};
	struct jmap_configs logins = {0};
	(void)hooks_config_load(main_config_path(argc, argv), &hooks, stderr);
	(void)jmap_configs_load(main_config_path(argc, argv), &logins, stderr);
	hooks_config_free(&hooks);
	jmap_configs_free(&logins);
}

static int main_act(enum settings_action action, int argc, char **argv, struct config *config) {
	struct hooks_config hooks = {0};
	struct jmap_configs logins = {0};
	int status = EXIT_USAGE;
	bool good = config_check(config, stderr) == 0;
	good = hooks_config_load(main_config_path(argc, argv), &hooks, stderr) == 0 && good;
	good = jmap_configs_load(main_config_path(argc, argv), &logins, stderr) == 0 && good;
	if (good && action == SETTINGS_CHECK) {
		hooks_config_doubt(&hooks, stderr);
		(void)puts("the configuration is good");
		status = EXIT_GOOD;
	} else if (good && action == SETTINGS_PRINT) {
		settings_print(config_program(), config, stdout);
		status = EXIT_GOOD;
	} else if (good) {
		log_settings_apply(&config->log);
		status = main_run(&(struct distributor_config){.config = config,
			.hooks = &hooks,
			.take_logins = &logins,
			.path = main_config_path(argc, argv)});
	}
	hooks_config_free(&hooks);
	jmap_configs_free(&logins);
	return status;
}

int main(int argc, char **argv) {
	struct config config = {0};
	enum settings_action action;
	char **rest;
	size_t rest_count = 0;
	int status = EXIT_USAGE;
	/* a closed pipe or socket is an error of write(), not our end */
	(void)signal(SIGPIPE, SIG_IGN);
	if (settings_load(config_program(), argc, argv, &config, &action, &rest, &rest_count, stderr) <
		0) {
		main_complain_of_sections(argc, argv);
	} else if (action == SETTINGS_HELP) {
		settings_print_help(config_program(), main_usage, stdout);
		status = EXIT_GOOD;
	} else if (action == SETTINGS_VERSION) {
		(void)puts("bellwire-distributor " BELLWIRE_VERSION);
		status = EXIT_GOOD;
	} else if (rest_count == 1 && strcmp(rest[0], "sample-config") == 0) {
		settings_print_sample(config_program(), stdout);
		hooks_config_print_sample(stdout);
		jmap_configs_print_sample(stdout);
		status = EXIT_GOOD;
	} else if (rest_count > 0) {
		(void)fprintf(stderr, "bellwire-distributor: what is \"%s\"? See --help\n", rest[0]);
	} else {
		status = main_act(action, argc, argv, &config);
	}
	settings_free(config_program(), &config);
	return status;
}
