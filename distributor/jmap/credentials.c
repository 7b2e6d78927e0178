/* SPDX-License-Identifier: Apache-2.0 */
/* Which source is asked, in what order; each source is a file of its own. */
#include "distributor/jmap/credentials.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/list.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include "distributor/jmap/secret_command.h"
#include "distributor/jmap/secret_service.h"
#include "distributor/jmap/secret_text.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct credentials {
	struct hook_place place;
	struct bus *session_bus;
	char *state_dir;
	int command_ms, prompt_ms;
	int64_t prompt_again_ms; /* of the boot clock: no prompt before; 0: there may be one */
	struct list requests; /* struct credentials_request::link */
};

struct credentials_request {
	struct list link; /* struct credentials::requests */
	struct credentials *credentials;
	char *name;
	char *service_failure; /* of the Secret Service; NULL: none */
	struct secret_command *command;
	struct secret_lookup *lookup;
	ev_timer turn; /* of the file */
	credentials_done_fn *done;
	void *ctx;
};

struct credentials *credentials_create(
	const struct hook_place *place, struct bus *session_bus, const char *state_dir) {
	struct credentials *credentials = mem_zalloc(sizeof *credentials);
	credentials->place = *place;
	credentials->session_bus = session_bus;
	credentials->state_dir = mem_strdup(state_dir);
	credentials->command_ms = CREDENTIALS_COMMAND_MS;
	credentials->prompt_ms = CREDENTIALS_PROMPT_MS;
	list_init(&credentials->requests);
	return credentials;
}

void credentials_set_limits(struct credentials *credentials, int command_ms, int prompt_ms) {
	credentials->command_ms = command_ms;
	credentials->prompt_ms = prompt_ms;
}

/* ---- the end of a request ---- */

static void credentials_request_free(struct credentials_request *request) {
	list_remove(&request->link);
	secret_command_cancel(request->command);
	secret_lookup_cancel(request->lookup);
	ev_timer_stop(request->credentials->place.loop, &request->turn);
	free(request->name);
	free(request->service_failure);
	free(request);
}

static void credentials_request_finish(struct credentials_request *request,
	enum credentials_outcome outcome, const char *secret, const char *reason) {
	credentials_done_fn *done = request->done;
	void *ctx = request->ctx;
	credentials_request_free(request); /* first: its callback may cancel, or destroy us */
	done(outcome, secret, reason, ctx);
}

void credentials_cancel(struct credentials *credentials, void *ctx) {
	struct credentials_request *request, *next;
	LIST_FOREACH_SAFE (request, next, &credentials->requests, link) {
		if (request->ctx == ctx) {
			credentials_request_free(request);
		}
	}
}

void credentials_destroy(struct credentials *credentials) {
	if (!credentials) {
		return;
	}
	struct credentials_request *request, *next;
	LIST_FOREACH_SAFE (request, next, &credentials->requests, link) {
		credentials_request_free(request);
	}
	free(credentials->state_dir);
	free(credentials);
}

/* ---- a command ---- */

static void credentials_on_command(const char *secret, const char *reason, void *ctx) {
	struct credentials_request *request = ctx;
	request->command = NULL;
	credentials_request_finish(
		request, secret ? CREDENTIALS_FOUND : CREDENTIALS_FAILED, secret, reason);
}

/* ---- the file ---- */

static char *credentials_path(const char *state_dir, const char *name) {
	return mem_printf("%s/secrets/%s", state_dir, name);
}

static char *credentials_file_trouble(const char *path, int result) {
	if (result == -EACCES) {
		return mem_printf("%s may be read by others, or is not yours; chmod 600 it", path);
	}
	return mem_printf("%s cannot be read: %s", path, strerror(-result));
}

static void credentials_ask_file(struct credentials_request *request) {
	CLEANUP_FREE char *path = credentials_path(request->credentials->state_dir, request->name);
	char *text = NULL, *secret = NULL;
	size_t bytes = 0;
	int result = file_read_secret(path, SECRET_MAX + 2, &text, &bytes);
	CLEANUP_FREE char *reason = NULL;
	enum credentials_outcome outcome = CREDENTIALS_FAILED;
	if (result == 0) {
		secret = secret_line_dup((struct slice){text, bytes});
		outcome = secret ? CREDENTIALS_FOUND : CREDENTIALS_FAILED;
		reason = secret ? NULL : mem_printf("the first line of %s is no password", path);
		mem_wipe(text, bytes);
		free(text);
	} else if (result != -ENOENT && result != -ENOTDIR) {
		reason = credentials_file_trouble(path, result);
	} else if (request->service_failure) {
		reason = mem_strdup(request->service_failure);
	} else {
		outcome = CREDENTIALS_MISSING;
		reason = mem_printf("no password is kept for %s; give it with: bellwire jmap password %s",
			request->name, request->name);
	}
	credentials_request_finish(request, outcome, secret, reason ? reason : "");
	secret_free(secret);
}

static void credentials_on_turn(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	credentials_ask_file(timer->data);
}

/* ---- the Secret Service ---- */

static bool credentials_may_prompt(const struct credentials *credentials) {
	return clock_boot_ms() >= credentials->prompt_again_ms;
}

static void credentials_on_looked(
	enum secret_outcome outcome, const char *secret, const char *reason, void *ctx) {
	struct credentials_request *request = ctx;
	request->lookup = NULL;
	switch (outcome) {
	case SECRET_FOUND:
		credentials_request_finish(request, CREDENTIALS_FOUND, secret, "");
		return;
	case SECRET_LOCKED:
		if (credentials_may_prompt(request->credentials)) {
			request->credentials->prompt_again_ms = clock_boot_ms() + CREDENTIALS_PROMPT_AGAIN_MS;
		}
		request->service_failure = mem_strdup(reason);
		break;
	case SECRET_FAILED:
		request->service_failure = mem_strdup(reason);
		break;
	case SECRET_MISSING:
	case SECRET_NO_SERVICE:
		break;
	}
	credentials_ask_file(request);
}

/* ---- the start ---- */

void credentials_get(struct credentials *credentials, const struct jmap_config *config,
	credentials_done_fn *done, void *ctx) {
	struct credentials_request *request = mem_zalloc(sizeof *request);
	request->credentials = credentials;
	request->name = mem_strdup(config->name);
	request->done = done;
	request->ctx = ctx;
	ev_timer_init(&request->turn, credentials_on_turn, 0., 0.);
	request->turn.data = request;
	list_init(&request->link);
	list_append(&credentials->requests, &request->link);
	if (config->password_command) {
		request->command =
			secret_command_start(&credentials->place, config->name, config->password_command,
				config->as_unit, credentials->command_ms, credentials_on_command, request);
	} else if (credentials->session_bus) {
		request->lookup = secret_lookup_start(credentials->place.loop,
			bus_get(credentials->session_bus), config->name, credentials_may_prompt(credentials),
			credentials->prompt_ms, credentials_on_looked, request);
	} else {
		ev_timer_start(credentials->place.loop, &request->turn);
	}
}

/* ---- for the tool ---- */

static int credentials_store_file(
	const char *state_dir, const char *name, const char *secret, char **out_words) {
	CLEANUP_FREE char *path = credentials_path(state_dir, name);
	CLEANUP_FREE char *line = mem_printf("%s\n", secret);
	(void)file_make_folders(path); /* what fails here fails again when the file is written */
	int result = file_replace(path, line, strlen(line), 0600);
	mem_wipe(line, strlen(line));
	*out_words = result < 0 ? mem_printf("%s cannot be written: %s", path, strerror(-result))
							: mem_printf("the file %s, which nobody else may read", path);
	return result;
}

static int credentials_forget_file(const char *state_dir, const char *name, char **out_words) {
	CLEANUP_FREE char *path = credentials_path(state_dir, name);
	int result = unlink(path) < 0 ? -errno : 0;
	if (result < 0 && result != -ENOENT && result != -ENOTDIR) {
		*out_words = mem_printf("%s cannot be removed: %s", path, strerror(-result));
		return result;
	}
	return 0;
}

static int credentials_forget_service(
	struct sd_bus *session_bus, const char *name, char **out_words) {
	CLEANUP_FREE char *error = NULL;
	int result = session_bus ? secret_service_forget(session_bus, name, &error) : -ENOENT;
	if (result < 0 && result != -ENOENT) {
		*out_words = mem_printf("the password in the keyring cannot be removed: %s", error);
		return result;
	}
	return 0;
}

int credentials_store(struct sd_bus *session_bus, const char *state_dir, const char *name,
	const char *label, const char *secret, enum credentials_place place, char **out_words) {
	CLEANUP_FREE char *error = NULL;
	int result = -ENOENT;
	*out_words = NULL;
	if (place != CREDENTIALS_FILE && session_bus) {
		result = secret_service_store(session_bus, name, label, secret, &error);
	}
	if (result == 0) {
		result = credentials_forget_file(state_dir, name, out_words);
		*out_words = result < 0 ? *out_words : mem_strdup("the keyring");
		return result;
	}
	if (place == CREDENTIALS_SERVICE || result != -ENOENT) {
		*out_words = error ? steal(&error) : mem_strdup("there is no session bus, so no keyring");
		return result;
	}
	result = credentials_forget_service(session_bus, name, out_words);
	return result < 0 ? result : credentials_store_file(state_dir, name, secret, out_words);
}

int credentials_forget(
	struct sd_bus *session_bus, const char *state_dir, const char *name, char **out_words) {
	*out_words = NULL;
	int result = credentials_forget_service(session_bus, name, out_words);
	return result < 0 ? result : credentials_forget_file(state_dir, name, out_words);
}
