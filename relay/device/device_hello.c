/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a hello: admission at a bounded rate, the look into the store, the answer. */
#include "common/log.h"
#include "common/mem.h"
#include "relay/device/acks.h"
#include "relay/device/device.h"
#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/random.h>

enum { DEVICE_HELLO_TRIES = 5, DEVICE_EARLY_BYTES = 65536 };
static const double device_hello_tick_sec = 0.02;

struct device_hello {
	struct list link; /* devices->hello_queue; on none once admitted */
	struct device *device; /* NULL when the session ended meanwhile */
	struct devices *devices;
	struct device_id id;
	char uaid[AUTOPUSH_UAID_LENGTH + 1]; /* empty: a fresh one is wanted */
	struct buffer early; /* what the client said meanwhile: each a length and the text */
	int tries;
	bool is_at_store;
};

/* The steps, in the order in which they run. */
static void device_hello_admit(struct device_hello *hello);
static void device_hello_look_up(struct device_hello *hello);
static void device_hello_on_attached(const struct store_device *found, void *ctx);
static void device_hello_answer(struct device_hello *hello, const struct store_device *found);

/* The store must never hold the credential itself. */
static struct device_id device_id_of(const char *uaid) {
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	if (EVP_Digest(uaid, AUTOPUSH_UAID_LENGTH, digest, &length, EVP_sha256(), NULL) != 1) {
		log_fatal("SHA-256 is not available");
	}
	struct device_id id;
	memcpy(id.bytes, digest, sizeof id.bytes);
	return id;
}

static void device_uaid_generate(char out[AUTOPUSH_UAID_LENGTH + 1]) {
	static const char hex[] = "0123456789abcdef";
	uint8_t bytes[AUTOPUSH_UAID_LENGTH / 2];
	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
		log_fatal("no random bytes to be had");
	}
	for (size_t i = 0; i < sizeof bytes; i++) {
		out[2 * i] = hex[bytes[i] >> 4];
		out[2 * i + 1] = hex[bytes[i] & 15];
	}
	out[AUTOPUSH_UAID_LENGTH] = '\0';
}

static void device_hello_free(struct device_hello *hello) {
	list_remove(&hello->link);
	if (hello->device) {
		hello->device->hello = NULL;
	}
	mem_wipe(hello->uaid, sizeof hello->uaid);
	buffer_finish(&hello->early);
	free(hello);
}

/* ---- admission --------------------------------------------------------------------------------
 */

static bool devices_take_hello_token(struct devices *devices) {
	double rate = devices->options.hello_rate;
	double now = ev_now(devices->options.loop);
	/* A fifth of a second's worth may come at once. */
	double most = rate / 5 < 1 ? 1 : rate / 5;
	double gained = now > devices->hello_at ? (now - devices->hello_at) * rate : 0;
	devices->hello_at = now;
	devices->hello_tokens =
		devices->hello_tokens + gained > most ? most : devices->hello_tokens + gained;
	if (devices->hello_tokens < 1) {
		return false;
	}
	devices->hello_tokens -= 1;
	return true;
}

void devices_on_hello_timer(struct ev_loop *loop, ev_timer *timer, int revents) {
	(void)revents;
	struct devices *devices = timer->data;
	struct device_hello *hello;
	while ((hello = list_first(&devices->hello_queue, struct device_hello, link)) &&
		   devices_take_hello_token(devices)) {
		list_remove(&hello->link);
		device_hello_look_up(hello);
	}
	if (list_is_empty(&devices->hello_queue)) {
		ev_timer_stop(loop, timer);
	}
}

static void device_hello_admit(struct device_hello *hello) {
	struct devices *devices = hello->devices;
	if (list_is_empty(&devices->hello_queue) && devices_take_hello_token(devices)) {
		device_hello_look_up(hello);
		return;
	}
	list_append(&devices->hello_queue, &hello->link);
	if (!ev_is_active(&devices->hello_timer)) {
		ev_timer_set(&devices->hello_timer, device_hello_tick_sec, device_hello_tick_sec);
		ev_timer_start(devices->options.loop, &devices->hello_timer);
	}
}

/* ---- the flow ---------------------------------------------------------------------------------
 */

void device_hello_start(struct device *device, const struct autopush_message *message) {
	if (device->devices->is_draining) {
		websocket_drop(&device->socket);
		return;
	}
	struct device_hello *hello = mem_zalloc(sizeof *hello);
	list_init(&hello->link);
	buffer_init(&hello->early, DEVICE_EARLY_BYTES);
	hello->device = device;
	hello->devices = device->devices;
	device->hello = hello;
	device->is_ours = message->hello.is_ours;
	device->instance = message->hello.instance;
	uint32_t keepalive_max = 24 * 3600;
	device->keepalive_sec =
		message->hello.keepalive_sec > keepalive_max ? keepalive_max : message->hello.keepalive_sec;
	if (autopush_uaid_normalise(message->hello.uaid, hello->uaid)) {
		hello->id = device_id_of(hello->uaid);
	}
	device_enter(device, DEVICE_GREETING);
	device_arm(device, devices_now(device->devices) + 1);
	device_hello_admit(hello);
}

static void device_hello_look_up(struct device_hello *hello) {
	if (hello->uaid[0] == '\0') {
		device_hello_answer(hello, &(struct store_device){.outcome = STORE_MISSING});
		return;
	}
	hello->is_at_store = true;
	acks_retry(hello->devices); /* what it acknowledged on a socket before must not come again */
	store_attach(hello->devices->options.store, hello->id, device_hello_on_attached, hello);
}

/* Unless another socket of it is here, the device is attached for nobody. */
static void device_hello_give_up(struct device_hello *hello, const struct store_device *found) {
	struct devices *devices = hello->devices;
	if (found->outcome == STORE_OK && !devices->is_destroyed &&
		!hashmap_get(devices->by_id, &hello->id)) {
		devices_detach(devices, hello->id);
	}
}

static void device_hello_on_attached(const struct store_device *found, void *ctx) {
	struct device_hello *hello = ctx;
	hello->is_at_store = false;
	if (!hello->device) {
		struct devices *devices = hello->devices;
		device_hello_give_up(hello, found);
		device_hello_free(hello);
		devices_release(devices);
	} else if (found->outcome == STORE_OK && devices_is_detaching(hello->devices, hello->id)) {
		device_hello_look_up(hello); /* another socket of it went meanwhile */
	} else if (found->outcome != STORE_UNAVAILABLE) {
		device_hello_answer(hello, found);
	} else if (++hello->tries >= DEVICE_HELLO_TRIES) {
		/* An answer with another status would be misread; every client backs off from a drop. */
		log_debug("device", "store unavailable at hello");
		websocket_drop(&hello->device->socket);
	}
}

void device_hello_retry(struct device *device) {
	struct device_hello *hello = device->hello;
	if (hello && hello->tries > 0 && !hello->is_at_store) {
		device_hello_look_up(hello);
	}
}

void device_hello_cancel(struct device *device) {
	struct device_hello *hello = device->hello;
	if (!hello) {
		return;
	}
	if (hello->is_at_store) {
		hello->device = NULL;
		device->hello = NULL;
		device->devices->references++; /* the operation's */
		return;
	}
	device_hello_free(hello);
}

bool device_hello_keep(struct device *device, struct slice text) {
	struct buffer *early = &device->hello->early;
	return buffer_append(early, &text.len, sizeof text.len) &&
		   (text.len == 0 || buffer_append(early, text.data, text.len));
}

static void device_hello_replay(struct device *device, struct buffer *early) {
	while (buffer_length(early) > 0 && !websocket_is_ending(&device->socket)) {
		size_t length;
		memcpy(&length, early->data + early->start, sizeof length);
		buffer_consume(early, sizeof length);
		struct slice text = {length > 0 ? buffer_begin(early) : "", length};
		device_on_text(&device->socket, text);
		buffer_consume(early, length);
	}
	buffer_finish(early);
}

static void device_hello_answer(struct device_hello *hello, const struct store_device *found) {
	struct device *device = hello->device;
	struct devices *devices = hello->devices;
	if (websocket_is_ending(&device->socket)) {
		device_hello_give_up(hello, found);
		return; /* on_closed is on its way, and cancels */
	}
	device->is_stored = found->outcome == STORE_OK;
	if (!device->is_stored) {
		device_uaid_generate(hello->uaid);
		hello->id = device_id_of(hello->uaid);
	}
	device->id = hello->id;
	device->min_urgency = (uint8_t)(device->is_stored ? found->min_urgency : URGENCY_VERY_LOW);
	device->missed = device->is_ours ? found->missed : 0;
	char uaid[sizeof hello->uaid];
	memcpy(uaid, hello->uaid, sizeof uaid);
	struct buffer early = hello->early;
	buffer_init(&hello->early, 0);
	device_hello_free(hello);
	if (!devices_take_over(device)) {
		buffer_finish(&early);
		return;
	}
	device_enter(device, DEVICE_READY);
	bool fits = autopush_print_hello(
		device_frame_begin(device), uaid, device->is_ours ? &device->missed : NULL);
	assert(fits);
	mem_wipe(uaid, sizeof uaid);
	(void)device_frame_end(device);
	websocket_limit_receive(&device->socket, DEVICE_MESSAGE_BYTES);
	metrics_add(devices->options.metrics, METRIC_DEVICE_HELLOS, 1);
	metrics_add(devices->options.metrics, METRIC_DEVICE_MISSED_TOLD, (int64_t)device->missed);
	log_debug("device", "%s ready known=%d", device_log_name(device), device->is_stored);
	if (device->is_stored && found->was_elsewhere) {
		peers_take_over(device, found->previous);
	}
	device->is_behind = true;
	device_hello_replay(device, &early);
	device_pull(device);
}
