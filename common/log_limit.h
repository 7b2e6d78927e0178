/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps an event that peers can provoke from filling the log: in each period some lines of it pass,
 * the others are counted, and one line tells their number when the period is over. Lies embedded in
 * what has the event, set up by its first three members.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct log_limit {
	const char *event; /* the beginning of its lines */
	double period_sec;
	uint32_t lines; /* that pass in a period */

	double began; /* the period, at its first event */
	uint64_t seen; /* in it; 0: no period runs */
};

/* Whether to log this one. now_sec is any clock; one that goes back begins a new period. */
bool log_limit_pass(struct log_limit *limit, double now_sec);
/* Call it every second or so: ends a period that is over. */
void log_limit_tick(struct log_limit *limit, double now_sec);
