/* SPDX-License-Identifier: Apache-2.0 */
/* One session: its states, its clock, and the delivery of messages in order through the window. */
#include "relay/device/device.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/device/acks.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEVICE_RENEW_SEC = 24 * 3600 };
static const double device_hold_sec = 2;

struct device_timer {
	ev_timer timer;
	struct device *device;
	struct device_timer **place;
	device_timer_fn *done;
};

struct device *device_of(struct websocket *socket) {
	return container_of(socket, struct device, socket);
}

const char *device_log_name(const struct device *device) {
	static char name[9];
	const uint8_t *id = device->id.bytes;
	(void)snprintf(name, sizeof name, "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
	return name;
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct device *device_create(
	struct devices *devices, const struct device_invite *invite, uint64_t client) {
	struct device *device = mem_zalloc(sizeof *device);
	device->devices = devices;
	device->client = client;
	device->references = 1;
	if (invite) {
		device->invite = mem_dup(invite, sizeof *invite);
	}
	uint32_t now = devices_now(devices);
	device->heard_sec = now;
	list_init(&device->timer);
	devices_wheel_put(device, now + (uint32_t)devices->options.hello_sec);
	devices->references++;
	return device;
}

struct device *device_ref(struct device *device) {
	device->references++;
	return device;
}

void device_unref(struct device *device) {
	assert(device->references > 0);
	if (--device->references > 0) {
		return;
	}
	assert(!device->hello && !device->requests);
	list_remove(&device->timer);
	window_finish(&device->window);
	struct devices *devices = device->devices;
	free(device->invite);
	free(device);
	devices_release(devices);
}

const char *device_state_name(enum device_state state) {
	static const char *const names[DEVICE_STATE_COUNT] = {
		[DEVICE_OPENED] = "opened",
		[DEVICE_GREETING] = "greeting",
		[DEVICE_READY] = "ready",
		[DEVICE_CLOSED] = "closed",
	};
	return names[state];
}

static void device_enter_closed(struct device *device) {
	devices_forget(device);
	device_hello_cancel(device);
	device_requests_cancel(device);
	device_timer_stop(device, &device->wait);
	device_timer_stop(device, &device->hold);
	list_remove(&device->timer);
	window_finish(&device->window);
}

void device_enter(struct device *device, enum device_state state) {
	log_debug("device", "%s state=%s was=%s", device_log_name(device), device_state_name(state),
		device_state_name(device->state));
	device->state = (uint8_t)state;
	switch (state) {
	case DEVICE_OPENED:
	case DEVICE_GREETING:
		break;
	case DEVICE_READY:
		device->ready_sec = devices_now(device->devices);
		device->renew_sec = device->ready_sec + DEVICE_RENEW_SEC;
		break;
	case DEVICE_CLOSED:
		device_enter_closed(device);
		break;
	case DEVICE_STATE_COUNT:
		assert(false);
	}
}

void device_on_closed(struct websocket *socket) {
	struct device *device = device_of(socket);
	struct devices *devices = device->devices;
	device_enter(device, DEVICE_CLOSED);
	assert(devices->sockets > 0);
	devices->sockets--;
	client_counts_leave(&devices->clients, device->client);
	metrics_set(devices->options.metrics, METRIC_DEVICE_SOCKETS, (int64_t)devices->sockets);
	device_unref(device);
}

/* ---- the clock --------------------------------------------------------------------------------
 */

void device_note_life(struct device *device) {
	device->heard_sec = devices_now(device->devices);
	device->pinged_sec = 0;
}

void device_arm(struct device *device, uint32_t due_sec) {
	if (due_sec < device->due_sec) {
		devices_wheel_put(device, due_sec);
	}
}

void device_probe(struct device *device, uint32_t now_sec) {
	/* A choked one has its own limit, and its answer would not tell more. */
	if (device->pinged_sec == 0 && websocket_ping(&device->socket)) {
		device->pinged_sec = now_sec;
		device_arm(device, now_sec + (uint32_t)device->devices->options.pong_sec);
	}
}

/* Our clients ping by themselves; only when they stop are they asked. */
static uint32_t device_silence_sec(const struct device *device) {
	const struct devices_options *options = &device->devices->options;
	if (device->keepalive_sec > 0) {
		return 2 * device->keepalive_sec + (uint32_t)options->pong_sec;
	}
	return (uint32_t)options->ping_sec;
}

static uint32_t device_earlier(uint32_t a, uint32_t b) {
	return b != 0 && b < a ? b : a;
}

static uint32_t device_next_due(const struct device *device, uint32_t now_sec) {
	const struct devices_options *options = &device->devices->options;
	uint32_t due = device->heard_sec + device_silence_sec(device);
	if (device->pinged_sec) {
		due = device_earlier(due, device->pinged_sec + (uint32_t)options->pong_sec);
	}
	if (device->choked_sec) {
		due = device_earlier(due, device->choked_sec + (uint32_t)options->slow_sec);
	}
	if (device->window.in_flight > 0) {
		due =
			device_earlier(due, window_oldest_sec(&device->window) + (uint32_t)options->window_sec);
	}
	due = device_earlier(due, device->retry_sec);
	due = device_earlier(due, device->renew_sec);
	if (device_requests_wait(device)) {
		due = device_earlier(due, now_sec + 1);
	}
	return due > now_sec ? due : now_sec + 1;
}

static void device_drop_for(struct device *device, enum metric metric, const char *why) {
	log_debug("device", "%s dropped: %s", device_log_name(device), why);
	metrics_add(device->devices->options.metrics, metric, 1);
	websocket_drop(&device->socket);
}

/* False when the socket ends. */
static bool device_check_peer(struct device *device, uint32_t now_sec) {
	const struct devices_options *options = &device->devices->options;
	if (device->pinged_sec && now_sec - device->pinged_sec >= (uint32_t)options->pong_sec) {
		device_drop_for(device, METRIC_DEVICE_UNANSWERED, "ping unanswered");
		return false;
	}
	if (device->choked_sec && now_sec - device->choked_sec >= (uint32_t)options->slow_sec) {
		device_drop_for(device, METRIC_DEVICE_SLOW, "reads too slowly");
		return false;
	}
	if (now_sec - device->heard_sec >= device_silence_sec(device)) {
		device_probe(device, now_sec);
	}
	return !websocket_is_ending(&device->socket);
}

static void device_check_queue(struct device *device, uint32_t now_sec) {
	const struct devices_options *options = &device->devices->options;
	uint32_t window_sec = (uint32_t)options->window_sec;
	if (device->window.in_flight > 0 && now_sec > window_sec) {
		(void)window_expire(&device->window, now_sec - window_sec);
		window_trim(&device->window, options->queue_messages + options->window);
	}
	if (device->retry_sec && now_sec >= device->retry_sec) {
		device->retry_sec = 0;
	}
	if (now_sec >= device->renew_sec) {
		device->renew_sec = now_sec + DEVICE_RENEW_SEC;
		device_attach_again(device);
	}
	device_requests_continue(device, now_sec);
	device_pull(device);
}

void device_on_due(struct device *device, uint32_t now_sec) {
	if (websocket_is_ending(&device->socket)) {
		devices_wheel_put(device, now_sec + DEVICES_WHEEL_SLOTS);
		return;
	}
	switch ((enum device_state)device->state) {
	case DEVICE_OPENED:
		if (now_sec - device->heard_sec >= (uint32_t)device->devices->options.hello_sec) {
			log_debug("device", "no hello in time");
			websocket_drop(&device->socket);
		}
		devices_wheel_put(
			device, device->heard_sec + (uint32_t)device->devices->options.hello_sec + 1);
		return;
	case DEVICE_GREETING:
		device_hello_retry(device);
		devices_wheel_put(device, now_sec + 1);
		return;
	case DEVICE_READY:
		if (device_check_peer(device, now_sec)) {
			device_check_queue(device, now_sec);
		}
		devices_wheel_put(device, device_next_due(device, now_sec));
		return;
	case DEVICE_CLOSED:
	case DEVICE_STATE_COUNT:
		break;
	}
	assert(false);
}

static void device_on_timer(struct ev_loop *loop, ev_timer *watcher, int revents) {
	(void)loop;
	(void)revents;
	struct device_timer *timer = watcher->data;
	struct device *device = timer->device;
	device_timer_fn *done = timer->done;
	device_timer_stop(device, timer->place);
	done(device);
}

void device_timer_start(
	struct device *device, struct device_timer **timer, double sec, device_timer_fn *done) {
	if (*timer) {
		return;
	}
	struct ev_loop *loop = device->devices->options.loop;
	struct device_timer *made = mem_zalloc(sizeof *made);
	*made = (struct device_timer){.device = device, .place = timer, .done = done};
	ev_timer_init(&made->timer, device_on_timer, sec + ev_time() - ev_now(loop), 0);
	made->timer.data = made;
	ev_timer_start(loop, &made->timer);
	*timer = made;
}

void device_timer_stop(struct device *device, struct device_timer **timer) {
	if (*timer) {
		ev_timer_stop(device->devices->options.loop, &(*timer)->timer);
		free(*timer);
		*timer = NULL;
	}
}

/* ---- frames -----------------------------------------------------------------------------------
 */

struct buffer *device_frame_begin(struct device *device) {
	struct buffer *frame = &device->devices->scratch;
	buffer_clear(frame);
	char *headroom = buffer_reserve(frame, websocket_headroom());
	assert(headroom);
	memset(headroom, 0, websocket_headroom());
	buffer_commit(frame, websocket_headroom());
	return frame;
}

static void device_note_choke(struct device *device) {
	if (device->choked_sec == 0 && websocket_is_choked(&device->socket)) {
		device->choked_sec = devices_now(device->devices);
		device_arm(device, device->choked_sec + (uint32_t)device->devices->options.slow_sec);
	}
}

bool device_frame_end(struct device *device) {
	struct buffer *frame = &device->devices->scratch;
	size_t headroom = websocket_headroom();
	bool was_ending = websocket_is_ending(&device->socket);
	bool was_sent = websocket_send(&device->socket, buffer_begin(frame) + headroom,
		buffer_length(frame) - headroom, device->devices->options.send_limit_bytes);
	if (!was_sent && !was_ending && !websocket_is_ending(&device->socket)) {
		device_drop_for(device, METRIC_DEVICE_SLOW, "too much unsent");
	}
	if (was_sent) {
		device_note_choke(device);
	}
	return was_sent;
}

void device_on_writable(struct websocket *socket) {
	struct device *device = device_of(socket);
	device->choked_sec = 0;
	if (device->state == DEVICE_READY) {
		device_pull(device);
	}
}

/* ---- delivery ---------------------------------------------------------------------------------
 */

static bool device_may_deliver(const struct device *device) {
	return device->state == DEVICE_READY && device->is_newest && !device->is_elsewhere &&
		   !websocket_is_ending(&device->socket) && !websocket_is_choked(&device->socket);
}

static bool device_has_room(const struct device *device) {
	return device->window.in_flight < device->devices->options.window;
}

/* Rounded up: only a message that is not stored has no time left. */
static uint32_t device_ttl_left_sec(
	const struct device *device, const struct store_message *message) {
	int64_t now_ms = (int64_t)(ev_now(device->devices->options.loop) * 1000);
	int64_t left_sec = (message->expires_ms - now_ms + 999) / 1000;
	return message->expires_ms == 0 ? 0 : left_sec < 1 ? 1 : (uint32_t)left_sec;
}

static bool device_send_notification(struct device *device, const struct store_message *message) {
	struct autopush_extra extra;
	if (device->is_ours) {
		extra = (struct autopush_extra){
			device_ttl_left_sec(device, message), message->urgency, message->topic};
	}
	const struct autopush_notification notification = {
		.channel = message->channel,
		.id = message->id,
		.body = message->body,
		.encoding = message->encoding,
		.encryption = message->encryption,
		.crypto_key = message->crypto_key,
		.extra = device->is_ours ? &extra : NULL,
	};
	struct buffer *frame = device_frame_begin(device);
	if (!autopush_print_notification(frame, &notification)) {
		log_error("message too large for a frame device=%s bytes=%zu", device_log_name(device),
			message->body.len);
		return false;
	}
	if (!device_frame_end(device)) {
		return false;
	}
	metrics_add(device->devices->options.metrics, METRIC_DEVICE_SENT, 1);
	return true;
}

/* Sends one that is stored, and remembers it until its ack. */
static bool device_send_stored(struct device *device, const struct store_message *message) {
	if (!device_send_notification(device, message)) {
		return false;
	}
	uint32_t now = devices_now(device->devices);
	window_add(&device->window, message->id, message->channel, now);
	device_arm(device, now + (uint32_t)device->devices->options.window_sec);
	return true;
}

static void device_advance(struct device *device, struct message_id id) {
	if (message_id_compare(device->cursor, id) < 0) {
		device->cursor = id;
	}
}

bool device_deliver(struct device *device, const struct store_message *message,
	struct message_id previous, bool is_transient) {
	if (is_transient) {
		return message->urgency >= device->min_urgency && device_may_deliver(device) &&
			   device_send_notification(device, message);
	}
	/* Not the next in order, or no room: it is in the store, the next fetch brings it. */
	if (message_id_compare(device->cursor, previous) < 0) {
		device->is_behind = true; /* another node's message lies between */
		device_pull(device);
		return false;
	}
	if (device->is_behind || device->must_rescan || device->is_fetching || device->wait ||
		!device_may_deliver(device) || !device_has_room(device)) {
		device->is_behind = true;
		return false;
	}
	if (message->urgency < device->min_urgency || window_knows(&device->window, message->id)) {
		device_advance(device, message->id);
		return false;
	}
	if (!device_send_stored(device, message)) {
		device->is_behind = true;
		return false;
	}
	device_advance(device, message->id);
	return true;
}

static void device_take_fetched(struct device *device, const struct store_fetched *fetched) {
	for (size_t i = 0; i < fetched->count; i++) {
		const struct store_message *message = &fetched->messages[i];
		if (message->urgency >= device->min_urgency &&
			!window_knows(&device->window, message->id) &&
			!acks_has(device->devices, device->id, message->id)) {
			if (!device_may_deliver(device) || !device_has_room(device) ||
				!device_send_stored(device, message)) {
				device->is_behind = true;
				return;
			}
		}
		device_advance(device, message->id);
	}
	device_advance(device, fetched->next);
	device->is_behind |= fetched->has_more;
}

static void device_on_fetched(const struct store_fetched *fetched, void *ctx) {
	struct device *device = ctx;
	device->is_fetching = false;
	if (device->state == DEVICE_READY) {
		if (fetched->outcome == STORE_OK) {
			websocket_gather(&device->socket);
			device_take_fetched(device, fetched);
			websocket_send_gathered(&device->socket);
			device_note_choke(device);
		} else if (fetched->outcome == STORE_UNAVAILABLE) {
			device->is_behind = true;
			device->retry_sec = devices_now(device->devices) + 1;
			device_arm(device, device->retry_sec);
		}
		window_settle(&device->window);
		device_pull(device);
	}
	device_unref(device);
}

void device_pull(struct device *device) {
	if (device->is_fetching || device->wait || device->retry_sec || !device->is_stored ||
		!(device->is_behind || device->must_rescan) || !device_may_deliver(device) ||
		!device_has_room(device)) {
		return;
	}
	if (device->must_rescan) {
		device->cursor = (struct message_id){0, 0};
		device->must_rescan = false;
	}
	device->is_behind = false;
	device->is_fetching = true;
	size_t room = device->devices->options.window - device->window.in_flight;
	store_fetch(device->devices->options.store, device->id, device->cursor, device->min_urgency,
		room, device_on_fetched, device_ref(device));
}

void device_rescan(struct device *device) {
	device->must_rescan = true;
	device_pull(device);
}

static void device_on_held(struct device *device) {
	if (window_release_held(&device->window)) {
		device_rescan(device);
	}
}

/* What an older socket has in flight may still be acknowledged, on either. Our clients tell repeats
 * apart and need no patience. */
void device_hold(struct device *device, const struct message_id *ids, size_t count) {
	for (size_t i = 0; i < count && !device->is_ours; i++) {
		window_hold(&device->window, ids[i]);
	}
	if (device->window.held > 0) {
		device_timer_start(device, &device->hold, device_hold_sec, device_on_held);
	}
}

static void device_on_attached_again(const struct store_device *found, void *ctx) {
	struct device *device = ctx;
	if (device->state == DEVICE_READY && found->outcome == STORE_OK) {
		device_rescan(device);
	} else if (device->state == DEVICE_READY && found->outcome == STORE_UNAVAILABLE) {
		device->renew_sec = devices_now(device->devices) + 2;
		device_arm(device, device->renew_sec);
	}
	device_unref(device);
}

void device_attach_again(struct device *device) {
	if (device->state == DEVICE_READY && device->is_stored && device->is_newest &&
		!device->is_elsewhere) {
		store_attach(device->devices->options.store, device->id, device_on_attached_again,
			device_ref(device));
	}
}
