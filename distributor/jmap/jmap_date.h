/* SPDX-License-Identifier: Apache-2.0 */
/* UTCDate of RFC 8620 1.4. Pure. */
#pragma once
#include "common/slice.h"
#include <stdint.h>

/* False when the text is none. */
bool jmap_date_parse(struct slice text, int64_t *out_wall_ms);
char *jmap_date_print(int64_t wall_ms); /* fresh; whole seconds */
