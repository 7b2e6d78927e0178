/* SPDX-License-Identifier: Apache-2.0 */
/* link.h without a network. */
#include "tests/unit/distributor/fake_link.h"
#include "common/list.h"
#include "common/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_MAX = 4096 };

struct link {
	struct list all;
	struct link_options options;
	char *url;
	enum link_state state;
	struct fake_register asked[FAKE_MAX];
	size_t asked_count, answered;
	struct fake_ack acks[FAKE_MAX];
	size_t acks_count;
	enum urgency urgency;
};

static struct list fake_links;

static struct list *fake_all(void) {
	if (!fake_links.next) {
		list_init(&fake_links);
	}
	return &fake_links;
}

struct link *fake_link_find(const char *url) {
	struct link *link;
	LIST_FOREACH (link, fake_all(), all) {
		if (strcmp(link->url, url) == 0) {
			return link;
		}
	}
	return NULL;
}

static void fake_enter(struct link *link, enum link_state state) {
	link->state = state;
	link->options.events->entered(state, link->options.ctx);
}

void fake_link_greet(struct link *link, const char *uaid, uint64_t missed) {
	struct link_greeting greeting = {.uaid = uaid, .missed = missed};
	fake_enter(link, LINK_UP);
	link->options.events->greeted(&greeting, link->options.ctx);
}

void fake_link_drop(struct link *link, enum link_state state) {
	fake_enter(link, state);
}

void fake_link_answer(struct link *link, const char *channel, int status, const char *endpoint) {
	link->options.events->registered(
		slice_of(channel), status, slice_of(endpoint), link->options.ctx);
}

size_t fake_link_answer_all(struct link *link) {
	size_t count = 0;
	while (link->answered < link->asked_count) {
		struct fake_register *asked = &link->asked[link->answered++];
		char endpoint[200];
		(void)snprintf(endpoint, sizeof endpoint, "https://push.example/%s", asked->channel);
		count++;
		if (asked->is_unregister) {
			link->options.events->unregistered(slice_of(asked->channel), 200, link->options.ctx);
		} else {
			fake_link_answer(link, asked->channel, 200, endpoint);
		}
	}
	return count;
}

void fake_link_notify(
	struct link *link, const char *channel, const char *version, const char *body) {
	struct link_notification notification = {.channel = slice_of(channel),
		.version = slice_of(version),
		.body = slice_of(body),
		.urgency = URGENCY_NORMAL,
		.ttl_sec = 3600};
	link->options.events->notified(&notification, link->options.ctx);
}

const struct fake_register *fake_link_asked(const struct link *link, size_t at) {
	return at < link->asked_count ? &link->asked[at] : NULL;
}

size_t fake_link_acks(const struct link *link) {
	return link->acks_count;
}

const struct fake_ack *fake_link_ack(const struct link *link, size_t at) {
	return at < link->acks_count ? &link->acks[at] : NULL;
}

/* ---- link.h ---- */

struct link *link_create(const struct link_options *options, char **out_error) {
	if (strncmp(options->url, "ws", 2) != 0) {
		*out_error = mem_strdup("no URL");
		return NULL;
	}
	struct link *link = mem_zalloc(sizeof *link);
	link->options = *options;
	link->url = mem_strdup(options->url);
	list_append(fake_all(), &link->all);
	return link;
}

void link_destroy(struct link *link) {
	if (link) {
		list_remove(&link->all);
		free(link->url);
		free(link);
	}
}

void link_start(struct link *link) {
	if (link->state == LINK_STOPPED) {
		link->state = LINK_CONNECTING;
	}
}

void link_stop(struct link *link) {
	link->state = LINK_STOPPED;
}

void link_hint(struct link *link, enum link_hint hint, int64_t slept_ms) {
	(void)link;
	(void)hint;
	(void)slept_ms;
}

void link_set_thrift(struct link *link, enum link_thrift thrift, bool on_mains) {
	(void)link;
	(void)thrift;
	(void)on_mains;
}

static bool fake_ask(struct link *link, const char *channel, const char *vapid_key, bool key_later,
	bool is_unregister) {
	if (link->state != LINK_UP || link->asked_count == FAKE_MAX) {
		return false;
	}
	struct fake_register *asked = &link->asked[link->asked_count++];
	(void)snprintf(asked->channel, sizeof asked->channel, "%s", channel);
	(void)snprintf(asked->vapid_key, sizeof asked->vapid_key, "%s", vapid_key ? vapid_key : "");
	asked->key_later = key_later;
	asked->is_unregister = is_unregister;
	return true;
}

bool link_register(struct link *link, const char *channel, const char *vapid_key, bool key_later,
	uint32_t max_body) {
	(void)max_body;
	return fake_ask(link, channel, vapid_key, key_later, false);
}

bool link_unregister(struct link *link, const char *channel) {
	return fake_ask(link, channel, NULL, false, true);
}

bool link_ack(struct link *link, struct slice channel, struct slice version) {
	if (link->state != LINK_UP || link->acks_count == FAKE_MAX) {
		return false;
	}
	struct fake_ack *ack = &link->acks[link->acks_count++];
	(void)snprintf(ack->channel, sizeof ack->channel, "%.*s", (int)channel.len, channel.data);
	(void)snprintf(ack->version, sizeof ack->version, "%.*s", (int)version.len, version.data);
	return true;
}

void link_set_urgency(struct link *link, enum urgency min) {
	link->urgency = min;
}

void link_status(const struct link *link, struct link_status *out) {
	*out = (struct link_status){.state = link->state, .reason = "the test says so"};
}

bool link_is_up(const struct link *link) {
	return link->state == LINK_UP;
}
