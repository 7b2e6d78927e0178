/* SPDX-License-Identifier: Apache-2.0 */
/* bellwire-relay: settings, sockets, then one server or several workers. */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/commands.h"
#include "relay/config.h"
#include "relay/http/listener.h"
#include "relay/push/token.h"
#include "relay/server.h"
#include "relay/supervisor.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

enum { EXIT_USAGE = 2, MAIN_SOCKETS_MAX = 64 };

/* Sockets of every worker: listener i of worker w is at [w * count + i]. */
struct main_sockets {
	struct server_socket *sockets;
	size_t count;
};

struct main_state {
	int argc;
	char **argv;
	struct config config;
	struct main_sockets sockets;
	struct metrics *metrics;
};

static void main_on_ready(void *ctx) {
	struct main_state *state = ctx;
	log_info("ready listen=%s public_url=%s", state->config.listen.items[0],
		state->config.public_url.items[0]);
	(void)sd_notify(0, "READY=1"); /* not under systemd: nothing to tell */
}

/* SIGHUP: of the settings only the log's are taken over; the rest needs a restart. */
static bool main_reload(struct config *config, void *ctx) {
	struct main_state *state = ctx;
	struct config fresh = {0};
	enum settings_action action;
	char **rest;
	size_t count;
	bool is_good = settings_load(&config_program, state->argc, state->argv, &fresh, &action, &rest,
					   &count, stderr) == 0 &&
				   config_check(&fresh, stderr) == 0;
	if (is_good) {
		config->log.level = fresh.log.level;
		config->log.format = fresh.log.format;
		log_settings_apply(&fresh.log);
	}
	settings_free(&config_program, &fresh);
	return is_good;
}

/* ---- sockets ---- */

static bool main_bind(const char *text, bool is_admin, unsigned workers, unsigned worker,
	struct server_socket *out_socket) {
	struct http_listener_address address;
	CLEANUP_FREE char *error = NULL;
	int fd = http_listener_address_parse(text, &address, &error);
	if (fd == 0) {
		/* A unix socket has one queue, which all workers share by inheritance. */
		fd = address.is_unix && worker > 0 ? -EEXIST
										   : http_listener_bind(&address, workers > 1, &error);
		*out_socket = (struct server_socket){fd, address.is_tls, is_admin};
		http_listener_address_finish(&address);
	}
	if (fd == -EEXIST && !error) {
		out_socket->fd = -1; /* filled in by the caller */
		return true;
	}
	if (fd < 0) {
		log_error("%s", error);
		return false;
	}
	return true;
}

static bool main_bind_all(
	struct main_state *state, const char *text, bool is_admin, size_t at, size_t count) {
	unsigned workers = (unsigned)state->config.workers;
	for (unsigned worker = 0; worker < workers; worker++) {
		struct server_socket *socket = &state->sockets.sockets[worker * count + at];
		if (!main_bind(text, is_admin, workers, worker, socket)) {
			return false;
		}
		if (socket->fd < 0) {
			*socket = state->sockets.sockets[at];
		}
	}
	return true;
}

/* Sockets handed over by systemd; their FileDescriptorName may be tls or admin. */
static int main_inherited(struct server_socket *out, size_t max) {
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);
	for (int i = 0; i < count && (size_t)i < max; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* else accept would wait */
		out[i] = (struct server_socket){
			.fd = fd,
			.is_tls = strcmp(names[i], "tls") == 0,
			.is_admin = strcmp(names[i], "admin") == 0,
		};
	}
	for (int i = 0; i < count; i++) {
		free(names[i]);
	}
	free(names);
	return count;
}

static bool main_open_sockets(struct main_state *state) {
	struct config *config = &state->config;
	struct server_socket inherited[MAIN_SOCKETS_MAX];
	int passed = main_inherited(inherited, MAIN_SOCKETS_MAX);
	if (passed < 0 || passed > MAIN_SOCKETS_MAX) {
		log_error("sockets of systemd not taken over error=\"%s\"",
			strerror(passed < 0 ? -passed : E2BIG));
		return false;
	}
	bool own = passed == 0 || strcmp(settings_source(config, "listen"), "default") != 0;
	size_t listens = own ? config->listen.count : 0;
	size_t count = (size_t)passed + listens + (config->admin_listen ? 1 : 0);
	state->sockets.count = count;
	state->sockets.sockets =
		mem_zalloc(count * (size_t)config->workers * sizeof *state->sockets.sockets);
	for (int i = 0; i < passed; i++) {
		if (inherited[i].is_tls && !config->tls_cert) {
			log_error("a socket named tls was passed, but tls_cert is not set");
			return false;
		}
		for (int64_t worker = 0; worker < config->workers; worker++) {
			state->sockets.sockets[(size_t)worker * count + (size_t)i] = inherited[i];
		}
	}
	size_t at = (size_t)passed;
	for (size_t i = 0; i < listens; i++) {
		if (!main_bind_all(state, config->listen.items[i], false, at++, count)) {
			return false;
		}
	}
	return !config->admin_listen || main_bind_all(state, config->admin_listen, true, at, count);
}

/* ---- running ---- */

static int main_run_worker(
	struct main_state *state, unsigned worker, void (*on_ready)(void *), void *ready_ctx);

struct main_worker {
	struct main_state *state;
	void (*on_ready)(void *);
	void *ready_ctx;
};

static void main_worker_on_ready(void *ctx) {
	struct main_worker *worker = ctx;
	worker->on_ready(worker->ready_ctx);
}

static bool main_worker_reload(struct config *config, void *ctx) {
	return main_reload(config, ((struct main_worker *)ctx)->state);
}

static int main_run_worker(
	struct main_state *state, unsigned worker, void (*on_ready)(void *), void *ready_ctx) {
	struct main_worker ctx = {state, on_ready, ready_ctx};
	const struct server_options options = {
		.config = &state->config,
		.sockets = &state->sockets.sockets[worker * state->sockets.count],
		.socket_count = state->sockets.count,
		.metrics = state->metrics,
		.worker = worker,
		.workers = (unsigned)state->config.workers,
		.on_ready = main_worker_on_ready,
		.reload = main_worker_reload,
		.ctx = &ctx,
	};
	return server_run(&options);
}

static int main_run_child(unsigned worker, void (*on_ready)(void *), void *ready_ctx, void *ctx) {
	return main_run_worker(ctx, worker, on_ready, ready_ctx);
}

static bool main_make_state_dir(const char *path) {
	if (mkdir(path, 0700) == 0 || errno == EEXIST) {
		return true;
	}
	log_error("state_dir %s: %s; create it, or set state_dir to a directory of your own", path,
		strerror(errno));
	return false;
}

/* Before workers fork: made by two at once, the file would be one of two. */
static bool main_make_keys(const char *state_dir) {
	CLEANUP_FREE char *path = mem_printf("%s/keys", state_dir);
	CLEANUP_FREE char *error = NULL;
	struct token_keys *keys = token_keys_open(path, true, &error);
	if (!keys) {
		log_error("%s", error);
		return false;
	}
	token_keys_destroy(keys);
	return true;
}

static int main_run(struct main_state *state) {
	log_settings_apply(&state->config.log);
	(void)signal(SIGPIPE, SIG_IGN);
	if (!main_make_state_dir(state->config.state_dir) || !main_make_keys(state->config.state_dir) ||
		!main_open_sockets(state)) {
		return 1;
	}
	unsigned workers = (unsigned)state->config.workers;
	state->metrics = metrics_map(workers);
	if (workers == 1) {
		return main_run_worker(state, 0, main_on_ready, state);
	}
	const struct supervisor_options options = {
		.workers = workers, .run = main_run_child, .on_ready = main_on_ready, .ctx = state};
	return supervisor_run(&options);
}

static int main_with_settings(struct main_state *state) {
	enum settings_action action;
	char **rest;
	size_t count;
	if (settings_load(&config_program, state->argc, state->argv, &state->config, &action, &rest,
			&count, stderr) < 0) {
		return EXIT_USAGE;
	}
	if (action == SETTINGS_HELP) {
		settings_print_help(&config_program, commands_usage, stdout);
		return 0;
	}
	if (action == SETTINGS_VERSION) {
		puts("bellwire-relay " BELLWIRE_VERSION);
		return 0;
	}
	if (count > 0) {
		fprintf(
			stderr, "bellwire-relay: unknown command \"%s\"\nusage: %s\n", rest[0], commands_usage);
		return EXIT_USAGE;
	}
	if (config_check(&state->config, stderr) < 0) {
		return EXIT_USAGE;
	}
	if (action == SETTINGS_CHECK) {
		puts("settings are fine");
		return 0;
	}
	if (action == SETTINGS_PRINT) {
		settings_print(&config_program, &state->config, stdout);
		return 0;
	}
	return main_run(state);
}

int main(int argc, char **argv) {
	if (argc > 1 && commands_has(argv[1])) {
		return commands_run(argc, argv);
	}
	struct main_state state = {.argc = argc, .argv = argv};
	int status = main_with_settings(&state);
	free(state.sockets.sockets);
	settings_free(&config_program, &state.config);
	return status;
}
