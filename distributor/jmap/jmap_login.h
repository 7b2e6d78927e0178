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
	JMAP_QUIET_BATTERY_MS = 5000,
	JMAP_GATHER_MAX_BATTERY_MS = 15000,
	JMAP_POLL_MS = 15 * 60 * 1000,
	JMAP_POLL_SOON_MS = 10 * 1000, /* the first, when pushes do not come any more */
	JMAP_CARE_MS = 6 * 3600 * 1000, /* looks all the same when pushes come */
	JMAP_TROUBLE_MS = 6 * 3600 * 1000, /* until a refused password is tried again */
	JMAP_JITTER_MS = 2000, /* many devices come back at the same time */
	JMAP_NETWORK_MIN_MS = 30000, /* between two looks because of the network alone */
	JMAP_UNREADABLE_MIN_MS = 60 * 1000, /* between two because of pushes that cannot be read */
	JMAP_TEST_MS = 100000, /* Stalwart verifies once a minute */
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
/* `saved`: what jmap_login_print() made; NULL: its file is read. */
struct jmap_login *jmap_login_create(
	const struct jmap_parts *parts, const struct jmap_config *config, const json_t *saved);
void jmap_login_destroy(struct jmap_login *login); /* saves; the subscription stays */
json_t *jmap_login_print(const struct jmap_login *login);
const char *jmap_login_name(const struct jmap_login *login);
/* The parts' circumstances changed. */
void jmap_login_on_circumstances(struct jmap_login *login);
/* Is something wrong between it and its server? */
bool jmap_login_has_failed(const struct jmap_login *login);
/* There may be another way into the network. */
void jmap_login_on_network(struct jmap_login *login);
void jmap_login_on_push(struct jmap_login *login, const struct message *message);
void jmap_login_on_endpoint(struct jmap_login *login, const struct registration *registration);
/* The relay would not have the registration. */
void jmap_login_on_dismissed(struct jmap_login *login);
/* By state, now; also looks after the subscription. */
void jmap_login_resync(struct jmap_login *login, const char *why);
/* done: once, later, when it is on the disk. */
void jmap_login_pause(struct jmap_login *login, bool is_paused, disk_done_fn *done, void *ctx);
/* Text is valid until the loop goes on. */
void jmap_login_status(const struct jmap_login *login, struct jmap_status *out_status);
void jmap_login_test(struct jmap_login *login, jmap_tested_fn *done, void *ctx);
/* Ends it at the server, forgets its file. done: once, later; the login is to be destroyed then,
 * but not from within. */
void jmap_login_end(struct jmap_login *login, jmap_tested_fn *done, void *ctx);
