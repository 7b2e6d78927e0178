/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon as a service of the user's session: does it run, and can it be started? */
#pragma once
#include <stdbool.h>

bool daemon_runs(void);
/* With systemd, now and at each login. False where that cannot be done; either is said on standard
 * error. */
bool daemon_start(void);
/* With systemd, when it runs as its service. False: it could not be done. */
bool daemon_restart(void);
