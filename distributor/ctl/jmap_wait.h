/* SPDX-License-Identifier: Apache-2.0 */
/* Waits until the daemon hears of a login's mail, or knows why not. */
#pragma once
#include <jansson.h>
#include <stdint.h>

enum { JMAP_WAIT_SEC = 90 }; /* some servers verify once a minute */

/* COMMAND_OK with what JmapList says of it in *out_login (json_decref) when the wait is over: "way"
 * is then push, or something else with its "reason". Else a failure that it has explained. */
int jmap_wait(const char *name, int64_t max_ms, json_t **out_login);
