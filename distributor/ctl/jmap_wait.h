/* SPDX-License-Identifier: Apache-2.0 */
/* Waits until the daemon hears of a login's mail, or knows why not. */
#pragma once
#include <jansson.h>

/* COMMAND_OK with what JmapList says of it in *out_login (json_decref) when the wait is over: "way"
 * is then push, or something else with its "reason". Else a failure that it has explained. */
int jmap_wait(const char *name, json_t **out_login);
