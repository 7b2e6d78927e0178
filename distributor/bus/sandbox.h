/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sandbox an app lives in, and what it may register from there (unifiedpush-dbus.md section
 * 13). A caller's process id is that of the sandbox's bus proxy, which carries the same
 * /.flatpak-info; ids are reused, so this is a hint and no proof.
 */
#pragma once
#include "common/slice.h"
#include <sys/types.h>

enum { SANDBOX_APP_MAX = 255 };

struct sandbox {
	bool is_sandboxed;
	bool is_hidden; /* nothing is known: the process is gone, or nobody says which it was */
	char app[SANDBOX_APP_MAX + 1]; /* "" when not sandboxed, or when its id cannot be read */
};

/* The application's id in the text of a .flatpak-info; false when there is none. Pure. */
bool sandbox_parse_flatpak_info(struct slice text, char out_app[SANDBOX_APP_MAX + 1]);
/* A security label of snap confinement, "snap.NAME.APP (enforce)": NAME. Pure. */
bool sandbox_parse_label(struct slice label, char out_app[SANDBOX_APP_MAX + 1]);
/* Reads what the process shows; pid 0 and an empty label: not known. */
void sandbox_look(pid_t pid, struct slice label, struct sandbox *out);
/* Is the service the app's own name, or below it? Anything for callers outside of sandboxes. */
bool sandbox_may_use(const struct sandbox *sandbox, const char *service);
