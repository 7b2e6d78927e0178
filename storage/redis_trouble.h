/* SPDX-License-Identifier: Apache-2.0 */
/* What Redis refuses, and settings of it that would lose messages: in words, with the cure. */
#pragma once
#include <ev.h>
#include <stdbool.h>

enum redis_trouble_kind {
	REDIS_TROUBLE_OTHER,
	REDIS_TROUBLE_NOSCRIPT,
	REDIS_TROUBLE_LOADING,
	REDIS_TROUBLE_READONLY,
	REDIS_TROUBLE_OOM,
	REDIS_TROUBLE_MISCONF,
	REDIS_TROUBLE_BUSY,
	REDIS_TROUBLE_NOREPLICAS,
	REDIS_TROUBLE_MASTERDOWN,
	REDIS_TROUBLE_NOPERM,
	REDIS_TROUBLE_NOAUTH,
	REDIS_TROUBLE_CLUSTER,
	REDIS_TROUBLE_COUNT
};

/* When each kind was last logged; zeroes at first. */
struct redis_trouble {
	ev_tstamp logged[REDIS_TROUBLE_COUNT];
};

/* error: the text of an error reply, also of one that a script passes on. */
enum redis_trouble_kind redis_trouble_of(const char *error);
const char *redis_trouble_cure(enum redis_trouble_kind kind);
/* Logs one line, unless this kind was logged within half a minute. */
void redis_trouble_log(
	struct redis_trouble *trouble, enum redis_trouble_kind kind, const char *error, ev_tstamp now);

/* Answers to CONFIG GET; NULL: not known. */
struct redis_settings {
	char *appendonly, *appendfsync, *save, *maxmemory, *maxmemory_policy;
};
/* Warns of each setting that would lose messages. */
void redis_settings_check(const struct redis_settings *settings);
