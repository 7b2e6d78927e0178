/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `bellwire listen` keeps between runs, so that its endpoint stays the same and what waits at
 * the relay comes in the next run: one JSON file a relay, mode 0600, replaced as a whole. A lock
 * beside it (FILE.lock) keeps a second listener from taking the same identity.
 */
#pragma once
#include "common/jwt.h"
#include "common/url.h"
#include "common/webpush.h"

struct listen_state {
	char *path; /* NULL: nothing is kept */
	int lock; /* held while open, or -1 */
	char *relay; /* URL */
	char *uaid, *endpoint, *vapid_key; /* NULL when none */
	char *channel; /* UUID */
	EVP_PKEY *key;
	uint8_t auth[WEBPUSH_AUTH_BYTES];
};

/* $XDG_STATE_HOME/bellwire/listen-HOST-PORT[-HASH].json, HASH for a path beside "/". NULL without a
 * home. */
char *listen_state_default_path(const struct url *relay);
/* Reads the file, or begins a fresh identity where there is none. 0; -EBUSY when another listener
 * has it; -EXDEV when it is for another host or port; else negative errno. A sentence in
 * *out_error. */
int listen_state_open(
	struct listen_state *state, const char *path, const char *relay, char **out_error);
/* Begins an identity that is not kept. */
void listen_state_open_unkept(struct listen_state *state, const char *relay);
void listen_state_close(struct listen_state *state);
/* New channel and keys; the old channel's name is the caller's to free. */
char *listen_state_renew_channel(struct listen_state *state);
/* 0 or negative errno. */
int listen_state_save(const struct listen_state *state);
