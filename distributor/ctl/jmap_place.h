/* SPDX-License-Identifier: Apache-2.0 */
/* Where `bellwire jmap` finds and keeps things: the configuration, its mail logins, the state. */
#pragma once
#include "distributor/config.h"
#include "distributor/jmap/credentials.h"

struct jmap_place {
	char *path; /* of the configuration */
	char *text; /* "" when there is none yet */
	struct config config; /* its settings; state_dir is there */
	struct jmap_configs logins;
	sd_bus *bus; /* the session's; NULL: there is none */
};
/* path, state_dir NULL: the usual ones. COMMAND_OK, or a failure that it has explained; needs
 * jmap_place_close in any case. */
int jmap_place_open(struct jmap_place *place, const char *path, const char *state_dir);
/* Reads text and logins again: a person may have taken time, and others have edited. */
int jmap_place_reopen(struct jmap_place *place);
void jmap_place_close(struct jmap_place *place);
/* The login of this name; NULL with an explanation when there is none. */
const struct jmap_config *jmap_place_find(const struct jmap_place *place, const char *name);
/* Writes the configuration, which would be read without complaint. COMMAND_OK, or a failure that it
 * has explained. */
int jmap_place_write(const struct jmap_place *place, const char *text);
