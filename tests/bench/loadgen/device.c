/* SPDX-License-Identifier: Apache-2.0 */
/* One device: a WebSocket that speaks the autopush protocol. */
#include "tests/bench/loadgen/device.h"
#include "common/base64url.h"
#include "common/mem.h"
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FRAME_TEXT = 1,
	FRAME_BINARY = 2,
	FRAME_PING = 9,
	FRAME_PONG = 10,
	FRAME_SHORT_MAX = 125,
	FRAME_MASK_BYTES = 4,
	FRAME_OUT_MAX = 1024,
	FRAME_IN_MAX = 256 * 1024,
};

struct frame {
	unsigned opcode;
	const char *payload;
	size_t payload_bytes;
	size_t whole_bytes; /* with its head */
};

/* Any four bytes will do: the key hides nothing here, but servers unmask as they would for a
 * browser. */
static const unsigned char frame_mask[FRAME_MASK_BYTES] = {0x5a, 0xc3, 0x17, 0x88};

static const char device_upgrade[] = "GET / HTTP/1.1\r\n"
									 "Host: 127.0.0.1\r\n"
									 "Upgrade: websocket\r\n"
									 "Connection: Upgrade\r\n"
									 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
									 "Sec-WebSocket-Version: 13\r\n"
									 "Sec-WebSocket-Protocol: push-notification\r\n"
									 "\r\n";

/* False when the bytes do not hold a whole frame yet. Servers send neither masks nor fragments. */
static bool frame_parse(const char *data, size_t bytes, struct frame *out) {
	const unsigned char *head = (const unsigned char *)data;
	if (bytes < 2) {
		return false;
	}
	size_t length = head[1] & 0x7f;
	size_t head_bytes = 2;
	if (length == 126) {
		head_bytes = 4;
	} else if (length == 127) {
		head_bytes = 10;
	}
	if (bytes < head_bytes) {
		return false;
	}
	if (head_bytes > 2) {
		length = 0;
		for (size_t i = 2; i < head_bytes; i++) {
			length = length << 8 | head[i];
		}
	}
	if (!(head[0] & 0x80) || (head[1] & 0x80) || length > FRAME_IN_MAX) {
		errx(1, "a frame that no server should send: %02x %02x", head[0], head[1]);
	}
	*out = (struct frame){.opcode = head[0] & 0x0f,
		.payload = data + head_bytes,
		.payload_bytes = length,
		.whole_bytes = head_bytes + length};
	return out->whole_bytes <= bytes;
}

/* Writes a masked frame to out and returns its size. */
static size_t frame_print(unsigned opcode, const char *payload, size_t bytes, char *out) {
	size_t at = 0;
	out[at++] = (char)(0x80 | opcode);
	if (bytes <= FRAME_SHORT_MAX) {
		out[at++] = (char)(0x80 | bytes);
	} else {
		out[at++] = (char)(0x80 | 126);
		out[at++] = (char)(bytes >> 8);
		out[at++] = (char)(bytes & 0xff);
	}
	memcpy(out + at, frame_mask, FRAME_MASK_BYTES);
	at += FRAME_MASK_BYTES;
	for (size_t i = 0; i < bytes; i++) {
		out[at + i] = (char)(payload[i] ^ frame_mask[i % FRAME_MASK_BYTES]);
	}
	return at + bytes;
}

static void device_send_text(struct device *device, const char *text, size_t bytes) {
	char frame[FRAME_OUT_MAX + 16];
	stream_write(&device->stream, frame, frame_print(FRAME_TEXT, text, bytes, frame));
}

/* The text value of a name in flat JSON as our servers print it; empty when it is not there. */
static struct slice device_json_text(const struct frame *frame, const char *quoted_name) {
	const char *end = frame->payload + frame->payload_bytes;
	const char *at = memmem(frame->payload, frame->payload_bytes, quoted_name, strlen(quoted_name));
	if (!at) {
		return (struct slice){NULL, 0};
	}
	at += strlen(quoted_name);
	while (at < end && (*at == ' ' || *at == ':')) {
		at++;
	}
	if (at >= end || *at != '"') {
		return (struct slice){NULL, 0};
	}
	const char *close = memchr(at + 1, '"', (size_t)(end - at - 1));
	return close ? (struct slice){at + 1, (size_t)(close - at - 1)} : (struct slice){NULL, 0};
}

static void device_send_hello(struct device *device) {
	char text[256];
	int bytes = snprintf(text, sizeof text,
		"{\"messageType\":\"hello\",\"use_webpush\":true,\"uaid\":\"%s\",\"broadcasts\":{}}",
		device->uaid ? device->uaid : "");
	device->step = DEVICE_HELLO;
	device_send_text(device, text, (size_t)bytes);
}

static void device_send_register(struct device *device) {
	char text[256];
	free(device->channel);
	device->channel = mem_printf("0d9a6d2e-52e1-4a3e-9a0e-%012x", device->index);
	int bytes = snprintf(
		text, sizeof text, "{\"channelID\":\"%s\",\"messageType\":\"register\"}", device->channel);
	device->step = DEVICE_REGISTER;
	device_send_text(device, text, (size_t)bytes);
}

static void device_become_ready(struct device *device) {
	device->step = DEVICE_READY;
	device->events->on_ready(device);
}

static void device_handle_hello(struct device *device, const struct frame *frame) {
	struct slice uaid = device_json_text(frame, "\"uaid\"");
	if (uaid.len == 0) {
		errx(1, "a hello without uaid: %.*s", (int)frame->payload_bytes, frame->payload);
	}
	if (device->uaid && device->path && !slice_equals(uaid, device->uaid)) {
		errx(1, "the server has forgotten a registered device");
	}
	free(device->uaid);
	device->uaid = mem_strndup(uaid.data, uaid.len);
	if (device->wants_register) {
		device_send_register(device);
	} else {
		device_become_ready(device);
	}
}

static void device_handle_register(struct device *device, const struct frame *frame) {
	struct slice url = device_json_text(frame, "\"pushEndpoint\"");
	const char *host = url.len > 0 ? memmem(url.data, url.len, "://", 3) : NULL;
	const char *end = url.data + url.len;
	const char *path = host ? memchr(host + 3, '/', (size_t)(end - host - 3)) : NULL;
	if (!path) {
		errx(1, "no endpoint: %.*s", (int)frame->payload_bytes, frame->payload);
	}
	free(device->path);
	device->path = mem_strndup(path, (size_t)(end - path));
	device->wants_register = false;
	device_become_ready(device);
}

static void device_queue_ack(struct device *device, struct slice channel, struct slice version) {
	char text[FRAME_OUT_MAX];
	int bytes = snprintf(text, sizeof text,
		"{\"messageType\":\"ack\",\"updates\":[{\"channelID\":\"%.*s\",\"version\":\"%.*s\","
		"\"code\":100}]}",
		(int)channel.len, channel.data, (int)version.len, version.data);
	if (bytes < 0 || bytes >= FRAME_OUT_MAX) {
		errx(1, "a version that is too long");
	}
	if (device->acks_bytes + FRAME_OUT_MAX + 16 > device->acks_size) {
		device->acks_size = device->acks_size * 2 + FRAME_OUT_MAX + 16;
		device->acks = mem_realloc(device->acks, device->acks_size);
	}
	device->acks_bytes +=
		frame_print(FRAME_TEXT, text, (size_t)bytes, device->acks + device->acks_bytes);
}

static void device_handle_notification(struct device *device, const struct frame *frame) {
	struct slice version = device_json_text(frame, "\"version\"");
	struct slice channel = device_json_text(frame, "\"channelID\"");
	struct slice data = device_json_text(frame, "\"data\"");
	uint8_t mark[DEVICE_MARK_BYTES];
	size_t bytes = 0;
	if (data.len > BASE64URL_LENGTH(DEVICE_MARK_BYTES)) {
		data.len = BASE64URL_LENGTH(DEVICE_MARK_BYTES);
	}
	if (!base64url_decode(data, mark, sizeof mark, &bytes) || bytes != sizeof mark) {
		errx(1, "not a notification of ours: %.*s", (int)frame->payload_bytes, frame->payload);
	}
	if (device->sends_acks) {
		device_queue_ack(device, channel, version);
	}
	device->events->on_push(device, (const char *)mark);
}

static void device_handle_raw(struct device *device, const struct frame *frame) {
	if (frame->payload_bytes < DEVICE_MARK_BYTES) {
		errx(1, "a raw delivery of %zu bytes", frame->payload_bytes);
	}
	if (device->sends_acks) {
		/* The forwarder ignores it; it costs what an acknowledgement costs on the wire. */
		device_queue_ack(device, slice_of(device->channel ? device->channel : ""),
			slice_of("0123456789abcdef01234567"));
	}
	device->events->on_push(device, frame->payload);
}

static void device_handle_text(struct device *device, const struct frame *frame) {
	struct slice type = device_json_text(frame, "\"messageType\"");
	if (slice_equals(type, "notification") && device->step == DEVICE_READY) {
		device_handle_notification(device, frame);
	} else if (slice_equals(type, "hello") && device->step == DEVICE_HELLO) {
		device_handle_hello(device, frame);
	} else if (slice_equals(type, "register") && device->step == DEVICE_REGISTER) {
		device_handle_register(device, frame);
	} else {
		errx(1, "unexpected message: %.*s", (int)frame->payload_bytes, frame->payload);
	}
}

static void device_handle_frame(struct device *device, const struct frame *frame) {
	char pong[FRAME_SHORT_MAX + 16];
	switch (frame->opcode) {
	case FRAME_TEXT:
		device_handle_text(device, frame);
		break;
	case FRAME_BINARY:
		device_handle_raw(device, frame);
		break;
	case FRAME_PING:
		stream_write(&device->stream, pong,
			frame_print(FRAME_PONG, frame->payload, frame->payload_bytes, pong));
		break;
	default: /* a close: the end of the connection follows */
		break;
	}
}

static void device_keep_partial(struct device *device, const char *data, size_t bytes) {
	char *kept = bytes > 0 ? mem_dup(data, bytes) : NULL;
	free(device->partial);
	device->partial = kept;
	device->partial_bytes = bytes;
}

/* Takes the head of the answer to the upgrade; returns how many bytes it was, 0 when not whole yet.
 */
static size_t device_take_head(struct device *device, const char *data, size_t bytes) {
	const char *end = memmem(data, bytes, "\r\n\r\n", 4);
	if (!end) {
		return 0;
	}
	if (bytes < 12 || memcmp(data + 9, "101", 3) != 0) {
		errx(1, "no upgrade: %.*s", (int)(end - data), data);
	}
	device_send_hello(device);
	return (size_t)(end - data) + 4;
}

static size_t device_take_frames(struct device *device, const char *data, size_t bytes) {
	size_t at = 0;
	struct frame frame;
	while (device->step > DEVICE_UPGRADE && frame_parse(data + at, bytes - at, &frame)) {
		device_handle_frame(device, &frame);
		at += frame.whole_bytes;
	}
	return at;
}

static void device_consume(struct device *device, const char *data, size_t bytes) {
	size_t at = 0;
	if (device->step == DEVICE_UPGRADE) {
		at = device_take_head(device, data, bytes);
	}
	at += device_take_frames(device, data + at, bytes - at);
	if (device->step != DEVICE_OFFLINE) {
		device_keep_partial(device, data + at, bytes - at);
	}
	if (device->acks_bytes > 0) {
		stream_write(&device->stream, device->acks, device->acks_bytes);
		device->acks_bytes = 0;
	}
}

static void device_on_data(struct stream *stream, const char *data, size_t bytes) {
	struct device *device = (struct device *)(void *)stream;
	if (device->partial_bytes == 0) {
		device_consume(device, data, bytes);
		return;
	}
	size_t sum = device->partial_bytes + bytes;
	char *joined = mem_alloc(sum);
	memcpy(joined, device->partial, device->partial_bytes);
	memcpy(joined + device->partial_bytes, data, bytes);
	device_consume(device, joined, sum);
	free(joined);
}

static void device_on_open(struct stream *stream) {
	struct device *device = (struct device *)(void *)stream;
	device->step = DEVICE_UPGRADE;
	stream_write(stream, device_upgrade, sizeof device_upgrade - 1);
}

static void device_forget_connection(struct device *device) {
	device->step = DEVICE_OFFLINE;
	device_keep_partial(device, NULL, 0);
	device->acks_bytes = 0;
}

static void device_on_closed(struct stream *stream, int error) {
	struct device *device = (struct device *)(void *)stream;
	enum device_step step = device->step;
	device_forget_connection(device);
	device->events->on_closed(device, step, error);
}

static const struct stream_events device_stream_events = {
	.on_open = device_on_open,
	.on_data = device_on_data,
	.on_closed = device_on_closed,
};

void device_open(struct device *device, struct loop *loop, struct stream_target *target) {
	stream_open(&device->stream, loop, target, &device_stream_events);
}

void device_close(struct device *device) {
	stream_close(&device->stream);
	device_forget_connection(device);
}

void device_finish(struct device *device) {
	device_close(device);
	free(device->uaid);
	free(device->channel);
	free(device->path);
	free(device->acks);
}
