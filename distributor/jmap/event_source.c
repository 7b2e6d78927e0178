/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's way: event_source_connect -> _on_opened -> _on_piece … -> _on_ended -> (a while)
 * -> event_source_connect.
 */
#include "distributor/jmap/event_source.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/jmap/event_parser.h"
#include "distributor/jmap/push_object.h"
#include "distributor/link/retry.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	EVENT_SOURCE_GOOD_MS = 60000, /* one that lived so long has worked */
	EVENT_SOURCE_PING_MAX_SEC = 3600,
};

struct event_source {
	struct event_source_options options;
	struct event_parser *parser;
	struct fetch *fetch; /* NULL: no connection */
	char *url_template; /* of the last attempt; NULL: there was none */
	struct alarm again; /* … and then it connects */
	struct alarm silence; /* the connection is dead */
	struct retry retry;
	int64_t opened_mono_ms, ping_ms;
	bool is_open, is_stopped; /* the server wants none */
	bool is_new; /* the first attempt is about to be made */
	bool is_overfull, is_no_stream; /* why we ended it */
};

static void event_source_connect(struct event_source *source);
static bool event_source_on_opened(struct slice content_type, void *ctx);
static bool event_source_on_piece(struct slice piece, void *ctx);
static void event_source_on_ended(const struct fetch_result *result, void *ctx);
static void event_source_on_logged_in(const struct jmap_call_result *result, void *ctx);

/* ---- its URL ---- */

static void event_source_append(struct buffer *url, const char *text, size_t len) {
	bool fits = buffer_append(url, text, len);
	assert(fits); /* the template is capped, and so are the types */
}

static void event_source_append_value(struct buffer *url, const char *value) {
	static const char unreserved[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	for (; *value; value++) {
		char escaped[4];
		if (strchr(unreserved, *value)) {
			event_source_append(url, value, 1);
		} else {
			(void)snprintf(escaped, sizeof escaped, "%%%02X", (unsigned int)(uint8_t)*value);
			event_source_append(url, escaped, 3);
		}
	}
}

static void event_source_append_types(struct buffer *url, char *const *types) {
	if (!types || !types[0]) {
		event_source_append_value(url, "*");
		return;
	}
	for (size_t i = 0; types[i]; i++) {
		event_source_append_value(url, i > 0 ? "," : "");
		event_source_append_value(url, types[i]);
	}
}

char *event_source_url_dup(const char *url_template, char *const *types, int ping_sec) {
	struct buffer url;
	CLEANUP_FREE char *ping = mem_printf("%d", ping_sec);
	buffer_init(&url, SIZE_MAX);
	while (*url_template) {
		size_t plain = strcspn(url_template, "{");
		event_source_append(&url, url_template, plain);
		url_template += plain;
		const char *end = strchr(url_template, '}');
		if (!end) {
			event_source_append(&url, url_template, strlen(url_template));
			break;
		}
		struct slice name = {url_template + 1, (size_t)(end - url_template - 1)};
		if (slice_equals(name, "types")) {
			event_source_append_types(&url, types);
		} else if (slice_equals(name, "closeafter")) {
			event_source_append_value(&url, "no");
		} else if (slice_equals(name, "ping")) {
			event_source_append_value(&url, ping);
		} /* RFC 6570: an unknown variable is empty */
		url_template = end + 1;
	}
	event_source_append(&url, "", 1);
	char *made = mem_strdup(buffer_begin(&url));
	buffer_finish(&url);
	return made;
}

/* ---- what comes ---- */

static void event_source_expect(struct event_source *source, int64_t within_ms) {
	alarm_set(&source->silence, within_ms, ALARM_SLACK_DEADLINE_MS);
}

static void event_source_on_ping(struct event_source *source, struct slice data) {
	int64_t interval_sec = 0;
	json_t *json = json_parse(data);
	if (json_get_integer(json, "interval", &interval_sec) == JSON_PRESENT && interval_sec > 0 &&
		interval_sec <= EVENT_SOURCE_PING_MAX_SEC) {
		source->ping_ms = interval_sec * 1000;
	}
	json_decref(json);
}

static void event_source_on_event(const struct event *event, void *ctx) {
	struct event_source *source = ctx;
	struct push_object object;
	if (slice_equals(event->name, "ping")) {
		event_source_on_ping(source, event->data);
		return;
	}
	push_object_parse(event->data, &object);
	if (object.kind == PUSH_OBJECT_STATE_CHANGE) {
		source->options.changed(object.changed, source->options.ctx);
	}
	push_object_finish(&object);
}

static bool event_source_on_opened(struct slice content_type, void *ctx) {
	struct event_source *source = ctx;
	static const char type[] = "text/event-stream";
	source->is_no_stream =
		content_type.len < sizeof type - 1 ||
		!slice_equals_nocase((struct slice){content_type.data, sizeof type - 1}, type);
	if (source->is_no_stream) { /* a login page of a hotel, perhaps */
		return false;
	}
	source->is_open = true;
	source->opened_mono_ms = clock_mono_ms();
	event_source_expect(source, source->ping_ms + EVENT_SOURCE_GRACE_MS);
	source->options.state(true, "", source->options.ctx);
	return true;
}

static bool event_source_on_piece(struct slice piece, void *ctx) {
	struct event_source *source = ctx;
	source->is_overfull = !event_parser_feed(source->parser, piece);
	event_source_expect(source, source->ping_ms + EVENT_SOURCE_GRACE_MS);
	return !source->is_overfull;
}

/* ---- its end ---- */

static int64_t event_source_wished_ms(const struct event_source *source) {
	int64_t wish_ms = event_parser_retry_ms(source->parser);
	wish_ms = wish_ms > EVENT_SOURCE_RETRY_MIN_MS ? wish_ms : EVENT_SOURCE_RETRY_MIN_MS;
	return wish_ms < EVENT_SOURCE_RETRY_MAX_MS ? wish_ms : EVENT_SOURCE_RETRY_MAX_MS;
}

static void event_source_wait(
	struct event_source *source, enum retry_class class, int64_t told_sec, const char *reason) {
	bool was_good =
		source->is_open && clock_mono_ms() - source->opened_mono_ms >= EVENT_SOURCE_GOOD_MS;
	source->is_open = false;
	alarm_stop(&source->silence);
	if (was_good) {
		retry_reset(&source->retry);
	}
	bool is_wished = was_good && class == RETRY_GOODBYE;
	int64_t delay_ms = retry_next_ms(&source->retry, class, told_sec);
	if (is_wished && event_parser_retry_ms(source->parser) >= 0) {
		delay_ms = event_source_wished_ms(source);
	}
	log_debug("jmap", "event stream closed login=%s reason=\"%s\" next_ms=%lld",
		source->options.config->name, reason, (long long)delay_ms);
	alarm_set(&source->again, delay_ms, ALARM_SLACK_DEADLINE_MS);
	source->options.state(false, reason, source->options.ctx);
}

static void event_source_stop(struct event_source *source, const char *reason) {
	source->is_open = false;
	source->is_stopped = true;
	alarm_stop(&source->silence);
	source->options.state(false, reason, source->options.ctx);
}

static void event_source_on_refused(
	struct event_source *source, const struct fetch_result *result) {
	CLEANUP_FREE char *reason =
		mem_printf("the mail server answers the event stream with status %d", result->status);
	if (result->status == 401) { /* the client knows how to get another password or token */
		struct jmap_call *call = jmap_call_create();
		(void)jmap_call_add(call, "Core/echo", json_object());
		jmap_client_send(source->options.client, call, event_source_on_logged_in, source);
	} else if (result->retry_after_sec >= 0) {
		event_source_wait(source, RETRY_TOLD, result->retry_after_sec, reason);
	} else if (result->status >= 400 && result->status < 500 && result->status != 408 &&
			   result->status != 429) {
		event_source_wait(source, RETRY_REFUSED, 0, reason);
	} else {
		event_source_wait(source, RETRY_UNREACHABLE, 0, reason);
	}
}

static void event_source_on_ended(const struct fetch_result *result, void *ctx) {
	struct event_source *source = ctx;
	bool was_open = source->is_open;
	source->fetch = NULL;
	alarm_stop(&source->silence); /* logging in may take longer */
	if (source->is_no_stream) {
		event_source_wait(
			source, RETRY_UNREACHABLE, 0, "what answers for the mail server sends no event stream");
	} else if (source->is_overfull) {
		event_source_wait(source, RETRY_UNREACHABLE, 0, "the event stream sends too long lines");
	} else if (result->outcome != FETCH_ANSWERED) {
		event_source_wait(source, result->outcome == FETCH_TLS ? RETRY_TLS : RETRY_UNREACHABLE, 0,
			result->reason);
	} else if (result->status == 204) {
		event_source_stop(source, "the mail server offers no event stream to this login");
	} else if (result->status == 200) {
		event_source_wait(source, was_open ? RETRY_GOODBYE : RETRY_UNREACHABLE, 0,
			"the mail server ended the event stream");
	} else {
		event_source_on_refused(source, result);
	}
}

static void event_source_on_logged_in(const struct jmap_call_result *result, void *ctx) {
	struct event_source *source = ctx;
	if (result->outcome == JMAP_CALL_OK) {
		event_source_wait(
			source, RETRY_UNREACHABLE, 0, "the mail server refuses the event stream to this login");
	} else {
		event_source_wait(source,
			result->outcome == JMAP_CALL_TRY_LATER ? RETRY_UNREACHABLE : RETRY_REFUSED, 0,
			result->reason);
	}
}

static void event_source_on_silence(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct event_source *source = ctx;
	assert(source->fetch);
	fetch_cancel(steal(&source->fetch));
	event_source_wait(source, RETRY_UNREACHABLE, 0, "the event stream fell silent");
}

/* ---- its beginning ---- */

static void event_source_connect(struct event_source *source) {
	const struct jmap_session *session = jmap_client_session(source->options.client);
	const char *last_id = event_parser_last_id(source->parser);
	struct fetch_options options = {
		.accept = "text/event-stream",
		.opened = event_source_on_opened,
		.piece = event_source_on_piece,
		.last_event_id = last_id[0] ? last_id : NULL,
		.max_bytes = 65536, /* of a refusal */
	};
	alarm_stop(&source->again);
	source->is_new = false;
	if (!session || !jmap_client_fill(source->options.client, &options)) {
		event_source_wait(source, RETRY_UNREACHABLE, 0, "not logged in at the mail server");
		return;
	}
	CLEANUP_FREE char *url = event_source_url_dup(
		session->event_source_url, source->options.config->types, EVENT_SOURCE_PING_SEC);
	options.url = url;
	free(source->url_template);
	source->url_template = mem_strdup(session->event_source_url);
	event_parser_restart(source->parser);
	source->is_overfull = source->is_no_stream = source->is_open = false;
	source->ping_ms = EVENT_SOURCE_PING_SEC * 1000;
	source->fetch = fetch_start(source->options.fetcher, &options, event_source_on_ended, source);
	event_source_expect(source, EVENT_SOURCE_OPEN_MS);
}

static void event_source_on_again(struct alarm *alarm, void *ctx) {
	(void)alarm;
	event_source_connect(ctx);
}

struct event_source *event_source_create(const struct event_source_options *options) {
	struct event_source *source = mem_zalloc(sizeof *source);
	source->options = *options;
	source->is_new = true;
	source->parser = event_parser_create(event_source_on_event, source);
	alarm_init(&source->again, options->alarms, event_source_on_again, source);
	alarm_init(&source->silence, options->alarms, event_source_on_silence, source);
	alarm_set(&source->again, 0, 0); /* state() is never called from here */
	return source;
}

void event_source_destroy(struct event_source *source) {
	if (!source) {
		return;
	}
	jmap_client_cancel(source->options.client, source);
	if (source->fetch) {
		fetch_cancel(source->fetch);
	}
	alarm_stop(&source->again);
	alarm_stop(&source->silence);
	event_parser_destroy(source->parser);
	free(source->url_template);
	free(source);
}

void event_source_hint(struct event_source *source) {
	if (source->is_stopped) {
		return;
	}
	jmap_client_cancel(source->options.client, source);
	if (source->fetch) {
		fetch_cancel(steal(&source->fetch));
	}
	retry_reset(&source->retry);
	event_source_connect(source);
}

bool event_source_is_open(const struct event_source *source) {
	return source && source->is_open;
}

bool event_source_has_moved(const struct event_source *source) {
	const struct jmap_session *session = jmap_client_session(source->options.client);
	return session && source->url_template &&
		   strcmp(source->url_template, session->event_source_url) != 0;
}

int64_t event_source_again_ms(const struct event_source *source) {
	return source && !source->is_new ? alarm_left_ms(&source->again) : -1;
}
