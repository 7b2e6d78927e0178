/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over the text; the message is looked at as JSON once, when something asks for it. */
#include "distributor/action/template.h"
#include "common/autopush.h"
#include "common/buffer.h"
#include "common/json.h"
#include "common/utf8.h"
#include <assert.h>
#include <stdlib.h>

struct template_filling {
	const struct template_facts *facts;
	struct buffer out;
	json_t *json; /* NULL: the message is none, or was not looked at */
	bool is_parsed;
};

static json_t *template_json(struct template_filling *filling) {
	if (!filling->is_parsed) {
		filling->is_parsed = true;
		filling->json = filling->facts->is_readable ? json_parse(filling->facts->message) : NULL;
	}
	return filling->json;
}

/* Cut where it is full: the rest is not shown anyway. */
static void template_put(struct template_filling *filling, struct slice text) {
	size_t room = TEMPLATE_OUT_MAX - buffer_length(&filling->out);
	size_t len = text.len < room ? text.len : room;
	bool fits = len == 0 || buffer_append(&filling->out, text.data, len);
	assert(fits);
}

static void template_put_json(struct template_filling *filling, const json_t *value) {
	if (json_is_string(value)) {
		template_put(filling, (struct slice){json_string_value(value), json_string_length(value)});
	} else if (value && !json_is_null(value)) {
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		template_put(filling, slice_of(text));
		free(text);
	}
}

/* The first of these members that is text. */
static const json_t *template_member(const json_t *json, const char *const *names) {
	for (; json_is_object(json) && *names; names++) {
		const json_t *value = json_object_get(json, *names);
		if (json_is_string(value)) {
			return value;
		}
	}
	return NULL;
}

static void template_put_title(struct template_filling *filling, struct slice rest) {
	static const char *const names[] = {"title", "subject", NULL};
	(void)rest;
	const json_t *value = template_member(template_json(filling), names);
	if (value) {
		template_put_json(filling, value);
	} else {
		template_put(filling, slice_of(filling->facts->hook));
	}
}

static bool template_is_text(struct slice text) {
	for (size_t at = 0; at < text.len;) {
		size_t len = utf8_character((const uint8_t *)text.data + at, text.len - at);
		if (len == 0 || text.data[at] == '\0') {
			return false;
		}
		at += len;
	}
	return true;
}

static void template_put_text(struct template_filling *filling, struct slice rest) {
	static const char *const names[] = {"message", "text", "body", NULL};
	(void)rest;
	const json_t *value = template_member(template_json(filling), names);
	if (value) {
		template_put_json(filling, value);
	} else if (!filling->facts->is_readable) {
		template_put(filling, slice_of("(a message that could not be decrypted)"));
	} else if (!template_is_text(filling->facts->message)) {
		template_put(filling, slice_of("(a message that is no text)"));
	} else {
		template_put(filling, filling->facts->message);
	}
}

/* One step of a path: a member, or an item of a list. */
static const json_t *template_step(const json_t *json, struct slice name) {
	if (!json_is_array(json)) {
		return json_object_getn(json, name.data, name.len);
	}
	size_t at = 0;
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] < '0' || name.data[i] > '9' || at > 100000) {
			return NULL;
		}
		at = at * 10 + (size_t)(name.data[i] - '0');
	}
	return json_array_get(json, at);
}

static void template_put_path(struct template_filling *filling, struct slice path) {
	const json_t *json = template_json(filling);
	while (json && path.len > 0) {
		const char *dot = memchr(path.data, '.', path.len);
		size_t len = dot ? (size_t)(dot - path.data) : path.len;
		json = template_step(json, (struct slice){path.data, len});
		size_t used = dot ? len + 1 : len;
		path = (struct slice){path.data + used, path.len - used};
	}
	template_put_json(filling, json);
}

static void template_put_hook(struct template_filling *filling, struct slice rest) {
	(void)rest;
	template_put(filling, slice_of(filling->facts->hook));
}

static void template_put_count(struct template_filling *filling, struct slice rest) {
	(void)rest;
	char text[16];
	(void)snprintf(text, sizeof text, "%u", filling->facts->count);
	template_put(filling, slice_of(text));
}

static void template_put_urgency(struct template_filling *filling, struct slice rest) {
	(void)rest;
	template_put(filling, slice_of(urgency_name(filling->facts->urgency)));
}

static void template_put_topic(struct template_filling *filling, struct slice rest) {
	(void)rest;
	template_put(filling, slice_of(filling->facts->topic));
}

static const struct template_place {
	const char *name; /* with a dot: something follows it */
	void (*put)(struct template_filling *filling, struct slice rest);
} template_places[] = {
	{"title", template_put_title},
	{"text", template_put_text},
	{"json.", template_put_path},
	{"hook", template_put_hook},
	{"count", template_put_count},
	{"urgency", template_put_urgency},
	{"topic", template_put_topic},
};

static const struct template_place *template_find(struct slice name, struct slice *out_rest) {
	for (size_t i = 0; i < sizeof template_places / sizeof *template_places; i++) {
		const struct template_place *place = &template_places[i];
		size_t len = strlen(place->name);
		bool takes_more = place->name[len - 1] == '.';
		if (takes_more ? name.len > len && slice_starts_with(name, place->name)
					   : slice_equals(name, place->name)) {
			*out_rest = (struct slice){name.data + len, name.len - len};
			return place;
		}
	}
	return NULL;
}

/* Fills, or checks only when filling is NULL. */
static bool template_walk(
	const char *text, struct template_filling *filling, const char **out_why) {
	while (*text) {
		size_t plain = strcspn(text, "{}");
		if (plain == 0 && text[0] == text[1]) { /* a doubled brace is one */
			if (filling) {
				template_put(filling, (struct slice){text, 1});
			}
			text += 2;
			continue;
		}
		if (filling && plain > 0) {
			template_put(filling, (struct slice){text, plain});
		}
		text += plain;
		if (plain > 0 || !*text) {
			continue;
		}
		size_t len = strcspn(text, "}");
		if (*text == '}' || text[len] != '}') {
			*out_why = "has a brace without its other half; a brace itself is {{ or }}";
			return false;
		}
		struct slice rest;
		const struct template_place *place =
			template_find((struct slice){text + 1, len - 1}, &rest);
		if (!place) {
			*out_why = "may hold {title} {text} {json.PATH} {hook} {count} {urgency} {topic} only";
			return false;
		}
		if (filling) {
			place->put(filling, rest);
		}
		text += len + 1;
	}
	return true;
}

bool template_check(const char *text, const char **out_why) {
	if (strlen(text) > TEMPLATE_MAX) {
		*out_why = "must not be longer than 4096 bytes";
		return false;
	}
	return template_walk(text, NULL, out_why);
}

char *template_fill_dup(const char *text, const struct template_facts *facts) {
	struct template_filling filling = {.facts = facts};
	buffer_init(&filling.out, TEMPLATE_OUT_MAX + 1);
	const char *why;
	bool is_good = template_walk(text, &filling, &why) && buffer_append(&filling.out, "", 1);
	assert(is_good);
	json_decref(filling.json);
	return filling.out.data; /* nothing was consumed: it begins there */
}
