/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: brings up all parts in their order, carries the news from one to the other, and takes
 * them down. D-Bus is served before the network is looked at.
 */
#pragma once
#include "distributor/accounts.h"
#include "distributor/action/hooks.h"
#include "distributor/config.h"
#include "distributor/disk.h"
#include "distributor/dispatch.h"
#include "distributor/jmap/jmap_config.h"
#include "distributor/registrations.h"
#include <ev.h>

struct distributor;

enum distributor_result {
	DISTRIBUTOR_OK,
	DISTRIBUTOR_FAILED, /* said in the log */
	DISTRIBUTOR_OTHER_RUNS, /* on this bus or in this directory: no use to start again */
};

/* What the config file says; config, hooks and path outlive the distributor. */
struct distributor_config {
	const struct config *config;
	const struct hooks_config *hooks;
	struct jmap_configs *take_logins; /* its content is taken */
	const char *path; /* NULL: there is no such file */
};
/* On success everything is served, the relay being connected to. */
enum distributor_result distributor_create(struct ev_loop *loop,
	const struct distributor_config *configured, struct distributor **out_distributor);
/* Ends calls and links, writes what is to be kept. NULL is fine. */
void distributor_destroy(struct distributor *distributor);

/* It has ended the loop by itself: the bus is gone. */
bool distributor_is_broken(const struct distributor *distributor);

/* ---- for the management interface ---- */

struct accounts *distributor_accounts(const struct distributor *distributor);
struct registrations *distributor_registrations(const struct distributor *distributor);
struct dispatch *distributor_dispatch(const struct distributor *distributor);
const struct config *distributor_config(const struct distributor *distributor);
struct jmap;
struct jmap *distributor_jmap(const struct distributor *distributor);
/* Reads the mail logins of the config file anew. False with what is wrong there in *out_error,
 * fresh; nothing has changed then. */
bool distributor_reload(struct distributor *distributor, char **out_error);
/* Writes the state, also what was changed by the functions here, then calls back. */
void distributor_save(struct distributor *distributor, disk_done_fn *done, void *ctx);
/* No connection until resumed; kept across restarts. */
void distributor_pause(struct distributor *distributor, bool is_paused);
bool distributor_is_paused(const struct distributor *distributor);
/* Another relay (the first one, too): everything gets an endpoint there, the former one is drained
 * for a week. False with a sentence in *out_error. */
bool distributor_move(struct distributor *distributor, const char *url, char **out_error);
void distributor_hint(struct distributor *distributor, enum link_hint hint);
enum urgency distributor_min_urgency(const struct distributor *distributor);
/* Why the state directory cannot be written; "" when it can. */
const char *distributor_disk_trouble(const struct distributor *distributor);

struct power_state;
struct network_status;
void distributor_surroundings(const struct distributor *distributor, struct power_state *out_power,
	struct network_status *out_network);
