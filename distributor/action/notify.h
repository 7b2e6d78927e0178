/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Desktop notifications (org.freedesktop.Notifications) on the session bus. Text from outside is
 * made safe: control and direction characters go, markup is escaped when the server understands
 * markup, lengths are cut.
 */
#pragma once
#include "distributor/bus/bus.h"
#include <stdbool.h>
#include <stdint.h>

struct notify;
struct notify *notify_open(struct bus *bus); /* bus NULL: every show does nothing */
void notify_close(struct notify *notify);

struct notification {
	const char *key; /* one with the same key replaces it; NULL: always a new one */
	const char *title, *text; /* UTF-8 of any origin */
	const char *icon; /* NULL: the default */
	bool is_urgent;
};
void notify_show(struct notify *notify, const struct notification *notification);
/* The one with this key, if it is still shown. */
void notify_withdraw(struct notify *notify, const char *key);
