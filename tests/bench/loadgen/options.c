/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator's command line. */
#include "tests/bench/loadgen/options.h"
#include <err.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind { OPTION_TEXT, OPTION_COUNT, OPTION_NUMBER, OPTION_FLAG, OPTION_PORT, OPTION_PID };

struct option_row {
	const char *name;
	enum option_kind kind;
	size_t offset;
	const char *help;
};

#define AT(member) offsetof(struct options, member)

static const struct option_row option_rows[] = {
	{"address", OPTION_TEXT, AT(address), "IPv4 address of the server (127.0.0.1)"},
	{"port", OPTION_PORT, AT(port), "its port"},
	{"tls", OPTION_FLAG, AT(tls), "speak TLS, without checking the certificate"},
	{"devices-file", OPTION_TEXT, AT(devices_file), "registered devices: written by register"},
	{"path", OPTION_TEXT, AT(path), "post: this one path for all messages"},
	{"devices", OPTION_COUNT, AT(devices), "number of devices"},
	{"idle", OPTION_COUNT, AT(idle), "deliver: further devices that stay idle"},
	{"connections", OPTION_COUNT, AT(connections), "number of senders (64)"},
	{"burst", OPTION_COUNT, AT(burst), "devices that connect at a time (256)"},
	{"body", OPTION_COUNT, AT(body_bytes), "bytes of a message (512)"},
	{"per-device", OPTION_COUNT, AT(per_device), "post, drain: messages for each device"},
	{"rate", OPTION_NUMBER, AT(rate), "messages a second (0: each after the last)"},
	{"seconds", OPTION_NUMBER, AT(seconds), "measured time (2)"},
	{"warmup", OPTION_NUMBER, AT(warmup_sec), "time before that (0.5)"},
	{"limit", OPTION_NUMBER, AT(limit_sec), "give up after this time (120)"},
	{"no-acks", OPTION_FLAG, AT(no_acks), "deliver: devices acknowledge nothing"},
	{"pid", OPTION_PID, 0, "process whose CPU time is measured; may repeat"},
};

enum { OPTION_ROWS = sizeof option_rows / sizeof option_rows[0] };

static void __attribute__((noreturn)) options_usage(void) {
	fputs("usage: bellwire-loadgen post|register|deliver|drain|idle|return --port N [options]\n",
		stderr);
	for (size_t i = 0; i < OPTION_ROWS; i++) {
		fprintf(stderr, "  --%-14s %s\n", option_rows[i].name, option_rows[i].help);
	}
	exit(2);
}

static double options_number(const struct option_row *row, const char *text, double max) {
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end != '\0' || value < 0 || value > max) {
		errx(2, "--%s: not a fitting number: %s", row->name, text);
	}
	return value;
}

static void options_add_pid(
	struct options *options, const struct option_row *row, const char *text) {
	if (options->pid_count == OPTIONS_PIDS_MAX) {
		errx(2, "--%s: at most %d", row->name, OPTIONS_PIDS_MAX);
	}
	options->pids[options->pid_count++] = (pid_t)options_number(row, text, INT32_MAX);
}

static void options_set(struct options *options, const struct option_row *row, const char *text) {
	char *field = (char *)options + row->offset;
	switch (row->kind) {
	case OPTION_TEXT:
		*(const char **)(void *)field = text;
		break;
	case OPTION_COUNT:
		*(unsigned *)(void *)field = (unsigned)options_number(row, text, 1e8);
		break;
	case OPTION_NUMBER:
		*(double *)(void *)field = options_number(row, text, 1e9);
		break;
	case OPTION_FLAG:
		*(bool *)field = true;
		break;
	case OPTION_PORT:
		*(uint16_t *)(void *)field = (uint16_t)options_number(row, text, UINT16_MAX);
		break;
	case OPTION_PID:
		options_add_pid(options, row, text);
		break;
	}
}

void options_parse(struct options *options, int argc, char **argv) {
	struct option longs[OPTION_ROWS + 1] = {{0}};
	for (size_t i = 0; i < OPTION_ROWS; i++) {
		longs[i].name = option_rows[i].name;
		longs[i].has_arg = option_rows[i].kind == OPTION_FLAG ? no_argument : required_argument;
	}
	*options = (struct options){.address = "127.0.0.1",
		.connections = 64,
		.burst = 256,
		.body_bytes = 512,
		.seconds = 2,
		.warmup_sec = 0.5,
		.limit_sec = 120};
	int index = 0;
	int found;
	while ((found = getopt_long(argc, argv, "", longs, &index)) != -1) {
		if (found != 0) {
			options_usage();
		}
		options_set(options, &option_rows[index], optarg);
	}
	if (optind != argc - 1 || options->port == 0 || options->burst == 0 ||
		options->connections == 0) {
		options_usage();
	}
	options->scenario = argv[optind];
}
