/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One login of the config at work: how it hears of changes (push, stream, poll), and what it does
 * about them (mail_sync, mail_notice, change_command). The first change after a quiet time is acted
 * on at once; more are gathered until 300 ms are quiet, 3 s at most, so a flood costs one look a
 * window. What it must know after a restart lies in jmap-NAME.json.
 */
#pragma once
#include "distributor/jmap/jmap.h"
#include "distributor/jmap/push_object.h"

enum {
	JMAP_QUIET_MS = 300,
	JMAP_GATHER_MAX_MS = 3000,
	JMAP_POLL_MS = 15 * 60 * 1000,
};

/* What all logins share; the parts outlive them. */
struct jmap_parts {
	struct jmap_options options;
	struct fetcher *fetcher;
	struct credentials *credentials;
	struct hook_units *units; /* NULL: none */
	bool is_relay_up, is_on_mains, is_online;
};

struct jmap_login;
struct jmap_login *jmap_login_create(
	const struct jmap_parts *parts, const struct jmap_config *config);
void jmap_login_destroy(struct jmap_login *login); /* saves; the subscription stays */
const char *jmap_login_name(const struct jmap_login *login);
/* The parts' circumstances changed. */
void jmap_login_on_circumstances(struct jmap_login *login);
void jmap_login_on_push(struct jmap_login *login, const struct message *message);
void jmap_login_on_endpoint(struct jmap_login *login, const struct registration *registration);
/* By state, now; also looks after the subscription. */
void jmap_login_resync(struct jmap_login *login, const char *why);
void jmap_login_pause(struct jmap_login *login, bool is_paused);
void jmap_login_status(const struct jmap_login *login, struct jmap_status *out_status);
void jmap_login_test(struct jmap_login *login, jmap_tested_fn *done, void *ctx);
/* Ends it at the server, forgets its file. done: once, later; destroy it then. */
void jmap_login_end(struct jmap_login *login, jmap_tested_fn *done, void *ctx);
