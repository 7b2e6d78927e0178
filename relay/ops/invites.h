/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may connect a device when registration is by invite. An invite is a secret in the URL that a
 * person types into a client, wss://host/i/SECRET; the file keeps SHA-256 of it, a name and quotas.
 * The file (state_dir/invites, JSON, 0600) is written by the command line and read again by running
 * relays within seconds.
 */
#pragma once
#include "relay/device/devices.h"
#include <stdio.h>

enum { INVITE_SECRET_LENGTH = 22, INVITES_MAX = 100000 };

struct invites;

/* Every invite that is found revoked, once in the life of this object, or again after
 * invites_tell_again: end its devices. */
typedef void invites_revoked_fn(struct invite_id invite, void *ctx);

/* An absent file is an empty list. NULL with a sentence in *out_error. */
struct invites *invites_open(
	const char *path, invites_revoked_fn *on_revoked, void *ctx, char **out_error);
void invites_destroy(struct invites *invites);
/* Reads the file again when it has changed. A broken one is logged and the old list kept. */
void invites_poll(struct invites *invites);
/* The devices of revoked invites could not be ended: the next poll tells of them again. */
void invites_tell_again(struct invites *invites);
/* By the secret of a URL; false when unknown or revoked. */
bool invites_find(struct invites *invites, struct slice secret, struct device_invite *out_invite);

/* The command line's side: each reads, changes and replaces the file under a lock. 0, or -1 with a
 * sentence in *out_error. */
int invites_add(const char *path, const char *name, uint32_t devices, uint32_t messages_per_day,
	char out_secret[INVITE_SECRET_LENGTH + 1], char **out_error);
int invites_revoke(const char *path, const char *name, char **out_error);
int invites_list(const char *path, FILE *out, bool as_json, char **out_error);
/* A QR code of text in UTF-8 half blocks. */
void invites_print_qr(const char *text, FILE *out);
