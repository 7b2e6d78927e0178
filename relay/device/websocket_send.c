/* SPDX-License-Identifier: Apache-2.0 */
/* What goes out on a device socket: at once, gathered, or from a queue when its reader is behind.
 */
#include "common/mem.h"
#include "relay/device/websocket_internal.h"
#include <assert.h>
#include <stdlib.h>

enum { WEBSOCKET_HEAD_BYTES = 4 }; /* of a frame of 126 to 65535 bytes */
static_assert(WEBSOCKET_GATHER_BYTES <= 65536, "longer heads are not printed");

/* One message that waits for room, in order. */
struct websocket_frame {
	struct list link; /* struct websocket_queue::frames */
	size_t bytes;
	char data[]; /* LWS_PRE free bytes, then the text */
};

struct websocket_queue {
	struct list frames; /* struct websocket_frame::link */
	size_t bytes;
};

void websocket_forget_unsent(struct websocket *socket) {
	if (!socket->queue) {
		return;
	}
	struct websocket_frame *frame;
	while ((frame = list_first(&socket->queue->frames, struct websocket_frame, link))) {
		list_remove(&frame->link);
		free(frame);
	}
	free(socket->queue);
	socket->queue = NULL;
}

size_t websocket_headroom(void) {
	return LWS_PRE;
}

bool websocket_is_choked(const struct websocket *socket) {
	return socket->queue || (socket->wsi && lws_partial_buffered(socket->wsi));
}

static void websocket_want_write(struct websocket *socket) {
	socket->wants_write = true;
	(void)lws_callback_on_writable(socket->wsi);
}

/* What the kernel does not take is kept by libwebsockets: the rest of one frame, or of what was
 * gathered. */
static bool websocket_write(
	struct websocket *socket, unsigned char *data, size_t bytes, enum lws_write_protocol protocol) {
	if (lws_write(socket->wsi, data, bytes, protocol) < 0) {
		websocket_drop(socket);
		return false;
	}
	if (lws_partial_buffered(socket->wsi)) {
		websocket_want_write(socket);
	}
	return true;
}

static bool websocket_enqueue(
	struct websocket *socket, const char *text, size_t bytes, size_t queue_limit) {
	if (!socket->queue) {
		socket->queue = mem_zalloc(sizeof *socket->queue);
		list_init(&socket->queue->frames);
	}
	if (socket->queue->bytes + bytes > queue_limit) {
		return false;
	}
	struct websocket_frame *frame = mem_alloc(sizeof *frame + LWS_PRE + bytes);
	frame->bytes = bytes;
	memcpy(frame->data + LWS_PRE, text, bytes);
	list_append(&socket->queue->frames, &frame->link);
	socket->queue->bytes += bytes;
	websocket_want_write(socket);
	return true;
}

/* ---- gathering --------------------------------------------------------------------------------
 */

/* A server's frame: final, text, no mask. */
static size_t websocket_print_head(unsigned char *at, size_t bytes) {
	at[0] = 0x81;
	if (bytes < 126) {
		at[1] = (unsigned char)bytes;
		return 2;
	}
	at[1] = 126;
	at[2] = (unsigned char)(bytes >> 8);
	at[3] = (unsigned char)bytes;
	return WEBSOCKET_HEAD_BYTES;
}

static void websocket_flush_gathered(struct websocket *socket) {
	struct websocket_host *host = socket->host;
	size_t bytes = host->gathered_bytes;
	host->gathered_bytes = 0;
	if (bytes > 0 && !socket->is_ending) {
		(void)websocket_write(socket, host->gathered + LWS_PRE, bytes, LWS_WRITE_RAW);
	}
}

static void websocket_add_gathered(struct websocket *socket, const char *text, size_t bytes) {
	struct websocket_host *host = socket->host;
	unsigned char *at = host->gathered + LWS_PRE + host->gathered_bytes;
	size_t head_bytes = websocket_print_head(at, bytes);
	memcpy(at + head_bytes, text, bytes);
	host->gathered_bytes += head_bytes + bytes;
}

void websocket_gather(struct websocket *socket) {
	assert(!socket->host->gathering);
	socket->host->gathering = socket;
}

void websocket_send_gathered(struct websocket *socket) {
	assert(socket->host->gathering == socket);
	websocket_flush_gathered(socket);
	socket->host->gathering = NULL;
}

/* ---- messages ---------------------------------------------------------------------------------
 */

static bool websocket_fits_gathered(const struct websocket *socket, size_t bytes) {
	return socket->host->gathered_bytes + WEBSOCKET_HEAD_BYTES + bytes <= WEBSOCKET_GATHER_BYTES;
}

bool websocket_send(struct websocket *socket, char *text, size_t bytes, size_t queue_limit) {
	if (socket->is_ending || !socket->wsi) {
		return false;
	}
	bool gathers = socket->host->gathering == socket;
	if (gathers && !websocket_fits_gathered(socket, bytes)) {
		websocket_flush_gathered(socket);
		if (socket->is_ending) {
			return false;
		}
	}
	if (websocket_is_choked(socket)) {
		return websocket_enqueue(socket, text, bytes, queue_limit);
	}
	if (gathers && websocket_fits_gathered(socket, bytes)) {
		websocket_add_gathered(socket, text, bytes);
		return true;
	}
	return websocket_write(socket, (unsigned char *)text, bytes, LWS_WRITE_TEXT);
}

bool websocket_ping(struct websocket *socket) {
	/* An answer to an empty ping would be hidden from us. */
	static const char payload[] = "ping";
	unsigned char frame[LWS_PRE + sizeof payload];
	if (socket->is_ending || !socket->wsi || websocket_is_choked(socket)) {
		return false;
	}
	memcpy(frame + LWS_PRE, payload, sizeof payload - 1);
	if (lws_write(socket->wsi, frame + LWS_PRE, sizeof payload - 1, LWS_WRITE_PING) < 0) {
		websocket_drop(socket);
		return false;
	}
	return true;
}

static void websocket_flush_queue(struct websocket *socket) {
	while (socket->queue && !socket->is_ending && !lws_partial_buffered(socket->wsi)) {
		struct websocket_frame *frame =
			list_first(&socket->queue->frames, struct websocket_frame, link);
		if (!frame) {
			websocket_forget_unsent(socket);
			break;
		}
		list_remove(&frame->link);
		socket->queue->bytes -= frame->bytes;
		(void)websocket_write(
			socket, (unsigned char *)frame->data + LWS_PRE, frame->bytes, LWS_WRITE_TEXT);
		free(frame);
	}
}

/* One that we did not ask for follows the answer to a ping of the client. */
void websocket_send_on_writable(struct websocket *socket) {
	if (socket->is_ending) {
		return;
	}
	if (!socket->wants_write) {
		socket->host->events->on_alive(socket, false);
		return;
	}
	socket->wants_write = false;
	websocket_flush_queue(socket);
	if (socket->is_ending) {
		return;
	}
	if (websocket_is_choked(socket)) {
		websocket_want_write(socket);
	} else {
		socket->host->events->on_writable(socket);
	}
}
