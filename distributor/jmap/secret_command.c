/* SPDX-License-Identifier: Apache-2.0 */
/* A child, two pipes, a pidfd and a time limit. */
#include "distributor/jmap/secret_command.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/action/child.h"
#include "distributor/action/sanitize.h"
#include "distributor/jmap/secret_text.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SECRET_COMMAND_LINE_MAX = SECRET_MAX + 2, /* and the end of its line */
	SECRET_COMMAND_SAID_MAX = 400,
	SECRET_COMMAND_SHOWN_MAX = 200, /* of what it said */
	SECRET_COMMAND_READS_MAX = 16, /* in one turn of the loop */
};

/* What comes out of one of its pipes; what is beyond the limit is not kept. */
struct secret_command_pipe {
	ev_io io;
	char *bytes;
	size_t len, max;
};

struct secret_command {
	struct ev_loop *loop;
	pid_t pid; /* 0: it did not start */
	ev_io ended; /* its pidfd */
	ev_timer limit; /* the time limit; or, when it did not start, the callback's turn */
	struct secret_command_pipe output, error;
	int64_t timeout_ms;
	char *start_failure;
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

static void secret_command_pipe_init(struct secret_command_pipe *pipe, int fd, size_t max) {
	(void)fcntl(fd, F_SETFL, O_NONBLOCK); /* of a pipe: cannot fail */
	pipe->bytes = mem_alloc(max);
	pipe->max = max;
	ev_io_init(&pipe->io, secret_command_on_bytes, fd, EV_READ);
	pipe->io.data = pipe;
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
	ev_timer_stop(command->loop, &command->limit);
	if (command->pid > 0) {
		ev_io_stop(command->loop, &command->ended);
		(void)close(command->ended.fd);
	}
	secret_command_pipe_finish(command, &command->output);
	secret_command_pipe_finish(command, &command->error);
	free(command->start_failure);
	free(command);
}

static void secret_command_finish(
	struct secret_command *command, const char *secret, const char *reason) {
	secret_command_done_fn *done = command->done;
	void *ctx = command->ctx;
	done(secret, reason, ctx);
	secret_command_free(command);
}

/* Its group is ended, and it is reaped. */
static void secret_command_kill(struct secret_command *command) {
	(void)kill(-command->pid, SIGKILL);
	(void)waitpid(command->pid, NULL, 0);
}

static char *secret_command_failure_dup(struct secret_command *command, const siginfo_t *info) {
	struct slice said = secret_command_pipe_rest(&command->error);
	const char *end = said.len > 0 ? memchr(said.data, '\n', said.len) : NULL;
	said.len = end ? (size_t)(end - said.data) : said.len;
	CLEANUP_FREE char *shown = sanitize_dup(said, SECRET_COMMAND_SHOWN_MAX, SANITIZE_ONE_LINE);
	return mem_printf("password_command ended with %s %d%s%s",
		info->si_code == CLD_EXITED ? "status" : "signal", info->si_status, shown[0] ? ": " : "",
		shown);
}

static void secret_command_on_ended(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	struct secret_command *command = io->data;
	siginfo_t info = {0};
	if (waitid(P_PID, (id_t)command->pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0) {
		return; /* not ended after all */
	}
	if (info.si_code != CLD_EXITED || info.si_status != 0) {
		CLEANUP_FREE char *reason = secret_command_failure_dup(command, &info);
		secret_command_finish(command, NULL, reason);
		return;
	}
	char *secret = secret_line_dup(secret_command_pipe_rest(&command->output));
	secret_command_finish(command, secret,
		secret ? "" : "the first line that password_command printed is no password");
	secret_free(secret);
}

static void secret_command_on_limit(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct secret_command *command = timer->data;
	if (command->pid == 0) {
		secret_command_finish(command, NULL, command->start_failure);
		return;
	}
	CLEANUP_FREE char *reason = mem_printf("password_command did not end within %lld s",
		(long long)(command->timeout_ms + 999) / 1000);
	secret_command_kill(command);
	secret_command_finish(command, NULL, reason);
}

void secret_command_cancel(struct secret_command *command) {
	if (command) {
		if (command->pid > 0) {
			secret_command_kill(command);
		}
		secret_command_free(command);
	}
}

/* ---- the start ---- */

/* Its pidfd or -errno; the pipes' ends are ours then. */
static int secret_command_spawn(
	char *const *words, pid_t *out_pid, int *out_output, int *out_error) {
	static char *const no_variables[] = {NULL};
	CLEANUP_CLOSE int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int output[2], error[2];
	if (input < 0 || pipe2(output, O_CLOEXEC) < 0) {
		return -errno;
	}
	if (pipe2(error, O_CLOEXEC) < 0) {
		int result = -errno;
		(void)close(output[0]);
		(void)close(output[1]);
		return result;
	}
	struct child child = {words, no_variables, input, output[1], error[1]};
	int pidfd = child_start(&child, out_pid);
	(void)close(output[1]);
	(void)close(error[1]);
	if (pidfd < 0) {
		(void)close(output[0]);
		(void)close(error[0]);
		return pidfd;
	}
	*out_output = output[0];
	*out_error = error[0];
	return pidfd;
}

struct secret_command *secret_command_start(struct ev_loop *loop, char *const *words,
	int64_t timeout_ms, secret_command_done_fn *done, void *ctx) {
	struct secret_command *command = mem_zalloc(sizeof *command);
	int output, error, pidfd = secret_command_spawn(words, &command->pid, &output, &error);
	command->loop = loop;
	command->timeout_ms = timeout_ms;
	command->done = done;
	command->ctx = ctx;
	if (pidfd < 0) {
		command->start_failure =
			mem_printf("password_command cannot run %s: %s", words[0], strerror(-pidfd));
	} else {
		secret_command_pipe_init(&command->output, output, SECRET_COMMAND_LINE_MAX);
		secret_command_pipe_init(&command->error, error, SECRET_COMMAND_SAID_MAX);
		ev_io_init(&command->ended, secret_command_on_ended, pidfd, EV_READ);
		command->ended.data = command;
		ev_io_start(loop, &command->ended);
		ev_io_start(loop, &command->output.io);
		ev_io_start(loop, &command->error.io);
	}
	ev_timer_init(
		&command->limit, secret_command_on_limit, pidfd < 0 ? 0. : (double)timeout_ms / 1000., 0.);
	command->limit.data = command;
	ev_now_update(loop);
	ev_timer_start(loop, &command->limit);
	return command;
}
