/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says: the table of messages, and what each leads to. */
#include "common/base64url.h"
#include "common/jwt.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/device/acks.h"
#include "relay/device/device.h"
#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	DEVICE_PING_SEC = 10, /* {} closer together are not answered */
	DEVICE_PINGS_A_MINUTE = 20, /* more of them are an attack */
	DEVICE_ENDPOINT_MAX = 512,
};

/* ---- requests: answered in the order in which they came ----------------------------------------
 */

enum device_request_state { REQUEST_WAITING, REQUEST_AT_STORE, REQUEST_DONE };

/* A register or unregister, until it is answered. */
struct device_request {
	struct list link; /* struct device_requests::list */
	struct device *device; /* holds a reference while at the store */
	struct device_requests *requests; /* NULL when the session ended meanwhile */
	enum autopush_type type;
	enum device_request_state state;
	int status;
	bool has_key, has_point; /* a key without its point follows later */
	uint8_t point[P256_POINT_BYTES]; /* has the form of one, and is checked in its turn */
	uint32_t max_body;
	struct channel_id channel;
	struct subscription_id subscription;
	uint8_t channel_len;
	char channel_text[AUTOPUSH_CHANNEL_TEXT_MAX];
};

struct device_requests {
	struct list list; /* struct device_request::link */
	uint32_t count, waiting;
	double tokens;
	uint32_t filled_sec;
	struct device *device;
	struct turn turn;
};

static struct device_requests *device_requests_of(struct device *device) {
	if (!device->requests) {
		device->requests = mem_zalloc(sizeof *device->requests);
		list_init(&device->requests->list);
		list_init(&device->requests->turn.link);
		device->requests->device = device;
		device->requests->tokens = DEVICE_REQUEST_BURST;
		device->requests->filled_sec = devices_now(device->devices);
	}
	return device->requests;
}

/* 0 when requests of one client have no limit. */
static uint64_t device_requests_client(const struct device *device) {
	return device->devices->options.limits ? device->client : 0;
}

static void device_request_free(struct device_request *request) {
	const struct device *device = request->device;
	client_counts_leave(&device->devices->asked, device_requests_client(device));
	list_remove(&request->link);
	free(request);
}

bool device_requests_wait(const struct device *device) {
	return device->requests && !device->requests->turn.line;
}

void device_requests_cancel(struct device *device) {
	struct device_requests *requests = device->requests;
	if (!requests) {
		return;
	}
	struct device_request *request, *next;
	LIST_FOREACH_SAFE (request, next, &requests->list, link) {
		if (request->state == REQUEST_AT_STORE) {
			list_remove(&request->link);
			request->requests = NULL;
		} else {
			device_request_free(request);
		}
	}
	turns_leave(device->devices, &requests->turn);
	free(requests);
	device->requests = NULL;
}

static void device_request_answer(struct device_request *request) {
	struct device *device = request->device;
	struct slice channel = {request->channel_text, request->channel_len};
	struct buffer *frame = device_frame_begin(device);
	bool fits;
	if (request->type == AUTOPUSH_UNREGISTER) {
		fits = autopush_print_unregister(frame, channel, request->status);
	} else if (request->status == 200) {
		char token[TOKEN_LENGTH + 1], endpoint[DEVICE_ENDPOINT_MAX];
		token_make_push(device->devices->keys, device->id, request->subscription, token);
		(void)snprintf(
			endpoint, sizeof endpoint, "%s%s", device->devices->options.endpoint_base, token);
		fits = autopush_print_register(frame, channel, 200, endpoint);
		metrics_add(device->devices->options.metrics, METRIC_DEVICE_REGISTERS, 1);
	} else {
		fits = autopush_print_register(frame, channel, request->status, NULL);
	}
	assert(fits);
	(void)device_frame_end(device);
}

/* Answers what is done at the head of the list. */
static void device_requests_flush(struct device *device) {
	struct device_requests *requests = device->requests;
	struct device_request *request;
	while ((request = list_first(&requests->list, struct device_request, link)) &&
		   request->state == REQUEST_DONE) {
		device_request_answer(request);
		device_request_free(request);
		requests->count--;
	}
}

static void device_request_done(struct device_request *request, int status) {
	request->status = status;
	request->state = REQUEST_DONE;
	device_requests_flush(request->device);
}

static int device_status_of(enum store_outcome outcome) {
	switch (outcome) {
	case STORE_OK:
		return 200;
	case STORE_FULL:
	case STORE_OVER_QUOTA:
		return 429;
	case STORE_MISSING:
	case STORE_GONE:
	case STORE_KEY_MISMATCH:
	case STORE_TOO_LARGE:
	case STORE_UNAVAILABLE:
	case STORE_OUTCOME_COUNT:
		break;
	}
	return 500;
}

/* ---- register ----------------------------------------------------------------------------------
 */

/* The store knows the device from its first subscription on. */
static void device_note_stored(struct device *device) {
	if (device->is_stored) {
		return;
	}
	device->is_stored = true;
	device->is_behind = true;
	if (device->min_urgency != URGENCY_VERY_LOW) {
		store_set_urgency(device->devices->options.store, device->id,
			(enum urgency)device->min_urgency, NULL, NULL);
	}
}

static void device_on_subscribed(const struct store_subscribed *result, void *ctx) {
	struct device_request *request = ctx;
	struct device *device = request->device;
	if (!request->requests) {
		device_request_free(request);
	} else {
		request->subscription = result->subscription;
		if (result->outcome == STORE_OK) {
			device_note_stored(device);
		}
		device_request_done(request, device_status_of(result->outcome));
		if (result->outcome == STORE_OK) {
			device_pull(device);
		}
	}
	device_unref(device);
}

/* The hash of a key that follows later is all zero. False when it is no point of the curve. */
static bool device_request_hash_key(
	const struct device_request *request, uint8_t out_hash[STORE_KEY_HASH_BYTES]) {
	unsigned hashed;
	return !request->has_point ||
		   (p256_point_is_valid(request->point) && EVP_Digest(request->point, sizeof request->point,
													   out_hash, &hashed, EVP_sha256(), NULL) == 1);
}

/* False, with nothing done, when its key is none. */
static bool device_request_subscribe(struct device_request *request) {
	struct device *device = request->device;
	struct store_subscribe what = {
		.device = device->id,
		.channel = request->channel,
		.has_key = request->has_key,
		.max_body = request->max_body,
	};
	if (!device_request_hash_key(request, what.key_hash)) {
		return false;
	}
	subscription_id_generate(request->has_key, &what.fresh);
	if (device->invite) {
		what.invite = device->invite->id;
		what.invite_devices = device->invite->devices;
		what.messages_per_day = device->invite->messages_per_day;
	}
	(void)device_ref(device);
	store_subscribe(device->devices->options.store, &what, device_on_subscribed, request);
	return true;
}

/* What has the form of a point. */
static bool device_read_point(struct slice text, uint8_t out_point[P256_POINT_BYTES]) {
	size_t length;
	return base64url_decode_lenient(text, out_point, P256_POINT_BYTES, &length) &&
		   length == P256_POINT_BYTES && out_point[0] == 4;
}

/* ---- unregister --------------------------------------------------------------------------------
 */

static void device_on_unsubscribed(enum store_outcome outcome, void *ctx) {
	struct device_request *request = ctx;
	struct device *device = request->device;
	if (!request->requests) {
		device_request_free(request);
	} else {
		bool is_gone = outcome == STORE_OK || outcome == STORE_MISSING || outcome == STORE_GONE;
		device_request_done(request, is_gone ? 200 : 500);
	}
	device_unref(device);
}

/* ---- both --------------------------------------------------------------------------------------
 */

/* It may be done by then: flush behind it. */
static void device_request_run(struct device_request *request) {
	struct device *device = request->device;
	request->requests->tokens -= 1;
	request->state = REQUEST_AT_STORE;
	if (request->type != AUTOPUSH_REGISTER) {
		(void)device_ref(device);
		store_unsubscribe(device->devices->options.store, device->id, request->channel,
			device_on_unsubscribed, request);
	} else if (!device_request_subscribe(request)) {
		request->status = 400;
		request->state = REQUEST_DONE;
	}
}

/* By the device's rate, and for a register by its address's: then a place in that line is taken. */
static bool device_request_may_run(struct device_request *request) {
	struct device_requests *requests = request->requests;
	return !requests->turn.line && requests->tokens >= 1 &&
		   (request->type != AUTOPUSH_REGISTER || turns_take(request->device, &requests->turn));
}

static void device_requests_fill(struct device_requests *requests, uint32_t now_sec) {
	requests->tokens += (double)(now_sec - requests->filled_sec) * DEVICE_REQUEST_RATE;
	requests->filled_sec = now_sec;
	if (requests->tokens >= DEVICE_REQUEST_BURST) {
		requests->tokens = DEVICE_REQUEST_BURST;
	}
}

/* Those that wait, in order. has_turn: the first is a register whose turn it is. */
static void device_requests_run(struct device *device, bool has_turn) {
	struct device_requests *requests = device->requests;
	struct device_request *request;
	LIST_FOREACH (request, &requests->list, link) {
		if (requests->waiting == 0) {
			break;
		}
		if (request->state != REQUEST_WAITING) {
			continue;
		}
		if (!has_turn && !device_request_may_run(request)) {
			break;
		}
		has_turn = false;
		requests->waiting--;
		device_request_run(request);
	}
	device_requests_flush(device);
}

void device_requests_on_turn(struct turn *turn) {
	struct device_requests *requests = container_of(turn, struct device_requests, turn);
	struct device *device = requests->device;
	if (websocket_is_ending(&device->socket)) {
		return; /* its end is on the way, and takes all of it along */
	}
	uint32_t now = devices_now(device->devices);
	device_requests_fill(requests, now);
	device_requests_run(device, true);
	device_arm(device, now + 1);
}

void device_requests_continue(struct device *device, uint32_t now_sec) {
	struct device_requests *requests = device->requests;
	if (!requests) {
		return;
	}
	device_requests_fill(requests, now_sec);
	device_requests_run(device, false);
	if (requests->count == 0 && requests->tokens >= DEVICE_REQUEST_BURST) {
		device_requests_cancel(device);
	}
}

/* The refused wait in the list too, for their turn to be answered. */
static bool device_requests_are_flood(struct device *device) {
	uint32_t mine = device_requests_of(device)->count;
	uint32_t all = client_counts_get(&device->devices->asked, device_requests_client(device));
	if (mine < DEVICE_REQUESTS_KEPT_MAX &&
		(mine < DEVICE_REQUESTS_SHARE || all < DEVICES_CLIENT_REQUESTS_MAX)) {
		return false;
	}
	log_debug("device", "%s floods with requests", device_log_name(device));
	metrics_add(device->devices->options.metrics, METRIC_DEVICE_BAD, 1);
	websocket_drop(&device->socket);
	return true;
}

/* NULL when there are too many: it is refused already, or the connection ends. */
static struct device_request *device_request_add(
	struct device *device, const struct autopush_message *message) {
	if (device_requests_are_flood(device)) {
		return NULL;
	}
	struct device_requests *requests = device->requests;
	struct device_request *request = mem_zalloc(sizeof *request);
	request->device = device;
	request->requests = requests;
	request->type = message->type;
	request->channel_len = (uint8_t)message->channel.len;
	memcpy(request->channel_text, message->channel.data, message->channel.len);
	list_append(&requests->list, &request->link);
	(void)client_counts_enter(&device->devices->asked, device_requests_client(device), UINT32_MAX);
	requests->count++;
	device_arm(device, devices_now(device->devices) + 1);
	if (requests->count > DEVICE_REQUESTS_MAX) {
		device_request_done(request, 429);
		return NULL;
	}
	return request;
}

static void device_request_start(struct device_request *request) {
	struct device_requests *requests = request->requests;
	if (requests->waiting > 0 || !device_request_may_run(request)) {
		requests->waiting++;
	} else {
		device_request_run(request);
		device_requests_flush(request->device);
	}
}

static void device_handle_register(struct device *device, const struct autopush_message *message) {
	struct device_request *request = device_request_add(device, message);
	if (!request) {
		return;
	}
	request->max_body = device->is_ours ? message->reg.max_body : 0;
	bool is_later = device->is_ours && message->reg.key_is_later && !message->reg.has_key;
	request->has_key = message->reg.has_key || is_later;
	request->has_point = message->reg.has_key;
	bool is_good =
		autopush_channel_parse(message->channel, &request->channel) &&
		(!message->reg.has_key ||
			(message->reg.key_is_text && device_read_point(message->reg.key, request->point)));
	if (is_good) {
		device_request_start(request);
	} else {
		device_request_done(request, 400);
	}
}

/* A channel that cannot exist is as gone as one that does not. */
static void device_handle_unregister(
	struct device *device, const struct autopush_message *message) {
	struct device_request *request = device_request_add(device, message);
	if (!request) {
		return;
	}
	if (autopush_channel_parse(message->channel, &request->channel)) {
		device_request_start(request);
	} else {
		device_request_done(request, 200);
	}
}

/* ---- the other messages ------------------------------------------------------------------------
 */

static void device_handle_hello(struct device *device, const struct autopush_message *message) {
	if (device->state == DEVICE_OPENED) {
		device_hello_start(device, message);
	}
	/* A second answer would make Firefox go for good. */
}

static void device_handle_ping(struct device *device, const struct autopush_message *message) {
	(void)message;
	uint32_t now = devices_now(device->devices);
	if (device->answered_sec && now - device->answered_sec < DEVICE_PING_SEC) {
		/* Counted from the last one answered: it takes many within these seconds. */
		if (++device->ping_count > DEVICE_PINGS_A_MINUTE) {
			metrics_add(device->devices->options.metrics, METRIC_DEVICE_BAD, 1);
			websocket_close(&device->socket, WEBSOCKET_CLOSE_STAY_AWAY);
		}
		return;
	}
	device->ping_count = 0;
	device->answered_sec = now;
	struct buffer *frame = device_frame_begin(device);
	if (buffer_append(frame, "{}", 2)) {
		(void)device_frame_end(device);
	}
}

/* They count for every socket of the device, and go to the store whether a session knows them or
 * not. */
static void device_handle_ack(struct device *device, const struct autopush_message *message) {
	struct devices *devices = device->devices;
	metrics_add(devices->options.metrics, METRIC_DEVICE_ACKS, (int64_t)message->ack.count);
	if (message->ack.count == 0 || !device->is_stored) {
		return;
	}
	const struct autopush_ack *acks = message->ack.acks;
	acks_send(devices, device->id, acks, message->ack.count);
	struct device *other = hashmap_get(devices->by_id, &device->id);
	for (; other; other = other->older) {
		for (size_t i = 0; i < message->ack.count; i++) {
			(void)window_ack(&other->window, acks[i].id, acks[i].channel, other->is_fetching);
		}
		device_pull(other);
	}
}

static void device_handle_nack(struct device *device, const struct autopush_message *message) {
	(void)message;
	metrics_add(device->devices->options.metrics, METRIC_DEVICE_NACKS, 1);
}

static void device_handle_urgency(struct device *device, const struct autopush_message *message) {
	bool is_valid = message->urgency.is_valid;
	bool fits = autopush_print_urgency(device_frame_begin(device), is_valid ? 200 : 400);
	assert(fits);
	(void)device_frame_end(device);
	if (!is_valid) {
		return;
	}
	enum urgency before = (enum urgency)device->min_urgency;
	struct device *newest = hashmap_get(device->devices->by_id, &device->id);
	for (struct device *other = newest; other; other = other->older) {
		other->min_urgency = (uint8_t)message->urgency.min;
	}
	if (device->is_stored) {
		store_set_urgency(
			device->devices->options.store, device->id, message->urgency.min, NULL, NULL);
	}
	if (newest && message->urgency.min < before) {
		device_rescan(newest); /* what was held back lies before the cursor */
	}
}

static void device_handle_nothing(struct device *device, const struct autopush_message *message) {
	(void)device;
	(void)message;
}

static void device_handle_unknown(struct device *device, const struct autopush_message *message) {
	(void)message;
	metrics_add(device->devices->options.metrics, METRIC_DEVICE_UNKNOWN, 1);
}

#define IN(state) (1u << (state))
static const struct {
	unsigned states; /* in which it may come; elsewhere it breaks the protocol */
	void (*handle)(struct device *device, const struct autopush_message *message);
} device_messages[AUTOPUSH_TYPE_COUNT] = {
	[AUTOPUSH_PING] = {IN(DEVICE_OPENED) | IN(DEVICE_READY), device_handle_ping},
	[AUTOPUSH_HELLO] = {IN(DEVICE_OPENED) | IN(DEVICE_READY), device_handle_hello},
	[AUTOPUSH_REGISTER] = {IN(DEVICE_READY), device_handle_register},
	[AUTOPUSH_UNREGISTER] = {IN(DEVICE_READY), device_handle_unregister},
	[AUTOPUSH_ACK] = {IN(DEVICE_READY), device_handle_ack},
	[AUTOPUSH_NACK] = {IN(DEVICE_READY), device_handle_nack},
	[AUTOPUSH_URGENCY] = {IN(DEVICE_READY), device_handle_urgency},
	[AUTOPUSH_BROADCAST_SUBSCRIBE] = {IN(DEVICE_READY), device_handle_nothing},
	[AUTOPUSH_UNKNOWN] = {IN(DEVICE_READY), device_handle_unknown},
};

/* The client has heard what it missed when it speaks after the hello that said so. */
static void device_settle_missed(struct device *device) {
	if (device->missed > 0 && device->state == DEVICE_READY) {
		store_settle_missed(device->devices->options.store, device->id, device->missed, NULL, NULL);
		device->missed = 0;
	}
}

static void device_break(struct device *device, enum websocket_close_code code) {
	log_debug("device", "%s broke the protocol code=%d", device_log_name(device), (int)code);
	metrics_add(device->devices->options.metrics, METRIC_DEVICE_BAD, 1);
	websocket_close(&device->socket, code);
}

void device_on_text(struct websocket *socket, struct slice text) {
	struct device *device = device_of(socket);
	if (device->state == DEVICE_READY) {
		device_note_life(device); /* before hello its limit counts from the opening */
	}
	if (device->state == DEVICE_GREETING) {
		if (!device_hello_keep(device, text)) {
			device_break(device, WEBSOCKET_CLOSE_TOO_BIG);
		}
		return;
	}
	struct autopush_message message;
	if (!autopush_message_parse(text, &message)) {
		device_break(device, WEBSOCKET_CLOSE_BAD_TEXT);
		return;
	}
	device_settle_missed(device);
	if (device_messages[message.type].states & IN(device->state)) {
		device_messages[message.type].handle(device, &message);
	} else {
		device_break(device, WEBSOCKET_CLOSE_PROTOCOL);
	}
	autopush_message_finish(&message);
}
