/* SPDX-License-Identifier: Apache-2.0 */
/* A child, its pidfd for the end, a pipe for what is said. */
#include "distributor/action/hook_run.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	HOOK_LINE_MAX = 400, /* bytes of one line that are logged */
	HOOK_LINES_MAX = 50, /* lines of one run */
	HOOK_READ_BYTES = 16384,
	HOOK_READS = 4, /* in one turn of the loop */
	HOOK_LAST_READS = 256, /* when it has ended: 4 MiB */
};

struct hook_run {
	struct ev_loop *loop;
	char *what, *name;
	pid_t pid; /* of the leader of its session and group */
	ev_io ended; /* its pidfd */
	ev_io said; /* our end of its output; not active once that is closed */
	struct alarm limit; /* the time limit, then the kill */
	bool is_timed_out, may_leave_some; /* processes, behind it */
	char line[HOOK_LINE_MAX];
	size_t line_len;
	uint64_t lines;
	hook_ended_fn *done;
	void *ctx;
};

/* ---- output ---- */

static void hook_line_end(struct hook_run *run) {
	if (++run->lines <= HOOK_LINES_MAX) {
		log_info("%s says %s=%s text=\"%.*s\"", run->what, run->what, run->name, (int)run->line_len,
			run->line);
	}
	run->line_len = 0;
}

static void hook_take_output(struct hook_run *run, const char *text, size_t len) {
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n') {
			hook_line_end(run);
		} else if (run->line_len < HOOK_LINE_MAX) {
			run->line[run->line_len++] = text[i];
		}
	}
}

/* Returns false when there is no more to come. */
static bool hook_read_output(struct hook_run *run, int most) {
	char text[HOOK_READ_BYTES];
	while (most-- > 0) {
		ssize_t len = read(run->said.fd, text, sizeof text);
		if (len < 0) {
			return errno == EAGAIN || errno == EINTR;
		}
		if (len == 0) {
			return false;
		}
		hook_take_output(run, text, (size_t)len);
	}
	return true;
}

static void hook_on_said(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	if (!hook_read_output(io->data, HOOK_READS)) {
		ev_io_stop(loop, io);
	}
}

static void hook_finish_output(struct hook_run *run) {
	if (ev_is_active(&run->said)) {
		(void)hook_read_output(run, HOOK_LAST_READS); /* what is behind, nobody reads */
	}
	if (run->line_len > 0) {
		hook_line_end(run);
	}
	if (run->lines > HOOK_LINES_MAX) {
		log_info("%s says more than is logged %s=%s lines=%llu", run->what, run->what, run->name,
			(unsigned long long)run->lines);
	}
}

/* ---- the end ---- */

static void hook_run_free(struct hook_run *run) {
	ev_io_stop(run->loop, &run->ended);
	ev_io_stop(run->loop, &run->said);
	alarm_stop(&run->limit);
	(void)close(run->ended.fd);
	if (run->said.fd >= 0) {
		(void)close(run->said.fd);
	}
	free(run->what);
	free(run->name);
	free(run);
}

static struct hook_result hook_result_of(const struct hook_run *run, const siginfo_t *info) {
	struct hook_result result = {.end = HOOK_FAILED};
	bool has_exited = info->si_code == CLD_EXITED;
	result.status = has_exited ? info->si_status : 128 + info->si_status;
	if (run->is_timed_out) {
		result.end = HOOK_TIMED_OUT;
	} else if (has_exited && info->si_status == 0) {
		result.end = HOOK_WELL;
	} else if (has_exited && info->si_status == HOOK_EXIT_NOT_NOW) {
		result.end = HOOK_NOT_NOW;
	}
	return result;
}

static void hook_on_ended(struct ev_loop *loop, ev_io *io, int events) {
	(void)loop;
	(void)events;
	struct hook_run *run = io->data;
	siginfo_t info = {0};
	struct hook_result result = {.end = HOOK_LOST, .detail = "its end was not seen"};
	/* While it is not reaped, its number names its group and nobody else's. */
	if (waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
		if (info.si_pid == 0) {
			return; /* not ended after all */
		}
		if (!run->may_leave_some || run->is_timed_out) {
			(void)kill(-run->pid, run->is_timed_out ? SIGKILL : SIGTERM);
		}
		(void)waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG);
		result = hook_result_of(run, &info);
	}
	hook_finish_output(run);
	hook_ended_fn *done = run->done;
	void *ctx = run->ctx;
	hook_run_free(run);
	done(&result, ctx);
}

static void hook_on_limit(struct alarm *alarm, void *ctx) {
	struct hook_run *run = ctx;
	(void)kill(-run->pid, run->is_timed_out ? SIGKILL : SIGTERM);
	if (!run->is_timed_out) {
		run->is_timed_out = true;
		alarm_set(alarm, HOOK_KILL_MS, ALARM_SLACK_DEADLINE_MS);
	}
}

void hook_run_stop(struct hook_run *run) {
	if (run) {
		(void)kill(-run->pid, SIGTERM);
		hook_run_free(run);
	}
}

void hook_run_leave(struct hook_run *run) {
	if (run) {
		hook_run_free(run);
	}
}

/* ---- the start ---- */

/* Our end of its output (-1: nobody listens) and its own (-1: the job has some). */
static int hook_open_output(const struct hook_job *job, int out_ends[2]) {
	if (job->outputs) {
		out_ends[0] = out_ends[1] = -1;
		return 0;
	}
	if (job->is_for_person) {
		out_ends[0] = -1;
		out_ends[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
		return out_ends[1] < 0 ? -errno : 0;
	}
	if (pipe2(out_ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	(void)fcntl(out_ends[0], F_SETFL, O_NONBLOCK); /* of a pipe: cannot fail */
	return 0;
}

int hook_run_start(struct ev_loop *loop, struct alarms *alarms, const struct hook_job *job,
	hook_ended_fn *done, void *ctx, struct hook_run **out_run) {
	int ends[2], opened = hook_open_output(job, ends);
	if (opened < 0) {
		return opened;
	}
	struct child child = {job->command, job->variables, job->input,
		job->outputs ? job->outputs[0] : ends[1], job->outputs ? job->outputs[1] : ends[1]};
	pid_t pid = 0;
	int pidfd = child_start(&child, &pid);
	if (ends[1] >= 0) {
		(void)close(ends[1]);
	}
	if (pidfd < 0) {
		if (ends[0] >= 0) {
			(void)close(ends[0]);
		}
		return pidfd;
	}
	struct hook_run *run = mem_zalloc(sizeof *run);
	run->loop = loop;
	run->what = mem_strdup(job->what);
	run->name = mem_strdup(job->name);
	run->may_leave_some = job->is_for_person || job->outputs;
	run->pid = pid;
	run->done = done;
	run->ctx = ctx;
	ev_io_init(&run->ended, hook_on_ended, pidfd, EV_READ);
	ev_io_init(&run->said, hook_on_said, ends[0], EV_READ);
	run->ended.data = run->said.data = run;
	ev_io_start(loop, &run->ended);
	if (ends[0] >= 0) {
		ev_io_start(loop, &run->said);
	}
	alarm_init(&run->limit, alarms, hook_on_limit, run);
	if (job->timeout_ms > 0) {
		alarm_set(&run->limit, job->timeout_ms, ALARM_SLACK_DEADLINE_MS);
	}
	*out_run = run;
	return 0;
}
