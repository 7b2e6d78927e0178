/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers share that are spoken to line by line: "ready" on standard output, then lines on
 * standard input until it ends. */
#pragma once
#include "distributor/bus/bus.h"
#include <ev.h>

/* First of all: output goes out by lines from now on. The session bus when
 * DBUS_SESSION_BUS_ADDRESS names one, else NULL. */
struct bus *script_begin(struct ev_loop *loop);
/* One line without its end; it may be changed. */
typedef void script_line_fn(char *line, void *ctx);
void script_run(struct ev_loop *loop, script_line_fn *line, void *ctx);
