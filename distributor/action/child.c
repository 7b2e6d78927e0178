/* SPDX-License-Identifier: Apache-2.0 */
/* posix_spawn with what makes a child independent of us. */
#include "distributor/action/child.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is ours alone: our settings (some are secrets), and what systemd told us. */
static bool child_variable_is_ours(const char *variable) {
	static const char *const ours[] = {"BELLWIRE_",
		"LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "NOTIFY_SOCKET=", "WATCHDOG_",
		"JOURNAL_STREAM=", "INVOCATION_ID=", "MANAGERPID=", "MAINPID=", "STATE_DIRECTORY=",
		"RUNTIME_DIRECTORY=", "TRACE="};
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		if (strncmp(variable, ours[i], strlen(ours[i])) == 0) {
			return true;
		}
	}
	return false;
}

/* Pointers alone are fresh. */
static char **child_environment_join(char *const *variables) {
	size_t count = 0, most = 1;
	for (size_t i = 0; environ[i]; i++) {
		most++;
	}
	for (size_t i = 0; variables[i]; i++) {
		most++;
	}
	char **all = mem_alloc(most * sizeof *all);
	for (size_t i = 0; environ[i]; i++) {
		if (!child_variable_is_ours(environ[i])) {
			all[count++] = environ[i];
		}
	}
	for (size_t i = 0; variables[i]; i++) {
		all[count++] = variables[i];
	}
	all[count] = NULL;
	return all;
}

static void child_prepare(
	const struct child *child, posix_spawnattr_t *attributes, posix_spawn_file_actions_t *actions) {
	sigset_t none, all;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_init(attributes);
	(void)posix_spawnattr_setsigmask(attributes, &none);
	(void)posix_spawnattr_setsigdefault(attributes, &all);
	(void)posix_spawnattr_setflags(
		attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	(void)posix_spawn_file_actions_init(actions);
	(void)posix_spawn_file_actions_adddup2(actions, child->input, 0);
	(void)posix_spawn_file_actions_adddup2(actions, child->output, 1);
	(void)posix_spawn_file_actions_adddup2(actions, child->error, 2);
	(void)posix_spawn_file_actions_addclosefrom_np(actions, 3);
	const char *home = getenv("HOME");
	if (home && access(home, X_OK) == 0) {
		(void)posix_spawn_file_actions_addchdir_np(actions, home);
	}
}

static int child_spawn(const struct child *child, pid_t *out_pid) {
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t actions;
	child_prepare(child, &attributes, &actions);
	CLEANUP_FREE char **all = child_environment_join(child->variables);
	int result =
		posix_spawnp(out_pid, child->command[0], &actions, &attributes, child->command, all);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -result;
}

int child_start(const struct child *child, pid_t *out_pid) {
	pid_t pid = 0;
	int result = child_spawn(child, &pid);
	if (result < 0) {
		return result;
	}
	int pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		result = -errno;
		(void)kill(-pid, SIGKILL); /* nobody would see its end */
		(void)waitpid(pid, NULL, 0);
		return result;
	}
	*out_pid = pid;
	return pidfd;
}
