/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Desktop notifications (org.freedesktop.Notifications) on the session bus. Text from outside is
 * made safe: control and direction characters go, markup is escaped when the server understands
 * markup, lengths are cut. While no server is there, as before the desktop has started, the newest
 * 16 wait for it.
 */
#pragma once
#include "distributor/bus/bus.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct notify;
struct notify *notify_open(struct bus *bus); /* bus NULL: every show does nothing */
/* What is shown stays; no callback comes any more. */
void notify_close(struct notify *notify);

/* What a person can do about it; offered only where the server can. */
struct notify_action {
	const char *name; /* "default": a click on the notification itself */
	const char *label;
};
enum { NOTIFY_ACTIONS_MAX = 4 };
/* An action was chosen. The token (XDG_ACTIVATION_TOKEN) lets what is started come to the front; ""
 * when the server gave none. Mostly the server closes the notification then. */
typedef void notify_acted_fn(const char *action, const char *token, void *ctx);
/* It is not shown any more, or could not be; not told after a withdrawal. Once, perhaps from within
 * notify_show(). Not to show anything from here. */
typedef void notify_closed_fn(void *ctx);

struct notification {
	const char *key; /* one with the same key replaces it; NULL: always a new one */
	const char *title, *text; /* UTF-8 of any origin */
	const char *icon; /* NULL: the default */
	const char *category; /* "email.arrived", …; NULL: none */
	bool is_urgent;
	const struct notify_action *actions;
	size_t actions_count;
	notify_acted_fn *acted; /* NULL: nobody asks */
	notify_closed_fn *closed; /* NULL: nobody asks */
	void *ctx; /* of both; see notify_forget() */
};
void notify_show(struct notify *notify, const struct notification *notification);
/* The one with this key, if it is still shown. */
void notify_withdraw(struct notify *notify, const char *key);
/* No callback for this ctx any more; what is shown stays. Fine from within one. */
void notify_forget(struct notify *notify, const void *ctx);
