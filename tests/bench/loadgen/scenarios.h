/* SPDX-License-Identifier: Apache-2.0 */
/* What the load generator can do. Each prints one JSON object on stdout and returns an exit status.
 */
#pragma once
#include "tests/bench/loadgen/options.h"

/* Messages to the paths of a devices file (or to one path), whoever is or is not online. */
int scenario_post(const struct options *options);
/* New devices register and are written to the devices file. */
int scenario_register(const struct options *options);
/* New devices stay connected while senders post to them. */
int scenario_deliver(const struct options *options);
/* All devices of the file connect at once and take what is queued: --per-device messages each. */
int scenario_drain(const struct options *options);
/* Devices connect, a line is printed, and they stay until stdin ends. */
int scenario_idle(const struct options *options);
/* The devices of the file stay connected through the server's death and return, while senders post.
 */
int scenario_return(const struct options *options);
