/* SPDX-License-Identifier: Apache-2.0 */
/* One keep-alive HTTP/1.1 connection that POSTs pushes, one at a time. */
#include "tests/bench/loadgen/sender.h"
#include <assert.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENDER_HEAD_MAX = 1024 };

/* What a mail server sends, less the encryption and the VAPID token. */
static const char sender_head[] = "POST %s HTTP/1.1\r\n"
								  "Host: 127.0.0.1\r\n"
								  "TTL: 86400\r\n"
								  "Urgency: normal\r\n"
								  "Content-Type: application/octet-stream\r\n"
								  "Content-Encoding: aes128gcm\r\n"
								  "Content-Length: %zu\r\n"
								  "\r\n";

static void sender_on_open(struct stream *stream) {
	struct sender *sender = (struct sender *)(void *)stream;
	sender->on_idle(sender);
}

static void sender_on_closed(struct stream *stream, int error) {
	struct sender *sender = (struct sender *)(void *)stream;
	bool was_busy = sender->busy;
	sender->busy = false;
	sender->answer_bytes = 0;
	sender->body_left = 0;
	if (was_busy) {
		sender->on_answered(sender, 0);
	}
	sender->on_lost(sender, error);
}

static void sender_finish_answer(struct sender *sender) {
	sender->answer_bytes = 0;
	sender->busy = false;
	sender->on_answered(sender, sender->status);
}

/* The end of the head, after its empty line, or NULL. */
static const char *sender_head_end(const struct sender *sender) {
	const char *end = memmem(sender->answer, sender->answer_bytes, "\r\n\r\n", 4);
	return end ? end + 4 : NULL;
}

static size_t sender_content_length(const struct sender *sender) {
	static const char name[] = "\r\ncontent-length:";
	for (const char *line = sender->answer; (line = strstr(line, "\r\n")) != NULL; line += 2) {
		if (strncasecmp(line, name, sizeof name - 1) == 0) {
			return strtoul(line + sizeof name - 1, NULL, 10);
		}
	}
	return 0;
}

static void sender_on_head(struct sender *sender, const char *end) {
	sender->status = (int)strtol(sender->answer + strlen("HTTP/1.1 "), NULL, 10);
	size_t length = sender_content_length(sender);
	size_t have = sender->answer_bytes - (size_t)(end - sender->answer);
	if (have > length) {
		errx(1, "the server sent more than it announced");
	}
	sender->body_left = length - have;
	if (sender->body_left == 0) {
		sender_finish_answer(sender);
	}
}

static void sender_on_data(struct stream *stream, const char *data, size_t bytes) {
	struct sender *sender = (struct sender *)(void *)stream;
	if (!sender->busy) {
		return; /* a 408 or the like, before the server closes an idle connection */
	}
	if (sender->body_left > 0) {
		sender->body_left -= bytes < sender->body_left ? bytes : sender->body_left;
		if (sender->body_left == 0) {
			sender_finish_answer(sender);
		}
		return;
	}
	if (sender->answer_bytes + bytes >= sizeof sender->answer) {
		errx(1, "the head of an answer is too long");
	}
	memcpy(sender->answer + sender->answer_bytes, data, bytes);
	sender->answer_bytes += bytes;
	sender->answer[sender->answer_bytes] = '\0';
	const char *end = sender_head_end(sender);
	if (end) {
		sender_on_head(sender, end);
	}
}

static const struct stream_events sender_events = {
	.on_open = sender_on_open,
	.on_data = sender_on_data,
	.on_closed = sender_on_closed,
};

void sender_open(struct sender *sender, struct loop *loop, struct stream_target *target) {
	stream_open(&sender->stream, loop, target, &sender_events);
}

void sender_post(struct sender *sender, const char *path, const void *body, size_t bytes) {
	static char request[SENDER_HEAD_MAX + SENDER_BODY_MAX];
	assert(!sender->busy && bytes <= SENDER_BODY_MAX);
	int head = snprintf(request, SENDER_HEAD_MAX, sender_head, path, bytes);
	if (head < 0 || head >= SENDER_HEAD_MAX) {
		errx(2, "the path is too long: %s", path);
	}
	memcpy(request + head, body, bytes);
	sender->busy = true;
	sender->answer_bytes = 0;
	sender->body_left = 0;
	sender->sent_ns = loop_clock_ns();
	stream_write(&sender->stream, request, (size_t)head + bytes);
}
