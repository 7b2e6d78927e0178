/* SPDX-License-Identifier: Apache-2.0 */
/* CPU time that this program and the servers used during the measured time. */
#include "tests/bench/loadgen/usage.h"
#include "tests/bench/loadgen/loop.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static double usage_self_sec(void) {
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
		   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* schedstat counts in ns, where stat counts in ticks of 10 ms. */
static double usage_task_sec(pid_t pid, const char *task) {
	char path[64];
	unsigned long long ran_ns = 0;
	snprintf(path, sizeof path, "/proc/%d/task/%.16s/schedstat", (int)pid, task);
	FILE *file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%llu", &ran_ns) != 1) {
			ran_ns = 0;
		}
		fclose(file);
	}
	return (double)ran_ns / 1e9;
}

static double usage_process_sec(pid_t pid) {
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (!tasks) {
		return 0;
	}
	double sum = 0;
	for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
		if (entry->d_name[0] != '.') {
			sum += usage_task_sec(pid, entry->d_name);
		}
	}
	closedir(tasks);
	return sum;
}

void usage_begin(struct usage *usage, const struct options *options) {
	usage->options = options;
	for (unsigned i = 0; i < options->pid_count; i++) {
		usage->server_sec[i] = usage_process_sec(options->pids[i]);
	}
	usage->self_sec = usage_self_sec();
	usage->wall_sec = (double)loop_clock_ns() / 1e9;
}

void usage_end(struct usage *usage) {
	struct usage now;
	usage_begin(&now, usage->options);
	usage->wall_sec = now.wall_sec - usage->wall_sec;
	usage->self_sec = now.self_sec - usage->self_sec;
	for (unsigned i = 0; i < usage->options->pid_count; i++) {
		usage->server_sec[i] = now.server_sec[i] - usage->server_sec[i];
	}
}

void usage_print(const struct usage *usage) {
	printf("\"seconds\": %.4f, \"self_cpu\": %.3f, \"server_cpu_s\": [", usage->wall_sec,
		usage->self_sec / usage->wall_sec);
	for (unsigned i = 0; i < usage->options->pid_count; i++) {
		printf("%s%.6f", i > 0 ? ", " : "", usage->server_sec[i]);
	}
	fputs("], ", stdout);
}
