/* SPDX-License-Identifier: Apache-2.0 */
/* How the tool writes times and sizes for people. */
#pragma once
#include <stdint.h>

enum { READABLE_MAX = 40 };
/* "12:03:11" today, else "2026-11-24 12:03"; "never" for 0. Local time. */
void readable_time(int64_t wall_ms, char out[READABLE_MAX]);
/* "250 ms", "4 s", "3 min", "2 h"; "" for a negative one. */
void readable_duration(int64_t ms, char out[READABLE_MAX]);
