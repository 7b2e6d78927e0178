/* SPDX-License-Identifier: Apache-2.0 */
/* For autopush.c: reads an ack in the form that clients print, without building a JSON tree. */
#pragma once
#include "common/autopush.h"

/*
 * True for {"messageType":"ack","updates":[…]} without blanks, each update having a good channelID
 * and version once, perhaps a code, and nothing else. Anything else, and more than max updates, is
 * left to the JSON parser, which would find the same in what is taken here.
 */
bool autopush_acks_scan(
	struct slice text, struct autopush_ack *out_acks, size_t max, size_t *out_count);
