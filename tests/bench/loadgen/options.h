/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator's command line. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { OPTIONS_PIDS_MAX = 8 };

struct options {
	const char *scenario;
	const char *address;
	uint16_t port;
	bool tls;
	const char *devices_file;
	const char *path; /* instead of the devices' own */
	unsigned devices;
	unsigned idle; /* further devices that get nothing */
	unsigned connections;
	unsigned burst; /* devices that connect at a time */
	unsigned body_bytes;
	unsigned per_device; /* messages; 0: until the time is over */
	double rate; /* messages a second; 0: closed loop */
	double seconds, warmup_sec, limit_sec;
	bool no_acks;
	pid_t pids[OPTIONS_PIDS_MAX]; /* whose CPU time is measured */
	unsigned pid_count;
};

/* Ends the program with usage on stderr when the line makes no sense. */
void options_parse(struct options *options, int argc, char **argv);
