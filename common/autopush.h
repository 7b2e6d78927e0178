/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of Mozilla's push protocol, as used at both ends of the device's WebSocket: one JSON
 * object a text frame. Parsers turn a frame into a typed value or a refusal; printers append a
 * frame to a buffer. docs/protocol.md has the text. What the tool and the distributor need to parse
 * as a client is here too.
 */
#pragma once
#include "common/buffer.h"
#include "common/slice.h"
#include "storage/ids.h"
#include <jansson.h>

enum { AUTOPUSH_UAID_LENGTH = 32, AUTOPUSH_VERSION_MAX = 100, AUTOPUSH_UAID_MAX = 128 };
enum { AUTOPUSH_CHANNEL_LENGTH = 36 };

/* A channel id is a lower-case dashed UUID. */
bool autopush_channel_parse(struct slice text, struct channel_id *out_channel);
void autopush_channel_print(struct channel_id channel, char out[AUTOPUSH_CHANNEL_LENGTH + 1]);
/* `version` is 22 characters of base64url over the id, big-endian. */
enum { AUTOPUSH_VERSION_LENGTH = 22 };
bool autopush_version_parse(struct slice text, struct message_id *out_id);
void autopush_version_print(struct message_id id, char out[AUTOPUSH_VERSION_LENGTH + 1]);
const char *urgency_name(enum urgency urgency); /* "very-low" … "high" */
bool urgency_parse(struct slice text, enum urgency *out_urgency); /* any case */
