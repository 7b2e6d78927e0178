/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The present states of types that nobody here synchronises (calendars, contacts and the like), so
 * that a change which was not told is found: TYPE/get for no object answers with its state.
 */
#pragma once
#include "distributor/jmap/jmap_client.h"

struct type_states_options {
	struct jmap_client *client;
	/* Of each that the server told. Text is borrowed. */
	void (*told)(const char *account_id, const char *type, const char *state, void *ctx);
	/* All have been asked for; types that the server does not know are no failure. */
	void (*done)(const struct jmap_call_result *result, void *ctx);
	void *ctx;
};
struct type_states;
struct type_states *type_states_create(const struct type_states_options *options);
void type_states_destroy(struct type_states *states); /* NULL is fine; no callback comes any more */
/* Asks for some types of some accounts; NULL-terminated lists, copied. Asked for again while under
 * way, nothing happens: false. Types of mail are passed over. */
bool type_states_ask(
	struct type_states *states, const char *const *account_ids, char *const *types);
