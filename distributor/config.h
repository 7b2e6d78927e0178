/* SPDX-License-Identifier: Apache-2.0 */
/* The distributor's settings, and where their file and the state lie. */
#pragma once
#include "common/log_settings.h"
#include "common/settings.h"

struct config {
	struct settings_origin *origin; /* first: see settings.h */
	char *relay; /* NULL: none yet; `bellwire login` sets it */
	char *state_dir;
	bool no_bus;
	char *ca_file;
	bool insecure, use_proxy;
	int64_t pool;
	bool require_vapid, only_sandboxed;
	int thrift; /* enum link_thrift */
	int min_urgency; /* 0: by battery and network, else enum urgency + 1 */
	int64_t notice_after_sec;
	struct log_settings log;
};

/* A file below $XDG_CONFIG_HOME, fresh; NULL without a home. */
char *config_file_dup(const char *rest);
/* $XDG_CONFIG_HOME/bellwire/distributor.conf and $XDG_STATE_HOME/bellwire, fresh; NULL without a
 * home. */
char *config_default_path(void);
char *config_default_state_dir(void);
/* The table with its default path; valid as long as the program runs. */
const struct settings_program *config_program(void);
/* Fills state_dir, and puts the home in the place of "~/" in paths. */
void config_complete(struct config *config);
/* Completes it, and checks what goes beyond one value. 0, or -EINVAL with each problem on err. */
int config_check(struct config *config, FILE *err);
