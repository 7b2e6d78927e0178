/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of all sessions: admission, who is the newest of a device, the timer wheel, the end.
 */
#include "relay/device/devices.h"
#include "common/log.h"
#include "common/mem.h"
#include "relay/device/acks.h"
#include "relay/device/device.h"
#include "relay/device/upgrade.h"
#include <assert.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	DEVICES_LOG_SEC = 10,
	DEVICES_LOG_LINES = 5,
	DEVICES_TOO_MANY_SEC = 60,
	DEVICES_FRAME_LIMIT = 4 << 20, /* of one frame: above any body a relay accepts, in base64 */
	DEVICES_FLAP_TAKEOVERS = 10,
	DEVICES_FLAP_SEC = 300,
};
static const double devices_drain_tick_sec = 0.1;

/* Detaches of one device that the store has not answered yet. */
struct devices_detach {
	struct device_id id;
	struct devices *devices;
	unsigned count;
};

uint32_t devices_now(const struct devices *devices) {
	(void)devices;
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)now.tv_sec + 1; /* so that 0 can mean never, even just after boot */
}

/* ---- the timer wheel ---------------------------------------------------------------------------
 */

void devices_wheel_put(struct device *device, uint32_t due_sec) {
	struct devices *devices = device->devices;
	uint32_t first = devices->turned_sec + 1;
	uint32_t last = devices->turned_sec + DEVICES_WHEEL_SLOTS - 1;
	device->due_sec = due_sec < first ? first : due_sec > last ? last : due_sec;
	list_remove(&device->timer);
	list_append(&devices->wheel[device->due_sec % DEVICES_WHEEL_SLOTS], &device->timer);
}

static void devices_turn_slot(struct devices *devices, uint32_t now) {
	struct list due;
	list_init(&due);
	list_splice(&due, &devices->wheel[devices->turned_sec % DEVICES_WHEEL_SLOTS]);
	struct device *device;
	while ((device = list_first(&due, struct device, timer))) {
		list_remove(&device->timer);
		device_on_due(device, now);
	}
}

static void devices_on_tick(struct ev_loop *loop, ev_timer *timer, int revents) {
	(void)revents;
	struct devices *devices = timer->data;
	uint32_t now = devices_now(devices);
	log_limit_tick(&devices->acks_lost, ev_now(loop));
	log_limit_tick(&devices->used_twice, ev_now(loop));
	log_limit_tick(&devices->used_on_two, ev_now(loop));
	log_limit_tick(&devices->too_many, ev_now(loop));
	log_limit_tick(&devices->too_fast, ev_now(loop));
	if (now - devices->turned_sec > DEVICES_WHEEL_SLOTS) {
		devices->turned_sec = now - DEVICES_WHEEL_SLOTS; /* the machine slept: once around is all */
	}
	while (devices->turned_sec < now) {
		devices->turned_sec++;
		devices_turn_slot(devices, now);
	}
	turns_tick(devices);
	acks_retry(devices);
	if (devices->sockets == 0 && devices->acks_kept_count == 0) {
		ev_timer_stop(loop, timer);
	}
}

void devices_start_tick(struct devices *devices) {
	if (!ev_is_active(&devices->tick)) {
		devices->turned_sec = devices_now(devices);
		ev_timer_set(&devices->tick, 1.0, 1.0);
		ev_timer_start(devices->options.loop, &devices->tick);
	}
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void devices_on_open(struct websocket *socket) {
	struct device *device = device_of(socket);
	metrics_add(device->devices->options.metrics, METRIC_DEVICE_CONNECTED, 1);
}

/* An older socket lives. When it is another machine's, that one would never know that it gets
 * nothing any more. */
static void devices_check_identity(struct device *device) {
	struct devices *devices = device->devices;
	const struct device *newest = hashmap_get(devices->by_id, &device->id);
	if (!newest || newest == device || newest->instance == 0 || device->instance == 0 ||
		newest->instance == device->instance) {
		return;
	}
	if (log_limit_pass(&devices->used_on_two, ev_now(devices->options.loop))) {
		log_info("%s device=%s", devices->used_on_two.event, device_log_name(device));
	}
	websocket_close(&device->socket, WEBSOCKET_CLOSE_STAY_AWAY);
}

static void devices_on_alive(struct websocket *socket, bool is_pong) {
	struct device *device = device_of(socket);
	if (device->state != DEVICE_READY) {
		return;
	}
	device_note_life(device);
	if (is_pong && !device->is_newest) {
		devices_check_identity(device);
	}
}

static void devices_on_broken(struct websocket *socket, enum websocket_close_code code) {
	struct device *device = device_of(socket);
	log_debug("device", "%s broke the protocol code=%d", device_log_name(device), (int)code);
	metrics_add(device->devices->options.metrics, METRIC_DEVICE_BAD, 1);
}

static const struct websocket_events devices_events = {
	.on_open = devices_on_open,
	.on_text = device_on_text,
	.on_alive = devices_on_alive,
	.on_writable = device_on_writable,
	.on_broken = devices_on_broken,
	.on_closed = device_on_closed,
};

struct devices *devices_create(const struct devices_options *options) {
	struct devices *devices = mem_zalloc(sizeof *devices);
	devices->options = *options;
	devices->keys = options->keys;
	devices->references = 1;
	list_init(&devices->acks_kept);
	devices->acks_lost =
		(struct log_limit){.event = "acknowledgements lost, their messages come again",
			.period_sec = DEVICES_LOG_SEC,
			.lines = DEVICES_LOG_LINES};
	devices->used_on_two =
		(struct log_limit){.event = "device is used on two machines, older socket sent away",
			.period_sec = DEVICES_LOG_SEC,
			.lines = DEVICES_LOG_LINES};
	devices->used_twice =
		(struct log_limit){.event = "device is used twice, newer socket sent away",
			.period_sec = DEVICES_LOG_SEC,
			.lines = DEVICES_LOG_LINES};
	devices->too_many = (struct log_limit){
		.event = "one address has too many devices, more are refused setting=address_devices",
		.period_sec = DEVICES_TOO_MANY_SEC,
		.lines = 1};
	devices->too_fast = (struct log_limit){
		.event =
			"one address registers too fast, more wait for their turn setting=address_registers",
		.period_sec = DEVICES_TOO_MANY_SEC,
		.lines = 1};
	client_counts_init(&devices->clients);
	client_counts_init(&devices->asked);
	devices->lines = turns_create_lines();
	devices->by_id = hashmap_create(offsetof(struct device, id), sizeof(struct device_id));
	devices->detaching =
		hashmap_create(offsetof(struct devices_detach, id), sizeof(struct device_id));
	buffer_init(&devices->scratch, DEVICES_FRAME_LIMIT);
	for (size_t i = 0; i < DEVICES_WHEEL_SLOTS; i++) {
		list_init(&devices->wheel[i]);
	}
	list_init(&devices->hello_queue);
	devices->turned_sec = devices_now(devices);
	ev_init(&devices->tick, devices_on_tick);
	ev_init(&devices->hello_timer, devices_on_hello_timer);
	ev_init(&devices->drain_timer, NULL);
	devices->tick.data = devices->hello_timer.data = devices->drain_timer.data = devices;
	devices->host = websocket_host_create(options->loop, &devices_events);
	if (!devices->host) {
		devices_destroy(devices);
		return NULL;
	}
	return devices;
}

void devices_release(struct devices *devices) {
	assert(devices->references > 0);
	if (--devices->references > 0) {
		return;
	}
	hashmap_destroy(devices->by_id);
	hashmap_destroy(devices->detaching);
	client_counts_finish(&devices->clients);
	client_counts_finish(&devices->asked);
	hashmap_destroy(devices->lines);
	buffer_finish(&devices->scratch);
	free(devices);
}

void devices_destroy(struct devices *devices) {
	if (!devices) {
		return;
	}
	devices->is_destroyed = true;
	acks_send_kept(devices);
	websocket_host_destroy(devices->host);
	devices->host = NULL;
	assert(devices->sockets == 0);
	ev_timer_stop(devices->options.loop, &devices->tick);
	ev_timer_stop(devices->options.loop, &devices->hello_timer);
	ev_timer_stop(devices->options.loop, &devices->drain_timer);
	devices_release(devices);
}

size_t devices_count(const struct devices *devices) {
	return devices->sockets;
}

void devices_set_keys(struct devices *devices, const struct token_keys *keys) {
	devices->keys = keys;
}

/* ---- upgrades ----------------------------------------------------------------------------------
 */

static void devices_count_sockets(struct devices *devices, int n) {
	devices->sockets += (size_t)n;
	metrics_set(devices->options.metrics, METRIC_DEVICE_SOCKETS, (int64_t)devices->sockets);
}

/* 0, with one socket more of client, or the status that refuses it. */
static int devices_admit(struct devices *devices, uint64_t client) {
	uint32_t most = devices->options.client_sockets;
	if (devices->is_draining) {
		return 503;
	}
	if (!client_counts_enter(&devices->clients, client, most)) {
		char text[CLIENT_TEXT_BYTES];
		metrics_add(devices->options.metrics, METRIC_DEVICE_ADDRESS_REFUSED, 1);
		if (log_limit_pass(&devices->too_many, ev_now(devices->options.loop))) {
			log_warn("%s address=%s devices=%u", devices->too_many.event,
				client_print(client, text), most);
		}
		return 429;
	}
	if (devices->sockets >= devices->options.max_sockets) {
		client_counts_leave(&devices->clients, client);
		return 503;
	}
	return 0;
}

void devices_accept(
	struct devices *devices, struct http_request *request, const struct device_invite *invite) {
	uint64_t client = http_peer_client(http_request_peer(request));
	int status = devices_admit(devices, client);
	if (status != 0) {
		upgrade_refuse(request, status);
		return;
	}
	int fd;
	struct buffer head;
	if (!upgrade_take(request, &fd, &head)) {
		client_counts_leave(&devices->clients, client);
		return;
	}
	websocket_tune(fd, devices->options.tcp_user_timeout_ms);
	devices_start_tick(devices);
	struct device *device = device_create(devices, invite, client);
	devices_count_sockets(devices, 1);
	struct slice text = {buffer_begin(&head), buffer_length(&head)};
	if (!websocket_adopt(devices->host, &device->socket, fd, text)) {
		device_on_closed(&device->socket);
	}
	buffer_finish(&head);
}

/* ---- who is the newest --------------------------------------------------------------------------
 */

/* Two profiles with one identity take the device from each other for ever: the socket from before
 * lives and has answered. One that travels from network to network leaves silent sockets behind. */
static bool devices_is_flapping(struct device *device, const struct device *before) {
	uint32_t now = devices_now(device->devices);
	bool is_shared = before->older && before->older->pinged_sec == 0;
	device->takeovers_sec = before->takeovers_sec;
	device->takeovers = before->takeovers;
	if (device->takeovers == 0 || now - device->takeovers_sec > DEVICES_FLAP_SEC) {
		device->takeovers_sec = now;
		device->takeovers = 0;
	}
	device->takeovers += is_shared;
	return device->takeovers > DEVICES_FLAP_TAKEOVERS;
}

static void devices_supersede(struct device *device) {
	device->is_newest = false;
	device_probe(device, devices_now(device->devices));
}

bool devices_take_over(struct device *device) {
	struct devices *devices = device->devices;
	struct device *before = hashmap_get(devices->by_id, &device->id);
	if (before && devices_is_flapping(device, before)) {
		if (log_limit_pass(&devices->used_twice, ev_now(devices->options.loop))) {
			log_info("%s device=%s", devices->used_twice.event, device_log_name(device));
		}
		websocket_close(&device->socket, WEBSOCKET_CLOSE_STAY_AWAY);
		return false;
	}
	if (before) {
		metrics_add(devices->options.metrics, METRIC_DEVICE_TAKEOVERS, 1);
		if (before->older) {
			struct device *oldest = before->older;
			before->older = NULL;
			websocket_drop(&oldest->socket);
		}
		struct message_id ids[DEVICES_SENT_IDS_MAX];
		device_hold(device, ids, window_sent_ids(&before->window, ids, DEVICES_SENT_IDS_MAX));
		device->older = before;
		devices_supersede(before);
	}
	device->is_newest = true;
	(void)hashmap_put(devices->by_id, device);
	return true;
}

bool devices_is_detaching(const struct devices *devices, struct device_id id) {
	return hashmap_get(devices->detaching, &id) != NULL;
}

static void devices_on_detached(enum store_outcome outcome, void *ctx) {
	(void)outcome; /* a lease that stays runs out */
	struct devices_detach *detach = ctx;
	struct devices *devices = detach->devices;
	if (--detach->count == 0) {
		(void)hashmap_remove(devices->detaching, &detach->id);
		free(detach);
	}
	devices_release(devices);
}

void devices_detach(struct devices *devices, struct device_id id) {
	struct devices_detach *detach = hashmap_get(devices->detaching, &id);
	if (!detach) {
		detach = mem_zalloc(sizeof *detach);
		detach->id = id;
		detach->devices = devices;
		(void)hashmap_put(devices->detaching, detach);
	}
	detach->count++;
	devices->references++;
	store_detach(devices->options.store, id, devices_on_detached, detach);
}

/* The other socket, if there is one, gets the deliveries again. */
static void devices_promote(struct device *device) {
	device->is_newest = true;
	(void)hashmap_put(device->devices->by_id, device);
	device_rescan(device);
}

void devices_forget(struct device *device) {
	struct devices *devices = device->devices;
	struct device *newest = hashmap_get(devices->by_id, &device->id);
	struct device *older = device->older;
	device->older = NULL;
	device->is_newest = false;
	if (newest && newest != device) {
		if (newest->older == device) {
			newest->older = NULL;
		}
		return;
	}
	if (!newest) {
		return;
	}
	(void)hashmap_remove(devices->by_id, &device->id);
	if (older) {
		devices_promote(older);
	} else if (device->is_stored && !device->is_elsewhere && !devices->is_destroyed) {
		devices_detach(devices, device->id);
		peers_release(device);
	}
}

/* ---- messages and wake-ups ----------------------------------------------------------------------
 */

bool devices_deliver(struct devices *devices, struct device_id id,
	const struct store_message *message, struct message_id previous, bool is_transient) {
	struct device *device = hashmap_get(devices->by_id, &id);
	return device && device->state == DEVICE_READY &&
		   device_deliver(device, message, previous, is_transient);
}

void devices_drop_invited(struct devices *devices, struct invite_id invite) {
	for (size_t i = 0; i < DEVICES_WHEEL_SLOTS; i++) {
		struct device *device;
		LIST_FOREACH (device, &devices->wheel[i], timer) {
			if (device->invite && memcmp(&device->invite->id, &invite, sizeof invite) == 0) {
				websocket_drop(&device->socket);
			}
		}
	}
}

static void devices_attach_all(struct devices *devices) {
	struct device *device;
	for (size_t at = 0; (device = hashmap_next(devices->by_id, &at));) {
		device_attach_again(device);
	}
}

void devices_wake(struct devices *devices, const struct store_wake *wake) {
	struct device *device;
	switch (wake->kind) {
	case STORE_WAKE_MESSAGES:
		device = hashmap_get(devices->by_id, &wake->device);
		if (device && device->state == DEVICE_READY) {
			/* Ids of several nodes need not come in order: look at all. */
			device_rescan(device);
		}
		return;
	case STORE_WAKE_TRANSIENT:
		(void)devices_deliver(
			devices, wake->device, wake->message, (struct message_id){0, 0}, true);
		return;
	case STORE_WAKE_TOLD:
		peers_on_told(devices, wake);
		return;
	case STORE_WAKE_LOST:
		acks_send_kept(devices);
		devices_attach_all(devices);
		return;
	}
}

/* ---- draining -----------------------------------------------------------------------------------
 */

/* Drops up to count sockets, wherever they hang on the wheel. */
static void devices_drop_some(struct devices *devices, size_t count) {
	for (size_t i = 0; i < DEVICES_WHEEL_SLOTS && count > 0; i++) {
		struct device *device;
		LIST_FOREACH (device, &devices->wheel[i], timer) {
			if (count == 0) {
				return;
			}
			if (!websocket_is_ending(&device->socket)) {
				websocket_drop(&device->socket);
				count--;
			}
		}
	}
}

static void devices_on_drain_tick(struct ev_loop *loop, ev_timer *timer, int revents) {
	(void)revents;
	struct devices *devices = timer->data;
	if (devices->sockets == 0) {
		ev_timer_stop(loop, timer);
		devices->on_drained(devices->drained_ctx);
		return;
	}
	double gone = ev_now(loop) - devices->drain_from;
	double share = devices->drain_sec > 0 ? gone / devices->drain_sec : 1;
	size_t may_stay = share >= 1 ? 0 : (size_t)((1 - share) * (double)devices->drain_sockets);
	if (devices->sockets > may_stay) {
		devices_drop_some(devices, devices->sockets - may_stay);
	}
}

void devices_drain(struct devices *devices, double drain_sec, devices_drained_fn *done, void *ctx) {
	if (devices->is_draining) {
		return;
	}
	devices->is_draining = true;
	devices->drain_from = ev_now(devices->options.loop);
	devices->drain_sec = drain_sec;
	devices->drain_sockets = devices->sockets;
	devices->on_drained = done;
	devices->drained_ctx = ctx;
	ev_timer_init(&devices->drain_timer, devices_on_drain_tick, 0, devices_drain_tick_sec);
	devices->drain_timer.data = devices;
	ev_timer_start(devices->options.loop, &devices->drain_timer);
}
