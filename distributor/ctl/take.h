/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire listen [NAME]`: takes the pushes of what was registered at the running daemon. */
#pragma once
#include <stdint.h>

/* name NULL: of every name. count 0: until a signal. The exit status. */
int take_run(const char *name, int64_t count);
