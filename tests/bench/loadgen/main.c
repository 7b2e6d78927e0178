/* SPDX-License-Identifier: Apache-2.0 */
/* Load generator for the relay and for the bare servers beside it. */
#include "tests/bench/loadgen/options.h"
#include "tests/bench/loadgen/scenarios.h"
#include <err.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
	const char *name;
	int (*run)(const struct options *options);
} main_scenarios[] = {
	{"post", scenario_post},
	{"register", scenario_register},
	{"deliver", scenario_deliver},
	{"drain", scenario_drain},
	{"idle", scenario_idle},
	{"return", scenario_return},
};

static void main_raise_limits(void) {
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv) {
	struct options options;
	options_parse(&options, argc, argv);
	main_raise_limits();
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof main_scenarios / sizeof main_scenarios[0]; i++) {
		if (strcmp(options.scenario, main_scenarios[i].name) == 0) {
			return main_scenarios[i].run(&options);
		}
	}
	errx(2, "no scenario %s", options.scenario);
}
