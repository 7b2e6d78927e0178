/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a network holds an idle connection, learned per network: `cur` is the interval in use,
 * `good` the longest that held, `bad` the shortest that did not. Pure bookkeeping plus one small
 * file; the link runs the timers. device-network-and-power.md 11.3 gives the rules.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
	HEARTBEAT_START_SEC = 240,
	HEARTBEAT_FLOOR_SEC = 25, /* tried where more has failed; below most short limits (30 s) */
	HEARTBEAT_CEILING_SEC = 15 * 60,
	HEARTBEAT_CEILING_CELLULAR_SEC = 28 * 60,
	HEARTBEAT_MAINS_SEC = 240,
	HEARTBEAT_NETWORKS_MAX = 32,
	HEARTBEAT_FORGET_DAYS = 90,
	HEARTBEAT_RETRY_BAD_DAYS = 7,
	HEARTBEAT_KEY_MAX = 64,
};

struct heartbeats;
/* Reads path (NULL: nothing is kept); a damaged file is set aside and logged. */
struct heartbeats *heartbeats_open(const char *path);
void heartbeats_close(struct heartbeats *heartbeats); /* writes what changed */
/* Who writes the file from now on, without keeping the loop waiting; NULL: we do, which waits for
 * the disk. */
typedef void heartbeats_keep_fn(const char *path, char *take_text, void *ctx);
void heartbeats_keep_by(struct heartbeats *heartbeats, heartbeats_keep_fn *keep, void *ctx);

/* Seconds of silence after which to ping, for a network (its key, "" for unknown). now: wall clock
 * in seconds. */
uint32_t heartbeats_interval_sec(
	struct heartbeats *heartbeats, const char *key, uint32_t ceiling_sec, int64_t now_sec);
/* A trial: the line was silent both ways for the whole interval, no sleep, no change of path. */
void heartbeats_held(struct heartbeats *heartbeats, const char *key, uint32_t interval_sec,
	uint32_t ceiling_sec, int64_t now_sec);
/* The ping got no answer although the path itself works (a fresh session stood at once). */
void heartbeats_failed(
	struct heartbeats *heartbeats, const char *key, uint32_t interval_sec, int64_t now_sec);
