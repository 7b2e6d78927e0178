/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text with placeholders in braces, filled from a message; "{{" and "}}" are braces themselves.
 *   {title}     of a JSON object its "title" or "subject", else the hook's name
 *   {text}      of a JSON object its "message", "text" or "body", else the whole message
 *   {json.PATH} a value of a JSON message: names and numbers of a list, joined by dots
 *   {hook} {count} {urgency} {topic}
 * What is not there is empty. Pure; what comes out is not fit to be shown yet (sanitize.h).
 */
#pragma once
#include "common/slice.h"
#include "storage/ids.h"
#include <stdint.h>

enum { TEMPLATE_MAX = 4096, TEMPLATE_OUT_MAX = 65536 };

struct template_facts {
	const char *hook, *topic;
	enum urgency urgency;
	uint32_t count; /* messages that this stands for */
	struct slice message;
	bool is_readable; /* false: a message that could not be decrypted */
};

/* False with what is wrong in *out_why (static). */
bool template_check(const char *text, const char **out_why);
/* Fresh, cut to TEMPLATE_OUT_MAX bytes; the template passed template_check. */
char *template_fill_dup(const char *text, const struct template_facts *facts);
