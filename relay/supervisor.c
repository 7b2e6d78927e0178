/* SPDX-License-Identifier: Apache-2.0 */
/* Forks workers and keeps them running. */
#include "relay/supervisor.h"
#include "common/backoff.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SUPERVISOR_SIGNALS = 3 };

struct worker {
	struct supervisor *supervisor;
	unsigned number;
	pid_t pid; /* 0: not running */
	int ready_fd; /* the child writes one byte when ready; -1 when read */
	bool is_ready;
	ev_io on_ready;
	ev_child on_exit;
	ev_timer restart;
	struct backoff backoff;
};

struct supervisor {
	const struct supervisor_options *options;
	struct ev_loop *loop;
	struct worker *workers;
	bool is_stopping, was_ready;
	int status;
	ev_signal signals[SUPERVISOR_SIGNALS];
};

static void supervisor_start(struct worker *worker);

/* ---- the child ---- */

static void worker_on_ready(void *ctx) {
	int fd = *(int *)ctx;
	if (write(fd, "", 1) != 1) {
		log_warn("the supervisor was not told that a worker is ready");
	}
	(void)close(fd);
}

static void worker_main(struct worker *worker, int ready_fd, pid_t parent) {
	const struct supervisor_options *options = worker->supervisor->options;
	unsigned number = worker->number;
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* no orphans if the supervisor is killed */
	if (getppid() != parent) {
		_exit(1);
	}
	for (size_t i = 0; i < SUPERVISOR_SIGNALS;
		 i++) { /* a signal belongs to one loop: the worker's */
		ev_signal_stop(worker->supervisor->loop, &worker->supervisor->signals[i]);
	}
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	exit(options->run(number, worker_on_ready, &ready_fd, options->ctx));
}

/* ---- the parent ---- */

static bool supervisor_is_all(const struct supervisor *supervisor, bool ready) {
	for (unsigned i = 0; i < supervisor->options->workers; i++) {
		const struct worker *worker = &supervisor->workers[i];
		if (ready ? !worker->is_ready : worker->pid != 0) {
			return false;
		}
	}
	return true;
}

static void supervisor_on_ready(struct ev_loop *loop, ev_io *watcher, int events) {
	(void)events;
	struct worker *worker = watcher->data;
	struct supervisor *supervisor = worker->supervisor;
	char byte;
	worker->is_ready = read(worker->ready_fd, &byte, 1) == 1;
	ev_io_stop(loop, watcher);
	(void)close(worker->ready_fd);
	worker->ready_fd = -1;
	if (worker->is_ready) {
		backoff_reset(&worker->backoff);
	}
	if (!supervisor->was_ready && supervisor_is_all(supervisor, true)) {
		supervisor->was_ready = true;
		supervisor->options->on_ready(supervisor->options->ctx);
	}
}

static void supervisor_on_exit(struct ev_loop *loop, ev_child *watcher, int events) {
	(void)events;
	struct worker *worker = watcher->data;
	struct supervisor *supervisor = worker->supervisor;
	ev_child_stop(loop, watcher);
	worker->pid = 0;
	worker->is_ready = false;
	if (supervisor->is_stopping) {
		if (supervisor_is_all(supervisor, false)) {
			ev_break(loop, EVBREAK_ALL);
		}
		return;
	}
	int status = watcher->rstatus;
	if (!supervisor->was_ready && WIFEXITED(status)) {
		/* It could not even start, and said why: neither would the next. */
		supervisor->status = WEXITSTATUS(status);
		supervisor->is_stopping = true;
		ev_feed_signal_event(loop, SIGTERM);
		if (supervisor_is_all(supervisor, false)) {
			ev_break(loop, EVBREAK_ALL);
		}
		return;
	}
	uint32_t delay_ms = backoff_next_ms(&worker->backoff);
	log_error("worker died worker=%u %s=%d restart_ms=%u", worker->number,
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), delay_ms);
	ev_timer_set(&worker->restart, delay_ms / 1000.0, 0);
	ev_timer_start(loop, &worker->restart);
}

static void supervisor_on_restart(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	supervisor_start(timer->data);
}

static void supervisor_on_signal(struct ev_loop *loop, ev_signal *watcher, int events) {
	(void)events;
	struct supervisor *supervisor = watcher->data;
	bool is_end = watcher->signum != SIGHUP;
	supervisor->is_stopping |= is_end;
	for (unsigned i = 0; i < supervisor->options->workers; i++) {
		struct worker *worker = &supervisor->workers[i];
		if (worker->pid > 0) {
			(void)kill(worker->pid, watcher->signum);
		}
		if (is_end) {
			ev_timer_stop(loop, &worker->restart);
		}
	}
	if (is_end && supervisor_is_all(supervisor, false)) {
		ev_break(loop, EVBREAK_ALL);
	}
}

static void supervisor_start(struct worker *worker) {
	struct supervisor *supervisor = worker->supervisor;
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		log_fatal("no pipe: %s", strerror(errno));
	}
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0) {
		log_fatal("no process for a worker: %s", strerror(errno));
	}
	if (pid == 0) {
		(void)close(pipe_fds[0]);
		worker_main(worker, pipe_fds[1], parent);
	}
	(void)close(pipe_fds[1]);
	worker->pid = pid;
	worker->ready_fd = pipe_fds[0];
	ev_io_set(&worker->on_ready, worker->ready_fd, EV_READ);
	ev_io_start(supervisor->loop, &worker->on_ready);
	ev_child_set(&worker->on_exit, pid, 0);
	ev_child_start(supervisor->loop, &worker->on_exit);
}

static void supervisor_init_worker(struct supervisor *supervisor, unsigned number) {
	struct worker *worker = &supervisor->workers[number];
	*worker = (struct worker){.supervisor = supervisor, .number = number, .ready_fd = -1};
	backoff_init(&worker->backoff, 100, 10000);
	ev_io_init(&worker->on_ready, supervisor_on_ready, -1, EV_READ);
	ev_child_init(&worker->on_exit, supervisor_on_exit, 0, 0);
	ev_timer_init(&worker->restart, supervisor_on_restart, 0, 0);
	worker->on_ready.data = worker->on_exit.data = worker->restart.data = worker;
}

int supervisor_run(const struct supervisor_options *options) {
	static const int numbers[SUPERVISOR_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
	struct supervisor supervisor = {.options = options};
	/* Child watchers need libev's default loop. */
	supervisor.loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	supervisor.workers = mem_zalloc(options->workers * sizeof *supervisor.workers);
	for (size_t i = 0; i < SUPERVISOR_SIGNALS; i++) {
		ev_signal_init(&supervisor.signals[i], supervisor_on_signal, numbers[i]);
		supervisor.signals[i].data = &supervisor;
		ev_signal_start(supervisor.loop, &supervisor.signals[i]);
	}
	for (unsigned i = 0; i < options->workers; i++) {
		supervisor_init_worker(&supervisor, i);
		supervisor_start(&supervisor.workers[i]);
	}
	ev_run(supervisor.loop, 0);
	for (size_t i = 0; i < SUPERVISOR_SIGNALS; i++) {
		ev_signal_stop(supervisor.loop, &supervisor.signals[i]);
	}
	free(supervisor.workers);
	ev_loop_destroy(supervisor.loop);
	return supervisor.status;
}
