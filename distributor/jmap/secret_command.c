/* SPDX-License-Identifier: Apache-2.0 */
/* A command and two pipes. */
#include "distributor/jmap/secret_command.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include "distributor/jmap/secret_text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SECRET_COMMAND_LINE_MAX = SECRET_MAX + 2, /* and the end of its line */
	SECRET_COMMAND_SAID_MAX = 400,
	SECRET_COMMAND_SHOWN_MAX = 200, /* of what it said */
	SECRET_COMMAND_READS_MAX = 16, /* in one turn of the loop */
	SECRET_COMMAND_SIGNAL = 128, /* added to a signal's number */
};

/* What comes out of one of its pipes; what is beyond the limit is not kept. */
struct secret_command_pipe {
	ev_io io;
	char *bytes;
	size_t len, max;
};

struct secret_command {
	struct ev_loop *loop;
	struct hook_command *run; /* NULL: it did not start */
	ev_timer turn; /* of the callback, when it did not start */
	char *program;
	int start_error; /* -errno */
	struct secret_command_pipe output, error;
	int64_t timeout_ms;
	secret_command_done_fn *done;
	void *ctx;
};

/* ---- its pipes ---- */

/* False when there is no more to come. */
static bool secret_command_read(struct secret_command_pipe *pipe, int most) {
	char bytes[4096];
	bool is_open = true;
	for (int i = 0; i < most && is_open; i++) {
		ssize_t len = read(pipe->io.fd, bytes, sizeof bytes);
		if (len <= 0) {
			is_open = len < 0 && (errno == EAGAIN || errno == EINTR);
			break;
		}
		size_t room = pipe->max - pipe->len;
		size_t taken = (size_t)len < room ? (size_t)len : room;
		memcpy(pipe->bytes + pipe->len, bytes, taken);
		pipe->len += taken;
	}
	mem_wipe(bytes, sizeof bytes);
	return is_open;
}

static void secret_command_on_bytes(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	if (!secret_command_read(io->data, SECRET_COMMAND_READS_MAX)) {
		ev_io_stop(loop, io);
	}
}

static void secret_command_pipe_init(
	struct secret_command *command, struct secret_command_pipe *pipe, int fd, size_t max) {
	(void)fcntl(fd, F_SETFL, O_NONBLOCK); /* of a pipe: cannot fail */
	pipe->bytes = mem_alloc(max);
	pipe->max = max;
	ev_io_init(&pipe->io, secret_command_on_bytes, fd, EV_READ);
	pipe->io.data = pipe;
	ev_io_start(command->loop, &pipe->io);
}

static void secret_command_pipe_finish(
	struct secret_command *command, struct secret_command_pipe *pipe) {
	if (pipe->bytes) {
		ev_io_stop(command->loop, &pipe->io);
		(void)close(pipe->io.fd);
		mem_wipe(pipe->bytes, pipe->len);
		free(pipe->bytes);
	}
}

static struct slice secret_command_pipe_rest(struct secret_command_pipe *pipe) {
	if (ev_is_active(&pipe->io)) {
		(void)secret_command_read(pipe, SECRET_COMMAND_READS_MAX); /* what it said last */
	}
	return (struct slice){pipe->bytes, pipe->len};
}

/* ---- the end ---- */

static void secret_command_free(struct secret_command *command) {
	ev_timer_stop(command->loop, &command->turn);
	secret_command_pipe_finish(command, &command->output);
	secret_command_pipe_finish(command, &command->error);
	free(command->program);
	free(command);
}

static void secret_command_finish(
	struct secret_command *command, const char *secret, const char *reason) {
	command->done(secret, reason, command->ctx);
	secret_command_free(command);
}

/* Its first word on standard error, behind a colon; "" when it said nothing. Fresh. */
static char *secret_command_said_dup(struct secret_command *command) {
	struct slice said = secret_command_pipe_rest(&command->error);
	const char *end = said.len > 0 ? memchr(said.data, '\n', said.len) : NULL;
	said.len = end ? (size_t)(end - said.data) : said.len;
	CLEANUP_FREE char *shown = sanitize_dup(said, SECRET_COMMAND_SHOWN_MAX, SANITIZE_ONE_LINE);
	return mem_printf("%s%s", shown[0] ? ": " : "", shown);
}

static char *secret_command_failure_dup(
	struct secret_command *command, const struct hook_result *result) {
	CLEANUP_FREE char *said = secret_command_said_dup(command);
	bool is_signal = result->status > SECRET_COMMAND_SIGNAL;
	switch (result->end) {
	case HOOK_TIMED_OUT:
		return mem_printf("password_command did not end within %lld s",
			(long long)(command->timeout_ms + 999) / 1000);
	case HOOK_NOT_STARTED:
		return mem_printf("password_command cannot run %s: %s", command->program, result->detail);
	case HOOK_NOT_NOW:
		return mem_printf("password_command ended with status %d%s", HOOK_EXIT_NOT_NOW, said);
	case HOOK_FAILED:
		return mem_printf("password_command ended with %s %d%s", is_signal ? "signal" : "status",
			is_signal ? result->status - SECRET_COMMAND_SIGNAL : result->status, said);
	case HOOK_LOST:
		return mem_printf("password_command was lost sight of: %s", result->detail);
	case HOOK_WELL:
	case HOOK_NO_UNIT:
	case HOOK_END_COUNT:
		break;
	}
	return mem_strdup("the first line that password_command printed is no password");
}

static void secret_command_on_ended(const struct hook_result *result, void *ctx) {
	struct secret_command *command = ctx;
	command->run = NULL;
	char *secret = result->end == HOOK_WELL
					   ? secret_line_dup(secret_command_pipe_rest(&command->output))
					   : NULL;
	CLEANUP_FREE char *reason = secret ? NULL : secret_command_failure_dup(command, result);
	secret_command_finish(command, secret, reason ? reason : "");
	secret_free(secret);
}

static void secret_command_on_turn(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct secret_command *command = timer->data;
	struct hook_result result = {
		.end = HOOK_NOT_STARTED, .detail = strerror(-command->start_error)};
	secret_command_on_ended(&result, command);
}

void secret_command_cancel(struct secret_command *command) {
	if (command) {
		hook_command_stop(command->run);
		secret_command_free(command);
	}
}

/* ---- the start ---- */

/* 0 or -errno; the pipes are ours then. */
static int secret_command_run(struct secret_command *command, const struct hook_place *place,
	struct hook_job *job, bool as_unit) {
	int output[2], error[2];
	CLEANUP_CLOSE int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (input < 0 || pipe2(output, O_CLOEXEC) < 0) {
		return -errno;
	}
	secret_command_pipe_init(command, &command->output, output[0], SECRET_COMMAND_LINE_MAX);
	if (pipe2(error, O_CLOEXEC) < 0) {
		int result = -errno;
		(void)close(output[1]);
		return result;
	}
	secret_command_pipe_init(command, &command->error, error[0], SECRET_COMMAND_SAID_MAX);
	const int outputs[] = {output[1], error[1]};
	job->input = input;
	job->outputs = outputs;
	int result =
		hook_command_start(place, job, as_unit, secret_command_on_ended, command, &command->run);
	(void)close(output[1]);
	(void)close(error[1]);
	return result;
}

struct secret_command *secret_command_start(const struct hook_place *place, const char *name,
	char *const *words, bool as_unit, int64_t timeout_ms, secret_command_done_fn *done, void *ctx) {
	static char *const no_variables[] = {NULL};
	struct secret_command *command = mem_zalloc(sizeof *command);
	struct hook_job job = {.what = "password",
		.name = name,
		.command = words,
		.variables = no_variables,
		.timeout_ms = timeout_ms};
	command->loop = place->loop;
	command->program = mem_strdup(words[0]);
	command->timeout_ms = timeout_ms;
	command->done = done;
	command->ctx = ctx;
	ev_timer_init(&command->turn, secret_command_on_turn, 0., 0.);
	command->turn.data = command;
	command->start_error = secret_command_run(command, place, &job, as_unit);
	if (command->start_error < 0) {
		ev_timer_start(place->loop, &command->turn);
	}
	return command;
}
