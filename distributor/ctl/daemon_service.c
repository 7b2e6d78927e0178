/* SPDX-License-Identifier: Apache-2.0 */
/* systemctl, run as a child. */
#include "distributor/ctl/daemon_service.h"
#include "common/cleanup.h"
#include "distributor/bus/control.h"
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

bool daemon_runs(void) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	return sd_bus_open_user(&bus) >= 0 && sd_bus_get_name_creds(bus, CONTROL_NAME, 0, NULL) >= 0;
}

static bool daemon_run(const char *const argv[]) {
	extern char **environ;
	pid_t pid;
	int status = 0;
	if (access("/run/systemd/system", F_OK) < 0 ||
		posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) != 0) {
		return false;
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool daemon_start(void) {
	static const char *const enable[] = {
		"systemctl", "--user", "--quiet", "enable", "--now", "bellwire-distributor.service", NULL};
	bool is_started = daemon_run(enable);
	(void)fputs(is_started ? "bellwire: the distributor is started, now and at each login\n"
						   : "bellwire: start bellwire-distributor with your session\n",
		stderr);
	return is_started;
}

bool daemon_restart(void) {
	static const char *const restart[] = {
		"systemctl", "--user", "--quiet", "try-restart", "bellwire-distributor.service", NULL};
	static const char *const active[] = {
		"systemctl", "--user", "--quiet", "is-active", "bellwire-distributor.service", NULL};
	return daemon_run(active) && daemon_run(restart);
}
