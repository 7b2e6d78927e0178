/* SPDX-License-Identifier: Apache-2.0 */
/* What UnifiedPush lets apps say of themselves (unifiedpush-dbus.md section 4), as pure functions
 * over text that D-Bus has checked to be UTF-8 without NUL, and nothing else. */
#pragma once
#include "common/slice.h"
#include "distributor/registrations.h"

/* 1..100 bytes of anything. */
bool rules_token_is_valid(struct slice token);
/* A bus name that an app can own: well-known ("org.kde.tokodon") or unique (":1.42"); not the
 * bus itself. */
bool rules_service_is_valid(struct slice service);
bool rules_service_is_unique(struct slice service);
/* Fresh text for the user's eyes: no control or direction characters, at most 100 bytes, cut
 * between characters. */
char *rules_description_clean_dup(struct slice description);
/* Any spelling of base64 that holds a point of P-256, to the one of the specification. */
bool rules_vapid_normalise(struct slice key, char out_key[REGISTRATION_VAPID_LENGTH + 1]);
