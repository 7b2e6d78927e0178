/* SPDX-License-Identifier: Apache-2.0 */
/* The push protocol of a device: what the link says, and what it makes of what it hears. */
#include "common/autopush.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/link/link_internal.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what we say -------------------------------------------------------------------------------
 */

static void link_send(struct session *session, json_t *take_message) {
	CLEANUP_FREE char *text = take_message ? json_dumps(take_message, JSON_COMPACT) : NULL;
	json_decref(take_message);
	if (text) {
		session_send(session, slice_of(text));
	}
}

void link_send_hello(struct link *link, struct session *session) {
	json_t *message = json_pack("{s:s,s:b,s:{s:i,s:I,s:I}}", "messageType", "hello", "use_webpush",
		1, "bellwire", "v", 1, "keepalive_s", (json_int_t)link_ceiling_sec(link, session),
		"instance", (json_int_t)link->instance);
	if (link->uaid && message) {
		(void)json_object_set_new(message, "uaid", json_string(link->uaid));
	}
	link_send(session, message);
}

bool link_register(struct link *link, const char *channel, const char *vapid_key, bool key_later,
	uint32_t max_body) {
	if (link->state != LINK_UP) {
		return false;
	}
	json_t *extension = json_object();
	if (max_body > 0) {
		(void)json_object_set_new(extension, "max_body", json_integer(max_body));
	}
	if (key_later) {
		(void)json_object_set_new(extension, "key", json_string("later"));
	}
	json_t *message = json_pack("{s:s,s:s}", "messageType", "register", "channelID", channel);
	if (vapid_key) {
		(void)json_object_set_new(message, "key", json_string(vapid_key));
	}
	if (json_object_size(extension) > 0) {
		(void)json_object_set(message, "bellwire", extension);
	}
	json_decref(extension);
	link_send(link->current, message);
	return true;
}

bool link_unregister(struct link *link, const char *channel) {
	if (link->state != LINK_UP) {
		return false;
	}
	link_flush_acks(link); /* afterwards they would count for nothing */
	link_send(link->current,
		json_pack("{s:s,s:s,s:i}", "messageType", "unregister", "channelID", channel, "code", 200));
	return true;
}

static void link_send_urgency(struct link *link) {
	link_send(link->current,
		json_pack("{s:s,s:s}", "messageType", "urgency", "min", urgency_name(link->min_urgency)));
}

void link_set_urgency(struct link *link, enum urgency min) {
	bool is_news = !link->has_urgency || link->min_urgency != min;
	link->has_urgency = true;
	link->min_urgency = min;
	if (is_news && link->state == LINK_UP) {
		link_send_urgency(link);
		link_flush_acks(link); /* the radio is up anyway */
	}
}

void link_flush_acks(struct link *link) {
	alarm_stop(&link->ack);
	if (link->ack_count == 0) {
		return;
	}
	struct buffer frame;
	buffer_init(&frame, LINK_ACK_BYTES + 256);
	if (buffer_printf(&frame, "{\"messageType\":\"ack\",\"updates\":[%.*s]}",
			(int)buffer_length(&link->acks), buffer_begin(&link->acks))) {
		session_send(link->current, (struct slice){buffer_begin(&frame), buffer_length(&frame)});
	}
	buffer_finish(&frame);
	buffer_finish(&link->acks);
	link->unacked -= link->ack_count < link->unacked ? link->ack_count : link->unacked;
	link->ack_count = 0;
}

void link_on_ack(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct link *link = ctx;
	if (link->state == LINK_UP) {
		link_flush_acks(link); /* else after the next greeting */
	}
}

bool link_ack(struct link *link, struct slice channel, struct slice version) {
	/* a session that is kept without a route may revive, and sends nothing again then */
	if (!link->current || link->state == LINK_STOPPED || channel.len > LINK_CHANNEL_MAX ||
		version.len > LINK_VERSION_MAX) {
		return false;
	}
	struct buffer item; /* appended as a whole or not at all */
	buffer_init(&item, 4096);
	bool fits = buffer_printf(&item, "%s{\"channelID\":", link->ack_count > 0 ? "," : "") &&
				json_append_string(&item, channel) && buffer_printf(&item, ",\"version\":") &&
				json_append_string(&item, version) && buffer_printf(&item, ",\"code\":100}") &&
				buffer_append(&link->acks, buffer_begin(&item), buffer_length(&item));
	buffer_finish(&item);
	link->ack_count += fits;
	if (link->ack_count >= LINK_ACKS_MAX || !fits) {
		link_flush_acks(link); /* the relay's window is open again sooner */
	} else if (!alarm_is_set(&link->ack)) {
		alarm_set(&link->ack, LINK_ACK_MS, LINK_ACK_MS);
	}
	return fits;
}

void link_send_leftovers(struct link *link) {
	if (link->has_urgency) {
		link_send_urgency(link);
	}
	link_flush_acks(link);
}

/* ---- what we hear ------------------------------------------------------------------------------
 */

/* Each handler is the last to touch the link: what it calls may end the session or the link. False
 * when the message says nothing that can be used. */
typedef bool link_handle_fn(struct link *link, struct session *session, const json_t *message);

static void link_give_up(struct session *session, enum retry_class class, const char *what) {
	session_fail(session, class, what);
}

static bool link_get_text(const json_t *json, const char *key, size_t max, struct slice *out) {
	return json_get_string(json, key, out) == JSON_PRESENT && out->len > 0 && out->len <= max;
}

static bool link_handle_hello(struct link *link, struct session *session, const json_t *message) {
	int64_t status = 0, missed = 0;
	struct slice text = {NULL, 0};
	char uaid[AUTOPUSH_UAID_LENGTH + 1];
	json_t *extension = NULL;
	if (session_state(session) != SESSION_GREETING) {
		return false; /* a second one */
	}
	(void)json_get_integer(message, "status", &status); /* absent: 0 */
	if (status != 200) {
		CLEANUP_FREE char *reason =
			mem_printf("the relay answered hello with status %" PRId64, status);
		link_give_up(
			session, status == 401 || status == 403 ? RETRY_REFUSED : RETRY_UNREACHABLE, reason);
		return true;
	}
	if (!link_get_text(message, "uaid", AUTOPUSH_UAID_MAX, &text) ||
		!autopush_uaid_normalise(text, uaid)) {
		link_give_up(
			session, RETRY_UNREACHABLE, "the relay's answer to hello names no usable identity");
		return true;
	}
	bool is_new = !link->uaid || strcmp(link->uaid, uaid) != 0;
	if (is_new) {
		free(link->uaid);
		link->uaid = mem_strdup(uaid);
	}
	if (json_get_object(message, "bellwire", &extension) == JSON_PRESENT) {
		(void)json_get_integer(extension, "missed", &missed); /* absent: 0 */
	}
	link_came_up(link, session, is_new, missed > 0 ? (uint64_t)missed : 0);
	return true;
}

static bool link_handle_register(
	struct link *link, struct session *session, const json_t *message) {
	(void)session;
	struct slice channel, endpoint = {NULL, 0};
	struct url url;
	int64_t status = 0;
	if (!link_get_text(message, "channelID", LINK_CHANNEL_MAX, &channel)) {
		return false;
	}
	(void)json_get_integer(message, "status", &status); /* absent: 0 */
	if (status == 200 && (!link_get_text(message, "pushEndpoint", LINK_ENDPOINT_MAX, &endpoint) ||
							 !slice_starts_with(endpoint, "http") || !url_parse(endpoint, &url))) {
		if (link->nonsense++ == 0) {
			log_warn("link got a push URL that is none relay=%s", link_host(link));
		}
		status = 500;
	}
	if (link->events->registered) {
		link->events->registered(
			channel, (int)(status > 0 && status < 1000 ? status : 500), endpoint, link->ctx);
	}
	return true;
}

static bool link_handle_unregister(
	struct link *link, struct session *session, const json_t *message) {
	(void)session;
	struct slice channel;
	int64_t status = 0;
	if (!link_get_text(message, "channelID", LINK_CHANNEL_MAX, &channel)) {
		return false;
	}
	(void)json_get_integer(message, "status", &status);
	if (link->events->unregistered) {
		link->events->unregistered(
			channel, (int)(status > 0 && status < 1000 ? status : 500), link->ctx);
	}
	return true;
}

/* What our extension adds; a relay without it leaves the defaults. */
static void link_read_extension(const json_t *message, struct link_notification *notification) {
	json_t *extension = NULL;
	struct slice urgency;
	if (json_get_object(message, "bellwire", &extension) != JSON_PRESENT) {
		return;
	}
	int64_t ttl_sec = -1;
	if (json_get_integer(extension, "ttl_s", &ttl_sec) == JSON_PRESENT && ttl_sec >= 0) {
		notification->ttl_sec = ttl_sec < INT32_MAX ? ttl_sec : INT32_MAX;
	}
	if (json_get_string(extension, "urgency", &urgency) == JSON_PRESENT) {
		(void)urgency_parse(urgency, &notification->urgency); /* unknown words: normal */
	}
	(void)link_get_text(extension, "topic", LINK_CHANNEL_MAX, &notification->topic);
}

static bool link_handle_notification(
	struct link *link, struct session *session, const json_t *message) {
	struct link_notification notification = {.urgency = URGENCY_NORMAL, .ttl_sec = -1};
	struct slice text = {NULL, 0};
	json_t *headers = NULL;
	if (!link_get_text(message, "channelID", LINK_CHANNEL_MAX, &notification.channel) ||
		!link_get_text(message, "version", LINK_VERSION_MAX, &notification.version) ||
		json_get_string(message, "data", &text) == JSON_WRONG_TYPE) {
		return false;
	}
	CLEANUP_FREE uint8_t *body = mem_alloc(text.len + 1);
	size_t bytes = 0;
	if (text.len > 0 && !base64url_decode_lenient(text, body, text.len, &bytes)) {
		return false;
	}
	if (++link->unacked > LINK_UNACKED_MAX) {
		link_give_up(
			session, RETRY_UNREACHABLE, "the relay sends without end and waits for nothing");
		return true;
	}
	notification.body = (struct slice){(const char *)body, bytes};
	if (json_get_object(message, "headers", &headers) == JSON_PRESENT) {
		(void)json_get_string(headers, "encoding", &notification.encoding);
		(void)json_get_string(headers, "encryption", &notification.encryption);
		(void)json_get_string(headers, "crypto_key", &notification.crypto_key);
	}
	link_read_extension(message, &notification);
	if (link->events->notified) {
		link->events->notified(&notification, link->ctx);
	}
	return true;
}

static bool link_handle_nothing(struct link *link, struct session *session, const json_t *message) {
	(void)link;
	(void)session;
	(void)message;
	return true;
}

static const struct link_message {
	const char *type;
	link_handle_fn *handle;
} link_messages[] = {
	{"hello", link_handle_hello}, {"register", link_handle_register},
	{"unregister", link_handle_unregister}, {"notification", link_handle_notification},
	{"urgency", link_handle_nothing}, /* answers that change nothing, and what other clients use */
	{"broadcast", link_handle_nothing}, {"ping", link_handle_nothing},
	{"", link_handle_nothing}, /* {}, the pong of the protocol */
};

static link_handle_fn *link_find_handler(const json_t *message) {
	struct slice type = {"", 0};
	if (!json_is_object(message) ||
		json_get_string(message, "messageType", &type) == JSON_WRONG_TYPE) {
		return NULL;
	}
	for (size_t i = 0; i < sizeof link_messages / sizeof link_messages[0]; i++) {
		if (slice_equals(type, link_messages[i].type)) {
			return link_messages[i].handle;
		}
	}
	return NULL;
}

static void link_note_nonsense(struct link *link, struct session *session) {
	if (link->nonsense++ == 0) {
		log_warn("link got a message without meaning relay=%s", link_host(link));
	}
	if (link->nonsense > LINK_NONSENSE_MAX) {
		link_give_up(session, RETRY_UNREACHABLE, "the relay sends what is not the push protocol");
	}
}

void link_on_text(struct session *session, struct slice text, void *ctx) {
	struct link *link = ctx;
	if (session != link->current && session != link->next) {
		return; /* what comes after our goodbye comes again */
	}
	json_t *message = json_parse(text);
	link_handle_fn *handle = link_find_handler(message);
	bool is_greeting = session_state(session) == SESSION_GREETING;
	link_busy(link);
	if (is_greeting && handle != link_handle_hello) {
		link_give_up(session, RETRY_UNREACHABLE, "the relay does not answer hello with hello");
	} else if (!handle || !handle(link, session, message)) {
		link_note_nonsense(link, session);
	} else if (link->state == LINK_UP && session == link->current && alarm_is_set(&link->beat) &&
			   alarm_left_ms(&link->beat) < (int64_t)link->interval_sec * 750) {
		link_beat_set(link); /* any message restarts the silence */
	}
	json_decref(message);
	(void)link_leave(link);
}
