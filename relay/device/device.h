/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device socket's session, for the files of this folder. It lives until its socket is closed
 * and no store operation refers to it any more. device.c has its life, its clock and the delivery;
 * device_hello.c the way from hello to ready; device_messages.c what the client says; turns.c who
 * of an address may register; devices.c the registry of all.
 */
#pragma once
#include "common/autopush.h"
#include "common/buffer.h"
#include "common/hashmap.h"
#include "common/log_limit.h"
#include "relay/device/devices.h"
#include "relay/device/turns.h"
#include "relay/device/websocket.h"
#include "relay/device/window.h"
#include "relay/http/client.h"

enum device_state {
	DEVICE_OPENED, /* waits for hello */
	DEVICE_GREETING, /* hello is in the queue, or with the store */
	DEVICE_READY,
	DEVICE_CLOSED, /* no socket any more; the store still has to call back */
	DEVICE_STATE_COUNT
};

struct device_hello; /* device_hello.c */
struct device_requests; /* device_messages.c */
struct device_timer; /* device.c */

struct device {
	struct websocket socket;
	struct devices *devices;
	struct device *older; /* another socket of the same device, from before this one */
	struct list timer; /* devices->wheel */
	struct device_invite *invite; /* NULL for open registration */
	struct device_hello *hello; /* while GREETING */
	struct device_requests *requests; /* registers and unregisters under way; NULL mostly */
	struct device_timer *wait; /* for what another node has in flight; NULL mostly */
	struct device_timer
		*hold; /* until then what an older socket has is not sent again; NULL mostly */
	struct window window;
	struct device_id id; /* from READY on */
	struct message_id cursor; /* every stored message up to it was looked at in this session */
	uint64_t instance; /* the run of our client; 0: not known */
	uint64_t missed; /* told with hello, settled once the client has spoken */
	uint64_t client; /* where the upgrade came from, in devices->clients; 0: not limited */
	struct node_id peer; /* the node that had the device before, when has_peer */
	uint32_t references;
	uint32_t ready_sec;
	uint32_t due_sec; /* when the timer wheel looks at it; may be early */
	uint32_t heard_sec; /* the last sign of life */
	uint32_t pinged_sec; /* unanswered since; 0 */
	uint32_t choked_sec; /* its reader is behind since; 0 */
	uint32_t renew_sec; /* the store's lease */
	uint32_t retry_sec; /* a fetch failed; 0 */
	uint32_t keepalive_sec; /* our clients ping by themselves */
	uint32_t answered_sec; /* the last {} answered */
	uint32_t takeovers_sec; /* since then … */
	uint8_t takeovers; /* … the device changed its socket so often */
	uint8_t ping_count; /* {} in the current minute */
	uint8_t state; /* enum device_state, by device_enter */
	uint8_t min_urgency;
	bool is_ours : 1; /* speaks our extension */
	bool is_stored : 1; /* the store knows the device */
	bool is_newest : 1; /* gets the deliveries */
	bool is_elsewhere : 1; /* another node took the device over */
	bool has_peer : 1;
	bool is_behind : 1; /* the store has, or may have, something behind the cursor */
	bool must_rescan : 1; /* … or before it */
	bool is_fetching : 1;
};

enum {
	DEVICES_WHEEL_SLOTS = 512,
	DEVICE_MESSAGE_BYTES = 16384, /* of a message after hello */
	DEVICE_REQUEST_BURST = 256, /* registers and unregisters at once */
	DEVICE_REQUEST_RATE = 10, /* … and then a second */
	DEVICE_REQUESTS_MAX = 2048, /* under way or waiting; beyond: 429 */
	DEVICE_REQUESTS_KEPT_MAX = 2 * DEVICE_REQUESTS_MAX, /* with the refused; beyond: the end */
	/* With so many of one client kept, the end comes to who has more than its share. */
	DEVICES_CLIENT_REQUESTS_MAX = 65536,
	DEVICE_REQUESTS_SHARE = 64,
};

struct devices {
	struct devices_options options;
	const struct token_keys *keys;
	struct websocket_host *host;
	struct hashmap *by_id; /* struct device: the newest of each id */
	struct hashmap
		*detaching; /* struct devices_detach: the store was asked, and has not answered */
	struct buffer scratch; /* the frame being printed, behind websocket_headroom() bytes */
	size_t sockets, references; /* a session may outlive its socket, and the destruction */
	struct client_counts clients; /* the sockets of each */
	struct client_counts asked; /* the requests kept of each, when there are options.limits */
	bool is_destroyed;
	struct list acks_kept; /* struct acks::link: the store was away */
	size_t acks_kept_count;
	struct hashmap *lines; /* of who waits for the registers of its address: turns.c */
	struct log_limit acks_lost, used_twice, used_on_two, too_many, too_fast;
	struct list wheel[DEVICES_WHEEL_SLOTS]; /* struct device::timer, by due_sec */
	uint32_t turned_sec; /* the wheel was turned up to this second */
	ev_timer tick;
	struct list hello_queue; /* struct device_hello::link */
	ev_timer hello_timer;
	double hello_tokens, hello_at;
	/* draining */
	bool is_draining;
	double drain_from, drain_sec;
	size_t drain_sockets;
	ev_timer drain_timer;
	devices_drained_fn *on_drained;
	void *drained_ctx;
};

/* ---- device.c ---------------------------------------------------------------------------------
 */

/* Takes the place of client in devices->clients over. */
struct device *device_create(
	struct devices *devices, const struct device_invite *invite, uint64_t client);
struct device *device_ref(struct device *device);
void device_unref(struct device *device);
void device_enter(struct device *device, enum device_state state);
const char *device_state_name(enum device_state state);
struct device *device_of(struct websocket *socket);
void device_on_closed(struct websocket *socket);
void device_on_writable(struct websocket *socket);

/* First 8 hex digits of the device id, for logs; valid until the next call. */
const char *device_log_name(const struct device *device);
void device_note_life(struct device *device);
/* Asks for device_on_due at due_sec or before. */
void device_arm(struct device *device, uint32_t due_sec);
void device_on_due(struct device *device, uint32_t now_sec);
/* Pings, and drops the socket when nothing comes back. */
void device_probe(struct device *device, uint32_t now_sec);

/* One of the session's rare timers, finer than the wheel: starts it unless it runs, stops it. */
typedef void device_timer_fn(struct device *device);
void device_timer_start(
	struct device *device, struct device_timer **timer, double sec, device_timer_fn *done);
void device_timer_stop(struct device *device, struct device_timer **timer);

/* A frame: begin, print into devices->scratch, end. False when it could not go out. */
struct buffer *device_frame_begin(struct device *device);
bool device_frame_end(struct device *device);

bool device_deliver(struct device *device, const struct store_message *message,
	struct message_id previous, bool is_transient);
/* Fetches what is behind, if there is room for it. */
void device_pull(struct device *device);
/* Looks at the whole queue again; what is in flight is not sent twice. */
void device_rescan(struct device *device);
void device_attach_again(struct device *device);
/* Ids that another socket has in flight are not sent on this one for a moment. */
void device_hold(struct device *device, const struct message_id *ids, size_t count);

/* ---- device_hello.c ---------------------------------------------------------------------------
 */

void device_hello_start(struct device *device, const struct autopush_message *message);
/* What the client says before its answer is kept, and handled after it. False: too much. */
bool device_hello_keep(struct device *device, struct slice text);
/* Another try with the store is due. */
void device_hello_retry(struct device *device);
/* The session ends: forgets the hello, wherever it is. */
void device_hello_cancel(struct device *device);
void devices_on_hello_timer(struct ev_loop *loop, ev_timer *timer, int revents);

/* ---- device_messages.c ------------------------------------------------------------------------
 */

void device_on_text(struct websocket *socket, struct slice text);
/* Starts requests that waited for the rate limit. */
void device_requests_continue(struct device *device, uint32_t now_sec);
/* They wait for their device's rate, or are under way, and want to be continued every second. */
bool device_requests_wait(const struct device *device);
/* It is the turn of the first register that waits; see turns.h. */
void device_requests_on_turn(struct turn *turn);
void device_requests_cancel(struct device *device);

/* ---- devices.c --------------------------------------------------------------------------------
 */

void devices_release(struct devices *devices); /* one reference less */
void devices_start_tick(struct devices *devices);
uint32_t devices_now(const struct devices *devices);
/* The session's id is known now: it gets the deliveries. False when it was sent away. */
bool devices_take_over(struct device *device);
void devices_forget(struct device *device); /* it ends */
/* The last socket of a device here is gone. */
void devices_detach(struct devices *devices, struct device_id id);
/* A detach was asked for and is not done: an attach asked for before it is void. */
bool devices_is_detaching(const struct devices *devices, struct device_id id);
void devices_wheel_put(struct device *device, uint32_t due_sec);

/* ---- peers.c ----------------------------------------------------------------------------------
 */

enum { DEVICES_SENT_IDS_MAX = 256 };

/* Tells another node that this one took the device over, and waits a moment for what is in flight
 * there: until then nothing is fetched. */
void peers_take_over(struct device *device, struct node_id previous);
/* The session that took over ends: the other node may have the device again. */
void peers_release(struct device *device);
void peers_on_told(struct devices *devices, const struct store_wake *wake);
