/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus names of the apps that we serve: who runs, who comes and goes, who can be started. Only
 * names that matter are watched, so that the bus does not wake us for everybody else's. Everything
 * is asked asynchronously; the bus answers in the order of the questions.
 */
#pragma once
#include "common/list.h"
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/* A watched name. Read-only for users but for the last three members. A unique name goes with its
 * owner. */
struct name {
	struct list link; /* struct names::all */
	uint8_t key[16]; /* hash of the text */
	char *text;
	struct names *names;
	sd_bus_slot *match, *first; /* later news; the state at the beginning */
	bool is_known; /* the bus has answered */
	bool is_running;
	bool is_activatable; /* as of the last survey */
	uint32_t asks; /* questions under way */
	bool is_kept; /* mark of names_sweep */
	bool is_version_1; /* has no Connector2 although it registered through Distributor2 */
	bool is_denial_told; /* the log has a line about it */
};

/* From the loop. The name lives during the call. */
struct names_events {
	void (*appeared)(struct name *name, void *ctx); /* also when it ran at the beginning */
	void (*left)(struct name *name, void *ctx);
	void (*surveyed)(void *ctx);
};

struct names;
struct names *names_create(struct sd_bus *sd, const struct names_events *events, void *ctx);
void names_destroy(struct names *names); /* NULL is fine */

/* The text is a valid bus name. */
struct name *names_watch(struct names *names, const char *text);
struct name *names_find(const struct names *names, const char *text); /* NULL: not watched */
/* Visits all: for (at = NULL; (at = names_next(names, at));) */
struct name *names_next(const struct names *names, const struct name *after);
uint32_t names_count(const struct names *names);
/* Forgets all that do not have is_kept and that nobody asks about; takes the marks away. */
void names_sweep(struct names *names);
/* Asks which names can be started; `surveyed` follows. */
void names_survey(struct names *names);

/* One question: does the name run, can it be started? It is watched from then on. */
struct names_ask {
	sd_bus_slot *slot;
	struct names *names;
	struct name *name;
	void (*answered)(bool is_present, void *ctx);
	void *ctx;
};
/* `answered` comes once, later; is_present is true when the bus did not tell. Negative errno: it
 * does not come. */
int names_ask(struct names *names, const char *text, struct names_ask *ask);
void names_ask_cancel(struct names_ask *ask); /* fine when zeroed or answered */
